package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/zerodb"
)

type memoryCommand struct {
	Init    memoryInitCommand    `cmd:"" help:"Create or migrate what the memory needs, and print a line for each collection. It may be repeated."`
	Check   memoryCheckCommand   `cmd:"" help:"Store, find, expire and erase for real, and say what fails."`
	Migrate memoryMigrateCommand `cmd:"" help:"Copy every tenant's memories to the other back end. Stop what writes memories meanwhile."`
}

// memoryRole reads and writes memories, as the service does.
const memoryRole = "madan_sara_app"

// withMemoryDatabase runs fn with the database and its URL, whose tables are current.
func withMemoryDatabase(ctx context.Context, p process, fn func(cfg config.Config, db *engardedb.DB, url string) error) (err error) {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop()) }()
	// The memory's tables come with all others: a database that lacks some is brought up to date.
	if err := migrate.Up(ctx, database.url); err != nil {
		return err
	}
	db, err := engardedb.Open(ctx, cfg.Pool(database.url, memoryRole))
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer db.Close()
	return fn(cfg, db, database.url)
}

func withMemory(ctx context.Context, p process, fn func(cfg config.Config, m app.Memory, url string) error) error {
	return withMemoryDatabase(ctx, p, func(cfg config.Config, db *engardedb.DB, url string) (err error) {
		m, err := app.NewMemory(ctx, cfg, db, clockwork.NewRealClock())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		return fn(cfg, m, url)
	})
}

type memoryInitCommand struct{}

// Run creates or migrates.
func (memoryInitCommand) Run(ctx context.Context, p process) error {
	return withMemory(ctx, p, func(_ config.Config, m app.Memory, _ string) error { return initMemory(ctx, m, p.stdout) })
}

func initMemory(ctx context.Context, m app.Memory, out io.Writer) error {
	collections, err := m.Init(ctx)
	for _, c := range collections {
		line := c.Name + ": " + c.Status
		if c.Detail != "" {
			line += " (" + c.Detail + ")"
		}
		fmt.Fprintln(out, line)
	}
	if err != nil {
		return fmt.Errorf("make the %s memory: %w", m.Kind, err)
	}
	return nil
}

type memoryCheckCommand struct{}

// Run goes through a memory's life with a tenant of its own, which is gone afterwards.
func (memoryCheckCommand) Run(ctx context.Context, p process) error {
	return withMemory(ctx, p, func(_ config.Config, m app.Memory, url string) (err error) {
		tenant, remove, err := checkTenant(ctx, url)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, remove()) }()
		return checkMemory(ctx, m, tenant, p.stdout)
	})
}

// checkTenant adds a tenant for a check, and returns what removes it.
func checkTenant(ctx context.Context, url string) (uuid.UUID, func() error, error) {
	tenant := uuid.Must(uuid.NewV7())
	as := func(ctx context.Context, sql string) (err error) {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return fmt.Errorf("reach the database: %w", err)
		}
		defer func() { err = errors.Join(err, conn.Close(ctx)) }()
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT set_config('app.tenant_uuid', $1, true)", tenant.String()); err != nil {
				return fmt.Errorf("name the tenant: %w", err)
			}
			_, err := tx.Exec(ctx, sql, tenant)
			return err
		})
	}
	if err := as(ctx, "INSERT INTO tenants (tenant_uuid, name, created_at) VALUES ($1, 'memory check', now())"); err != nil {
		return tenant, nil, fmt.Errorf("add a tenant for the check: %w", err)
	}
	return tenant, func() error {
		if err := as(context.WithoutCancel(ctx), "DELETE FROM tenants WHERE tenant_uuid = $1"); err != nil {
			return fmt.Errorf("remove the check's tenant %s: %w", tenant, err)
		}
		return nil
	}, nil
}

// laterClock is the system's, put forward: an expiry is waited for without waiting.
type laterClock struct{ by time.Duration }

func (c *laterClock) Now() time.Time { return time.Now().Add(c.by) }

