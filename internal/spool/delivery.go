// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"
)

// Delivery is a delivery whose signature was verified.
type Delivery struct {
	// Namespace, Receiver and ReceiverUID name the WebhookReceiver that it came to.
	Namespace   string `json:"namespace"`
	Receiver    string `json:"receiver"`
	ReceiverUID string `json:"receiverUID"`
	// ID is its id in the audit log.
	ID string `json:"id"`
	// Arrival orders it among the others, to the microsecond. It is the time of the first of its events.
	Arrival time.Time `json:"arrival"`
	// TraceParent is the W3C traceparent that it belongs to; empty for none.
	TraceParent string `json:"traceparent,omitempty"`
	// RemoteAddress is the peer of its connection, for the audit log.
	RemoteAddress string `json:"remoteAddress,omitempty"`
	// Body is what was received, byte for byte.
	Body []byte `json:"-"`
}

// format names the version of the files' format. A file of another version is taken for damaged.
const format = "access-operator-delivery/1 "

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("the file is damaged")

// encode is the content of a delivery's file.
func (d *Delivery) encode() ([]byte, error) {
	origin, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	rest := append(append(origin, '\n'), d.Body...)
	sum := sha256.Sum256(rest)
	text := make([]byte, 0, len(format)+hex.EncodedLen(len(sum))+1+len(rest))
	text = append(hex.AppendEncode(append(text, format...), sum[:]), '\n')
	return append(text, rest...), nil
}

// decode reads the content of a delivery's file. The error is ErrDamaged.
func decode(text []byte) (*Delivery, error) {
	rest, ok := bytes.CutPrefix(text, []byte(format))
	if !ok {
		return nil, ErrDamaged
	}
	sum, rest, ok := bytes.Cut(rest, []byte("\n"))
	want := sha256.Sum256(rest)
	if !ok || string(sum) != hex.EncodeToString(want[:]) {
		return nil, ErrDamaged
	}
	origin, body, ok := bytes.Cut(rest, []byte("\n"))
	d := &Delivery{}
	if !ok || json.Unmarshal(origin, d) != nil {
		return nil, ErrDamaged
	}
	d.Body = body
	return d, nil
}
