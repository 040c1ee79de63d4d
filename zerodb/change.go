package zerodb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Feedback is what came of a memory that was recalled.
type Feedback struct {
	// Useful moves the importance: true towards 1, false towards 0; nil leaves it.
	Useful *bool
	// Succeeded moves the confidence: acting on the memory succeeded or failed. It is
	// meant for procedural memories, and accepted for all; nil leaves it.
	Succeeded *bool
}

// feedbackGain is how far one Useful moves the importance towards its end.
const feedbackGain = 0.2

// maxOutcomes are counted of each kind; more would change nothing.
const maxOutcomes = 1_000_000

// Apply moves m's importance and confidence.
func (f Feedback) Apply(m *Memory) {
	if f.Useful != nil {
		target := 0.0
		if *f.Useful {
			target = 1
		}
		m.Importance += feedbackGain * (target - m.Importance)
	}
	if f.Succeeded != nil {
		if *f.Succeeded {
			m.Successes = min(m.Successes+1, maxOutcomes)
		} else {
			m.Failures = min(m.Failures+1, maxOutcomes)
		}
	}
}

// Feedback reports what came of a memory and returns it as it is now.
func (t Tenant) Feedback(ctx context.Context, id uuid.UUID, f Feedback) (Memory, error) {
	if f.Useful == nil && f.Succeeded == nil {
		return Memory{}, invalid("feedback", "say whether the memory was useful, or whether acting on it succeeded")
	}
	return t.change(ctx, id, func(_ context.Context, w Writer, m *Memory) error {
		f.Apply(m)
		return w.Put(ctx, []Memory{*m})
	})
}

// Correct gives a memory another content: a new version of it, which holds as long as the
// old one did, which stays as history. metadata nil keeps the old
// version's. Only the version that holds can be corrected. agent is who corrects.
func (t Tenant) Correct(ctx context.Context, agent string, id uuid.UUID, content string, metadata Metadata) (Memory, error) {
	item := Item{Agent: agent, Type: Episodic, Content: content, Metadata: metadata}
	draft, err := item.draft(t.client.now(), t.client.embedder)
	if err != nil {
		return Memory{}, err
	}
	if err := t.client.embedDrafts(ctx, []*Memory{draft}); err != nil {
		return Memory{}, err
	}
	m, err := t.change(ctx, id, func(ctx context.Context, w Writer, old *Memory) error {
		return t.client.correct(ctx, w, old, draft)
	})
	if err != nil {
		return Memory{}, err
	}
	return m, t.client.tell(ctx, t.id, []*Memory{draft})
}

func (c *Client) correct(ctx context.Context, w Writer, old, draft *Memory) error {
	now := c.now()
	holds := Filter{} // also what another version is known to take the place of later
	if old.SupersededBy != uuid.Nil && !holds.Holds(old, now) {
		return &Error{Kind: ErrConflict, Field: "id", Message: fmt.Sprintf("this version was superseded by %s: correct that one", old.SupersededBy)}
	}
	corrected := *old
	corrected.ID = uuid.Must(uuid.NewV7())
	corrected.Content, corrected.Vector, corrected.Model = draft.Content, draft.Vector, draft.Model
	if draft.Metadata != nil {
		corrected.Metadata = draft.Metadata
	}
	corrected.Successes, corrected.Failures, corrected.Recalls, corrected.LastRecalledAt = 0, 0, 0, time.Time{}
	corrected.Provenance.Source = "correction by " + draft.Agent
	corrected.CreatedAt, corrected.UpdatedAt = now, now
	// The old version was wrong from its beginning: it held for no time.
	ended := *old
	ended.ValidUntil, ended.SupersededBy, ended.UpdatedAt = ended.ValidFrom, corrected.ID, now
	if err := w.Put(ctx, []Memory{ended, corrected}); err != nil {
		return err
	}
	*old = corrected
	return nil
}