// checkMemory prints a line for each thing that a memory must do, and fails when one does not.
func checkMemory(ctx context.Context, m app.Memory, tenant uuid.UUID, out io.Writer) error {
	clock := &laterClock{}
	client, err := zerodb.New(zerodb.Config{Backend: m.Backend, Embedder: m.Embedder, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("open the memory: %w", err)
	}
	defer func() { _ = client.Close(ctx) }() // it holds nothing but recalls of what is erased
	c := memoryCheck{ctx: ctx, memory: client.Tenant(tenant), clock: clock, embedder: m.Embedder}
	steps := []struct {
		name string
		run  func() error
	}{
		{"the " + m.Kind + " back end answers", func() error { return m.Health(ctx) }},
		{"the embedder " + m.Embedder.Model() + " answers", c.embed},
		{"a fact is stored", c.store},
		{"it is found by its words", c.find},
		{"a newer fact supersedes it, and the past is kept", c.supersede},
		{"a memory expires and is dropped", c.expire},
		{"a subject is erased", c.erase},
	}
	failed := 0
	for _, step := range steps {
		if err := step.run(); err != nil {
			failed++
			fmt.Fprintf(out, "FAILED  %s: %v\n", step.name, err)
			continue
		}
		fmt.Fprintf(out, "ok      %s\n", step.name)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks of the memory failed", failed, len(steps))
	}
	return nil
}

type memoryCheck struct {
	ctx      context.Context
	memory   zerodb.Tenant
	clock    *laterClock
	embedder zerodb.Embedder
}

const checkAgent = "memory_check"

func (c *memoryCheck) embed() error {
	vectors, err := c.embedder.Embed(c.ctx, []string{"which channel does the customer prefer?"})
	if err != nil {
		return err
	}
	if len(vectors) != 1 || len(vectors[0]) != c.embedder.Dimension() {
		return errors.New("it answered no vector of the length it announces")
	}
	return nil
}

func (c *memoryCheck) fact(content string) error {
	_, err := c.memory.StoreBatch(c.ctx, []zerodb.Item{{
		Agent: checkAgent, Type: zerodb.Semantic, Subject: "check:42", Predicate: "preferred channel", Content: content, ValidFrom: c.clock.Now(),
	}})
	return err
}

func (c *memoryCheck) store() error { return c.fact("the checked customer prefers telegrams") }

func (c *memoryCheck) find() error {
	return c.expect("telegrams", "the checked customer prefers telegrams", time.Time{})
}

// expect fails unless a search finds that content first.
func (c *memoryCheck) expect(query, content string, asOf time.Time) error {
	result, err := c.memory.Search(c.ctx, zerodb.Query{Agent: checkAgent, Text: query, Unseen: true, Filter: zerodb.Filter{AsOf: asOf}})
	if err != nil {
		return err
	}
	if len(result.Hits) == 0 {
		return fmt.Errorf("a search for %q found nothing", query)
	}
	if found := result.Hits[0].Memory.Content; found != content {
		return fmt.Errorf("a search for %q found %q", query, found)
	}
	return nil
}

func (c *memoryCheck) supersede() error {
	before := c.clock.Now()
	c.clock.by += time.Minute
	if err := c.fact("the checked customer prefers carrier pigeons"); err != nil {
		return err
	}
	if err := c.expect("what does the checked customer prefer", "the checked customer prefers carrier pigeons", time.Time{}); err != nil {
		return err
	}
	return c.expect("what does the checked customer prefer", "the checked customer prefers telegrams", before)
}

func (c *memoryCheck) expire() error {
	if _, err := c.memory.Store(c.ctx, checkAgent, zerodb.Working, "a zeppelin leaves in a minute", nil, time.Minute); err != nil {
		return err
	}
	if err := c.expect("zeppelin", "a zeppelin leaves in a minute", time.Time{}); err != nil {
		return err
	}
	c.clock.by += 2 * time.Minute
	hits, err := c.memory.Retrieve(c.ctx, checkAgent, "zeppelin", "", 10, 0)
	if err != nil {
		return err
	}
	for i := range hits { // others may be near in meaning
		if hits[i].Memory.Type == zerodb.Working {
			return errors.New("it is still found")
		}
	}
	report, err := c.memory.Upkeep(c.ctx)
	if err != nil {
		return err
	}
	if report.Expired != 1 {
		return fmt.Errorf("upkeep dropped %d memories instead of 1", report.Expired)
	}
	return nil
}

func (c *memoryCheck) erase() error {
	receipt, err := c.memory.Erase(c.ctx, zerodb.Erasure{Subject: "check:42"})
	if err != nil {
		return err
	}
	if receipt.Erased != 2 || receipt.Remaining != 0 {
		return fmt.Errorf("%d memories were erased and %d are left, instead of 2 and 0", receipt.Erased, receipt.Remaining)
	}
	return nil
}

type memoryMigrateCommand struct {
	To string `required:"" enum:"embedded,qdrant" help:"Where the memories go: ${enum}."`
}

// Run copies and compares. It may be repeated: it goes on where it was broken off.
func (c *memoryMigrateCommand) Run(ctx context.Context, p process) error {
	return withMemoryDatabase(ctx, p, func(cfg config.Config, db *engardedb.DB, url string) (err error) {
		from, to := app.QdrantMemory, app.EmbeddedMemory
		if c.To == app.QdrantMemory {
			from, to = to, from
		}
		if cfg.ZeroDBURL == "" {
			return usageError{errors.New("ZERODB_URL is not set: it names the Qdrant that memories are copied from or to; for example: ZERODB_URL=http://qdrant:6333")}
		}
		clock := clockwork.NewRealClock()
		source, err := app.NewMemoryIn(ctx, from, cfg, db, clock)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, source.Close()) }()
		target, err := app.NewMemoryIn(ctx, to, cfg, db, clock)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, target.Close()) }()
		if err := initMemory(ctx, target, p.stdout); err != nil {
			return err
		}
		tenants, err := allTenants(ctx, url)
		if err != nil {
			return err
		}
		return copyMemories(ctx, source, target, tenants, p.stdout)
	})
}

