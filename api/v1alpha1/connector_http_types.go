// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// HTTPBackend provisions through any REST API. The requests are described here, in CEL
// (https://cel.dev), and nothing of it in code.
//
// Expressions see `subject` (id, attributes: what identity yields), `request` (type, requestedBy, targetUser,
// targetWorkApp, permissionLevel, triggeredByUsersGroup: what was approved), and where they make sense `entitlement` (the
// string of permissionLevels), `user` (id, item: the account that observe.account found), `resource` (id, item: what
// observe.entitlement found), `member` (what observe.holders or observe.membership shows of the user, null for nothing),
// `holders` (the ids that observe.holders found), `response` (status, headers by their names in lower case, body: the
// parsed JSON) and `item` (one of the items). They never see a secret.
// +kubebuilder:validation:XValidation:rule="url(self.baseURL).getScheme() == 'https' || (has(self.allowInsecureHTTP) && self.allowInsecureHTTP) || url(self.baseURL).getHostname() in ['localhost', '127.0.0.1', '::1']",fieldPath=".baseURL",message="must be an https URL: credentials travel with every request. For plain http inside a protected network set `allowInsecureHTTP: true`"
type HTTPBackend struct {
	// baseURL is what every path is appended to, for example https://example.com/api/v1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHost() != ''",message="must be an https URL, for example https://example.com/api/v1"
	// +kubebuilder:validation:XValidation:rule="!self.contains('@') && !self.contains('?') && !self.contains('#')",message="must not contain user information, a query or a fragment"
	BaseURL string `json:"baseURL,omitempty"`

	// allowInsecureHTTP allows a baseURL with http, so that credentials travel unencrypted. Default: false.
	// +optional
	AllowInsecureHTTP *bool `json:"allowInsecureHTTP,omitempty"`

	// authentication says how requests are authenticated. Secrets come in by it alone.
	// +required
	Authentication HTTPAuthentication `json:"authentication,omitzero"`

	// certificateAuthority holds the PEM certificates that the server's certificate is verified with. Absent: the
	// certificates of the operator's image.
	// +optional
	CertificateAuthority *KeySource `json:"certificateAuthority,omitempty"`

	// requestTimeoutSeconds is how long one request may take, in seconds. Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	RequestTimeoutSeconds int32 `json:"requestTimeoutSeconds,omitempty"`

	// maxResponseBytes is the largest answer that is read, in bytes. Default: 4194304.
	// +optional
	// +default=4194304
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=33554432
	MaxResponseBytes int32 `json:"maxResponseBytes,omitempty"`

	// operations are the requests.
	// +required
	Operations HTTPOperations `json:"operations,omitzero"`
}

// HTTPOperations are what an API is asked for what. An operation that is left out is one that the backend cannot do. A
// change is looked at first and sent only where it is not so already. Its requests are sent in their order, until one is
// not done.
// +kubebuilder:validation:XValidation:rule="has(self.check) || has(self.observe.account)",fieldPath=".check",message="must be given where `observe.account` is not: without either the credentials cannot be checked"
type HTTPOperations struct {
	// check is a request that tells whether the address and the credentials are right. Absent: observe.account is asked
	// for somebody who does not exist, which a wrong address answers like a right one.
	// +optional
	Check *HTTPRequest `json:"check,omitempty"`

	// observe finds the account, the entitlement and who holds it.
	// +required
	Observe HTTPObserve `json:"observe,omitzero"`

	// createAccount creates an active account.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	CreateAccount []HTTPRequest `json:"createAccount,omitempty"`

	// activateAccount makes an inactive account active.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	ActivateAccount []HTTPRequest `json:"activateAccount,omitempty"`

	// deactivateAccount makes an account inactive. It needs observe.account.active, by which it is seen.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	DeactivateAccount []HTTPRequest `json:"deactivateAccount,omitempty"`

	// deleteAccount deletes an account.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	DeleteAccount []HTTPRequest `json:"deleteAccount,omitempty"`

	// addEntitlement gives the user an entitlement.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	AddEntitlement []HTTPRequest `json:"addEntitlement,omitempty"`

	// removeEntitlement takes an entitlement from the user.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	RemoveEntitlement []HTTPRequest `json:"removeEntitlement,omitempty"`
}

