package website

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

// Limits bound what waits to be committed, and so the memory ingest can take.
type Limits struct {
	Committers  int           // transactions at once
	GroupEvents int           // events of one transaction; one request's stay together
	QueueEvents int           // events waiting, of all tenants
	QueueBytes  int           // bytes of bodies waiting or being written, of all tenants
	MaxWait     time.Duration // the longest a request waits for its turn
	Commit      time.Duration // the longest a transaction takes
}

// DefaultLimits fit a process of 512 MB.
func DefaultLimits() Limits {
	return Limits{
		Committers: 3, GroupEvents: 2000, QueueEvents: 50_000, QueueBytes: 32 << 20,
		MaxWait: 5 * time.Second, Commit: 15 * time.Second,
	}
}

// tenantShare of the queue is the most that one tenant may fill, so that a
// flood from one leaves room for the others.
const tenantShare = 2

// submission is one request's events on their way to the commit.
type submission struct {
	events  []segment.Event
	bytes   int
	entered time.Time
	ctx     context.Context //nolint:containedctx // only to skip a request whose caller has gone
	done    chan outcome    // buffered: the committer never waits for the request
}

// outcome is what became of a submission: nothing of it is acknowledged when
// err is set; refused are the events the database would not take.
type outcome struct {
	err     error
	refused []refusedEvent
}

type refusedEvent struct {
	index   int // in submission.events
	message string
}

// writer commits events of one tenant together. The error of a group that one
// event spoils satisfies isPoison.
type writer interface {
	write(ctx context.Context, tenant uuid.UUID, rows []row) error
}

// row is one event with where it came from.
type row struct {
	event *segment.Event
	from  int // the submission's place in its group
	index int // the event's place in its submission
}

// queue holds what waits for a commit, by tenant, and the committers that take
// from it in turn. There is no delay: a committer that is free takes what is
// there, and what arrives while all are busy becomes the next group.
type queue struct {
	limits Limits
	writer writer
	clock  clockwork.Clock
	logger *slog.Logger
	// written counts events by what became of them.
	written *prometheus.CounterVec

	mu      sync.Mutex
	wake    *sync.Cond
	tenants map[uuid.UUID]*waiting
	turn    []uuid.UUID // tenants with something waiting, the next first
	events  int
	bytes   int // waiting and being written
	closed  bool
	workers sync.WaitGroup
}

type waiting struct {
	submissions []*submission
	events      int
	bytes       int
}

func newEventCounter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ingest_events_total",
		Help: "Well-formed events by what became of them: committed (repeated ones too), refused by the database, or failed, to be sent again.",
	}, []string{"outcome"})
}

func newQueue(limits Limits, w writer, clock clockwork.Clock, logger *slog.Logger) *queue {
	q := &queue{limits: limits, writer: w, clock: clock, logger: logger, written: newEventCounter(), tenants: map[uuid.UUID]*waiting{}}
	q.wake = sync.NewCond(&q.mu)
	for range limits.Committers {
		q.workers.Go(q.commitUntilClosed)
	}
	return q
}

// submit queues events and waits until they are committed. When ctx ends
// first, they may or may not be; the sender repeats them and no harm is done.
// recycle is called once the events are no longer used.
func (q *queue) submit(ctx context.Context, tenant uuid.UUID, events []segment.Event, bytes int, recycle func()) (outcome, error) {
	s := &submission{events: events, bytes: bytes, entered: q.clock.Now(), ctx: ctx, done: make(chan outcome, 1)}
	if err := q.enter(tenant, s); err != nil {
		recycle()
		return outcome{}, err
	}
	select {
	case result := <-s.done:
		recycle()
		return result, result.err
	case <-ctx.Done():
		// The body is still being read by a committer; the garbage collector gets it.
		return outcome{}, fault.Wrap(ctx.Err(), fault.Unavailable, "The request ended before its events were committed; send them again.")
	}
}

func (q *queue) enter(tenant uuid.UUID, s *submission) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.tenants[tenant]
	if w == nil {
		w = &waiting{}
	}
	switch {
	case q.closed:
		return fault.New(fault.Unavailable, "The service is shutting down; send the events again.")
	case q.events+len(s.events) > q.limits.QueueEvents, q.bytes+s.bytes > q.limits.QueueBytes, q.tooSlow():
		return fault.New(fault.Unavailable, "More events arrive than the database takes; send them again later.")
	case w.events+len(s.events) > q.limits.QueueEvents/tenantShare, w.bytes+s.bytes > q.limits.QueueBytes/tenantShare:
		return fault.New(fault.RateLimited, "Too many of your events wait to be stored; send them again later.")
	}
	if len(w.submissions) == 0 {
		q.tenants[tenant] = w
		q.turn = append(q.turn, tenant)
	}
	w.submissions = append(w.submissions, s)
	w.events += len(s.events)
	w.bytes += s.bytes
	q.events += len(s.events)
	q.bytes += s.bytes
	q.wake.Signal()
	return nil
}

