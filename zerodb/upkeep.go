package zerodb

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Strength says how alive a memory is, from 0 to 1: its importance and
// confidence, halved with each half-life of its type since it was last
// recalled, mentioned or changed; each doubling of its recalls lengthens the half-life by one.
func Strength(m *Memory, now time.Time) float64 {
	since := m.UpdatedAt
	if m.LastRecalledAt.After(since) {
		since = m.LastRecalledAt
	}
	halfLife := lives[m.Type].halfLife
	age := now.Sub(since)
	if age <= 0 || halfLife == 0 {
		age = 0
	}
	stretched := float64(halfLife) * (1 + math.Log2(1+float64(m.Recalls)))
	return (m.Importance + m.Confidence()) / 2 * math.Exp2(-float64(age)/max(stretched, 1))
}

// dropBelow is the strength below which a memory that fades is dropped. An
// event of middling importance that nobody recalls reaches it after about two months.
const dropBelow = 0.035

// Fate is what upkeep does with a memory.
type Fate string

// The fates.
const (
	Keep    Fate = "keep"
	Expire  Fate = "expire"  // its time has passed
	Promote Fate = "promote" // recalled often: it becomes long-term
	Fade    Fate = "fade"    // it decayed
)

// FateOf decides what upkeep does with a memory at now.
func FateOf(m *Memory, now time.Time) Fate {
	l := lives[m.Type]
	switch {
	case m.Expired(now):
		return Expire
	case l.promoteAfter > 0 && m.Recalls >= l.promoteAfter && m.SupersededBy == uuid.Nil:
		return Promote
	case l.fades && Strength(m, now) < dropBelow:
		return Fade
	default:
		return Keep
	}
}

// UpkeepReport counts what an upkeep did.
type UpkeepReport struct {
	Looked   int `json:"looked"`
	Expired  int `json:"expired"`
	Promoted int `json:"promoted"`
	Faded    int `json:"faded"`
	// Left is true when memories remain, so that there will be an upkeep again.
	Left bool `json:"left"`
}

// Upkeep drops what expired or faded and promotes what is recalled often. It may
// be run at any time, also by several processes at once.
func (t Tenant) Upkeep(ctx context.Context) (UpkeepReport, error) {
	var report UpkeepReport
	if err := t.check(); err != nil {
		return report, err
	}
	for _, expired := range []bool{true, false} {
		filter := Filter{Audience: Audience{Everyone: true}, Expired: expired, History: true}
		if !expired {
			filter.Types = []Type{ShortTerm, Episodic, LongTerm} // the others have no fate but to expire
		}
		err := t.each(ctx, filter, func(page []Memory) error { return t.upkeepPage(ctx, page, &report) })
		if err != nil {
			return report, err
		}
	}
	stats, err := t.Stats(ctx)
	report.Left = stats.Memories > 0
	return report, err
}

