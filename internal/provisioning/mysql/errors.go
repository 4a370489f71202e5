// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"errors"
	"fmt"

	driver "github.com/go-sql-driver/mysql"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/sqlclient"
)

// word turns an error into ours. It is the one table of the servers' error numbers.
func word(err error, write bool) error {
	said, ok := errors.AsType[*driver.MySQLError](err)
	if !ok {
		return nil
	}
	detail := fmt.Errorf("the server answered %d: %s", said.Number, sqlclient.Detail(said.Message))
	switch said.Number {
	case 1045, 1698, 1862, 3118, 4151: // denied, a password that expired, a locked account
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the server refuses the credentials: %w", detail))
	case 1044, 1142, 1227, 1370, 1410, 1961, 3879: // a right is missing
		if write {
			return provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change; they need ADMIN OPTION on the role, or CREATE USER: %w", detail))
		}
		return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read the grant tables: %w", detail))
	case 1040, 1203, 1226: // too many connections or requests
		return &provisioning.RetryableError{RateLimited: true, Err: detail}
	case 1053, 1105, 1141, 1205, 1213, 1290, 1396, 1792, 1836, 1959, 1962, 3523, 3530:
		// Not now, or there already, or no longer: it is observed again.
		return provisioning.Retryable(detail)
	default:
		return provisioning.Permanent(provisioning.ReasonRefused, detail)
	}
}

// withoutTLS tells whether the server does not speak TLS.
func withoutTLS(err error) bool { return errors.Is(err, driver.ErrNoTLS) }