// tooSlow reports whether the tenant whose turn is next has waited too long.
func (q *queue) tooSlow() bool {
	if len(q.turn) == 0 {
		return false
	}
	oldest := q.tenants[q.turn[0]].submissions[0]
	return q.clock.Since(oldest.entered) > q.limits.MaxWait
}

// take waits for submissions and returns a group of one tenant; nil when the
// queue is closed and empty.
func (q *queue) take() (uuid.UUID, []*submission) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.turn) == 0 {
		if q.closed {
			return uuid.Nil, nil
		}
		q.wake.Wait()
	}
	tenant := q.turn[0]
	q.turn = q.turn[1:]
	w := q.tenants[tenant]
	n, events := 0, 0
	for n < len(w.submissions) && (n == 0 || events+len(w.submissions[n].events) <= q.limits.GroupEvents) {
		events += len(w.submissions[n].events)
		w.bytes -= w.submissions[n].bytes
		n++
	}
	group := w.submissions[:n:n]
	w.submissions = w.submissions[n:]
	w.events -= events
	q.events -= events
	if len(w.submissions) == 0 {
		delete(q.tenants, tenant)
	} else {
		q.turn = append(q.turn, tenant)
		q.wake.Signal()
	}
	return tenant, group
}

func (q *queue) commitUntilClosed() {
	for {
		tenant, group := q.take()
		if group == nil {
			return
		}
		q.commit(tenant, group)
	}
}

// commit writes a group and answers each of its submissions.
func (q *queue) commit(tenant uuid.UUID, group []*submission) {
	outcomes := make([]outcome, len(group))
	var rows []row
	for i, s := range group {
		switch {
		case s.ctx.Err() != nil:
			outcomes[i].err = s.ctx.Err()
		case q.clock.Since(s.entered) > q.limits.MaxWait:
			outcomes[i].err = fault.New(fault.Unavailable, "The events waited too long to be stored; send them again later.")
		default:
			for k := range s.events {
				rows = append(rows, row{event: &s.events[k], from: i, index: k})
			}
		}
	}
	// A transaction must not depend on any one of its requests, nor end with them.
	ctx, cancel := context.WithTimeout(context.Background(), q.limits.Commit)
	defer cancel()
	q.writeGroup(ctx, tenant, rows, outcomes)
	q.release(group)
	for i, s := range group {
		s.done <- outcomes[i]
	}
}

// writeGroup commits rows. When one of them spoils the transaction it halves
// them until the spoilt one stands alone and is refused.
func (q *queue) writeGroup(ctx context.Context, tenant uuid.UUID, rows []row, outcomes []outcome) {
	if len(rows) == 0 {
		return
	}
	err := q.writer.write(ctx, tenant, rows)
	switch {
	case err == nil:
		q.written.WithLabelValues("committed").Add(float64(len(rows)))
	case isPoison(err) && len(rows) == 1:
		r := rows[0]
		q.written.WithLabelValues("refused").Inc()
		outcomes[r.from].refused = append(outcomes[r.from].refused, refusedEvent{index: r.index, message: poisonReason(err)})
	case isPoison(err):
		q.writeGroup(ctx, tenant, rows[:len(rows)/2], outcomes)
		q.writeGroup(ctx, tenant, rows[len(rows)/2:], outcomes)
	default:
		q.written.WithLabelValues("failed").Add(float64(len(rows)))
		q.logger.ErrorContext(ctx, "events were not committed",
			slog.Int("events", len(rows)), slog.String("tenant_uuid", tenant.String()), slog.Any("error", err))
		for _, r := range rows {
			outcomes[r.from].err = unavailable(err)
		}
	}
}

func (q *queue) release(group []*submission) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range group {
		q.bytes -= s.bytes
	}
}

// close takes no more, commits what waits and returns when that is done or ctx
// ends.
func (q *queue) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.wake.Broadcast()
	q.mu.Unlock()
	done := make(chan struct{})
	go func() {
		q.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own deadline
	}
}

// waitingEvents returns how many events wait for their turn.
func (q *queue) waitingEvents() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events
}