// HTTPObserve says how the facts are found. They decide: what a change answers proves nothing.
// +kubebuilder:validation:ExactlyOneOf=holders;membership
type HTTPObserve struct {
	// account finds the subject's accounts: one item is the account, none means that there is none, several are an error.
	// A 404 is none. Absent: the API knows no accounts, every subject has an active one, and user.id is subject.id.
	// +optional
	Account *HTTPAccountLookup `json:"account,omitempty"`

	// entitlement finds what the entitlement stands for, such as the group of a name: one item is it, none and a 404 mean
	// that the entitlement does not exist, several are an error. Absent: resource.id is the entitlement.
	// +optional
	Entitlement *HTTPLookup `json:"entitlement,omitempty"`

	// holders lists everybody who holds the entitlement, an item each; the user holds it where an item's id is user.id.
	// It also shows whether somebody else lost it. A 404 means that the entitlement does not exist. It cannot use `user`.
	// +optional
	Holders *HTTPMemberLookup `json:"holders,omitempty"`

	// membership asks for the user alone: any item means that the user holds the entitlement, none and a 404 that the user
	// does not.
	// +optional
	Membership *HTTPMemberLookup `json:"membership,omitempty"`
}

// HTTPRequest is one request.
type HTTPRequest struct {
	// when is an expression that yields a bool: the request is sent where it is true. Default: always. Only in changes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	When HTTPExpression `json:"when,omitempty"`

	// method is the method.
	// +required
	Method HTTPMethod `json:"method,omitempty"`

	// path is appended to baseURL. What stands in braces is an expression that yields a string, for example
	// /api/users/{subject.id}. It is escaped as part of a path segment, always; a segment that becomes empty, `.` or `..`
	// by it is refused.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/')",message="must begin with a slash, for example /api/users/{subject.id}"
	Path string `json:"path,omitempty"`

	// query are expressions that yield the parameters of the query, strings, by their name. One that yields an empty string
	// is left out.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 128)",message="the name of a parameter must have from 1 to 128 characters"
	Query map[string]HTTPExpression `json:"query,omitempty"`

	// headers are expressions that yield header fields, strings, by their name. Accept: application/json is sent anyway.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 128 && k.matches('^[A-Za-z0-9-]+$'))",message="the name of a header field must be letters, digits and '-'"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k.lowerAscii() in ['authorization', 'proxy-authorization', 'cookie', 'host', 'content-length', 'transfer-encoding', 'connection', 'user-agent']))",message="must not name Authorization, Cookie, Host or a header field of the connection: credentials belong in `authentication`"
	Headers map[string]HTTPExpression `json:"headers,omitempty"`

	// body is an expression that yields what is sent as JSON, such as a map. Absent: no body.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Body HTTPExpression `json:"body,omitempty"`

	// answers tell what an answer means, where the status alone does not.
	// +optional
	Answers *HTTPAnswers `json:"answers,omitempty"`
}

// HTTPAnswers are expressions over `response` and the request's own variables that yield a bool each. The first that is
// true decides, in the order of the fields here. One that fails, as where the answer has no such member, counts as false.
// Where none is true the status decides: 2xx is done; 401 and 407 are refused credentials; 403 is forbidden; 429 is rate
// limited; 408, 425 and 5xx are retryable; 404, 409 and 412 of a change are looked at and tried again; any other is an
// error for a person. Retry-After is honoured.
// +kubebuilder:validation:MinProperties=1
type HTTPAnswers struct {
	// unauthorized means that the credentials are refused: the Connector turns not ready.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Unauthorized HTTPExpression `json:"unauthorized,omitempty"`

	// rateLimited means that there were too many requests.
	// +optional
	// +kubebuilder:validation:MinLength=1
	RateLimited HTTPExpression `json:"rateLimited,omitempty"`

	// retryable means an error that may pass.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Retryable HTTPExpression `json:"retryable,omitempty"`

	// pending means that the change was taken and that the target system or a person there must still act on it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Pending HTTPExpression `json:"pending,omitempty"`

	// notFound means what 404 means: in observe that there is none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	NotFound HTTPExpression `json:"notFound,omitempty"`

	// alreadyDone means that the change is so already.
	// +optional
	// +kubebuilder:validation:MinLength=1
	AlreadyDone HTTPExpression `json:"alreadyDone,omitempty"`

	// done means success. Where it is given, a 2xx for which it is false is an error for a person.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Done HTTPExpression `json:"done,omitempty"`

	// message yields the error's text, a string, for people. Default: the body's message, error_description, detail, error
	// or reason.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Message HTTPExpression `json:"message,omitempty"`
}

