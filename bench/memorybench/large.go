package memorybench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/pgmem"
)

// Everyone are searches over all of a tenant's scopes, which do not fit whole into the cache.
type Everyone struct {
	Memories, CacheBytes int
	Took                 time.Duration // the first, of a new process
	Peak                 uint64        // bytes of the process's heap in it, at most
	P50, P99, Fastest    time.Duration // of those after it
	Held                 int           // bytes of the cache in use then
	Scopes, Compact      int           // held, and held compact
	Recall10, Recall50   float64
}

// Recall is how many of the nearest vectors a search over a compact scope finds, of one kind of vectors.
type Recall struct {
	Kind                 string
	Memories, Dimensions int
	At10, At50           float64
	Held                 int
	P50                  time.Duration // of one search by vector
}

func (r Result) writeLarge(text *strings.Builder) {
	for _, e := range r.Everyone {
		fmt.Fprintf(text, "\nall scopes of the tenant, %d memories, with a cache of %d MiB: %s, heap at most %d MiB", e.Memories, e.CacheBytes>>20, short(e.Took), e.Peak>>20)
		fmt.Fprintf(text, "\n    after that p50 %s, p99 %s, fastest %s; %d of %d scopes compact, %d bytes a memory; recall@10 %.3f, @50 %.3f\n",
			short(e.P50), short(e.P99), short(e.Fastest), e.Compact, e.Scopes, e.Held/e.Memories, e.Recall10, e.Recall50)
	}
	if len(r.Recall) > 0 {
		fmt.Fprintf(text, "\n%-36s %9s %8s %10s %10s %13s %9s\n", "a compact scope of", "memories", "numbers", "recall@10", "recall@50", "bytes/memory", "p50")
	}
	for _, k := range r.Recall {
		fmt.Fprintf(text, "%-36s %9d %8d %10.3f %10.3f %13d %9s\n", k.Kind, k.Memories, k.Dimensions, k.At10, k.At50, k.Held/k.Memories, short(k.P50))
	}
}

// everyone searches all scopes of the tenant with the cache that a service has.
func (b *bench) everyone(ctx context.Context, cacheBytes int) (e Everyone, err error) {
	e = Everyone{Memories: b.stored, CacheBytes: cacheBytes}
	client, err := b.client(e.CacheBytes)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	ask := func() (time.Duration, error) {
		query := b.text()
		started := time.Now()
		_, err := client.Tenant(b.tenant).Search(ctx, zerodb.Query{Everyone: true, Text: query})
		return time.Since(started), err
	}
	debug.FreeOSMemory()
	ended, watched := make(chan struct{}), make(chan uint64)
	go func() { watched <- peak(ended) }()
	e.Took, err = ask()
	close(ended)
	e.Peak = <-watched
	asked := make([]time.Duration, b.opts.Asked)
	for i := 0; i < len(asked) && err == nil; i++ {
		asked[i], err = ask()
	}
	if err != nil {
		return e, err
	}
	slices.Sort(asked)
	e.P50, e.P99, e.Fastest = asked[len(asked)/2], asked[len(asked)*99/100], asked[0]
	stats := cacheOf(client)
	e.Held, e.Scopes, e.Compact = stats.Bytes, stats.Scopes, stats.Compact
	queries, err := b.queries(ctx, b.opts.Queries)
	if err != nil {
		return e, err
	}
	e.Recall10, e.Recall50, _, err = b.compare(ctx, client, b.tenant, b.embedder.Model(), queries)
	return e, err
}

func cacheOf(client *zerodb.Client) pgmem.CacheStats {
	backend, ok := client.Backend().(*pgmem.Backend)
	if !ok {
		return pgmem.CacheStats{}
	}
	return backend.CacheStats()
}

func (b *bench) queries(ctx context.Context, n int) ([][]float32, error) {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = b.text()
	}
	return unit(b.embedder.Embed(ctx, texts))
}

// unit are vectors of length one.
func unit(vectors [][]float32, err error) ([][]float32, error) {
	for i := range vectors {
		if err == nil {
			vectors[i], err = zerodb.Normalize(vectors[i])
		}
	}
	return vectors, err
}

// compare returns which share of the nearest vectors of a tenant the client finds among as many: those no farther
// than the true last, because the tenant may hold a vector several times.
func (b *bench) compare(ctx context.Context, client *zerodb.Client, tenant uuid.UUID, model string, queries [][]float32) (at10, at50 float64, p50 time.Duration, err error) {
	const most, alike = 50, 1e-6
	exact, err := b.nearest(ctx, tenant, queries, most)
	if err != nil {
		return 0, 0, 0, err
	}
	took := make([]time.Duration, len(queries))
	for i, query := range queries {
		var found []zerodb.Candidates
		started := time.Now()
		err := client.Backend().View(ctx, tenant, func(ctx context.Context, r zerodb.Reader) (err error) {
			search := zerodb.Search{Filter: zerodb.Filter{Audience: zerodb.Audience{Everyone: true}}, Vector: query, Model: model, Limit: most}
			found, err = r.Search(ctx, started, []zerodb.Search{search})
			return err
		})
		if err != nil {
			return 0, 0, 0, err
		}
		took[i] = time.Since(started)
		for _, candidate := range found[0].List {
			if candidate.Cosine >= float64(exact[i][9])-alike {
				at10++
			}
			if candidate.Cosine >= float64(exact[i][most-1])-alike {
				at50++
			}
		}
	}
	slices.Sort(took)
	n := float64(len(queries))
	return min(at10/10/n, 1), min(at50/most/n, 1), took[len(took)/2], nil
}

// nearest returns the highest cosines of a tenant's vectors with each query, the highest first.
func (b *bench) nearest(ctx context.Context, tenant uuid.UUID, queries [][]float32, most int) ([][]float32, error) {
	rows, err := b.admin.Query(ctx, "select vector from memories where tenant_uuid = $1", tenant)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	best := make([][]float32, len(queries))
	var encoded []byte
	_, err = pgx.ForEachRow(rows, []any{&encoded}, func() error {
		vector := zerodb.VectorOf(encoded)
		for i, query := range queries {
			cosine := zerodb.Dot(query, vector)
			if len(best[i]) == most && cosine <= best[i][most-1] {
				continue
			}
			place, _ := slices.BinarySearchFunc(best[i], cosine, func(a, c float32) int { return cmp.Compare(c, a) })
			best[i] = slices.Insert(best[i], place, cosine)
			best[i] = best[i][:min(len(best[i]), most)]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	for i := range best {
		if len(best[i]) < most {
			return nil, errors.New("bench: there are too few vectors to compare with")
		}
	}
	return best, nil
}

// peak returns the most bytes that the heap took up until ended.
func peak(ended <-chan struct{}) (most uint64) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for {
		metrics.Read(sample)
		most = max(most, sample[0].Value.Uint64())
		select {
		case <-ended:
			return most
		case <-ticker.C:
		}
	}
}
