package zerodb

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Rename makes what is remembered of one subject be remembered of another, because the two
// turned out to be one: memories of all types, scopes and agents, every version of them. It returns how
// many it renamed.
//
// A key that was made of the subject and a predicate is made again. Where both subjects
// have versions of a key they become one history, in which the later fact supersedes the
// earlier; of two working memories of a key the later changed stays. Contents are left as they are.
// It may be repeated: what was renamed is not found any more.
func (t Tenant) Rename(ctx context.Context, from, to string) (int, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	if err := checkName("from", from, true); err != nil {
		return 0, err
	}
	if err := checkName("to", to, true); err != nil {
		return 0, err
	}
	if from == to {
		return 0, invalid("to", "is the subject's name already")
	}
	renamed := 0
	for _, expired := range []bool{false, true} {
		filter := Filter{Audience: Audience{Everyone: true}, Subject: from, History: true, Expired: expired}
		err := t.each(ctx, filter, func(page []Memory) error {
			n, err := t.renamePage(ctx, page, from, to)
			renamed += n
			return err
		})
		if err != nil {
			return renamed, err
		}
	}
	return renamed, nil
}

func (t Tenant) renamePage(ctx context.Context, page []Memory, from, to string) (renamed int, err error) {
	byScope := map[Scope][]uuid.UUID{}
	for i := range page {
		byScope[page[i].Scope] = append(byScope[page[i].Scope], page[i].ID)
	}
	for scope, ids := range byScope {
		done := 0
		err := t.client.backend.Change(ctx, t.id, []Scope{scope}, func(ctx context.Context, w Writer) error {
			memories, err := w.Get(ctx, ids) // again: they may have changed since the page was read
			if err != nil {
				return err
			}
			memories = slices.DeleteFunc(memories, func(m Memory) bool { return m.Subject != from })
			done = len(memories)
			return t.client.rename(ctx, w, memories, from, to)
		})
		if err != nil {
			return renamed, err
		}
		renamed += done
	}
	return renamed, nil
}

// rename gives memories of one scope their new subject, and files those whose key
// changed among the versions that the key has.
func (c *Client) rename(ctx context.Context, w Writer, memories []Memory, from, to string) error {
	var identities []Identity
	moved := map[Identity][]*Memory{}
	for i := range memories {
		m := &memories[i]
		m.Subject = to
		if m.Metadata["subject"] == from {
			m.Metadata = maps.Clone(m.Metadata)
			m.Metadata["subject"] = to
		}
		predicate, derived := strings.CutPrefix(m.Key, from+" ")
		if !derived || checkName("key", to+" "+predicate, true) != nil {
			continue // its own key, or one that would be too long: the subject is what counts
		}
		m.Key = to + " " + predicate
		if !m.Expired(c.now()) {
			identity := identityOf(m)
			if moved[identity] == nil {
				identities = append(identities, identity)
			}
			moved[identity] = append(moved[identity], m)
		}
	}
	put := map[uuid.UUID]Memory{}
	for i := range memories {
		put[memories[i].ID] = memories[i]
	}
	drop, err := c.fileVersions(ctx, w, identities, moved, put)
	if err != nil {
		return err
	}
	return putAndDrop(ctx, w, put, drop)
}

// putAndDrop writes what fileVersions left of put, and deletes what lost its place.
func putAndDrop(ctx context.Context, w Writer, put map[uuid.UUID]Memory, drop []uuid.UUID) error {
	for _, id := range drop {
		delete(put, id)
	}
	if len(put) > 0 {
		if err := w.Put(ctx, slices.Collect(maps.Values(put))); err != nil {
			return err
		}
	}
	if len(drop) == 0 {
		return nil
	}
	return w.Delete(ctx, drop)
}

// fileVersions orders the versions of each identity anew, those moved to it among those that
// are there, adds to put what that changes, and returns what has lost its place.
func (c *Client) fileVersions(ctx context.Context, w Writer, identities []Identity, moved map[Identity][]*Memory, put map[uuid.UUID]Memory) (drop []uuid.UUID, err error) {
	if len(identities) == 0 {
		return nil, nil
	}
	there, err := w.Versions(ctx, identities)
	if err != nil {
		return nil, err
	}
	for i, identity := range identities {
		versions := moved[identity]
		for j := range there[i] {
			m := &there[i][j]
			_, isPut := put[m.ID] // it is moved, or it is of another identity now
			if !isPut && !m.Expired(c.now()) {
				versions = append(versions, m)
			}
		}
		if !lives[identity.Type].versioned {
			slices.SortFunc(versions, func(a, b *Memory) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
			last := len(versions) - 1
			for _, m := range versions[:last] {
				drop = append(drop, m.ID)
			}
			versions = versions[last:]
		}
		chain(versions)
		for _, m := range versions {
			put[m.ID] = *m
		}
	}
	return drop, nil
}

// chain makes versions one history: each holds no longer than until the next begins.
func chain(versions []*Memory) {
	slices.SortFunc(versions, compareVersions)
	for i, m := range versions {
		m.Lineage = versions[0].Lineage
		if i == len(versions)-1 {
			break
		}
		next := versions[i+1]
		if m.ValidUntil.IsZero() || m.ValidUntil.After(next.ValidFrom) {
			m.ValidUntil = next.ValidFrom
		}
		m.SupersededBy = next.ID
	}
}
