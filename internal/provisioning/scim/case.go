// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// RFC 7643 section 4.1.1 compares userName without regard to case, and some servers do otherwise: there a filter that
// finds nobody does not show that nobody is there, and a removal would be taken for done while the access stays.

// caseRegard remembers how the server compares userName.
type caseRegard struct {
	mu    sync.Mutex
	known bool
	exact bool
}

// findInAnyCase looks for a user whom the filter did not find, where the server compares with regard to case.
func (b *Backend) findInAnyCase(ctx context.Context, name string, matches func(*user) bool) ([]*user, error) {
	if strings.ToLower(name) == strings.ToUpper(name) {
		// It has no case.
		return nil, nil
	}
	exact, err := b.comparesCase(ctx)
	if err != nil || !exact {
		return nil, err
	}
	found, err := find(ctx, b, "/Users", "", parseUser, matches)
	if wrong, ok := errors.AsType[*provisioning.PermanentError](err); ok && wrong.Reason == provisioning.ReasonRefused {
		return nil, provisioning.Permanent(provisioning.ReasonRefused, errors.New(
			"the server compares userName with regard to case, knows nobody of exactly this name, and has too many users to look through: write the subject as the server does"))
	}
	return found, err
}

// comparesCase tells whether the server compares userName with regard to case, by looking for some user in another case.
// It asks once. A server that does not list its users is taken to do as the standard says.
func (b *Backend) comparesCase(ctx context.Context) (bool, error) {
	b.userNames.mu.Lock()
	defer b.userNames.mu.Unlock()
	if b.userNames.known {
		return b.userNames.exact, nil
	}
	sample, err := b.sampleUser(ctx)
	if err != nil || sample == nil {
		return false, err
	}
	other := strings.ToUpper(sample.UserName)
	if other == sample.UserName {
		other = strings.ToLower(sample.UserName)
	}
	found, err := find(ctx, b, "/Users", eq("userName", other), parseUser, func(u *user) bool { return u.ID == sample.ID })
	if err != nil {
		return false, err
	}
	b.userNames.known, b.userNames.exact = true, len(found) == 0
	return b.userNames.exact, nil
}

// sampleUser returns some user whose name can be written in two cases, nil for none.
func (b *Backend) sampleUser(ctx context.Context) (*user, error) {
	l, err := b.list(ctx, "/Users", url.Values{"count": {"10"}})
	if provisioning.Word(err) == "permanent" {
		// It does not list its users.
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, text := range l.Resources {
		if u, err := parseUser(text); err == nil && strings.ToLower(u.UserName) != strings.ToUpper(u.UserName) {
			return u, nil
		}
	}
	return nil, nil
}
