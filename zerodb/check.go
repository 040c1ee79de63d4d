package zerodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
)

// CheckStep is one thing that [Check] tried.
type CheckStep struct {
	Name string        // "store", "find by words", ...
	Took time.Duration // wall time
	Err  error         // nil when it did what it must
}

// Check tries a back end with real memories: it stores one of each type, finds them by words
// and by meaning, by metadata, and not for another agent; replaces one; supersedes a fact; lets them expire; and
// erases them. The memories belong to an agent of their own, whose name is used once, so it may be run
// beside the work of a tenant. Whatever fails, what was stored is erased in the end. embedder may be nil.
//
// It goes on behind a step that failed where later ones can still say something.
func Check(ctx context.Context, backend Backend, embedder Embedder, tenant uuid.UUID) []CheckStep {
	name := "memory-check-" + uuid.NewString()
	c := &checking{backend: backend, embedder: embedder, name: name, subject: name, word: "q" + uuid.NewString()[:8] + "x", clock: &fixedClock{at: stored(time.Now())}}
	client, err := New(Config{Backend: backend, Embedder: embedder, Clock: c.clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return []CheckStep{{Name: "configuration", Err: err}}
	}
	c.tenant = client.Tenant(tenant)
	if !c.step(ctx, "reach the back end", func(ctx context.Context) error { return backend.Health(ctx) }) {
		return c.steps
	}
	embeds := embedder != nil && c.step(ctx, "reach the embedder", c.embed)
	if c.step(ctx, "store", c.store) {
		c.step(ctx, "find by words", func(ctx context.Context) error { return c.find(ctx, ModeText) })
		if embeds {
			c.step(ctx, "find by meaning", func(ctx context.Context) error { return c.find(ctx, ModeDense) })
		}
		c.step(ctx, "filter by metadata", c.filter)
		c.step(ctx, "keep from another agent", c.keepFromOthers)
		c.step(ctx, "replace", c.replace)
		c.step(ctx, "supersede a fact, and keep the past", c.supersede)
		c.step(ctx, "expire", c.expire)
	}
	// Also when ctx ended: nothing of it may stay behind.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	c.step(last, "erase", c.erase)
	return c.steps
}

type fixedClock struct{ at time.Time }

func (c *fixedClock) Now() time.Time { return c.at }

type checking struct {
	backend  Backend
	embedder Embedder
	name     string // of the agent
	subject  string
	word     string // in every content and nowhere else
	clock    *fixedClock
	tenant   Tenant
	ids      map[Type]uuid.UUID
	steps    []CheckStep
}

func (c *checking) step(ctx context.Context, name string, run func(context.Context) error) bool {
	begun := time.Now()
	err := run(ctx)
	c.steps = append(c.steps, CheckStep{Name: name, Took: time.Since(begun), Err: err})
	return err == nil
}

func (c *checking) item(typ Type) Item {
	return Item{
		Agent: c.name, Type: typ, Subject: c.subject, Content: fmt.Sprintf("%s is what the %s memory holds", c.word, typ),
		Metadata: Metadata{"check": string(typ), "n": len(typ)}, Provenance: Provenance{Source: "memory check"},
	}
}

func (c *checking) store(ctx context.Context) error {
	var items []Item
	for _, typ := range Types() {
		items = append(items, c.item(typ))
	}
	receipts, err := c.tenant.StoreBatch(ctx, items)
	if err != nil {
		return err
	}
	c.ids = map[Type]uuid.UUID{}
	for i, typ := range Types() {
		if receipts[i].Outcome != Created {
			return fmt.Errorf("storing a %s memory was answered by %q", typ, receipts[i].Outcome)
		}
		c.ids[typ] = receipts[i].ID
		m, err := c.tenant.Get(ctx, receipts[i].ID)
		if err != nil {
			return fmt.Errorf("reading the %s memory again: %w", typ, err)
		}
		if m.Content != items[i].Content || m.Metadata["check"] != string(typ) {
			return fmt.Errorf("the %s memory came back changed", typ)
		}
	}
	return nil
}

// look searches as an agent and returns what it found, by ID.
func (c *checking) look(ctx context.Context, agent string, mode Mode, filter Filter) ([]uuid.UUID, error) {
	text := c.word
	if mode == ModeDense {
		text = c.item(Semantic).Content // the built-in embedder knows nothing about a word of our own
	}
	result, err := c.tenant.Search(ctx, Query{Agent: agent, Text: text, Filter: filter, Mode: mode, Limit: 20, Unseen: true})
	if err != nil {
		return nil, err
	}
	if result.Degraded != "" {
		return nil, errors.New(result.Degraded)
	}
	ids := make([]uuid.UUID, len(result.Hits))
	for i := range result.Hits {
		ids[i] = result.Hits[i].Memory.ID
	}
	return ids, nil
}

func (c *checking) find(ctx context.Context, mode Mode) error {
	for _, typ := range Types() {
		found, err := c.look(ctx, c.name, mode, Filter{Types: []Type{typ}, Subject: c.subject})
		if err != nil {
			return err
		}
		if !slices.Equal(found, []uuid.UUID{c.ids[typ]}) {
			return fmt.Errorf("the %s memory is not found: %d others are", typ, len(found))
		}
	}
	return nil
}

func (c *checking) filter(ctx context.Context) error {
	where := []Condition{Eq("check", string(Episodic)), Range("n", float64(len(Episodic)), nil)}
	found, err := c.look(ctx, c.name, ModeText, Filter{Where: where})
	if err == nil && !slices.Equal(found, []uuid.UUID{c.ids[Episodic]}) {
		err = fmt.Errorf("a condition that one memory fulfils finds %d", len(found))
	}
	return err
}

func (c *checking) keepFromOthers(ctx context.Context) error {
	found, err := c.look(ctx, c.name+"-other", ModeText, Filter{})
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("another agent sees %d of the agent's own memories", len(found))
	}
	return err
}

