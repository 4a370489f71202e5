// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
)

// fieldOwner owns what the controllers write, in server-side apply.
const fieldOwner = "access-operator"

// convert turns a typed status into its apply configuration, by their common JSON.
func convert[T any](status any) (*T, error) {
	text, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("converting status: %w", err)
	}
	config := new(T)
	if err := json.Unmarshal(text, config); err != nil {
		return nil, fmt.Errorf("converting status: %w", err)
	}
	return config, nil
}
