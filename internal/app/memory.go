package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/remember"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/embed"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/qdrant"
)

// The places where memories can be kept, by their names in /health and for memory migrate.
const (
	EmbeddedMemory = "embedded" // in PostgreSQL
	QdrantMemory   = "qdrant"
)

// Memory is where the agents' memories are kept, and what compares their meanings.
type Memory struct {
	zerodb.Backend

	Kind     string // EmbeddedMemory or QdrantMemory
	Embedder zerodb.Embedder
	// Embedded is the back end that can store in a transaction of the database; nil for
	// another.
	Embedded *pgmem.Backend

	close func() error
	// unmeasured is why the length of the vectors is not known, nil if it is.
	unmeasured error
}

// Init makes or migrates the collections, for vectors of the embedder's length.
func (m Memory) Init(ctx context.Context) ([]zerodb.Collection, error) {
	if m.unmeasured != nil {
		return nil, m.unmeasured
	}
	return m.Backend.Init(ctx) //nolint:wrapcheck // the back end's own, for people
}

// Close ends the connection of a memory that is elsewhere.
func (m Memory) Close() error {
	if m.close == nil {
		return nil
	}
	return m.close()
}

// MemoryOption changes how a memory is made.
type MemoryOption func(*qdrant.Config)

// RebuildCollections lets Init make collections anew whose vectors have another length than the
// embedder's. Nothing may write meanwhile.
func RebuildCollections(c *qdrant.Config) { c.Rebuild = true }

// NewMemory makes the memory that the configuration asks for: ZERODB_URL, else db.
func NewMemory(ctx context.Context, cfg config.Config, db *engardedb.DB, clock clockwork.Clock, options ...MemoryOption) (Memory, error) {
	kind := EmbeddedMemory
	if cfg.ZeroDBURL != "" {
		kind = QdrantMemory
	}
	return NewMemoryIn(ctx, kind, cfg, db, clock, options...)
}

// NewMemoryIn makes a memory of that kind, whichever the configuration asks for.
func NewMemoryIn(ctx context.Context, kind string, cfg config.Config, db *engardedb.DB, clock clockwork.Clock, options ...MemoryOption) (Memory, error) {
	m := Memory{Kind: kind}
	var err error
	if m.Embedder, err = newEmbedder(cfg, clock); err != nil {
		return m, err
	}
	switch kind {
	case EmbeddedMemory:
		m.Embedded = pgmem.New(db, pgmem.Config{CacheBytes: 64 << 20})
		m.Backend = m.Embedded
	case QdrantMemory:
		if cfg.ZeroDBURL == "" {
			return m, errors.New("ZERODB_URL is not set; for example: ZERODB_URL=http://qdrant:6333")
		}
		m.unmeasured = measure(ctx, m.Embedder)
		place := qdrant.Config{URL: cfg.ZeroDBURL, APIKey: string(cfg.ZeroDBAPIKey), Dimension: m.Embedder.Dimension(), Clock: clock}
		for _, option := range options {
			option(&place)
		}
		backend, err := qdrant.New(place)
		if err != nil {
			return m, fmt.Errorf("ZERODB_URL: %w", err)
		}
		m.Backend, m.close = backend, backend.Close
	default:
		return m, fmt.Errorf("there is no memory %q; there are %s and %s", kind, EmbeddedMemory, QdrantMemory)
	}
	return m, nil
}

// newEmbedder is that of EMBEDDING_SERVICE_URL, else the one that needs nothing.
func newEmbedder(cfg config.Config, clock clockwork.Clock) (zerodb.Embedder, error) {
	if cfg.EmbeddingServiceURL == "" {
		builtin, err := embed.NewBuiltin()
		if err != nil {
			return nil, err //nolint:wrapcheck // it says what is wrong
		}
		return builtin, nil
	}
	service, err := embed.NewHTTP(embed.HTTPConfig{
		URL: cfg.EmbeddingServiceURL, APIKey: string(cfg.EmbeddingServiceAPIKey), Model: cfg.EmbeddingModel, Clock: clock,
	})
	if err != nil {
		return nil, fmt.Errorf("EMBEDDING_SERVICE_URL: %w", err)
	}
	return embed.NewCached(service, 0), nil
}

// measure asks a service for the length of its vectors, which its first answer tells. A
// service that is away keeps nothing from running but the making of collections.
func measure(ctx context.Context, e zerodb.Embedder) error {
	if e.Dimension() > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := e.Embed(ctx, []string{"how long are the vectors?"}); err != nil {
		return fmt.Errorf("EMBEDDING_SERVICE_URL: the length of its vectors is needed, and it does not answer: %w", err)
	}
	return nil
}

// remembering is the memory as a service has it: with a client, and the jobs that look after
// what it stores.
type remembering struct {
	Memory

	client *zerodb.Client
	jobs   *memoryjobs.Jobs
}

// openMemory makes the service's memory. Its jobs need the queue, once there is one.
func (a *App) openMemory(ctx context.Context, workers *river.Workers) (*remembering, error) {
	m, err := NewMemory(ctx, a.opts.Config, a.db, a.opts.Clock)
	if err != nil {
		return nil, err
	}
	a.closing(func(context.Context) error { return m.Close() })
	r := &remembering{Memory: m, jobs: memoryjobs.New(a.db, a.opts.Clock)}
	r.client, err = zerodb.New(zerodb.Config{
		Backend: m.Backend, Embedder: m.Embedder, Clock: a.opts.Clock, Logger: a.opts.Telemetry.Logger, Changed: r.jobs.Changed,
	})
	if err != nil {
		return nil, fmt.Errorf("open the memory: %w", err)
	}
	a.closing(r.client.Close)
	r.jobs.RegisterWorkers(workers, r.client)
	remember.RegisterWorker(workers, a.db, r.client)
	return r, nil
}

// conversions remembers each conversion: with its credits when the memory is in the same
// database, else by a job that commits with them.
func (r *remembering) conversions(queue func() *jobs.Queue) remember.Remember {
	if r.Embedded == nil {
		return remember.Later(queue)
	}
	return remember.Within(func(ctx context.Context, tx engardedb.Tx, items []zerodb.Item) error {
		_, err := r.jobs.StoreTx(ctx, tx, r.Embedded, r.client, items)
		return err //nolint:wrapcheck // remember says which conversion
	})
}

// check tells how the memory is. A memory that is away degrades the service: everything
// else goes on without it.
func (m Memory) check(logger *slog.Logger) httpkit.Check {
	tell := func(status httpkit.Status) httpkit.Component {
		return httpkit.Component{"status": status, "configured": true, "backend": m.Kind, "embedder": m.Embedder.Model()}
	}
	return httpkit.Check{
		Name: "zerodb",
		Run: func(ctx context.Context) httpkit.Component {
			if err := m.Health(ctx); err != nil {
				logger.WarnContext(ctx, "the memory is away", slog.Any("error", err))
				return tell(httpkit.Degraded)
			}
			return tell(httpkit.Healthy)
		},
		Late: func() httpkit.Component { return tell(httpkit.Degraded) },
	}
}