func (c *checking) replace(ctx context.Context) error {
	item := c.item(Working)
	item.Content += ", and now this"
	receipts, err := c.tenant.StoreBatch(ctx, []Item{item})
	if err != nil {
		return err
	}
	m, err := c.tenant.Get(ctx, c.ids[Working])
	switch {
	case err != nil:
		return err
	case receipts[0].ID != m.ID || m.Content != item.Content:
		return errors.New("a working memory with the same key was not replaced")
	}
	return nil
}

func (c *checking) embed(ctx context.Context) error {
	vectors, err := c.embedder.Embed(ctx, []string{"which channel does the customer prefer?"})
	if err != nil {
		return err
	}
	if len(vectors) != 1 || len(vectors[0]) != c.embedder.Dimension() {
		return errors.New("it answered no vector of the length it announces")
	}
	return nil
}

// supersede tells of a fact twice, and asks what held before and after.
func (c *checking) supersede(ctx context.Context) error {
	now := c.clock.at
	defer func() { c.clock.at = now }()
	var told [2]uuid.UUID
	for i := range told {
		c.clock.at = now.Add(time.Duration(i) * time.Minute)
		item := c.item(Semantic)
		item.Predicate, item.Content = "told", fmt.Sprintf("%s was told %d times", c.word, i+1)
		receipts, err := c.tenant.StoreBatch(ctx, []Item{item})
		if err != nil {
			return err
		}
		told[i] = receipts[0].ID
	}
	about := Filter{Subject: c.subject, Where: []Condition{Eq("check", string(Semantic))}}
	for i, at := range []time.Time{now, {}} {
		about.AsOf = at
		found, err := c.look(ctx, c.name, ModeText, about)
		if err != nil {
			return err
		}
		if !slices.Contains(found, told[i]) || slices.Contains(found, told[1-i]) {
			return fmt.Errorf("of two versions of a fact, the one that held at %s is not the one found", cmp.Or(at, c.clock.at).Format(time.RFC3339))
		}
	}
	// What follows counts the memories that there were.
	_, err := c.tenant.Forget(ctx, told[1])
	return err
}

// expire looks from a time at which the short-lived memories are past, and drops them as upkeep does.
func (c *checking) expire(ctx context.Context) error {
	now := c.clock.at
	c.clock.at = now.Add(31 * day)
	defer func() { c.clock.at = now }()
	found, err := c.look(ctx, c.name, ModeText, Filter{})
	if err != nil {
		return err
	}
	short := []uuid.UUID{c.ids[Working], c.ids[ShortTerm]}
	for _, id := range short {
		if slices.Contains(found, id) {
			return errors.New("a memory is found after its time")
		}
	}
	if len(found) != len(Types())-len(short) {
		return fmt.Errorf("%d of the %d memories without an end are still found", len(found), len(Types())-len(short))
	}
	var report UpkeepReport
	err = c.backend.Change(ctx, c.tenant.id, []Scope{AgentScope(c.name)}, func(ctx context.Context, w Writer) error {
		report = UpkeepReport{}
		memories, err := w.Get(ctx, short)
		if err != nil {
			return err
		}
		_, err = c.tenant.client.settle(ctx, w, memories, &report) // none is promoted
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range short {
		if _, err := c.tenant.Get(ctx, id); !errors.Is(err, ErrNotFound) {
			return errors.New("an expired memory was dropped and is still there")
		}
	}
	if report.Expired != len(short) {
		return fmt.Errorf("%d of %d expired memories were dropped", report.Expired, len(short))
	}
	return nil
}

func (c *checking) erase(ctx context.Context) error {
	receipt, err := c.tenant.Erase(ctx, Erasure{Subject: c.subject})
	if err != nil {
		return err
	}
	found, err := c.tenant.List(ctx, Filter{Audience: Audience{Everyone: true}, Subject: c.subject, History: true}, Order{}, 10)
	if err == nil && (receipt.Remaining > 0 || len(found) > 0) {
		err = fmt.Errorf("%d memories are still there after they were erased", max(receipt.Remaining, len(found)))
	}
	return err
}
