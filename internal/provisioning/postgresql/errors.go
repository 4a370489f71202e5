// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/sqlclient"
)

// word turns an error into ours. It is the one table of SQLSTATEs (PostgreSQL documentation, appendix A).
func word(err error, write bool) error {
	said, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil
	}
	detail := fmt.Errorf("the server answered %s", sqlclient.Detail(said.Code+": "+said.Message))
	class := said.Code[:min(len(said.Code), 2)]
	switch {
	case class == "28":
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the server refuses the credentials: %w", detail))
	case said.Code == "3D000":
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, detail)
	case said.Code == "42501" && write:
		return provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change; they need ADMIN OPTION on the role: %w", detail))
	case said.Code == "42501":
		return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read the catalogue: %w", detail))
	case class == "53":
		return &provisioning.RetryableError{RateLimited: true, Err: detail}
	case class == "08", class == "40", class == "55", class == "57", class == "58", class == "XX", class == "42" && write, class == "0A":
		// Of the class 42 is what is there already, or no longer: it is observed again.
		return provisioning.Retryable(detail)
	default:
		return provisioning.Permanent(provisioning.ReasonRefused, detail)
	}
}

// withoutTLS tells whether the server does not speak TLS: the driver has no error of its own for it.
func withoutTLS(err error) bool {
	return strings.Contains(err.Error(), "server refused TLS connection")
}
