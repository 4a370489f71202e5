// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	// assertionFor is how long an assertion is valid. GitHub takes at most ten minutes, Google an hour.
	assertionFor = 5 * time.Minute
	// clockSkew is by how much the clocks may differ.
	clockSkew = time.Minute
	// defaultTokenFor is how long a token is used whose end is not told.
	defaultTokenFor = 10 * time.Minute
	maxTokenBytes   = 1 << 20
	minRSABits      = 2048
)

// Assertion says how assertions (RFC 7519) are signed.
type Assertion struct {
	// Key is the private key: RSA of 2048 bits or more for RS256, P-256 for ES256.
	Key crypto.Signer
	// KeyID is the header kid, empty for none.
	KeyID string
	// Issuer, Subject and Audience are the claims iss, sub and aud; the empty ones are left out.
	Issuer, Subject, Audience string
	// Scopes are the claim scope.
	Scopes []string
}

// ParseKey reads a private key in PEM for an algorithm. The error holds nothing of the key.
func ParseKey(algorithm string, pem []byte) (crypto.Signer, error) {
	if algorithm == "ES256" {
		key, err := jwt.ParseECPrivateKeyFromPEM(pem)
		if err != nil || key.Curve != elliptic.P256() {
			return nil, errors.New("holds no private key on the curve P-256 in PEM, which ES256 needs")
		}
		return key, nil
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM(pem)
	if err != nil || key.N.BitLen() < minRSABits {
		return nil, errors.New("holds no private RSA key of 2048 bits or more in PEM, which RS256 needs")
	}
	return key, nil
}

func (a *Assertion) sign() (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{"iat": now.Add(-clockSkew).Unix(), "exp": now.Add(assertionFor).Unix()}
	for name, value := range map[string]string{"iss": a.Issuer, "sub": a.Subject, "aud": a.Audience, "scope": strings.Join(a.Scopes, " ")} {
		if value != "" {
			claims[name] = value
		}
	}
	// An authorization server may take an assertion once only (RFC 7523 section 3).
	claims["jti"] = rand.Text()
	var method jwt.SigningMethod = jwt.SigningMethodRS256
	if _, ok := a.Key.(*ecdsa.PrivateKey); ok {
		method = jwt.SigningMethodES256
	} else if _, ok := a.Key.(*rsa.PrivateKey); !ok {
		return "", errors.New("the key is neither RSA nor ECDSA")
	}
	token := jwt.NewWithClaims(method, claims)
	if a.KeyID != "" {
		token.Header["kid"] = a.KeyID
	}
	return token.SignedString(a.Key)
}

// JWTBearer gets a token for an assertion (RFC 7523 section 2.1) and sends it. A token is kept until it expires or is refused.
func JWTBearer(tokenURL string, a Assertion) Authentication {
	return newTokenKeeper(func(ctx context.Context, client *http.Client) (*oauth2.Token, error) {
		signed, err := a.sign()
		if err != nil {
			return nil, provisioning.Unavailable(provisioning.ReasonUnauthorized, errors.New("the assertion cannot be signed"))
		}
		form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {signed}}
		if len(a.Scopes) > 0 {
			form.Set("scope", strings.Join(a.Scopes, " "))
		}
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		return requestToken(ctx, client, tokenURL, header, form.Encode(), "access_token")
	})
}

// GitHubApp gets a token as an installation of a GitHub App and sends it. The assertion's issuer is the App's id or client
// id; apiURL is the base URL of GitHub's API.
func GitHubApp(apiURL string, installation int64, a Assertion) Authentication {
	address := strings.TrimSuffix(apiURL, "/") + "/app/installations/" + strconv.FormatInt(installation, 10) + "/access_tokens"
	return newTokenKeeper(func(ctx context.Context, client *http.Client) (*oauth2.Token, error) {
		signed, err := a.sign()
		if err != nil {
			return nil, provisioning.Unavailable(provisioning.ReasonUnauthorized, errors.New("the assertion cannot be signed"))
		}
		return requestToken(ctx, client, address, http.Header{"Authorization": {"Bearer " + signed}}, "", "token")
	})
}

// requestToken posts for a token, which is the member of the answer with a name.
func requestToken(ctx context.Context, client *http.Client, address string, header http.Header, body, member string) (*oauth2.Token, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return nil, provisioning.Unavailable(provisioning.ReasonEndpointNotFound, errors.New("the token endpoint is no address"))
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	res, err := client.Do(req)
	if err != nil {
		return nil, unanswered(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBytes))
	if err != nil {
		return nil, unanswered(err)
	}
	return readToken(res, text, member)
}

func readToken(res *http.Response, text []byte, member string) (*oauth2.Token, error) {
	var answer map[string]json.RawMessage
	// What is no object has no members.
	_ = json.Unmarshal(text, &answer)
	word := func(name string) (value string) {
		_ = json.Unmarshal(answer[name], &value)
		return value
	}
	if s := res.StatusCode; s != http.StatusOK && s != http.StatusCreated {
		if s == http.StatusTooManyRequests || s >= 500 {
			return nil, &provisioning.RetryableError{After: RetryAfter(res.Header), RateLimited: s == http.StatusTooManyRequests, Err: fmt.Errorf("the token endpoint answered %d", s)}
		}
		detail := ""
		if code := word("error"); errorCode.MatchString(code) {
			detail = " " + code
		}
		return nil, provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the token endpoint refuses the assertion (%d%s)", s, detail))
	}
	token := &oauth2.Token{AccessToken: word(member), TokenType: "Bearer", Expiry: time.Now().Add(defaultTokenFor)}
	if token.AccessToken == "" {
		return nil, provisioning.Unavailable(provisioning.ReasonUnauthorized, errors.New("the token endpoint's answer holds no token"))
	}
	var seconds json.Number
	if err := json.Unmarshal(answer["expires_in"], &seconds); err == nil {
		if n, err := seconds.Int64(); err == nil && n > 0 {
			token.Expiry = time.Now().Add(time.Duration(n) * time.Second)
		}
	}
	if at, err := time.Parse(time.RFC3339, word("expires_at")); err == nil {
		token.Expiry = at
	}
	return token, nil
}
