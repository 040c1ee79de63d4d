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
	Agents  []int // memories of each agent (1,000, 10,000, 100,000)
	Tenant  int   // memories in the tenant, other agents' included, for the last measurement (1,000,000; negative: leave it out)
	Asked   int   // searches of each measurement (300)
	Singly  int   // memories stored one after another (300)
	Vectors int   // of each kind that recall is measured on (100,000)
	Queries int   // for which recall is measured (100)
}

const (
	dimensions = 384
	batch      = 500
)

// Row is one measurement. The scans are of the agent's vectors.
type Row struct {
	Agent, Tenant int           // memories of the agent, and in the tenant
	P50, P99      time.Duration // of one Retrieve, the scope held in the process
	Scan          time.Duration // median of one exact scan in Go
	Best          float64       // the fastest Retrieve over the fastest such scan: what is left when nothing else disturbs
	SIMD          time.Duration // the fastest scan with the processor's vector instructions
	Cold          time.Duration // the first Retrieve of a new process
	StoredPerS    float64       // in batches of 500, near-duplicates looked for; 0: not measured
	SinglyPerS    float64       // one after another, each with its commit
}

// Ratio is P50 over Scan.
func (r Row) Ratio() float64 { return float64(r.P50) / float64(r.Scan) }

// Result is what was measured.
type Result struct {
	Rows       []Row
	Everyone   []Everyone // with more and more memories in the tenant
	Recall     []Recall
	Stream     float64 // bytes a second that one core reads from memory
	Cores      int
	PostgreSQL string
	Busy       string // how busy the machine was before the run
}

// String is the result for people.
func (r Result) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "vectors of %d numbers, fsync on, %d cores shared by process and PostgreSQL %s; load average before the run: %s\n\n",
		dimensions, r.Cores, r.PostgreSQL, r.Busy)
	fmt.Fprintf(&text, "%9s %9s %9s %9s %11s %6s %11s %11s %12s\n", "agent's", "tenant's", "p50", "p99", "scan in Go", "ratio", "undisturbed", "vector scan", "new process")
	for _, row := range r.Rows {
		fmt.Fprintf(&text, "%9d %9d %9s %9s %11s %6.2f %11.2f %11s %12s\n", row.Agent, row.Tenant, short(row.P50), short(row.P99), short(row.Scan), row.Ratio(),
			row.Best, short(row.SIMD), short(row.Cold))
	}
	text.WriteString("\nstored a second   batches of 500   one by one\n")
	for _, row := range r.Rows {
		if row.StoredPerS > 0 {
			fmt.Fprintf(&text, "up to %9d   %14.0f   %10.0f\n", row.Agent, row.StoredPerS, row.SinglyPerS)
		}
	}
	r.writeLarge(&text)
	if r.Stream > 0 {
		largest := slices.MaxFunc(r.Rows, func(a, b Row) int { return cmp.Compare(a.Agent, b.Agent) })
		read := float64(largest.Agent*dimensions*4) / largest.SIMD.Seconds()
		fmt.Fprintf(&text, "\none core reads %.0f GB/s of memory in plain Go; the vector scan of %d goes through %.0f GB/s\n", r.Stream/1e9, largest.Agent, read/1e9)
	}
	return text.String()
}

