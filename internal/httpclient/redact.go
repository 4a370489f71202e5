// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDetail is how much of a server's text is repeated, in characters.
const maxDetail = 256

// Redact makes a server's text fit for status and logs: without the secrets in use, should the server repeat them, in
// one line, and of at most 256 characters.
func (c *Client) Redact(text string) string {
	if c.options.Authentication != nil {
		for _, secret := range c.options.Authentication.secrets() {
			if secret != "" {
				text = strings.ReplaceAll(text, secret, "[redacted]")
			}
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxDetail {
		text = string(runes[:maxDetail-3]) + "..."
	}
	return strings.TrimSpace(text)
}

// isTransport tells errors of the way to a server from errors of what it answered.
func isTransport(err error) bool {
	var (
		request *url.Error
		network net.Error
	)
	return errors.As(err, &request) || errors.As(err, &network)
}
