package remember

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/money"
	"github.com/engardehq/madansara/zerodb"
)

// Agent is who remembers what Madan Sara remembers by itself.
const Agent = "madan_sara"

// Subject is how memories name a customer.
func Subject(contact uuid.UUID) string { return "customer:" + contact.String() }

// Remember stores or plans to store a conversion's memory, in the transaction that attributed it.
type Remember func(ctx context.Context, tx engardedb.Tx, conversion uuid.UUID) error

// Within remembers in the transaction itself, by store.
func Within(store func(ctx context.Context, tx engardedb.Tx, items []zerodb.Item) error) Remember {
	return func(ctx context.Context, tx engardedb.Tx, conversion uuid.UUID) error {
		item, err := itemOf(ctx, tx, conversion)
		if err != nil || item == nil {
			return err
		}
		if err := store(ctx, tx, []zerodb.Item{*item}); err != nil {
			return fmt.Errorf("remember conversion %s: %w", conversion, err)
		}
		return nil
	}
}

// Args asks for a conversion to be remembered.
type Args struct {
	TenantUUID     uuid.UUID `json:"tenant_uuid"`
	ConversionUUID uuid.UUID `json:"conversion_uuid"`
}

// Kind names the job in the queue.
func (Args) Kind() string { return "remember_conversion" }

// Later remembers by a job that commits with the transaction. queue is asked when the first
// conversion comes.
func Later(queue func() *jobs.Queue) Remember {
	return func(ctx context.Context, tx engardedb.Tx, conversion uuid.UUID) error {
		return queue().Enqueue(ctx, tx, Args{TenantUUID: tx.Tenant(), ConversionUUID: conversion}, nil)
	}
}

type worker struct {
	river.WorkerDefaults[Args]

	db     *engardedb.DB
	memory *zerodb.Client
}

// RegisterWorker adds the worker of the jobs that [Later] makes.
func RegisterWorker(workers *river.Workers, db *engardedb.DB, memory *zerodb.Client) {
	river.AddWorker(workers, &worker{db: db, memory: memory})
}

// Work stores the memory. It may be run any number of times.
func (w *worker) Work(ctx context.Context, job *river.Job[Args]) error {
	var item *zerodb.Item
	err := w.db.TenantRead(ctx, job.Args.TenantUUID, func(ctx context.Context, tx engardedb.Tx) (err error) {
		item, err = itemOf(ctx, tx, job.Args.ConversionUUID)
		return err
	})
	if err != nil || item == nil {
		return err
	}
	if _, err := w.memory.Tenant(job.Args.TenantUUID).StoreBatch(ctx, []zerodb.Item{*item}); err != nil {
		return fmt.Errorf("remember conversion %s: %w", job.Args.ConversionUUID, err)
	}
	return w.forgetErased(ctx, job.Args, item.Subject)
}

// forgetErased takes a memory back whose person was erased or became another while it was stored: the erasure and
// the renaming may have looked before it was there.
func (w *worker) forgetErased(ctx context.Context, args Args, subject string) error {
	var now *zerodb.Item
	err := w.db.TenantRead(ctx, args.TenantUUID, func(ctx context.Context, tx engardedb.Tx) (err error) {
		now, err = itemOf(ctx, tx, args.ConversionUUID)
		return err
	})
	switch {
	case err != nil:
		return err
	case now == nil:
		_, err = w.memory.Tenant(args.TenantUUID).Erase(ctx, zerodb.Erasure{Subject: subject})
	case now.Subject != subject:
		_, err = w.memory.Tenant(args.TenantUUID).Rename(ctx, subject, now.Subject)
	}
	if err != nil {
		return fmt.Errorf("take back the memory of conversion %s: %w", args.ConversionUUID, err)
	}
	return nil
}

// converted is what there is to say of a conversion.
type converted struct {
	name, order string
	revenue     money.Amount
	at          time.Time
	properties  json.RawMessage
	contact     uuid.UUID
	first, last string
	earned      []earner
}

// earner is what earned a share of it.
type earner struct {
	Channel, Campaign string
	Share             float64 // 0 to 1
}

// model is the attribution model that the memory speaks by.
const model = attribution.TimeDecay

