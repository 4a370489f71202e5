// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/spool"
	"getcakewalk.io/access-operator/internal/tracing"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// dependencies are what a handler works with.
type dependencies struct {
	// receivers finds WebhookReceivers.
	receivers lookup
	// live reads the API server itself.
	live client.Reader
	// writer applies status, creator creates tasks.
	writer   client.Client
	creator  creator
	recorder events.EventRecorder
	log      logr.Logger
	now      func() time.Time
	// maxBody is the size of the largest delivery, in bytes.
	maxBody int64
	metrics *deliveryMetrics
	backlog *backlog
	// shardLabels are the labels of a receiver that its tasks get besides LabelShard.
	shardLabels []string
	// audit is the audit log; nil: none.
	audit *audit.Log
	// spool keeps deliveries while the API server is away, for maxSpoolAge at most; nil: none does.
	spool       *spool.Spool
	maxSpoolAge time.Duration
}

// handler answers deliveries.
type handler struct {
	dependencies

	admission *admission
	keys      *keyCache
	store     *store
	status    *statusWriter
	rotations *rotations
	refusals  *refusalLog
	// spooler is nil where nothing is spooled.
	spooler *spooler
}

func newHandler(d dependencies) *handler {
	h := &handler{
		dependencies: d,
		admission:    newAdmission(d.maxBody),
		keys:         newKeyCache(d.live, d.now),
		store:        newStore(d),
		status:       newStatusWriter(d),
		rotations:    newRotations(d.receivers),
		refusals:     newRefusalLog(d.log, d.now),
	}
	if d.spool != nil {
		h.spooler = newSpooler(d, h.store)
	}
	return h
}

// ServeHTTP answers one request. A panic costs only its own request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.now()
	ctx, span := tracing.Tracer().Start(tracing.From(r.Context(), r.Header.Get("traceparent")), "delivery", trace.WithSpanKind(trace.SpanKindServer))
	d := &delivery{handler: h, writer: w, request: r.WithContext(ctx), id: uuid.NewString()}
	a := d.answerSafely() //nolint:contextcheck // storing goes on when the sender hangs up
	if d.verified {
		// Before the answer: what the sender may forget is on record.
		d.auditVerified(a) //nolint:contextcheck // what was done is written down, also when the sender hung up
	}
	a.write(w)
	h.metrics.delivered(d.key, a, h.now().Sub(start))
	d.endSpan(span, a)
	if d.verified {
		h.log.Info("Received a delivery", "namespace", d.key.Namespace, "receiver", d.key.Name, "code", a.code,
			"received", a.result.Received, "stored", a.result.Stored, "duplicates", a.result.Duplicates,
			"ignored", a.result.Ignored, "conflicts", a.result.Conflicts, "invalid", a.result.Invalid, "spooled", a.result.Spooled)
	} else if skipped, logged := h.refusals.log(d.key, a); logged && d.key.Name != "" {
		d.auditRefused(a, skipped) //nolint:contextcheck // as above
	}
}

// delivery is one request on its way through the checks.
type delivery struct {
	handler *handler
	writer  http.ResponseWriter
	request *http.Request

	// key names the receiver. It is empty until the receiver is known to exist.
	key      types.NamespacedName
	receiver *accessv1alpha1.WebhookReceiver
	keys     *heldKeys
	body     []byte
	// verified is true once the signature is known to be good.
	verified bool
	// id is the delivery's in the audit log.
	id     string
	events []cakewalk.Event
	// results are what became of the events.
	results []eventResult
	// releases give back, when the delivery is answered, what it takes of the bounds, the last first.
	releases []func()
}

func (d *delivery) answerSafely() (a answer) {
	defer func() {
		if fault := recover(); fault != nil {
			// The fault's text may hold parts of the body.
			d.handler.log.Error(errPanic, "A delivery made the receiver panic", "namespace", d.key.Namespace, "receiver", d.key.Name, "stack", string(debug.Stack()))
			a = refuse(refusedPanic, http.StatusInternalServerError, "", errPanic)
		}
	}()
	return d.answer()
}

var errPanic = errors.New("panic")

// answer makes the checks in their order, the cheapest first. The first that does not pass answers.
func (d *delivery) answer() answer {
	defer func() {
		for _, release := range slices.Backward(d.releases) {
			release()
		}
	}()
	for _, check := range []func() *answer{
		d.checkMethod,
		d.checkReceiver,
		d.checkKeys,
		d.checkBacklog,
		d.enter,
		d.readBody,
		d.checkSignature,
		d.decode,
	} {
		if refusal := check(); refusal != nil {
			return *refusal
		}
	}
	return d.storeEvents()
}

func (d *delivery) checkMethod() *answer {
	if d.request.Method == http.MethodPost {
		return nil
	}
	a := refuse(refusedMethod, http.StatusMethodNotAllowed, "", nil)
	a.header = map[string]string{"Allow": http.MethodPost}
	return &a
}