// copyMemories copies and compares both sides afterwards, by the hash of every memory.
func copyMemories(ctx context.Context, source, target app.Memory, tenants []uuid.UUID, out io.Writer) error {
	reports, err := zerodb.Copy(ctx, source.Backend, target.Backend, tenants, nil)
	total, incomplete := 0, 0
	for i := range reports {
		r := &reports[i]
		if r.Read > 0 || r.Extra > 0 {
			fmt.Fprintf(out, "tenant %s: %d memories, %d of them written now, %d verified", r.Tenant, r.Read, r.Written, r.Verified)
			if r.Extra > 0 {
				fmt.Fprintf(out, "; %d more are in %s only", r.Extra, target.Kind)
			}
			fmt.Fprintln(out)
		}
		total += r.Verified
		if !r.Complete() {
			incomplete++
			fmt.Fprintf(out, "tenant %s: %d are missing and %d differ: something writes memories meanwhile\n", r.Tenant, r.Missing, r.Different)
		}
	}
	if err != nil {
		return fmt.Errorf("after %d verified memories (run it again, it goes on from there): %w", total, err)
	}
	if incomplete > 0 {
		return fmt.Errorf("%d tenants are not copied completely: stop what writes memories, and run it again", incomplete)
	}
	fmt.Fprintf(out, "%d memories are in %s now. The copies in %s stay until you delete them.\n", total, target.Kind, source.Kind)
	return nil
}

// allTenants are read as the database's owner, whom row-level security does not bind.
func allTenants(ctx context.Context, url string) (_ []uuid.UUID, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, "SELECT tenant_uuid FROM tenants ORDER BY tenant_uuid")
	if err != nil {
		return nil, fmt.Errorf("list the tenants: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
