// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"net"
	"strings"

	"getcakewalk.io/access-operator/internal/audit"
)

// maxAuditMessage is the longest message of an audit line, in bytes.
const maxAuditMessage = 1000

// auditVerified writes a line about a verified delivery, and one about each of its tasks.
func (d *delivery) auditVerified(a answer) {
	lines := make([]audit.Line, 0, 2+len(d.results))
	lines = append(lines, d.auditLine(audit.DeliveryVerified, audit.Verified, a.code))
	lines[0].DeliveryID = d.id
	lines[0].Delivery = &audit.Delivery{
		Received: a.result.Received, Stored: a.result.Stored, Duplicates: a.result.Duplicates,
		Ignored: a.result.Ignored, Conflicts: a.result.Conflicts, Invalid: a.result.Invalid,
		Spooled: a.result.Spooled,
	}
	if a.result.Spooled > 0 {
		l := d.auditLine(audit.DeliverySpooled, audit.Spooled, a.code)
		l.DeliveryID = d.id
		lines = append(lines, l)
	}
	d.writeAudit(append(lines, taskLines(d.results, d.id)...))
}

// taskLines are the lines about the tasks of a delivery.
func taskLines(results []eventResult, deliveryID string) (lines []audit.Line) {
	for _, r := range results {
		var l audit.Line
		switch r.outcome {
		case outcomeStored:
			l = audit.ForTask(audit.TaskStored, r.task)
			l.Outcome = audit.Stored
		case outcomeDuplicate:
			l = audit.ForTask(audit.TaskKnown, r.task)
			l.Outcome = audit.Duplicate
		case outcomeConflict:
			l = audit.ForTask(audit.TaskConflict, r.task)
			l.Outcome, l.Message = audit.Conflict, "announced with this content, and left as it was"
		case outcomeIgnored, outcomeInvalid, outcomeSpooled, outcomeFailed:
			continue
		}
		l.DeliveryID = deliveryID
		lines = append(lines, l)
	}
	return lines
}

// auditRefused writes a line about a delivery to a known receiver that was refused, after others that were not written.
func (d *delivery) auditRefused(a answer, notLogged int) {
	l := d.auditLine(audit.DeliveryRefused, audit.Refused, a.code)
	l.Message, l.NotLogged = a.why(), notLogged
	if len(l.Message) > maxAuditMessage {
		l.Message = strings.ToValidUTF8(l.Message[:maxAuditMessage], "")
	}
	d.writeAudit([]audit.Line{l})
}

func (d *delivery) auditLine(event audit.Event, outcome audit.Outcome, code int) audit.Line {
	l := audit.Line{Event: event, Namespace: d.key.Namespace, Receiver: d.key.Name, Outcome: outcome, Code: code}
	if host, _, err := net.SplitHostPort(d.request.RemoteAddr); err == nil {
		l.RemoteAddress = host
	}
	return l
}

func (d *delivery) writeAudit(lines []audit.Line) {
	if err := d.handler.audit.Write(d.request.Context(), lines...); err != nil {
		// What was done is done; the controllers, which change access, do nothing that they cannot write down.
		d.handler.log.Error(err, "A delivery is not in the audit log", "namespace", d.key.Namespace, "receiver", d.key.Name)
	}
}
