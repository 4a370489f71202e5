// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit writes the audit log: one line of JSON for every decision about access and for every change of it.
// docs/audit.md is its manual, and docs/audit.schema.json its schema; names in it are stable.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"getcakewalk.io/access-operator/internal/tracing"
)

// Schema names the schema of the lines. It changes when a field changes its meaning or goes; new fields may come.
const Schema = "access.getcakewalk.io/audit/v1"

// Event says what a line tells.
type Event string

// Events of the receiver.
const (
	// DeliveryVerified: a delivery had a good signature. Its tasks have lines of their own.
	DeliveryVerified Event = "DeliveryVerified"
	// DeliveryRefused: a delivery to a known receiver was refused before its signature was known to be good.
	DeliveryRefused Event = "DeliveryRefused"
	// DeliverySpooled: a verified delivery waits on the disk, since the API server is away.
	DeliverySpooled Event = "DeliverySpooled"
	// DeliverySetAside: a spooled delivery is not stored any more, and left to a person.
	DeliverySetAside Event = "DeliverySetAside"
	// TaskStored: a task was stored.
	TaskStored Event = "TaskStored"
	// TaskKnown: a task was announced again, with the same content.
	TaskKnown Event = "TaskKnown"
	// TaskConflict: a task was announced again with different content, and left as it was.
	TaskConflict Event = "TaskConflict"
)

// Events of the controllers.
const (
	// TaskRouted: a Connector was chosen for a task.
	TaskRouted Event = "TaskRouted"
	// TaskDecided: the reason of a task's summary changes.
	TaskDecided Event = "TaskDecided"
	// ChangePlanned: a change is about to be made in the target system.
	ChangePlanned Event = "ChangePlanned"
	// ChangeMade: a planned change was seen to be in effect, or accepted by a target system that does not show it.
	ChangeMade Event = "ChangeMade"
	// ChangeNotMade: a planned change was not seen to be in effect. It may have been sent.
	ChangeNotMade Event = "ChangeNotMade"
	// TaskCompletedByPerson: a person says that a task was done by hand.
	TaskCompletedByPerson Event = "TaskCompletedByPerson"
	// TaskRetried: a person has a task started over.
	TaskRetried Event = "TaskRetried"
	// TaskUnconfirmed: a task is about to be done without Cakewalk's confirmation (preflight BestEffort).
	TaskUnconfirmed Event = "TaskUnconfirmed"
	// TaskReported: Cakewalk was told how a task ended, or refuses to take that in.
	TaskReported Event = "TaskReported"
	// TaskDeleted: a task is deleted, because its time to be kept is over.
	TaskDeleted Event = "TaskDeleted"
	// TaskFound: a task whose webhook never came was found open in Cakewalk, and is about to be stored.
	TaskFound Event = "TaskFound"
)

// Outcome is what came of it, in one word.
type Outcome string

// Outcomes of deliveries, of tasks at their receipt, of tasks that are decided about, and of changes.
const (
	Verified Outcome = "verified"
	Refused  Outcome = "refused"
	Spooled  Outcome = "spooled"
	SetAside Outcome = "setAside"

	Stored    Outcome = "stored"
	Duplicate Outcome = "duplicate"
	Conflict  Outcome = "conflict"

	Waiting   Outcome = "waiting"
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Deleted   Outcome = "deleted"

	Planned      Outcome = "planned"
	Applied      Outcome = "applied"
	Unverifiable Outcome = "unverifiable"
	NotSeen      Outcome = "notSeen"
)

// Person is somebody as Cakewalk names them.
type Person struct {
	ID    string `json:"id,omitempty"`
	Email string `json:"email,omitempty"`
}

// Named is an object as Cakewalk names it.
type Named struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Delivery counts what became of the events of a delivery.
type Delivery struct {
	Received   int `json:"received"`
	Stored     int `json:"stored"`
	Duplicates int `json:"duplicates"`
	Ignored    int `json:"ignored"`
	Conflicts  int `json:"conflicts"`
	Invalid    int `json:"invalid"`
	// Spooled is how many wait on the disk.
	Spooled int `json:"spooled,omitempty"`
}

