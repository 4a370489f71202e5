// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"unicode"

	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// maxDetail is how much of the directory's text is repeated, in characters.
const maxDetail = 256

// word turns an error into ours. It is the one table of result codes (RFC 4511 appendix A). The word wraps the error, so
// that its code can still be asked for.
func word(err error, write bool) error {
	if err == nil {
		return nil
	}
	said, ok := errors.AsType[*ldapv3.Error](err)
	if !ok || isNetwork(err) {
		return &provisioning.RetryableError{Unreachable: true, Err: transport(err)}
	}
	detail := &answer{code: said.ResultCode, text: describe(said)}
	switch said.ResultCode {
	case ldapv3.LDAPResultInvalidCredentials, ldapv3.LDAPResultInappropriateAuthentication:
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the directory refuses the credentials: %w", detail))
	case ldapv3.LDAPResultStrongAuthRequired, ldapv3.LDAPResultConfidentialityRequired:
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the directory wants a protected connection (ldaps or startTLS): %w", detail))
	case ldapv3.LDAPResultInsufficientAccessRights:
		if write {
			return provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change: %w", detail))
		}
		return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read: %w", detail))
	case ldapv3.LDAPResultReferral:
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("another server is responsible, and referrals are not followed: %w", detail))
	case ldapv3.LDAPResultBusy:
		return &provisioning.RetryableError{RateLimited: true, Err: detail}
	case ldapv3.LDAPResultUnavailable, ldapv3.LDAPResultOther, ldapv3.LDAPResultOperationsError, ldapv3.LDAPResultTimeLimitExceeded,
		ldapv3.LDAPResultAdminLimitExceeded, ldapv3.LDAPResultSizeLimitExceeded, ldapv3.LDAPResultProtocolError:
		return provisioning.Retryable(detail)
	case ldapv3.LDAPResultNoSuchObject, ldapv3.LDAPResultNoSuchAttribute, ldapv3.LDAPResultAttributeOrValueExists, ldapv3.LDAPResultEntryAlreadyExists:
		// There already, or no longer: it is observed again.
		return provisioning.Retryable(detail)
	default:
		return provisioning.Permanent(provisioning.ReasonRefused, detail)
	}
}

// answer is what the directory answered.
type answer struct {
	code uint16
	text string
}

func (a *answer) Error() string { return a.text }

// hasCode tells whether an error of word comes from a result code.
func hasCode(err error, code uint16) bool {
	a, ok := errors.AsType[*answer](err)
	return ok && a.code == code
}

// describe is a result for people: its code, its name and what the directory says.
func describe(e *ldapv3.Error) string {
	text := fmt.Sprintf("the directory answered %d %s", e.ResultCode, ldapv3.LDAPResultCodeMap[e.ResultCode])
	if e.Err == nil || e.Err.Error() == "" {
		return text
	}
	said := strings.Join(strings.FieldsFunc(e.Err.Error(), unicode.IsControl), " ")
	if runes := []rune(said); len(runes) > maxDetail {
		said = string(runes[:maxDetail]) + "..."
	}
	return text + ": " + said
}

// isNetwork tells errors of the way to the directory from what it answered.
func isNetwork(err error) bool {
	if err == nil {
		return false
	}
	said, ok := errors.AsType[*ldapv3.Error](err)
	return !ok || said.ResultCode >= ldapv3.ErrorNetwork
}

// missingBase names the field whose entry does not exist.
func missingBase(err error, field string) error {
	switch {
	case hasCode(err, ldapv3.LDAPResultNoSuchObject):
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("ldap.%s does not exist in the directory, or may not be read: %w", field, err))
	case hasCode(err, ldapv3.LDAPResultInvalidDNSyntax):
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("ldap.%s is no distinguished name: %w", field, err))
	case hasCode(err, ldapv3.LDAPResultFilterError):
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("the filter is not valid: %w", err))
	default:
		return err
	}
}

// transport says why there was no answer.
func transport(err error) error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown), strings.Contains(err.Error(), "signed by unknown authority"):
		return errors.New("the directory's certificate is not trusted; give its authority as certificateAuthority")
	case errors.As(err, &hostname), errors.As(err, &invalid), strings.Contains(err.Error(), "x509:"):
		return errors.New("the directory's certificate is not valid for its name, or not any more")
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "timed out"), strings.Contains(err.Error(), "timeout"):
		return errors.New("the directory did not answer in time")
	default:
		return errors.New("the directory cannot be reached, or cut the connection")
	}
}
