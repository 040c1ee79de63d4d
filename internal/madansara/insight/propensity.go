package insight

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"gonum.org/v1/gonum/mathext"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/mesh"
)

// Propensity is counted, not modelled: of the tenant's people who, on some earlier
// day, had last come as lately, had come as often and had or had not bought, the share that
// bought in the 30 days after. Small groups are drawn to the tenant's own average,
// as if some more people at that average had been seen (the mean of a beta-binomial
// posterior; Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.4). How many
// more is what the groups themselves say: few where they differ, many where they do
// not (section 5.3; see alikeness).
const (
	// Below these a tenant's history says nothing.
	fewestPeople      = 100
	fewestConversions = 10
	// keptFor is how long the counts are used before they are taken again.
	keptFor = 24 * time.Hour
)

// group is what people have in common for the count.
type group struct {
	Recency   int16 // 0: came within a day, 1: a week, 2: 30 days, 3: 90 days
	Frequency int16 // 0: one touch in 90 days, 1: two or three, 2: more
	Bought    bool  // ever, before
}

// tally is what became of a group.
type tally struct {
	group

	People, Converted int64
}

// likelihood returns the propensity of one in a group; nil when the history is too small.
func likelihood(tallies []tally, of group) *float64 {
	var all, own tally
	for _, t := range tallies {
		all.People += t.People
		all.Converted += t.Converted
		if t.group == of {
			own = t
		}
	}
	if all.People < fewestPeople || all.Converted < fewestConversions {
		return nil
	}
	average := float64(all.Converted) / float64(all.People)
	prior := alikeness(tallies, average)
	value := (float64(own.Converted) + prior*average) / (float64(own.People) + prior)
	return &value
}

// alikeness returns how many people at the average a group starts with: the mean of
// its logarithm's posterior, flat before from 2 to 2000, where the groups' shares
// are a draw from a beta distribution. With one number for all shops, a small shop's
// best group was told 20 % when 44 % bought.
func alikeness(tallies []tally, average float64) float64 {
	const steps, least, most = 24, 2.0, 2000.0
	if average >= 1 {
		return least
	}
	var logs, sizes [steps + 1]float64
	for k := range logs {
		sizes[k] = least * math.Pow(most/least, float64(k)/steps)
		a, b := sizes[k]*average, sizes[k]*(1-average)
		for _, t := range tallies {
			did, not := float64(t.Converted), float64(t.People-t.Converted)
			logs[k] += mathext.Lbeta(a+did, b+not) - mathext.Lbeta(a, b)
		}
	}
	best, sum, mean := slices.Max(logs[:]), 0.0, 0.0
	for k, log := range logs {
		weight := math.Exp(log - best)
		sum += weight
		mean += weight * math.Log(sizes[k])
	}
	return math.Exp(mean / sum)
}

// groupOf is the group in SQL, of a row with at, last_at, touches and first_order_at.
const groupOf = `
	CASE WHEN last_at > at - interval '1 day' THEN 0 WHEN last_at > at - interval '7 days' THEN 1
		WHEN last_at > at - interval '30 days' THEN 2 ELSE 3 END::smallint,
	CASE WHEN touches = 1 THEN 0 WHEN touches <= 3 THEN 1 ELSE 2 END::smallint,
	COALESCE(first_order_at <= at, false)`

// countQuery takes the tenant and the time: on each of three earlier days, 30 days apart,
// everybody who came in the 90 days before it.
const countQuery = `
	WITH days AS (SELECT $2::timestamptz - n * interval '30 days' AS at FROM generate_series(1, 3) n
	), touches AS (
		SELECT COALESCE(v.contact_uuid, t.contact_uuid, t.visitor_uuid) AS person, t.occurred_at
		FROM customer_touchpoints t LEFT JOIN website_visitors v ON v.tenant_uuid = $1 AND v.visitor_uuid = t.visitor_uuid
		WHERE t.tenant_uuid = $1 AND t.occurred_at > $2::timestamptz - interval '180 days'
	), orders AS MATERIALIZED (
		SELECT COALESCE(v.contact_uuid, e.contact_uuid, e.visitor_uuid) AS person, e.occurred_at
		FROM conversion_events e LEFT JOIN website_visitors v ON v.tenant_uuid = $1 AND v.visitor_uuid = e.visitor_uuid
		WHERE e.tenant_uuid = $1 AND e.refund_of IS NULL
	), first_orders AS (SELECT person, min(occurred_at) AS first_order_at FROM orders GROUP BY person
	), people AS (
		SELECT d.at, t.person, max(t.occurred_at) AS last_at, count(*) AS touches
		FROM days d JOIN touches t ON t.occurred_at <= d.at AND t.occurred_at > d.at - interval '90 days'
		GROUP BY d.at, t.person
	), bought AS (
		SELECT DISTINCT d.at, o.person FROM days d JOIN orders o ON o.occurred_at > d.at AND o.occurred_at <= d.at + interval '30 days'
	)
	INSERT INTO conversion_propensity (tenant_uuid, recency, frequency, bought, people, converted, counted_at)
	SELECT $1, recency, frequency, had, count(*), count(*) FILTER (WHERE did), $2 FROM (
		SELECT g.*, b.person IS NOT NULL AS did
		FROM people p LEFT JOIN first_orders USING (person) LEFT JOIN bought b USING (at, person)
		CROSS JOIN LATERAL (SELECT ` + groupOf + `) g (recency, frequency, had)) x
	GROUP BY recency, frequency, had`

