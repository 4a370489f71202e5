// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Authentication puts credentials on requests: Bearer, Basic or ClientCredentials.
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

// ClientCredentials gets a token by the client credentials grant (RFC 6749 section 4.4) and sends it. A token is kept
// until it expires or is refused.
func ClientCredentials(tokenURL, clientID, clientSecret string, scopes []string) Authentication {
	return &clientCredentials{config: clientcredentials.Config{
		ClientID: clientID, ClientSecret: clientSecret, TokenURL: tokenURL, Scopes: scopes,
	}}
}

type clientCredentials struct {
	config clientcredentials.Config

	mu    sync.Mutex
	token *oauth2.Token
	// refusedToken is no longer sent. The server that refuses it may repeat it, so that it is still not shown.
	refusedToken string
}

func (c *clientCredentials) authenticate(ctx context.Context, client *http.Client, req *http.Request) error {
	// Held while a token is got, so that a burst of requests gets one.
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.token.Valid() {
		token, err := c.config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		if err != nil {
			return tokenError(err)
		}
		c.token = token
	}
	c.token.SetAuthHeader(req)
	return nil
}

func (c *clientCredentials) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != nil {
		c.refusedToken = c.token.AccessToken
	}
	c.token = nil
}

func (c *clientCredentials) secrets() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []string{c.config.ClientSecret, c.refusedToken}
	if c.token != nil {
		all = append(all, c.token.AccessToken)
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
