package zerodb_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// breaking fails every Change behind the first few.
type breaking struct {
	zerodb.Backend

	left int
}

var errBroken = errors.New("the line broke")

func (b *breaking) Change(ctx context.Context, tenant uuid.UUID, scopes []zerodb.Scope, fn func(context.Context, zerodb.Writer) error) error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return b.Backend.Change(ctx, tenant, scopes, fn)
}

// filled returns a back end with n memories of each of two tenants, facts with history among them.
func filled(t *testing.T, n int) (*zerodbtest.Reference, []uuid.UUID) {
	t.Helper()
	b := zerodbtest.NewReference()
	client, err := zerodb.New(zerodb.Config{Backend: b, Embedder: &zerodbtest.Hashing{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	tenants := []uuid.UUID{uuid.New(), uuid.New()}
	for _, tenant := range tenants {
		var items []zerodb.Item
		for i := range n {
			item := zerodb.Item{
				Agent: fmt.Sprintf("walker_%d", i%5), Type: zerodb.Types()[i%6], Content: fmt.Sprintf("observation %d of the shop %d", i, i*i),
				Metadata: zerodb.Metadata{"i": i, "deep": map[string]any{"x": float64(i) / 3}},
			}
			switch i % 6 {
			case 0:
				item.Key = fmt.Sprintf("task %d", i)
			case 3: // one fact in many versions
				item.Key, item.ValidFrom = "price", time.Date(2026, 1, 1, i/24, i%24, 0, 0, time.UTC)
			}
			items = append(items, item)
		}
		_, err := client.Tenant(tenant).StoreBatch(t.Context(), items)
		require.NoError(t, err)
	}
	return b, tenants
}

func TestACopyGoesOnWhereItBrokeOffAndIsVerified(t *testing.T) {
	t.Parallel()
	const n = 900
	from, tenants := filled(t, n)
	to := zerodbtest.NewReference()
	_, err := zerodb.Copy(t.Context(), from, &breaking{Backend: to, left: 3}, tenants, nil)
	require.ErrorIs(t, err, errBroken)

	var pages int
	reports, err := zerodb.Copy(t.Context(), from, to, tenants, func(zerodb.CopyReport) { pages++ })
	require.NoError(t, err)
	require.Len(t, reports, 2)
	require.Equal(t, n, reports[0].Read)
	require.Equal(t, n-600, reports[0].Written, "three pages were there")
	require.Equal(t, n, reports[1].Written)
	require.Equal(t, 10, pages)
	for _, r := range reports {
		require.True(t, r.Complete())
		require.Equal(t, n, r.Verified)
		require.Zero(t, r.Extra)
		require.Len(t, r.Digest, 64)
	}
	again, err := zerodb.Copy(t.Context(), from, to, tenants, nil)
	require.NoError(t, err)
	require.Zero(t, again[0].Written)
	require.Equal(t, reports[0].Digest, again[0].Digest)
	back, err := zerodb.Copy(t.Context(), to, zerodbtest.NewReference(), tenants, nil)
	require.NoError(t, err)
	require.Equal(t, reports[1].Digest, back[1].Digest, "what went there and back is what it was")
}

func TestACopyTellsWhatDiffers(t *testing.T) {
	t.Parallel()
	from, tenants := filled(t, 20)
	to := zerodbtest.NewReference()
	_, err := zerodb.Copy(t.Context(), from, to, tenants[:1], nil)
	require.NoError(t, err)
	other, err := zerodb.New(zerodb.Config{Backend: to, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = other.Tenant(tenants[0]).Store(t.Context(), "walker_9", zerodb.LongTerm, "only there", nil, 0)
	require.NoError(t, err)
	list, err := other.Tenant(tenants[0]).List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, Types: []zerodb.Type{zerodb.Procedural}}, zerodb.Order{}, 1)
	require.NoError(t, err)
	succeeded := true
	_, err = other.Tenant(tenants[0]).Feedback(t.Context(), list[0].ID, zerodb.Feedback{Succeeded: &succeeded})
	require.NoError(t, err)

	// A target that takes nothing: the comparison must find out.
	reports, err := zerodb.Copy(t.Context(), from, deaf{to}, tenants, nil)
	require.NoError(t, err)
	require.False(t, reports[0].Complete())
	require.Equal(t, 1, reports[0].Different)
	require.Equal(t, 1, reports[0].Extra)
	require.Equal(t, 20, reports[1].Missing)

	reports, err = zerodb.Copy(t.Context(), from, to, tenants, nil)
	require.NoError(t, err)
	require.Equal(t, 1, reports[0].Written)
	require.True(t, reports[0].Complete())
	require.Equal(t, 1, reports[0].Extra, "nothing is deleted")

	_, err = zerodb.Copy(t.Context(), from, to, []uuid.UUID{uuid.Nil}, nil)
	require.ErrorIs(t, err, zerodb.ErrInvalid)
}

// deaf says that it has written, and has not.
type deaf struct{ zerodb.Backend }

func (deaf) Change(context.Context, uuid.UUID, []zerodb.Scope, func(context.Context, zerodb.Writer) error) error {
	return nil
}

func TestACopyRefusesAnIDThatIsSomethingElse(t *testing.T) {
	t.Parallel()
	tenant, id := uuid.New(), uuid.New()
	put := func(typ zerodb.Type) *zerodbtest.Reference {
		b := zerodbtest.NewReference()
		m := zerodb.Memory{ID: id, Lineage: id, Agent: "a", Type: typ, Scope: zerodb.AgentScope("a"), Content: "x"}
		require.NoError(t, b.Change(t.Context(), tenant, []zerodb.Scope{m.Scope}, func(ctx context.Context, w zerodb.Writer) error {
			return w.Put(ctx, []zerodb.Memory{m})
		}))
		return b
	}
	_, err := zerodb.Copy(t.Context(), put(zerodb.Semantic), put(zerodb.Episodic), []uuid.UUID{tenant}, nil)
	require.ErrorIs(t, err, zerodb.ErrConflict)
}

func TestCheckTriesARealBackEndAndLeavesNothing(t *testing.T) {
	t.Parallel()
	b, tenant := zerodbtest.NewReference(), uuid.New()
	steps := zerodb.Check(t.Context(), b, &zerodbtest.Hashing{}, tenant)
	require.Len(t, steps, 11)
	for _, step := range steps {
		require.NoError(t, step.Err, step.Name)
	}
	client, err := zerodb.New(zerodb.Config{Backend: b})
	require.NoError(t, err)
	stats, err := client.Tenant(tenant).Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Memories)
}

// blind finds nothing; hoarding deletes nothing.
type blind struct{ zerodb.Backend }

func (b blind) View(ctx context.Context, tenant uuid.UUID, fn func(context.Context, zerodb.Reader) error) error {
	return b.Backend.View(ctx, tenant, func(ctx context.Context, r zerodb.Reader) error { return fn(ctx, blindReader{r}) })
}

type blindReader struct{ zerodb.Reader }

func (blindReader) Search(_ context.Context, _ time.Time, searches []zerodb.Search) ([]zerodb.Candidates, error) {
	return make([]zerodb.Candidates, len(searches)), nil
}

type hoarding struct{ zerodb.Backend }

func (b hoarding) Change(ctx context.Context, tenant uuid.UUID, scopes []zerodb.Scope, fn func(context.Context, zerodb.Writer) error) error {
	return b.Backend.Change(ctx, tenant, scopes, func(ctx context.Context, w zerodb.Writer) error { return fn(ctx, hoardingWriter{w}) })
}

type hoardingWriter struct{ zerodb.Writer }

func (hoardingWriter) Delete(context.Context, []uuid.UUID) error { return nil }

func TestCheckSaysWhatFails(t *testing.T) {
	t.Parallel()
	failed := func(b zerodb.Backend) []string {
		var names []string
		for _, step := range zerodb.Check(t.Context(), b, &zerodbtest.Hashing{}, uuid.New()) {
			if step.Err != nil {
				names = append(names, step.Name)
			}
		}
		return names
	}
	require.Equal(t, []string{"find by words", "find by meaning", "filter by metadata", "supersede a fact, and keep the past", "expire"}, failed(blind{zerodbtest.NewReference()}))
	require.Equal(t, []string{"expire", "erase"}, failed(hoarding{zerodbtest.NewReference()}))
	require.Equal(t, []string{"store"}, failed(&breaking{Backend: zerodbtest.NewReference()}))
}
