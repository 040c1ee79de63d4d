package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

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

func withMemory(ctx context.Context, p process, options []app.MemoryOption, fn func(cfg config.Config, m app.Memory, url string) error) error {
	return withMemoryDatabase(ctx, p, func(cfg config.Config, db *engardedb.DB, url string) (err error) {
		m, err := app.NewMemory(ctx, cfg, db, clockwork.NewRealClock(), options...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		return fn(cfg, m, url)
	})
}

type memoryInitCommand struct {
	Rebuild bool `help:"Make Qdrant collections anew whose vectors have another length than the embedder's. Stop what writes memories meanwhile."`
}

// Run creates or migrates.
func (c memoryInitCommand) Run(ctx context.Context, p process) error {
	var options []app.MemoryOption
	if c.Rebuild {
		options = append(options, app.RebuildCollections)
	}
	return withMemory(ctx, p, options, func(_ config.Config, m app.Memory, _ string) error { return initMemory(ctx, m, p.stdout) })
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
	return withMemory(ctx, p, nil, func(_ config.Config, m app.Memory, url string) (err error) {
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

// checkMemory prints a line for each thing that a memory must do, and fails when one does not.
func checkMemory(ctx context.Context, m app.Memory, tenant uuid.UUID, out io.Writer) error {
	fmt.Fprintf(out, "the %s memory, with the embedder %s\n", m.Kind, m.Embedder.Model())
	steps, failed := zerodb.Check(ctx, m.Backend, m.Embedder, tenant), 0
	for _, step := range steps {
		if step.Err != nil {
			failed++
			fmt.Fprintf(out, "FAILED  %s: %v\n", step.Name, step.Err)
			continue
		}
		fmt.Fprintf(out, "ok      %s\n", step.Name)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks of the memory failed", failed, len(steps))
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
		tenants, err := tenantsIn(ctx, source, url, p.stdout)
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

// tenantsIn are the tenants that have memories in the source. Those that the database does not
// know, or no more, are told of and left out: nobody could read their memories, and PostgreSQL keeps none of them.
func tenantsIn(ctx context.Context, source app.Memory, url string, out io.Writer) ([]uuid.UUID, error) {
	elsewhere, isElsewhere := source.Backend.(interface {
		Tenants(ctx context.Context) ([]uuid.UUID, error)
	})
	if !isElsewhere {
		return tenantsOf(ctx, url, "SELECT DISTINCT tenant_uuid FROM memory_partitions ORDER BY tenant_uuid")
	}
	there, err := elsewhere.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the tenants in %s: %w", source.Kind, err)
	}
	known, err := tenantsOf(ctx, url, "SELECT tenant_uuid FROM tenants ORDER BY tenant_uuid")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(there, func(tenant uuid.UUID) bool {
		if slices.Contains(known, tenant) {
			return false
		}
		fmt.Fprintf(out, "tenant %s: has memories in %s and is not in the database; they are not copied\n", tenant, source.Kind)
		return true
	}), nil
}

// tenantsOf reads as the database's owner, whom row-level security does not bind.
func tenantsOf(ctx context.Context, url, query string) (_ []uuid.UUID, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list the tenants: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