// HTTPLookup is a request whose answer holds items.
type HTTPLookup struct {
	HTTPRequest `json:",inline"`

	// items yields the list of items of one answer, over `response`. Default: the elements of the body where it is a
	// list, else the body. An answer without what the expression reads is an error, and never an empty list.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Items HTTPExpression `json:"items,omitempty"`

	// match yields whether an item counts, a bool, for APIs that search for more than what is asked. Default: true.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Match HTTPExpression `json:"match,omitempty"`

	// id yields an item's id, a string or a whole number. Default: item.id.
	// +optional
	// +kubebuilder:validation:MinLength=1
	ID HTTPExpression `json:"id,omitempty"`

	// pagination says how the answer goes on. Absent: it is whole.
	// +optional
	Pagination *HTTPPagination `json:"pagination,omitempty"`
}

// HTTPAccountLookup finds accounts.
type HTTPAccountLookup struct {
	HTTPLookup `json:",inline"`

	// active yields whether an item is an account that can be used, a bool. Default: true.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Active HTTPExpression `json:"active,omitempty"`
}

// HTTPMemberLookup finds holders of an entitlement.
type HTTPMemberLookup struct {
	HTTPLookup `json:",inline"`

	// pending yields whether an item is a membership that is not in effect yet, such as an invitation, a bool. It is
	// waited for and not asked for again, and a removal takes it back. Default: false.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Pending HTTPExpression `json:"pending,omitempty"`
}

// HTTPPagination says how the next answer is got: exactly one of link, nextURL, cursor and page.
// +kubebuilder:validation:ExactlyOneOf=link;nextURL;cursor;page
type HTTPPagination struct {
	// link follows the Link header's rel="next" (RFC 8288) while it stays below baseURL.
	// +optional
	Link *HTTPLinkPagination `json:"link,omitempty"`

	// nextURL yields the address of the next page, over `response`; an empty string ends. It must stay below baseURL.
	// +optional
	// +kubebuilder:validation:MinLength=1
	NextURL HTTPExpression `json:"nextURL,omitempty"`

	// cursor sends back what the answer holds.
	// +optional
	Cursor *HTTPCursorPagination `json:"cursor,omitempty"`

	// page counts pages.
	// +optional
	Page *HTTPPageNumbers `json:"page,omitempty"`

	// maxPages is how many pages are read. A list that goes on is an error: it cannot be told who is not in it.
	// Default: 100.
	// +optional
	// +default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxPages int32 `json:"maxPages,omitempty"`
}

// HTTPLinkPagination follows the Link header. It needs no setting.
type HTTPLinkPagination struct{}

// HTTPCursorPagination sends back what an answer holds.
type HTTPCursorPagination struct {
	// next yields the cursor of the next page, a string, over `response`; an empty one ends.
	// +required
	// +kubebuilder:validation:MinLength=1
	Next HTTPExpression `json:"next,omitempty"`

	// parameter is the name of the query's parameter that takes the cursor. Absent: query or body use `cursor`, which is
	// empty for the first page.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Parameter string `json:"parameter,omitempty"`
}

// HTTPPageNumbers counts pages, until one holds no items.
type HTTPPageNumbers struct {
	// parameter is the name of the query's parameter that takes the page's number, or with `by: Items` how many items came
	// before. Default: page.
	// +optional
	// +default="page"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Parameter string `json:"parameter,omitempty"`

	// by says what is counted. Default: Pages.
	// +optional
	// +default="Pages"
	By HTTPPageCount `json:"by,omitempty"`

	// first is the number of the first page or item. Default: 1 by pages, 0 by items.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	First *int32 `json:"first,omitempty"`

	// sizeParameter is the name of the query's parameter that takes the size of a page. Absent: none is sent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	SizeParameter string `json:"sizeParameter,omitempty"`

	// size is how many items a page shall hold; only with sizeParameter. Default: 100.
	// +optional
	// +default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Size int32 `json:"size,omitempty"`
}

// HTTPPageCount is what is counted by a page's number.
// +kubebuilder:validation:Enum=Pages;Items
type HTTPPageCount string

const (
	// HTTPPages means that pages are counted.
	HTTPPages HTTPPageCount = "Pages"
	// HTTPItems means that items are counted.
	HTTPItems HTTPPageCount = "Items"
)

// HTTPMethod is a request method.
// +kubebuilder:validation:Enum=GET;HEAD;POST;PUT;PATCH;DELETE
type HTTPMethod string

// HTTPExpression is an expression of the Common Expression Language.
// +kubebuilder:validation:MaxLength=4096
type HTTPExpression string