// itemOf is the memory of a conversion; nil for one that is gone, is a refund, or whose
// person is not known: nobody could be reminded of it, or ask for it to be erased.
func itemOf(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (*zerodb.Item, error) {
	c, err := read(ctx, tx, id)
	if err != nil || c == nil {
		return nil, err
	}
	metadata := zerodb.Metadata{"conversion_uuid": id.String(), "conversion": c.name}
	if c.revenue.Minor != 0 {
		metadata["revenue"], metadata["currency"] = c.revenue.Decimal(), c.revenue.Currency
	}
	if len(c.earned) > 0 {
		metadata["channel"] = c.earned[0].Channel
	}
	return &zerodb.Item{
		Agent: Agent, Type: zerodb.Episodic, Scope: zerodb.TenantScope(), Key: "conversion:" + id.String(), Subject: Subject(c.contact),
		Content: c.words(), Metadata: metadata, Importance: 0.6, ValidFrom: c.at,
		Provenance: zerodb.Provenance{Service: "madan-sara", Source: "conversion", Reference: id.String()},
	}, nil
}

func read(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (*converted, error) {
	const query = `
		SELECT e.name, e.external_id, e.revenue_minor, e.currency, e.occurred_at, e.properties, c.contact_uuid, c.first_name, c.last_name
		FROM conversion_events e
		LEFT JOIN website_visitors v ON v.tenant_uuid = $1 AND v.visitor_uuid = e.visitor_uuid
		JOIN contacts c ON c.tenant_uuid = $1 AND c.contact_uuid = COALESCE(v.contact_uuid, e.contact_uuid)
		WHERE e.tenant_uuid = $1 AND e.conversion_uuid = $2 AND e.refund_of IS NULL`
	var c converted
	err := tx.QueryRow(ctx, query, tx.Tenant(), id).Scan(&c.name, &c.order, &c.revenue.Minor, &c.revenue.Currency, &c.at, &c.properties, &c.contact, &c.first, &c.last)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // nil is "there is nothing to remember", as documented
	}
	if err != nil {
		return nil, fmt.Errorf("read a conversion to remember: %w", err)
	}
	const earned = `
		SELECT a.channel, COALESCE(o.name, t.campaign), sum(a.weight)
		FROM attribution_credits a
		JOIN customer_touchpoints t ON t.tenant_uuid = $1 AND t.touchpoint_uuid = a.touchpoint_uuid
		LEFT JOIN outreach_campaigns o ON o.tenant_uuid = $1 AND o.campaign_uuid = t.campaign_uuid
		WHERE a.tenant_uuid = $1 AND a.conversion_uuid = $2 AND a.model = $3
		GROUP BY 1, 2 HAVING sum(a.weight) > 0 ORDER BY 3 DESC, 1, 2 LIMIT 4`
	rows, err := tx.Query(ctx, earned, tx.Tenant(), id, model)
	if err != nil {
		return nil, fmt.Errorf("read what earned a conversion: %w", err)
	}
	if c.earned, err = pgx.CollectRows(rows, pgx.RowToStructByPos[earner]); err != nil {
		return nil, fmt.Errorf("read what earned a conversion: %w", err)
	}
	return &c, nil
}

// words says it in plain words.
func (c *converted) words() string {
	who := strings.TrimSpace(clip(c.first) + " " + clip(c.last))
	if who == "" {
		who = "A customer"
	}
	var b strings.Builder
	b.WriteString(who)
	products := bought(c.properties)
	switch {
	case c.revenue.Minor > 0 && products != "":
		fmt.Fprintf(&b, " bought %s for %s %s", products, c.revenue.Decimal(), c.revenue.Currency)
	case c.revenue.Minor > 0:
		fmt.Fprintf(&b, " bought for %s %s", c.revenue.Decimal(), c.revenue.Currency)
	default:
		b.WriteString(" converted")
	}
	fmt.Fprintf(&b, " (%s %s) on %s. ", clip(c.name), clip(c.order), c.at.UTC().Format("2 January 2006"))
	if len(c.earned) == 0 {
		b.WriteString("No visit or message that was recorded led to it.")
		return b.String()
	}
	b.WriteString("What earned it: ")
	for i, e := range c.earned {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strings.ReplaceAll(clip(e.Channel), "_", " "))
		if e.Campaign != "" {
			fmt.Fprintf(&b, " campaign %q", clip(e.Campaign))
		}
		fmt.Fprintf(&b, " %.0f%%", math.Round(100*e.Share))
	}
	b.WriteString(" (time decay model).")
	return b.String()
}

// bought names up to five products of an order, as Segment's events list them.
func bought(properties json.RawMessage) string {
	var order struct {
		Products []struct {
			Name string `json:"name"`
		} `json:"products"`
	}
	if err := json.Unmarshal(properties, &order); err != nil {
		return "" // a shop's own form
	}
	var names []string
	for _, product := range order.Products {
		if name := strings.TrimSpace(product.Name); name != "" {
			names = append(names, clip(name))
		}
	}
	const most = 5
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// clip keeps the beginning of a text, in one line.
func clip(text string) string {
	const most = 80
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
