package qdrant_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant"
	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// processes returns clients that share nothing but the server.
func processes(t *testing.T, server *qdranttest.Server, n int) []*zerodb.Client {
	t.Helper()
	clients := make([]*zerodb.Client, n)
	for i := range clients {
		clients[i] = remember(t, open(t, qdrant.Config{URL: server.URL}), &zerodbtest.Hashing{})
	}
	return clients
}

func TestWritersInSeveralProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	server := qdranttest.Start(t, qdranttest.Options{})
	clients, id := processes(t, server, 4), uuid.New()
	const rounds = 6
	subject, err := clients[0].Tenant(id).Store(t.Context(), "a", zerodb.Procedural, "greet in Creole first", nil, 0)
	require.NoError(t, err)
	group, ctx := errgroup.WithContext(t.Context())
	for n, client := range clients {
		tenant := client.Tenant(id)
		group.Go(func() error {
			for i := range rounds {
				// A contested fact: each must find the version before it.
				if _, err := tenant.StoreBatch(ctx, []zerodb.Item{{Agent: "a", Type: zerodb.Semantic, Key: "price", Content: fmt.Sprintf("process %d says %d", n, i)}}); err != nil {
					return err
				}
				// The same from all: there must be one.
				if _, err := tenant.Store(ctx, "a", zerodb.LongTerm, fmt.Sprintf("everybody knows number %d", i), nil, 0); err != nil {
					return err
				}
				succeeded := true
				if _, err := tenant.Feedback(ctx, subject.ID, zerodb.Feedback{Succeeded: &succeeded}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	tenant := clients[1].Tenant(id)
	m, err := tenant.Get(t.Context(), subject.ID)
	require.NoError(t, err)
	require.Equal(t, len(clients)*rounds, m.Successes, "no feedback was written over")
	everything := zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, History: true}
	all, err := tenant.List(t.Context(), everything, zerodb.Order{}, 1000)
	require.NoError(t, err)
	var versions []zerodb.Memory
	known := 0
	for _, m := range all {
		switch m.Type {
		case zerodb.Semantic:
			versions = append(versions, m)
		case zerodb.LongTerm:
			known++
		}
	}
	require.Equal(t, rounds, known)
	require.Len(t, versions, len(clients)*rounds)
	open := 0
	for _, v := range versions {
		require.Equal(t, versions[0].Lineage, v.Lineage)
		if v.SupersededBy == uuid.Nil {
			open++
			require.Zero(t, v.ValidUntil)
			continue
		}
		require.True(t, slices.ContainsFunc(versions, func(by zerodb.Memory) bool { return by.ID == v.SupersededBy && v.ValidUntil.Equal(by.ValidFrom) }), "the chain has no gap")
	}
	require.Equal(t, 1, open, "one version holds")
}

func TestRecallsCountedInSeveralProcessesAddUp(t *testing.T) {
	t.Parallel()
	server := qdranttest.Start(t, qdranttest.Options{})
	id := uuid.New()
	backends := make([]*qdrant.Backend, 4)
	for i := range backends {
		backends[i] = open(t, qdrant.Config{URL: server.URL})
	}
	tenant := remember(t, backends[0], nil).Tenant(id)
	receipt, err := tenant.Store(t.Context(), "a", zerodb.Semantic, "recalled by all", nil, 0)
	require.NoError(t, err)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const rounds = 8
	group, ctx := errgroup.WithContext(t.Context())
	for n, b := range backends {
		group.Go(func() error {
			for i := range rounds {
				recall := zerodb.Recall{ID: receipt.ID, Count: 2, At: at.Add(time.Duration(n*rounds+i) * time.Second)}
				if err := b.Recalled(ctx, id, []zerodb.Recall{recall, {ID: uuid.New(), Count: 1, At: at}}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	useful := true
	group.Go(func() error { // a change meanwhile keeps the count
		for range rounds {
			if _, err := tenant.Feedback(ctx, receipt.ID, zerodb.Feedback{Useful: &useful}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, group.Wait())
	m, err := tenant.Get(t.Context(), receipt.ID)
	require.NoError(t, err)
	require.Equal(t, 2*rounds*len(backends), m.Recalls)
	require.Equal(t, at.Add((4*rounds-1)*time.Second), m.LastRecalledAt)
	require.Greater(t, m.Importance, 0.9)
}

// TestALostLeaseWritesNothingOver stops a process in the middle of a change until
// another has taken its lease and changed the same memory.
func TestALostLeaseWritesNothingOver(t *testing.T) {
	t.Parallel()
	server := qdranttest.Start(t, qdranttest.Options{})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := clockwork.NewFakeClockAt(now)
	slow := open(t, qdrant.Config{URL: server.URL, Clock: clock})
	other := open(t, qdrant.Config{URL: server.URL, Clock: clockwork.NewFakeClockAt(now.Add(time.Minute))})
	id, scope := uuid.New(), zerodb.AgentScope("a")
	receipt, err := remember(t, slow, nil).Tenant(id).Store(t.Context(), "a", zerodb.Semantic, "the first", nil, 0)
	require.NoError(t, err)
	put := func(content string, meanwhile func()) func(context.Context, zerodb.Writer) error {
		return func(ctx context.Context, w zerodb.Writer) error {
			found, err := w.Get(ctx, []uuid.UUID{receipt.ID})
			if err != nil {
				return err
			}
			meanwhile()
			found[0].Content = content
			return w.Put(ctx, found)
		}
	}
	err = slow.Change(t.Context(), id, []zerodb.Scope{scope}, put("the slow one's", func() {
		require.NoError(t, other.Change(t.Context(), id, []zerodb.Scope{scope}, put("the other's", func() {})))
	}))
	require.ErrorIs(t, err, zerodb.ErrUnavailable)
	require.ErrorContains(t, err, "try again")
	m, err := remember(t, other, nil).Tenant(id).Get(t.Context(), receipt.ID)
	require.NoError(t, err)
	require.Equal(t, "the other's", m.Content)

	// One whose own clock says that the lease is over does not even try.
	err = slow.Change(t.Context(), id, []zerodb.Scope{scope}, put("too late", func() { clock.Advance(time.Hour) }))
	require.ErrorIs(t, err, zerodb.ErrUnavailable)
	require.ErrorContains(t, err, "longer than its lease")
	m, err = remember(t, other, nil).Tenant(id).Get(t.Context(), receipt.ID)
	require.NoError(t, err)
	require.Equal(t, "the other's", m.Content)
}

func TestAScopeThatSomebodyHoldsIsWaitedForUntilTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	server := qdranttest.Start(t, qdranttest.Options{})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	holder := open(t, qdrant.Config{URL: server.URL, Clock: clockwork.NewFakeClockAt(now)})
	early := open(t, qdrant.Config{URL: server.URL, Clock: clockwork.NewFakeClockAt(now), Lease: time.Millisecond, Timeout: time.Second})
	patient := open(t, qdrant.Config{URL: server.URL, Clock: clockwork.NewFakeClockAt(now)})
	id, scopes := uuid.New(), []zerodb.Scope{zerodb.AgentScope("a"), zerodb.TenantScope()}
	nothing := func(context.Context, zerodb.Writer) error { return nil }
	stop := errors.New("stop")
	err := holder.Change(t.Context(), id, scopes, func(ctx context.Context, _ zerodb.Writer) error {
		err := early.Change(ctx, id, scopes[1:], nothing)
		require.ErrorIs(t, err, zerodb.ErrUnavailable)
		require.ErrorContains(t, err, "another process is changing memories of tenant")
		require.NoError(t, patient.Change(ctx, id, []zerodb.Scope{zerodb.AgentScope("b")}, nothing), "another scope is free")
		require.NoError(t, patient.Change(ctx, uuid.New(), scopes, nothing), "and another tenant's")
		limited, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, holder.Change(limited, id, scopes[:1], nothing), context.Canceled, "in the same process too")
		return stop
	})
	require.ErrorIs(t, err, stop)
	require.NoError(t, patient.Change(t.Context(), id, scopes, nothing), "given back")
}

// TestAFailedChangeWritesNothing: what is written is kept until the function ends.
func TestAFailedChangeWritesNothing(t *testing.T) {
	t.Parallel()
	b := open(t, qdrant.Config{URL: qdranttest.Start(t, qdranttest.Options{}).URL})
	id, scope := uuid.New(), zerodb.AgentScope("a")
	m := zerodb.Memory{ID: uuid.Must(uuid.NewV7()), Agent: "a", Type: zerodb.Semantic, Scope: scope, Content: "a fact", ValidFrom: time.Now().UTC().Truncate(time.Microsecond)}
	m.Lineage = m.ID
	filter := zerodb.Filter{Audience: zerodb.Audience{Agent: "a"}}
	stop := errors.New("stop")
	err := b.Change(t.Context(), id, []zerodb.Scope{scope}, func(ctx context.Context, w zerodb.Writer) error {
		require.NoError(t, w.Put(ctx, []zerodb.Memory{m}))
		found, err := w.List(ctx, time.Now(), filter, zerodb.Order{Recent: true}, 10)
		require.NoError(t, err)
		require.Len(t, found, 1, "it sees its own writes")
		versions, err := w.Versions(ctx, []zerodb.Identity{{Scope: scope, Type: m.Type, Value: m.Identity()}})
		require.NoError(t, err)
		require.Len(t, versions[0], 1)
		candidates, err := w.Search(ctx, time.Now(), []zerodb.Search{{Filter: filter, Terms: []string{"fact"}, Limit: 3}})
		require.NoError(t, err)
		require.Len(t, candidates[0].List, 1)
		stats, err := w.Stats(ctx, "model")
		require.NoError(t, err)
		require.Equal(t, 1, stats.Memories)
		require.Equal(t, 1, stats.Pending)
		require.NoError(t, w.Delete(ctx, []uuid.UUID{m.ID}))
		found, err = w.Get(ctx, []uuid.UUID{m.ID})
		require.NoError(t, err)
		require.Empty(t, found)
		require.NoError(t, w.Put(ctx, []zerodb.Memory{m}))
		return stop
	})
	require.ErrorIs(t, err, stop)
	stats, err := remember(t, b, nil).Tenant(id).Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Memories)
}