// Line is one line. The writer sets Schema, Logger, Time and TraceID; an ID that is empty is made of the time and the content.
type Line struct {
	Schema string `json:"schema"`
	Logger string `json:"logger"`
	// ID is the same on every line that tells the same again, for example after a crash.
	ID    string `json:"id"`
	Time  string `json:"time"`
	Event Event  `json:"event"`

	Namespace string `json:"namespace"`
	// Task is the name of the AccessTask.
	Task string `json:"task,omitempty"`
	// Receiver is the name of the WebhookReceiver.
	Receiver string `json:"receiver,omitempty"`
	// DeliveryID is the same on all lines of one delivery.
	DeliveryID string `json:"deliveryID,omitempty"`
	// RemoteAddress is the peer of a delivery's connection: the sender, or the proxy in front of the receiver.
	RemoteAddress string `json:"remoteAddress,omitempty"`
	// Code is the HTTP status that a delivery was answered with.
	Code     int       `json:"code,omitempty"`
	Delivery *Delivery `json:"delivery,omitempty"`
	// NotLogged is how many refusals before this one were not written.
	NotLogged int `json:"notLogged,omitempty"`

	RequestType     string   `json:"requestType,omitempty"`
	RequestedBy     *Person  `json:"requestedBy,omitempty"`
	ReviewedBy      []Person `json:"reviewedBy,omitempty"`
	TargetUser      *Person  `json:"targetUser,omitempty"`
	WorkApp         *Named   `json:"workApp,omitempty"`
	PermissionLevel *Named   `json:"permissionLevel,omitempty"`

	// Connector, Backend and Subject are where access changes, and whose, by the identity in the target system.
	Connector string `json:"connector,omitempty"`
	Backend   string `json:"backend,omitempty"`
	Subject   string `json:"subject,omitempty"`
	// Attempt counts the attempts of a task.
	Attempt int32 `json:"attempt,omitempty"`

	Action      string `json:"action,omitempty"`
	Entitlement string `json:"entitlement,omitempty"`
	// Members is how many members an entitlement had that all were taken from.
	Members *int32 `json:"members,omitempty"`
	// Before and After are what was seen of what changes: Present, Absent or NotVisible; of accounts Active, Inactive
	// or Absent.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Recovered tells that the change was seen by a later attempt than the one that planned it.
	Recovered bool `json:"recovered,omitempty"`
	// RequestIDs are the target system's names for the requests that made the change.
	RequestIDs []string `json:"requestIDs,omitempty"`

	Outcome Outcome `json:"outcome"`
	// Reason is one word, Message a sentence.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// By is the text in which a person who stepped in says who and why.
	By string `json:"by,omitempty"`
	// TraceID is the trace that the line belongs to, where there is one.
	TraceID string `json:"traceID,omitempty"`
}

// remembered is how many of the ids that it wrote last a Log does not write again.
const remembered = 8192

// Log writes lines. It may be used by several goroutines.
type Log struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
	// written are the ids of the last lines, and ring the same in their order: whoever decides by what a cache shows may
	// decide the same twice.
	written map[string]bool
	ring    [remembered]string
	next    int
}

// New returns a Log that writes to out, which should not buffer. now is the clock; nil is time.Now.
func New(out io.Writer, now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{out: out, now: now, written: map[string]bool{}}
}

// timeFormat is RFC 3339 in UTC, with microseconds.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Write writes lines, each whole and in one piece, and returns when all are written. Whoever cannot write down what it is
// about to do must not do it. A line that this Log wrote lately, by its id, is not written again. A nil Log writes nothing.
func (l *Log) Write(ctx context.Context, lines ...Line) error {
	if l == nil || len(lines) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var text []byte
	var ids []string
	now, traceID := l.now().UTC().Format(timeFormat), tracing.TraceID(ctx)
	for _, line := range lines {
		line.Schema, line.Logger, line.Time, line.TraceID = Schema, "audit", now, traceID
		if line.ID == "" {
			line.ID = ID(fmt.Sprintf("%+v", line))
		}
		if l.written[line.ID] {
			continue
		}
		ids = append(ids, line.ID)
		one, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("writing the audit log: %w", err)
		}
		text = append(append(text, one...), '\n')
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := l.out.Write(text); err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	for _, id := range ids {
		delete(l.written, l.ring[l.next])
		l.written[id], l.ring[l.next] = true, id
		l.next = (l.next + 1) % remembered
	}
	return nil
}

// ID makes an id of what makes a line different from all others.
func ID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:12])
}
