package zerodb

import (
	"context"
	"errors"

	"github.com/google/uuid"
)

// EmbedPending embeds up to limit (1 to 1000) memories that have no vector of the client's
// model: stored while the embedder was down, in a transaction, or by another model. It returns
// how many it embedded; fewer than limit means that none are left that can be.
//
// A text that the embedder rejects for good, such as one that is too long for it, keeps no other
// from its vector: it waits on, and is found by its words.
func (t Tenant) EmbedPending(ctx context.Context, limit int) (int, error) {
	if t.client.embedder == nil {
		return 0, nil
	}
	filter := Filter{Audience: Audience{Everyone: true}, NotModel: t.client.model(), History: true}
	var after uuid.UUID
	for embedded := 0; ; {
		pending, err := t.List(ctx, filter, Order{After: after}, limit)
		if err != nil || len(pending) == 0 {
			return embedded, err
		}
		after = pending[len(pending)-1].ID
		pass := embedding{client: t.client}
		// What it took is kept also when it fails behind that.
		failed := pass.embed(ctx, pending)
		if err := t.keepVectors(ctx, pass.done); err != nil {
			return embedded, err
		}
		embedded += len(pass.done)
		if failed != nil {
			return embedded, failed
		}
		if embedded >= limit || len(pending) < limit {
			return min(embedded, limit), nil
		}
	}
}

// mostRefused texts in a row are rejected, and none is taken, until it is the embedder that is to blame.
const mostRefused = 20

// embedding is a run over memories that wait for their vectors.
type embedding struct {
	client  *Client
	done    []Memory // with their vectors
	refused int
}

// embed embeds the memories together, and, when the embedder rejects that for good, in
// halves until those are alone that it rejects.
func (e *embedding) embed(ctx context.Context, memories []Memory) error {
	texts := make([]string, len(memories))
	for i := range memories {
		texts[i] = memories[i].Content
	}
	vectors, err := embedTexts(ctx, e.client.embedder, texts)
	switch {
	case err == nil:
		for i := range memories {
			m := memories[i]
			m.Vector, m.Model = vectors[i], e.client.model()
			e.done = append(e.done, m)
		}
		return nil
	case !rejected(err):
		return err
	case len(memories) > 1:
		half := len(memories) / 2
		if err := e.embed(ctx, memories[:half]); err != nil {
			return err
		}
		return e.embed(ctx, memories[half:])
	}
	if e.refused++; e.refused >= mostRefused && len(e.done) == 0 {
		return err
	}
	e.client.logger.WarnContext(ctx, "the embedder rejects a memory's text", "memory", memories[0].ID.String(), "error", err)
	return nil
}

// rejected reports whether it is for a text that the embedder failed. It says so by an error with a method RejectsTexts.
func rejected(err error) bool {
	var of interface{ RejectsTexts() bool }
	return errors.As(err, &of) && of.RejectsTexts()
}

// keepVectors writes the vectors to those memories that have not changed meanwhile; the others wait again.
func (t Tenant) keepVectors(ctx context.Context, done []Memory) error {
	byScope := map[Scope][]uuid.UUID{}
	made := map[uuid.UUID]*Memory{}
	for i := range done {
		byScope[done[i].Scope] = append(byScope[done[i].Scope], done[i].ID)
		made[done[i].ID] = &done[i]
	}
	for scope, ids := range byScope {
		err := t.client.backend.Change(ctx, t.id, []Scope{scope}, func(ctx context.Context, w Writer) error {
			memories, err := w.Get(ctx, ids)
			if err != nil {
				return err
			}
			var embedded []Memory
			for _, m := range memories {
				if of := made[m.ID]; m.Content == of.Content {
					m.Vector, m.Model = of.Vector, of.Model
					embedded = append(embedded, m)
				}
			}
			return w.Put(ctx, embedded)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
