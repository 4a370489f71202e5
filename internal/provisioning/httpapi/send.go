// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"unicode"

	"google.golang.org/protobuf/types/known/structpb"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// variables are the values that expressions see.
type variables map[string]any

func (v variables) with(name string, value any) variables {
	more := make(variables, len(v)+1)
	maps.Copy(more, v)
	more[name] = value
	return more
}

// reply is an answer with its body parsed.
type reply struct {
	*httpclient.Response
	// body is nil where there is none.
	body any
	// parsed is false where there is a body that is not JSON.
	parsed bool
}

// send sends a request. extra are parameters that pagination adds; address overrides path and query.
func (b *Backend) send(ctx context.Context, r *request, v variables, address string, extra url.Values) (*reply, error) {
	if address == "" {
		var err error
		if address, err = b.address(ctx, r, v, extra); err != nil {
			return nil, wrong(r.name, err)
		}
	}
	header := http.Header{"Accept": {"application/json"}}
	for _, h := range r.headers {
		value, err := h.program.Text(ctx, v)
		if err != nil {
			return nil, wrong(r.name+".headers["+h.name+"]", err)
		}
		if strings.ContainsFunc(value, unicode.IsControl) {
			return nil, wrong(r.name+".headers["+h.name+"]", errors.New("yields control characters, which a header field cannot hold"))
		}
		header.Set(h.name, value)
	}
	body, err := r.encode(ctx, v)
	if err != nil {
		return nil, wrong(r.name+".body", err)
	}
	if body != nil && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	res, err := b.client.Do(ctx, r.method, address, header, body)
	if err != nil {
		return nil, err
	}
	out := &reply{Response: res, parsed: true}
	if len(bytes.TrimSpace(res.Body)) > 0 {
		out.body, out.parsed = parse(res.Body)
	}
	return out, nil
}

// address makes a request's address.
func (b *Backend) address(ctx context.Context, r *request, v variables, extra url.Values) (string, error) {
	path, err := r.path.expand(ctx, v)
	if err != nil {
		return "", fmt.Errorf("path: %w", err)
	}
	query := url.Values{}
	for _, q := range r.query {
		value, err := q.program.Text(ctx, v)
		if err != nil {
			return "", fmt.Errorf("query[%s]: %w", q.name, err)
		}
		if value != "" {
			query.Set(q.name, value)
		}
	}
	maps.Copy(query, extra)
	address := strings.TrimSuffix(b.base, "/") + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address, nil
}

// encode yields the body in JSON, nil for none.
func (r *request) encode(ctx context.Context, v variables) ([]byte, error) {
	if r.body == nil {
		return nil, nil
	}
	value, err := r.body.Eval(ctx, v)
	if err != nil {
		return nil, err
	}
	plain, err := value.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err != nil {
		return nil, errors.New("yields what JSON cannot hold")
	}
	message, ok := plain.(*structpb.Value)
	if !ok {
		return nil, errors.New("yields what JSON cannot hold")
	}
	return json.Marshal(message.AsInterface())
}

// wrong is the error of an expression that fails for a subject.
func wrong(field string, err error) error {
	return provisioning.Permanent(provisioning.ReasonInvalidConfiguration, fmt.Errorf("http.%s fails for this subject: %w", field, err))
}

// parse reads JSON, with whole numbers as such: an id must not lose digits.
func parse(text []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var body any
	if err := d.Decode(&body); err != nil {
		return nil, false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		// Who stands behind the first value would be missed.
		return nil, false
	}
	return numbers(body), true
}

func numbers(v any) any {
	switch x := v.(type) {
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return i
		}
		if f, err := x.Float64(); err == nil {
			return f
		}
		return x.String()
	case []any:
		for i := range x {
			x[i] = numbers(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = numbers(x[k])
		}
	}
	return v
}