func (d *delivery) checkReceiver() *answer {
	unknown := refuse(refusedUnknown, http.StatusNotFound, "", nil)
	rest, ok := strings.CutPrefix(d.request.URL.Path, pathPrefix)
	if !ok {
		return &unknown
	}
	namespace, name, ok := strings.Cut(rest, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return &unknown
	}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	receiver, err := d.handler.receivers.find(d.request.Context(), key)
	if err != nil {
		if notStarted := (*cache.ErrCacheNotStarted)(nil); errors.As(err, &notStarted) {
			return unavailable(refusedNotStarted, retrySoon, "", err)
		}
		// Anything else is a namespace that is not watched, or a receiver that does not exist.
		if apierrors.IsNotFound(err) {
			d.handler.keys.forget(key)
		}
		return &unknown
	}
	d.key, d.receiver = key, receiver
	if receiver.Spec.Suspend != nil && *receiver.Spec.Suspend {
		return unavailable(refusedSuspended, retryLater, "the receiver is suspended", nil)
	}
	return nil
}

func (d *delivery) checkKeys() *answer {
	held, err := d.handler.keys.get(d.request.Context(), d.receiver)
	if err != nil {
		return unavailable(refusedKeysUnread, retrySoon, "the receiver's keys cannot be read", err)
	}
	if held.keys.Len() == 0 {
		return unavailable(refusedNoKeys, retryLater, "the receiver has no usable keys", webhookkeys.ErrNoKeys)
	}
	d.keys = held
	return nil
}

func (d *delivery) checkBacklog() *answer {
	limit := int(d.receiver.Spec.Limits.MaxUnfinishedTasks)
	if limit > 0 && d.handler.backlog.count(d.key) >= limit {
		return unavailable(refusedBacklog, retryLater, "too many tasks are unfinished", nil)
	}
	return nil
}

func (d *delivery) enter() *answer {
	leave, ok := d.handler.admission.enter(d.key)
	if !ok {
		return unavailable(refusedInFlight, retrySoon, errTooMany.Error(), errTooMany)
	}
	d.releases = append(d.releases, leave)
	return nil
}

func (d *delivery) readBody() *answer {
	body, free, err := d.handler.admission.read(d.writer, d.request, d.key)
	d.releases = append(d.releases, free)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		d.body = body
		return nil
	case errors.As(err, &tooLarge):
		a := refuse(refusedTooLarge, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", d.handler.maxBody), err)
		a.header = map[string]string{"Connection": "close"}
		return &a
	case errors.Is(err, errTooManyBytes):
		return unavailable(refusedInFlightBytes, retrySoon, errTooMany.Error(), err)
	default:
		a := refuse(refusedUnreadable, http.StatusBadRequest, "the body could not be read", nil)
		a.header = map[string]string{"Connection": "close"}
		return &a
	}
}

func (d *delivery) decode() *answer {
	limit := int(d.receiver.Spec.Limits.MaxEventsPerDelivery)
	if limit <= 0 {
		limit = defaultMaxEvents
	}
	decoded, err := cakewalk.Decode(d.body, limit)
	var tooMany *cakewalk.TooManyEventsError
	switch {
	case err == nil:
	case errors.As(err, &tooMany):
		a := refuse(refusedTooManyEvents, http.StatusRequestEntityTooLarge, tooMany.Error(), nil)
		d.handler.status.note(d.key, false)
		return &a
	default:
		a := refuse(refusedMalformed, http.StatusBadRequest, err.Error(), nil)
		d.handler.status.note(d.key, false)
		return &a
	}
	d.events = decoded
	tested := false
	for _, event := range decoded {
		tested = tested || event.Test
	}
	d.handler.status.note(d.key, tested)
	return nil
}

// storeEvents stores what is good of the events, and answers for all of them. A sender that hangs up does not tear the
// delivery: what was begun is finished.
func (d *delivery) storeEvents() answer {
	h := d.handler
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.request.Context()), h.spooler.patience())
	defer cancel()
	first := h.store.arrivals.reserve(len(d.events))
	events := arrivedFrom(d.events, first, "")
	// A delivery does not overtake those of its receiver that are spooled.
	behind := h.spooler.holds(d.key)
	if behind {
		d.results = unstored(events)
	} else {
		d.results = h.store.storeAll(ctx, d.receiver, events)
	}
	var refused *answer
	if h.spooler != nil && waitForServer(d.results, behind) {
		refused = d.toSpool(ctx, first)
	}
	for i, r := range d.results {
		h.metrics.event(d.key, d.events[i].Type, r.outcome)
	}
	a := answerFor(d.results)
	if refused != nil {
		refused.result, refused.errors = a.result, a.errors
		return *refused
	}
	return a
}

const (
	pathPrefix = "/webhooks/"
	// defaultMaxEvents counts where the spec says nothing, which the schema's default forbids.
	defaultMaxEvents = 1000
)