// CountArgs asks for a tenant's propensities to be counted again.
type CountArgs struct {
	TenantUUID uuid.UUID `json:"tenant_uuid"`
}

// Kind names the job in the queue.
func (CountArgs) Kind() string { return "count_propensity" }

type countWorker struct {
	river.WorkerDefaults[CountArgs]

	counter *Counter
}

func (w *countWorker) Work(ctx context.Context, job *river.Job[CountArgs]) error {
	return w.counter.Count(ctx, job.Args.TenantUUID)
}

// Counter counts what became of a tenant's people. It is safe for concurrent use.
type Counter struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// NewCounter returns a counter on db.
func NewCounter(db *engardedb.DB, clock clockwork.Clock) *Counter {
	return &Counter{db: db, clock: clock}
}

// Count takes the tenant's counts again. Runs at once take turns.
func (c *Counter) Count(ctx context.Context, tenant uuid.UUID) error {
	err := c.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('propensity ' || $1::text, 0))", tenant); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM conversion_propensity WHERE tenant_uuid = $1", tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, countQuery, tenant, c.clock.Now())
		return err
	})
	if err != nil {
		return fmt.Errorf("count propensities: %w", err)
	}
	return nil
}

// propensity returns a person's, and whether the counts should be taken again.
func (s *Service) propensity(ctx context.Context, tx engardedb.Tx, p person) (found *float64, basis *mesh.PropensityBasis, stale bool, err error) {
	now := s.clock.Now()
	rows, err := tx.Query(ctx, `SELECT recency, frequency, bought, people, converted, counted_at FROM conversion_propensity WHERE tenant_uuid = $1`, tx.Tenant())
	if err != nil {
		return nil, nil, false, fmt.Errorf("read the counts: %w", err)
	}
	var t tally
	var countedAt time.Time
	var tallies []tally
	basis = &mesh.PropensityBasis{}
	_, err = pgx.ForEachRow(rows, []any{&t.Recency, &t.Frequency, &t.Bought, &t.People, &t.Converted, &countedAt}, func() error {
		tallies = append(tallies, t)
		basis.CountedAt = countedAt
		return nil
	})
	if err != nil {
		return nil, nil, false, fmt.Errorf("read the counts: %w", err)
	}
	stale = len(tallies) == 0 || now.Sub(basis.CountedAt) > keptFor
	const query = `
		WITH touched AS (
			SELECT occurred_at FROM customer_touchpoints WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2)
			UNION ALL
			SELECT occurred_at FROM customer_touchpoints WHERE tenant_uuid = $1 AND contact_uuid = $3 AND visitor_uuid IS NULL
		)
		SELECT g.* FROM (
			SELECT $4::timestamptz AS at, max(occurred_at) AS last_at, count(*) AS touches, $5::timestamptz AS first_order_at
			FROM touched WHERE occurred_at <= $4 AND occurred_at > $4::timestamptz - interval '90 days') x
		CROSS JOIN LATERAL (SELECT ` + groupOf + `) g
		WHERE x.touches > 0`
	var of group
	err = tx.QueryRow(ctx, query, tx.Tenant(), p.visitors, p.contact, now, p.firstOrderAt).Scan(&of.Recency, &of.Frequency, &of.Bought)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil, stale, nil // whoever did not come for 90 days is in no group
	case err != nil:
		return nil, nil, false, fmt.Errorf("read what the person did lately: %w", err)
	}
	if found = likelihood(tallies, of); found == nil {
		return nil, nil, stale, nil
	}
	for _, t := range tallies {
		if t.group == of {
			basis.People, basis.Converted = t.People, t.Converted
		}
	}
	return found, basis, stale, nil
}
