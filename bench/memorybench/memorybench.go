// Package memorybench measures how fast agents' memories are found and stored,
// against one exact scan of the same vectors in memory.
package memorybench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dev/postgres"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// Options size the run; the zero value is the documented one.
type Options struct {
	Agents []int // memories of each agent (1,000, 10,000, 100,000)
	Tenant int   // memories in the tenant, other agents' included, for the last measurement (1,000,000)
	Asked  int   // searches of each measurement (300)
}

const (
	dimensions = 384
	batch      = 500
)

// Row is one measurement.
type Row struct {
	Agent, Tenant int           // memories of the agent, and in the tenant
	P50, P99      time.Duration // of one Retrieve, the scope held in the process
	Scan          time.Duration // median of one exact scan of the agent's vectors
	Best          float64       // the fastest Retrieve over the fastest scan: what is left when nothing else disturbs
	Cold          time.Duration // the first Retrieve of a new process
	StoredPerS    float64       // in batches of 500, duplicates looked for; 0: not measured
}

// Ratio is P50 over Scan.
func (r Row) Ratio() float64 { return float64(r.P50) / float64(r.Scan) }

// Result is what was measured.
type Result struct {
	Rows       []Row
	Cores      int
	PostgreSQL string
}

// String is the result for people.
func (r Result) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "vectors of %d numbers, fsync on, %d cores shared by process and PostgreSQL %s\n", dimensions, r.Cores, r.PostgreSQL)
	fmt.Fprintf(&text, "%9s %10s %9s %9s %11s %6s %11s %12s %9s\n", "agent's", "tenant's", "p50", "p99", "exact scan", "ratio", "undisturbed", "new process", "stored/s")
	for _, row := range r.Rows {
		stored := "-"
		if row.StoredPerS > 0 {
			stored = fmt.Sprintf("%.0f", row.StoredPerS)
		}
		fmt.Fprintf(&text, "%9d %10d %9s %9s %11s %6.2f %11.2f %12s %9s\n", row.Agent, row.Tenant, short(row.P50), short(row.P99), short(row.Scan), row.Ratio(), row.Best,
			short(row.Cold), stored)
	}
	return text.String()
}

func short(d time.Duration) string {
	switch {
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Microsecond).String()
	}
}