func (t Tenant) upkeepPage(ctx context.Context, page []Memory, report *UpkeepReport) error {
	byScope := map[Scope][]uuid.UUID{}
	now := t.client.now()
	for i := range page {
		report.Looked++
		if FateOf(&page[i], now) != Keep {
			byScope[page[i].Scope] = append(byScope[page[i].Scope], page[i].ID)
		}
	}
	for scope, ids := range byScope {
		var done UpkeepReport
		var recalls []Recall
		err := t.client.backend.Change(ctx, t.id, []Scope{scope}, func(ctx context.Context, w Writer) error {
			done = UpkeepReport{}
			memories, err := w.Get(ctx, ids) // again: they may have changed since the page was read
			if err != nil {
				return err
			}
			recalls, err = t.client.settle(ctx, w, memories, &done)
			return err
		})
		if err != nil {
			return err
		}
		report.Expired += done.Expired
		report.Promoted += done.Promoted
		report.Faded += done.Faded
		// Back ends count recalls apart from the memories, so they move after them. A process
		// that dies in between loses the counts of what it promoted, and nothing else.
		if len(recalls) > 0 {
			if err := t.client.backend.Recalled(ctx, t.id, recalls); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle gives memories of one scope their fate, and returns the recalls that go with those it promoted.
func (c *Client) settle(ctx context.Context, w Writer, memories []Memory, report *UpkeepReport) ([]Recall, error) {
	now := c.now()
	var gone []uuid.UUID
	var promoted []*Memory
	for i := range memories {
		m := &memories[i]
		switch FateOf(m, now) {
		case Expire:
			report.Expired++
		case Fade:
			report.Faded++
		case Promote:
			report.Promoted++
			promoted = append(promoted, promote(m, now))
		default:
			continue
		}
		gone = append(gone, m.ID)
	}
	if len(gone) > 0 {
		// First, so that nothing is promoted into what goes.
		if err := w.Delete(ctx, gone); err != nil {
			return nil, err
		}
	}
	if len(promoted) == 0 {
		return nil, nil
	}
	return placePromoted(ctx, w, promoted, now)
}

// promote makes a long-term memory of m. It is a memory of its own, with an ID of its own, because an
// ID's type never changes: Qdrant keeps each type in another collection and would have both for a while, and
// other processes learn of deletions by the ID alone. Its provenance says what it was.
func promote(m *Memory, now time.Time) *Memory {
	p := *m
	p.ID, p.Lineage = uuid.Nil, uuid.Nil
	p.Type, p.ExpiresAt, p.UpdatedAt = LongTerm, time.Time{}, now
	p.Importance = max(p.Importance, 0.7)
	if p.Provenance.Source == "" {
		p.Provenance.Source = "promoted " + string(m.Type)
	}
	return &p
}

// placePromoted files what is promoted as Store would: under a key it is a version, and what says what a
// long-term memory says already is counted there. The earliest comes first.
func placePromoted(ctx context.Context, w Writer, promoted []*Memory, now time.Time) ([]Recall, error) {
	slices.SortFunc(promoted, func(a, b *Memory) int {
		return cmp.Or(a.ValidFrom.Compare(b.ValidFrom), a.CreatedAt.Compare(b.CreatedAt))
	})
	p, err := newPlan(ctx, w, promoted, now)
	if err != nil {
		return nil, err
	}
	recalls := map[uuid.UUID]Recall{}
	for _, draft := range promoted {
		recalled := Recall{Count: draft.Recalls, At: draft.LastRecalledAt}
		draft.Recalls, draft.LastRecalledAt = 0, time.Time{} // they are counted when it is there
		placed, receipt := p.place(draft)
		if placed != draft {
			p.absorb(placed, draft, receipt.Outcome)
		}
		sum := recalls[placed.ID]
		sum.ID, sum.Count = placed.ID, min(sum.Count+recalled.Count, mostCounted)
		if recalled.At.After(sum.At) {
			sum.At = recalled.At
		}
		recalls[placed.ID] = sum
	}
	if changed := p.changed(); len(changed) > 0 {
		if err := w.Put(ctx, changed); err != nil {
			return nil, err
		}
	}
	return slices.Collect(maps.Values(recalls)), nil
}

// absorb adds to m what a promoted memory that says the same has gone through.
func (p *plan) absorb(m, promoted *Memory, outcome Outcome) {
	mentions := promoted.Mentions
	if outcome == Merged {
		mentions-- // merging counted one
	}
	m.Mentions = min(m.Mentions+mentions, mostCounted)
	m.Successes = min(m.Successes+promoted.Successes, maxOutcomes)
	m.Failures = min(m.Failures+promoted.Failures, maxOutcomes)
	m.Importance = max(m.Importance, promoted.Importance)
	if m.Key == "" && promoted.ValidFrom.Before(m.ValidFrom) {
		m.ValidFrom = promoted.ValidFrom
	}
	m.UpdatedAt = p.now
	p.touch(m)
}

const pageSize = 500

// each runs fn over the memories that the filter matches, page by page, by ID.
// What is stored meanwhile may or may not be among them.
func (t Tenant) each(ctx context.Context, filter Filter, fn func(page []Memory) error) error {
	var after uuid.UUID
	for {
		page, err := t.List(ctx, filter, Order{After: after}, pageSize)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		if err := fn(page); err != nil {
			return err
		}
		if len(page) < pageSize {
			return nil
		}
	}
}