func short(d time.Duration) string {
	switch {
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}

// Run measures on a throw-away PostgreSQL with fsync on.
func Run(ctx context.Context, opts Options) (_ Result, err error) {
	if len(opts.Agents) == 0 {
		opts.Agents = []int{1000, 10_000, 100_000}
	}
	opts.Tenant, opts.Asked, opts.Singly = cmp.Or(opts.Tenant, 1_000_000), cmp.Or(opts.Asked, 300), cmp.Or(opts.Singly, 300)
	opts.Vectors, opts.Queries = cmp.Or(opts.Vectors, 100_000), cmp.Or(opts.Queries, 100)
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
func (b *bench) client(cacheBytes int) (*zerodb.Client, error) {
	return zerodb.New(zerodb.Config{
		Backend: pgmem.New(b.db, pgmem.Config{CacheBytes: cacheBytes}), Embedder: b.embedder, Logger: slog.New(slog.DiscardHandler),
	})
}

// ample holds the largest agent.
const ample = 1 << 30

func (b *bench) run(ctx context.Context) (Result, error) {
	result := Result{Cores: runtime.NumCPU(), Busy: busy()}
	if err := b.admin.QueryRow(ctx, "show server_version").Scan(&result.PostgreSQL); err != nil {
		return result, fmt.Errorf("bench: %w", err)
	}
	for _, n := range b.opts.Agents {
		batched, singly, err := b.fill(ctx, n)
		if err != nil {
			return result, err
		}
		row, err := b.measure(ctx, n)
		if err != nil {
			return result, err
		}
		row.StoredPerS, row.SinglyPerS = batched, singly
		result.Rows = append(result.Rows, row)
	}
	result.Stream = stream()
	everyone := func(cacheBytes int) error {
		e, err := b.everyone(ctx, cacheBytes)
		result.Everyone = append(result.Everyone, e)
		return err
	}
	var err error
	if err = everyone(128 << 20); err != nil {
		return result, err
	}
	if result.Recall, err = b.recall(ctx); err != nil {
		return result, err
	}
	if b.opts.Tenant <= b.stored {
		return result, nil
	}
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
	return result, everyone(512 << 20)
}

// busy is the machine's load average, "unknown" where there is none to read.
func busy() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

func agentOf(n int) string { return fmt.Sprintf("agent_%d", n) }

// measuredStores is how many memories are stored in batches to measure it; the larger agents
// are loaded up to there.
const measuredStores = 5000

// fill stores an agent's memories: the last of them in batches, and the very last one by one.
func (b *bench) fill(ctx context.Context, n int) (batched, singly float64, err error) {
	client, err := b.client(ample)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	alone := min(b.opts.Singly, n/2)
	loaded := max(0, n-alone-measuredStores)
	if err := b.load(ctx, client, n, loaded); err != nil {
		return 0, 0, err
	}
	if batched, err = b.store(ctx, client, n, n-alone-loaded, batch); err != nil {
		return 0, 0, err
	}
	singly, err = b.store(ctx, client, n, alone, 1)
	return batched, singly, err
}

// load puts memories as they are, without looking for what they repeat.
func (b *bench) load(ctx context.Context, client *zerodb.Client, n, count int) error {
	now := time.Now().UTC().Truncate(time.Microsecond)
	scope := zerodb.AgentScope(agentOf(n))
	for done := 0; done < count; done += batch {
		memories := make([]zerodb.Memory, min(batch, count-done))
		for i := range memories {
			content := b.text()
			vectors, err := b.embedder.Embed(ctx, []string{content})
			if err != nil {
				return err
			}
			vector, err := zerodb.Normalize(vectors[0])
			if err != nil {
				return err
			}
			id := uuid.Must(uuid.NewV7())
			memories[i] = zerodb.Memory{
				ID: id, Lineage: id, Agent: agentOf(n), Type: zerodb.LongTerm, Scope: scope, Content: content, Importance: 0.5, Prior: 0.8, Mentions: 1,
				CreatedAt: now, UpdatedAt: now, ValidFrom: now, Vector: vector, Model: b.embedder.Model(),
			}
		}
		err := client.Backend().Change(ctx, b.tenant, []zerodb.Scope{scope}, func(ctx context.Context, w zerodb.Writer) error { return w.Put(ctx, memories) })
		if err != nil {
			return err
		}
	}
	b.stored += count
	return nil
}

// store stores count memories of the agent of n in batches of size, and returns how many a second.
func (b *bench) store(ctx context.Context, client *zerodb.Client, n, count, size int) (float64, error) {
	var took time.Duration
	for done := 0; done < count; done += size {
		items := make([]zerodb.Item, min(size, count-done))
		for i := range items {
			items[i] = zerodb.Item{Agent: agentOf(n), Type: zerodb.LongTerm, Content: b.text()}
		}
		started := time.Now()
		if _, err := client.Tenant(b.tenant).StoreBatch(ctx, items); err != nil {
			return 0, err
		}
		took += time.Since(started)
	}
	b.stored += count
	return float64(count) / took.Seconds(), nil
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
