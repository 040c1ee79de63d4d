package zerodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Store remembers content. metadata may be nil; ttl 0 is the type's default. [Tenant.StoreBatch]
// takes everything else that can be said of a memory.
func (t Tenant) Store(ctx context.Context, agent string, typ Type, content string, metadata Metadata, ttl time.Duration) (Receipt, error) {
	receipts, err := t.StoreBatch(ctx, []Item{{Agent: agent, Type: typ, Content: content, Metadata: metadata, TTL: ttl}})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// StoreBatch remembers up to 1000 items, all or none, and returns a receipt for
// each in their order. Storing the same again changes nothing, so that a caller
// may repeat a call whose answer it did not get. An embedder that does not
// answer keeps nothing from being stored: see [Receipt.Embedded].
func (t Tenant) StoreBatch(ctx context.Context, items []Item) ([]Receipt, error) {
	drafts, err := t.drafts(items)
	if err != nil {
		return nil, err
	}
	if err := t.client.embedDrafts(ctx, drafts); err != nil {
		return nil, err
	}
	var receipts []Receipt
	err = t.client.backend.Change(ctx, t.id, scopesOf(drafts), func(ctx context.Context, w Writer) error {
		receipts, err = t.client.put(ctx, w, drafts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, t.client.tell(ctx, t.id, drafts)
}

// StoreWith is StoreBatch inside a change that the caller has begun, such as one that
// commits with the fact that caused it (pgmem's ChangeTx). scopes of the change must be those of
// the items ([Tenant.ScopesOf]). A remote embedder is not asked, for a
// transaction must not wait for one: the memories are embedded later.
func (t Tenant) StoreWith(ctx context.Context, w Writer, items []Item) ([]Receipt, error) {
	drafts, err := t.drafts(items)
	if err != nil {
		return nil, err
	}
	if t.client.embedder != nil && isLocal(t.client.embedder) {
		if err := t.client.embedDrafts(ctx, drafts); err != nil {
			return nil, err
		}
	}
	return t.client.put(ctx, w, drafts)
}

// ScopesOf returns the scopes that storing the items changes, or what is wrong with them.
func (t Tenant) ScopesOf(items []Item) ([]Scope, error) {
	drafts, err := t.drafts(items)
	return scopesOf(drafts), err
}

func (t Tenant) drafts(items []Item) ([]*Memory, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, invalid("items", "there is nothing to store")
	}
	if len(items) > MaxBatch {
		return nil, tooLarge("items", fmt.Sprintf("%d items: at most %d go at once", len(items), MaxBatch))
	}
	now := t.client.now()
	drafts := make([]*Memory, len(items))
	for i := range items {
		m, err := items[i].draft(now, t.client.embedder)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok {
				e.Item = i
			}
			return nil, err
		}
		drafts[i] = m
	}
	return drafts, nil
}

func scopesOf(memories []*Memory) []Scope {
	var scopes []Scope
	for _, m := range memories {
		if !slices.Contains(scopes, m.Scope) {
			scopes = append(scopes, m.Scope)
		}
	}
	slices.SortFunc(scopes, func(a, b Scope) int { return strings.Compare(a.String(), b.String()) })
	return scopes
}

// embedDrafts gives the drafts their vectors. When the embedder fails they stay
// without; only a caller who gave up is an error.
func (c *Client) embedDrafts(ctx context.Context, drafts []*Memory) error {
	if c.embedder == nil {
		return nil
	}
	var waiting []*Memory
	var texts []string
	for _, m := range drafts {
		if m.Model == "" {
			waiting, texts = append(waiting, m), append(texts, m.Content)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	vectors, err := embedTexts(ctx, c.embedder, texts)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.logger.WarnContext(ctx, "memories are stored without vectors for now", "memories", len(texts), "error", err)
		return nil
	}
	for i, m := range waiting {
		m.Vector, m.Model = vectors[i], c.embedder.Model()
	}
	return nil
}

func (c *Client) tell(ctx context.Context, tenant uuid.UUID, drafts []*Memory) error {
	if c.changed == nil {
		return nil
	}
	model := c.model()
	return c.changed(ctx, tenant, slices.ContainsFunc(drafts, func(m *Memory) bool { return m.Model != model }))
}

// put plans what becomes of the drafts and writes it.
func (c *Client) put(ctx context.Context, w Writer, drafts []*Memory) ([]Receipt, error) {
	now := c.now()
	p, err := newPlan(ctx, w, drafts, now)
	if err != nil {
		return nil, err
	}
	receipts := make([]Receipt, len(drafts))
	placed := make([]*Memory, len(drafts))
	for i, draft := range drafts {
		placed[i], receipts[i] = p.place(draft)
	}
	for i, m := range placed { // what a later item of the batch did counts too
		receipts[i].ID, receipts[i].ExpiresAt, receipts[i].Embedded = m.ID, m.ExpiresAt, m.Vector != nil
	}
	if changed := p.changed(); len(changed) > 0 {
		if err := w.Put(ctx, changed); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}