// Forget deletes a memory and every other version of it, and returns how many
// there were. See [Tenant.Erase] for all that is known of somebody.
func (t Tenant) Forget(ctx context.Context, id uuid.UUID) (int, error) {
	forgotten := 0
	_, err := t.change(ctx, id, func(ctx context.Context, w Writer, m *Memory) error {
		forgotten = 0
		for after := uuid.Nil; ; { // onwards, also in a back end that does not delete what it says it did
			versions, err := w.List(ctx, t.client.now(), Filter{Audience: only(m.Scope), Lineage: m.Lineage, History: true}, Order{After: after}, 500)
			if err != nil {
				return err
			}
			ids := make([]uuid.UUID, 0, len(versions)+1)
			for i := range versions {
				after = versions[i].ID
				ids = append(ids, after)
			}
			if len(ids) == 0 && forgotten == 0 {
				ids = append(ids, m.ID) // it has expired, which List does not show
			}
			if len(ids) == 0 {
				return nil
			}
			forgotten += len(ids)
			if err := w.Delete(ctx, ids); err != nil {
				return err
			}
		}
	})
	return forgotten, err
}

// Get returns a memory in whatever state.
func (t Tenant) Get(ctx context.Context, id uuid.UUID) (Memory, error) {
	if err := t.check(); err != nil {
		return Memory{}, err
	}
	var m *Memory
	err := t.client.backend.View(ctx, t.id, func(ctx context.Context, r Reader) (err error) {
		m, err = one(ctx, r, id)
		return err
	})
	if err != nil {
		return Memory{}, err
	}
	return *m, nil
}

// History returns every version of a memory, the latest first.
func (t Tenant) History(ctx context.Context, id uuid.UUID) ([]Memory, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	var versions []Memory
	err := t.client.backend.View(ctx, t.id, func(ctx context.Context, r Reader) error {
		m, err := one(ctx, r, id)
		if err != nil {
			return err
		}
		filter := Filter{Audience: only(m.Scope), Lineage: m.Lineage, History: true}
		versions, err = r.List(ctx, t.client.now(), filter, Order{Recent: true}, MaxBatch)
		return err
	})
	return versions, err
}

// List returns up to limit (1 to 1000) memories that the filter matches.
func (t Tenant) List(ctx context.Context, filter Filter, order Order, limit int) ([]Memory, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if limit < 1 || limit > MaxBatch {
		return nil, invalid("limit", fmt.Sprintf("%d: give 1 to %d", limit, MaxBatch))
	}
	if err := filter.check(); err != nil {
		return nil, err
	}
	var list []Memory
	err := t.client.backend.View(ctx, t.id, func(ctx context.Context, r Reader) (err error) {
		list, err = r.List(ctx, t.client.now(), filter, order, limit)
		return err
	})
	return list, err
}

// Stats counts the tenant's memories.
func (t Tenant) Stats(ctx context.Context) (Stats, error) {
	if err := t.check(); err != nil {
		return Stats{}, err
	}
	var stats Stats
	err := t.client.backend.View(ctx, t.id, func(ctx context.Context, r Reader) (err error) {
		stats, err = r.Stats(ctx, t.client.model())
		return err
	})
	return stats, err
}

// change reads a memory, and runs fn with it while nobody else changes its scope.
func (t Tenant) change(ctx context.Context, id uuid.UUID, fn func(ctx context.Context, w Writer, m *Memory) error) (Memory, error) {
	there, err := t.Get(ctx, id)
	if err != nil {
		return Memory{}, err
	}
	var m *Memory
	err = t.client.backend.Change(ctx, t.id, []Scope{there.Scope}, func(ctx context.Context, w Writer) error {
		if m, err = one(ctx, w, id); err != nil {
			return err
		}
		return fn(ctx, w, m)
	})
	if err != nil {
		return Memory{}, err
	}
	return *m, nil
}

func one(ctx context.Context, r Reader, id uuid.UUID) (*Memory, error) {
	found, err := r.Get(ctx, []uuid.UUID{id})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &Error{Kind: ErrNotFound, Field: "id", Message: "there is no memory " + strings.ToLower(id.String())}
	}
	return &found[0], nil
}
