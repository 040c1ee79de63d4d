package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/mesh"
)

const (
	lanesAtOnce = 64 // customers whose facts one transaction takes and another records
	factsOfLane = 16 // facts of a customer that are pushed before the others' turn
	// strikes in a row, over different customers, mean that Core is ill and not
	// the facts.
	strikes = 5
	// settleTimeout bounds the commit that records what became of pushes after
	// the job's own time is up.
	settleTimeout = 5 * time.Second
)

// run is one slice of a tenant's delivery.
type run struct {
	*Delivery
	tenant uuid.UUID
	end    time.Time

	more bool      // the slice ended before the work did
	due  time.Time // when the next customer's turn is, zero for none
	away error     // why Core takes nothing now

	mu     sync.Mutex
	failed int   // pushes in a row that failed over their fact
	gone   error // away, as the pushes see it
}

// lane is a customer whose turn it is, and what became of its facts.
type lane struct {
	id    uuid.UUID
	facts []pending

	delivered []uuid.UUID
	failure   json.RawMessage // of facts[len(delivered)], nil for none
	refused   bool            // that fact has failed for good
	retryIn   time.Duration   // until that fact is tried again
}

type pending struct {
	mesh.SyncFact

	id       uuid.UUID
	attempts int
	failed   bool
}

func (r *run) work(ctx context.Context) error {
	// The first push alone finds out whether Core is there.
	for width := 1; ; width = min(4*width, lanesAtOnce) {
		lanes, err := r.take(ctx, width)
		if err != nil {
			return err
		}
		if len(lanes) == 0 {
			return nil
		}
		r.push(ctx, lanes)
		if err := r.settle(ctx, lanes); err != nil {
			return err
		}
		if r.ended(ctx) {
			return nil
		}
	}
}

// ended reports whether the rest is for the job's next run, and notes why.
func (r *run) ended(ctx context.Context) bool {
	r.away = r.gone
	r.more = r.away == nil && (ctx.Err() != nil || jobs.Stopping(ctx) || !r.clock.Now().Before(r.end))
	return r.away != nil || r.more
}

// take takes up to n customers whose turn it is, with their first facts. They
// are no other run's until the lease ends.
func (r *run) take(ctx context.Context, n int) ([]*lane, error) {
	const claim = `
		UPDATE outbox_lanes SET due_at = $2
		WHERE tenant_uuid = $1 AND lane_uuid IN (
			SELECT lane_uuid FROM outbox_lanes WHERE tenant_uuid = $1 AND due_at <= $3
			ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
		RETURNING lane_uuid`
	const read = `
		SELECT f.lane_uuid, f.fact_uuid, f.customer_uuid, f.sequence, f.data_type, f.data, f.occurred_at, f.attempts, f.status = 'failed'
		FROM unnest($2::uuid[]) AS l (lane) CROSS JOIN LATERAL (
			SELECT * FROM outbox_facts f WHERE f.tenant_uuid = $1 AND f.lane_uuid = l.lane AND f.status IN ('pending', 'failed')
			ORDER BY f.sequence LIMIT $3) f
		ORDER BY f.lane_uuid, f.sequence`
	now := r.clock.Now()
	byID := map[uuid.UUID]*lane{}
	var lanes []*lane
	err := r.db.Tenant(ctx, r.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, claim, r.tenant, now.Add(r.cfg.Lease), now, n)
		if err != nil {
			return fmt.Errorf("take customers: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return fmt.Errorf("take customers: %w", err)
		}
		for _, id := range ids {
			byID[id] = &lane{id: id}
			lanes = append(lanes, byID[id])
		}
		if len(ids) == 0 {
			return r.next(ctx, tx)
		}
		rows, err = tx.Query(ctx, read, r.tenant, ids, factsOfLane)
		if err != nil {
			return fmt.Errorf("read facts: %w", err)
		}
		var of, customer uuid.UUID
		var p pending
		_, err = pgx.ForEachRow(rows, []any{&of, &p.id, &customer, &p.Sequence, &p.DataType, &p.Data, &p.Timestamp, &p.attempts, &p.failed}, func() error {
			p.ID, p.TenantUUID, p.Source, p.CustomerID = p.id.String(), r.tenant.String(), mesh.MadanSara, customer.String()
			byID[of].facts = append(byID[of].facts, p)
			p = pending{}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read facts: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("take facts for Core: %w", err)
	}
	return lanes, nil
}

// next finds out when there is something to do.
func (r *run) next(ctx context.Context, tx engardedb.Tx) error {
	const query = `SELECT min(due_at) FROM outbox_lanes WHERE tenant_uuid = $1 AND due_at IS NOT NULL`
	var due *time.Time
	if err := tx.QueryRow(ctx, query, r.tenant).Scan(&due); err != nil {
		return fmt.Errorf("when customers' turn is: %w", err)
	}
	if due != nil {
		r.due = *due
	}
	return nil
}

// push pushes the facts of several customers at once, each customer's one after another.
func (r *run) push(ctx context.Context, lanes []*lane) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Lease/2)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(r.cfg.Parallel)
	for _, l := range lanes {
		group.Go(func() error { r.pushLane(ctx, l); return nil })
	}
	_ = group.Wait() // pushLane leaves its outcome in the lane
}

func (r *run) pushLane(ctx context.Context, l *lane) {
	for _, fact := range l.facts {
		if fact.failed || r.pace.enter(ctx) != nil {
			return
		}
		if r.over(ctx) {
			r.pace.leave(0)
			return
		}
		began := r.clock.Now()
		_, err := r.core.Push(ctx, fact.SyncFact)
		outcome := judge(err)
		r.pace.leave(r.tells(outcome, began))
		r.note(outcome, err)
		switch outcome {
		case delivered:
			l.delivered = append(l.delivered, fact.id)
			continue
		case refused:
			l.failure, l.refused = failureOf(err), true
		case later:
			l.failure, l.retryIn = failureOf(err), retryAfter(fact.attempts+1)
			l.refused = fact.attempts+1 >= r.cfg.Attempts
		case away:
		}
		return
	}
}

// tells is how long a push that began then took, 0 when that says nothing of what
// pushes cost. One that finds Core away lets the pace begin anew.
func (r *run) tells(outcome verdict, began time.Time) time.Duration {
	switch outcome {
	case delivered, refused:
		return r.clock.Since(began)
	case away:
		r.pace.slow()
	case later:
	}
	return 0
}

// over reports whether no more should be pushed.
func (r *run) over(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone != nil || ctx.Err() != nil
}

// note counts what says that Core is away.
func (r *run) note(outcome verdict, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch outcome {
	case delivered, refused: // Core is there
		r.failed = 0
	case later:
		if r.failed++; r.failed >= strikes && r.gone == nil {
			r.gone = err
		}
	case away:
		if r.gone == nil {
			r.gone = err
		}
	}
}
