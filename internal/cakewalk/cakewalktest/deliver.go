// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"time"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

const deliveryTimeout = 30 * time.Second

// Delivered is what was answered to a delivery.
type Delivered struct {
	// Status is the status code.
	Status int
	// Body is the body: the first MiB.
	Body string
}

// Body returns the webhook's body that announces tasks, in their order: one batch. An id may be there twice. It panics
// where there is no such task.
func (f *Fake) Body(ids ...string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := make([]json.RawMessage, len(ids))
	for i, id := range ids {
		events[i] = cakewalk.EncodeActionTask(toEvent(f.mustTask(id)))
	}
	return mustJSON(events)
}

// TestBody returns the body of the webhook that is sent while a webhook is registered.
func TestBody() []byte {
	return []byte(`[{"eventType":"test","data":{"message":"Hello, World!"}}]`)
}

// Sign signs a webhook's body: the value of the header X-SIGNATURE.
func (f *Fake) Sign(body []byte) string {
	if secret := f.options.HMACSecret; secret != "" {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	f.mu.Lock()
	key := f.signer()
	f.mu.Unlock()
	digest := sha256.Sum256(body)
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// Deliver announces tasks to a URL: one signed batch. The error tells that there was no answer.
func (f *Fake) Deliver(ctx context.Context, url string, ids ...string) (Delivered, error) {
	return f.Send(ctx, url, f.Body(ids...))
}

// Send signs a body and posts it.
func (f *Fake) Send(ctx context.Context, url string, body []byte) (Delivered, error) {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Delivered{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-SIGNATURE", f.Sign(body))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Delivered{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return Delivered{}, err
	}
	return Delivered{Status: res.StatusCode, Body: string(text)}, nil
}

// Plan says how tasks are delivered by DeliverAll.
type Plan struct {
	// Batch is how many tasks one delivery announces. Default: 1.
	Batch int
	// Duplicates is how often each delivery is repeated.
	Duplicates int
	// Shuffle reorders the deliveries. Nil: they come in order.
	Shuffle *mathrand.Rand
	// Delay is how long to wait before the delivery with a number, from 0. Nil: not at all.
	Delay func(int) time.Duration
}

// DeliverAll announces tasks in several deliveries, one after the other. It stops at the first without an answer.
func (f *Fake) DeliverAll(ctx context.Context, url string, plan Plan, ids ...string) ([]Delivered, error) {
	var batches [][]string
	for size := max(plan.Batch, 1); len(ids) > 0; {
		n := min(size, len(ids))
		for range 1 + plan.Duplicates {
			batches = append(batches, ids[:n])
		}
		ids = ids[n:]
	}
	if plan.Shuffle != nil {
		plan.Shuffle.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	}
	var all []Delivered
	for i, batch := range batches {
		if plan.Delay != nil {
			timer := time.NewTimer(plan.Delay(i))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return all, ctx.Err()
			}
		}
		d, err := f.Deliver(ctx, url, batch...)
		if err != nil {
			return all, err
		}
		all = append(all, d)
	}
	return all, nil
}

// AddEvents adds the tasks that a webhook's body announces, and returns their ids. The error says which event is not one
// of Cakewalk's.
func (f *Fake) AddEvents(body []byte) ([]string, error) {
	events, err := cakewalk.Decode(body, 10_000)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, event := range events {
		if event.Err != nil {
			return ids, fmt.Errorf("event %d: %w", event.Index, event.Err)
		}
		if event.Task != nil {
			ids = append(ids, f.AddTask(fromEvent(event.Task)))
		}
	}
	return ids, nil
}

// Events is a short text of what a body announces, for people.
func Events(body []byte) string {
	events, err := cakewalk.Decode(body, 10_000)
	if err != nil {
		return err.Error()
	}
	words := make([]string, len(events))
	for i, event := range events {
		words[i] = event.Type
		if event.Task != nil {
			words[i] = event.Task.TaskID
		}
	}
	return strings.Join(words, ", ")
}