// Run measures on a throw-away PostgreSQL with fsync on.
func Run(ctx context.Context, opts Options) (_ Result, err error) {
	if len(opts.Agents) == 0 {
		opts.Agents = []int{1000, 10_000, 100_000}
	}
	opts.Tenant, opts.Asked = cmp.Or(opts.Tenant, 1_000_000), cmp.Or(opts.Asked, 300)
	dir, err := os.MkdirTemp("", "madansara-bench-")
	if err != nil {
		return Result{}, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// The server's own user must reach the cluster inside.
	if err := os.Chmod(dir, 0o755); err != nil {
		return Result{}, fmt.Errorf("bench: %w", err)
	}
	server, err := postgres.Start(ctx, postgres.Options{Dir: filepath.Join(dir, "cluster")})
	if err != nil {
		return Result{}, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := server.CreateDatabase(ctx, "bench"); err != nil {
		return Result{}, fmt.Errorf("bench: %w", err)
	}
	b := bench{opts: opts, tenant: uuid.Must(uuid.NewV7()), embedder: &zerodbtest.Hashing{Dimensions: dimensions}, random: rand.New(rand.NewPCG(1, 2))}
	if err := b.open(ctx, server.URL("bench")); err != nil {
		return Result{}, err
	}
	defer b.close(ctx)
	return b.run(ctx)
}

type bench struct {
	opts     Options
	tenant   uuid.UUID
	admin    *pgx.Conn
	db       *engardedb.DB
	embedder *zerodbtest.Hashing
	random   *rand.Rand
	words    []string
	stored   int
}

func (b *bench) open(ctx context.Context, url string) (err error) {
	if err := migrate.Up(ctx, url); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if b.admin, err = pgx.Connect(ctx, url); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if _, err := b.admin.Exec(ctx, "insert into tenants (tenant_uuid, name, created_at) values ($1, 'Bench', now())", b.tenant); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	cfg := engardedb.Defaults(url)
	cfg.Role = "madan_sara_app"
	if b.db, err = engardedb.Open(ctx, cfg); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	for i := range 4900 {
		b.words = append(b.words, fmt.Sprintf("%s%s%s", syllables[i%17], syllables[i/17%17], syllables[i/289]))
	}
	return nil
}

var syllables = strings.Fields("ka mi so tu re la ne do pi ga zo ve hu bi ce fo wa")

func (b *bench) close(ctx context.Context) {
	b.db.Close()
	_ = b.admin.Close(ctx) // the server ends with the run
}

// text is 8 to 24 words, the frequent ones of which are as frequent as in a language.
func (b *bench) text() string {
	words := make([]string, 8+b.random.IntN(17))
	for i := range words {
		// Zipf's law: the share of the n-th word is about 1/n.
		n := int(float64(len(b.words)) * (math.Pow(float64(len(b.words)), b.random.Float64()) - 1) / float64(len(b.words)-1))
		words[i] = b.words[min(n, len(b.words)-1)]
	}
	return strings.Join(words, " ")
}

// client is that of a new process.
func (b *bench) client() (*zerodb.Client, error) {
	return zerodb.New(zerodb.Config{
		Backend: pgmem.New(b.db, pgmem.Config{CacheBytes: 1 << 30}), Embedder: b.embedder, Logger: slog.New(slog.DiscardHandler),
	})
}

func (b *bench) run(ctx context.Context) (Result, error) {
	result := Result{Cores: runtime.NumCPU()}
	if err := b.admin.QueryRow(ctx, "show server_version").Scan(&result.PostgreSQL); err != nil {
		return result, fmt.Errorf("bench: %w", err)
	}
	for _, n := range b.opts.Agents {
		perSecond, err := b.fill(ctx, n)
		if err != nil {
			return result, err
		}
		row, err := b.measure(ctx, n)
		if err != nil {
			return result, err
		}
		row.StoredPerS = perSecond
		result.Rows = append(result.Rows, row)
	}
	if b.opts.Tenant > b.stored {
		if err := b.crowd(ctx); err != nil {
			return result, err
		}
		for _, n := range b.opts.Agents {
			row, err := b.measure(ctx, n)
			if err != nil {
				return result, err
			}
			result.Rows = append(result.Rows, row)
		}
	}
	return result, nil
}

func agentOf(n int) string { return fmt.Sprintf("agent_%d", n) }

// fill stores an agent's memories.
func (b *bench) fill(ctx context.Context, n int) (perSecond float64, err error) {
	client, err := b.client()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	took := time.Duration(0)
	for done := 0; done < n; done += batch {
		items := make([]zerodb.Item, min(batch, n-done))
		for i := range items {
			items[i] = zerodb.Item{Agent: agentOf(n), Type: zerodb.LongTerm, Content: b.text()}
		}
		started := time.Now()
		if _, err := client.Tenant(b.tenant).StoreBatch(ctx, items); err != nil {
			return 0, err
		}
		took += time.Since(started)
	}
	b.stored += n
	return float64(n) / took.Seconds(), nil
}

// crowd fills the tenant with other agents, copies of the largest but one in the database.
func (b *bench) crowd(ctx context.Context) error {
	size := b.opts.Agents[max(0, len(b.opts.Agents)-2)]
	for n := 0; b.stored < b.opts.Tenant; n++ {
		other := fmt.Sprintf("other_%d", n)
		if _, err := b.admin.Exec(ctx, `insert into memory_partitions (tenant_uuid, scope_kind, scope_name, changed) values ($1, 'agent', $2, 1)`, b.tenant, other); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		tag, err := b.admin.Exec(ctx, `
			insert into memories select tenant_uuid, gen_random_uuid(), lineage_uuid, scope_kind, $2, $2, type, key, identity, subject, content, metadata,
				service, source, reference, importance, prior, successes, failures, mentions, created_at, updated_at, valid_from, valid_until,
				superseded_by, expires_at, vector, model, 1
			from memories where tenant_uuid = $1 and scope_name = $3`, b.tenant, other, agentOf(size))
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		b.stored += int(tag.RowsAffected())
	}
	if _, err := b.admin.Exec(ctx, "vacuum analyze memories"); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

func (b *bench) measure(ctx context.Context, n int) (row Row, err error) {
	client, err := b.client()
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	row = Row{Agent: n, Tenant: b.stored}
	ask := func() (time.Duration, error) {
		query := b.text()
		started := time.Now()
		_, err := client.Tenant(b.tenant).Retrieve(ctx, agentOf(n), query, "", 10, 0)
		return time.Since(started), err
	}
	if row.Cold, err = ask(); err != nil {
		return row, err
	}
	vectors, err := b.vectors(ctx, n)
	if err != nil {
		return row, err
	}
	// By turns, so that what disturbs the one disturbs the other.
	asked, scans := make([]time.Duration, b.opts.Asked), make([]time.Duration, b.opts.Asked)
	for i := range asked {
		if asked[i], err = ask(); err != nil {
			return row, err
		}
		if scans[i], err = b.scan(ctx, vectors); err != nil {
			return row, err
		}
	}
	slices.Sort(asked)
	slices.Sort(scans)
	row.P50, row.P99, row.Scan = asked[len(asked)/2], asked[len(asked)*99/100], scans[len(scans)/2]
	row.Best = float64(asked[0]) / float64(scans[0])
	return row, nil
}

// vectors are an agent's, one behind the other.
func (b *bench) vectors(ctx context.Context, n int) ([]float32, error) {
	rows, err := b.admin.Query(ctx, "select vector from memories where tenant_uuid = $1 and scope_name = $2", b.tenant, agentOf(n))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	all := make([]float32, 0, n*dimensions)
	var encoded []byte
	_, err = pgx.ForEachRow(rows, []any{&encoded}, func() error {
		all = append(all, zerodb.VectorOf(encoded)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return all, nil
}

// scan is what any exact search must do: every vector compared, the ten nearest kept.
func (b *bench) scan(ctx context.Context, vectors []float32) (time.Duration, error) {
	embedded, err := b.embedder.Embed(ctx, []string{b.text()})
	if err != nil {
		return 0, err
	}
	query := embedded[0]
	started := time.Now()
	nearest := make([]float32, 0, 11)
	for at := 0; at < len(vectors); at += dimensions {
		cosine := zerodb.Dot(query, vectors[at:at+dimensions])
		if len(nearest) < 10 || cosine > nearest[len(nearest)-1] {
			place, _ := slices.BinarySearchFunc(nearest, cosine, func(a, c float32) int { return cmp.Compare(c, a) })
			nearest = slices.Insert(nearest, place, cosine)
			nearest = nearest[:min(len(nearest), 10)]
		}
	}
	took := time.Since(started)
	if len(nearest) == 0 {
		return 0, errors.New("bench: nothing was compared")
	}
	return took, nil
}
