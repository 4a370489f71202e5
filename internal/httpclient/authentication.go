// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Authentication puts credentials on requests: Bearer, Basic, Header, Headers, ClientCredentials, JWTBearer
// or GitHubApp.
type Authentication interface {
	authenticate(ctx context.Context, client *http.Client, req *http.Request) error
	// refused is told that a server answered 401.
	refused()
	// secrets are the values that must not be shown.
	secrets() []string
}

// Bearer sends a token (RFC 6750).
func Bearer(token string) Authentication { return bearer(token) }

type bearer string

func (b bearer) authenticate(_ context.Context, _ *http.Client, req *http.Request) error {
	req.Header.Set("Authorization", "Bearer "+string(b))
	return nil
}
func (b bearer) refused()          {}
func (b bearer) secrets() []string { return []string{string(b)} }

// Basic sends a user name and a password (RFC 7617).
func Basic(username, password string) Authentication { return basic{username, password} }

type basic struct{ username, password string }

func (b basic) authenticate(_ context.Context, _ *http.Client, req *http.Request) error {
	req.SetBasicAuth(b.username, b.password)
	return nil
}
func (b basic) refused() {}
func (b basic) secrets() []string {
	return []string{b.password, base64.StdEncoding.EncodeToString([]byte(b.username + ":" + b.password))}
}

// Header sends a header field with a value, after a prefix and a space where there is one.
func Header(name, prefix, value string) Authentication {
	sent := value
	if prefix != "" {
		sent = prefix + " " + value
	}
	return header{name, value, sent}
}

type header struct{ name, value, sent string }

func (h header) authenticate(_ context.Context, _ *http.Client, req *http.Request) error {
	req.Header.Set(h.name, h.sent)
	return nil
}
func (h header) refused()          {}
func (h header) secrets() []string { return []string{h.value} }

// Headers sends several header fields, all of whose values are secrets.
func Headers(fields map[string]string) Authentication { return headers(fields) }

type headers map[string]string

func (h headers) authenticate(_ context.Context, _ *http.Client, req *http.Request) error {
	for name, value := range h {
		req.Header.Set(name, value)
	}
	return nil
}
func (h headers) refused()          {}
func (h headers) secrets() []string { return slices.Collect(maps.Values(h)) }

// ClientCredentials gets a token by the client credentials grant (RFC 6749 section 4.4) and sends it. A token is kept
// until it expires or is refused.
func ClientCredentials(tokenURL, clientID, clientSecret string, scopes []string) Authentication {
	config := clientcredentials.Config{ClientID: clientID, ClientSecret: clientSecret, TokenURL: tokenURL, Scopes: scopes}
	return newTokenKeeper(func(ctx context.Context, client *http.Client) (*oauth2.Token, error) {
		token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		if err != nil {
			return nil, tokenError(err)
		}
		return token, nil
	}, clientSecret)
}

// tokenKeeper sends a token, and gets another when it expires or is refused.
type tokenKeeper struct {
	get    func(context.Context, *http.Client) (*oauth2.Token, error)
	hidden []string

	mu    sync.Mutex
	token *oauth2.Token
	// refusedToken is no longer sent. The server that refuses it may repeat it, so that it is still not shown.
	refusedToken string
}

func newTokenKeeper(get func(context.Context, *http.Client) (*oauth2.Token, error), hidden ...string) *tokenKeeper {
	return &tokenKeeper{get: get, hidden: hidden}
}

func (k *tokenKeeper) authenticate(ctx context.Context, client *http.Client, req *http.Request) error {
	// Held while a token is got, so that a burst of requests gets one.
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.token.Valid() {
		token, err := k.get(ctx, client)
		if err != nil {
			return err
		}
		k.token = token
	}
	k.token.SetAuthHeader(req)
	return nil
}

func (k *tokenKeeper) refused() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.token != nil {
		k.refusedToken = k.token.AccessToken
	}
	k.token = nil
}

func (k *tokenKeeper) secrets() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := append([]string{k.refusedToken}, k.hidden...)
	if k.token != nil {
		all = append(all, k.token.AccessToken)
	}
	return all
}

// errorCode is what an `error` of RFC 6749 section 5.2 looks like. Anything else is not repeated.
var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// tokenError says why there is no token, without the body, which can repeat what was sent.
func tokenError(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		if isTransport(err) {
			return unanswered(err)
		}
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, errors.New("the token endpoint's answer holds no token"))
	}
	status := refused.Response.StatusCode
	if status == http.StatusTooManyRequests || status >= 500 {
		return provisioning.Retryable(fmt.Errorf("the token endpoint answered %d", status))
	}
	detail := ""
	if errorCode.MatchString(refused.ErrorCode) {
		detail = " " + refused.ErrorCode
	}
	return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the token endpoint refuses the client (%d%s)", status, detail))
}
