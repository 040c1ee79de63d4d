package qdrant

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// Config is what a Backend is made of.
type Config struct {
	// URL is that of Qdrant's REST interface (ZERODB_URL), such as http://qdrant:6333 or
	// https://xyz.cloud.qdrant.io. The gRPC port is the one after the REST port: 6334. A
	// URL with the scheme grpc or grpcs names the gRPC port itself.
	URL string
	// APIKey is sent with every call (ZERODB_API_KEY). Without TLS it is sent inside a
	// private network only: to a loopback or private address, a name without a dot, or one
	// under .internal, .local, .lan, .svc.
	APIKey string
	// TLS, when not nil, is used instead of the system's roots and TLS 1.3.
	TLS *tls.Config
	// Dimension is the length of the embedder's vectors, 0 for no embedder. Init makes
	// collections for it.
	Dimension int
	// Rebuild lets Init make collections anew whose vectors have another length. Nothing may
	// write meanwhile: see [Backend.Init].
	Rebuild bool
	// Timeout is that of one attempt of one call; zero is 10 seconds. A call is tried four times.
	Timeout time.Duration
	// Lease is how long a change may take from its beginning to its last write; zero is
	// 30 seconds. A process that dies in a change keeps others from these scopes so long.
	Lease time.Duration
	// Clock tells the time that leases are reckoned by; nil is the system's.
	Clock zerodb.Clock
}

// Backend keeps memories in Qdrant. It is safe for concurrent use.
type Backend struct {
	conn     *wire.Conn
	cfg      Config
	place    address
	scopes   keyedLocks
	mu       sync.Mutex
	measured map[zerodb.Type]int // the dimension of each collection
}

var _ zerodb.Backend = (*Backend)(nil)

// New returns a Backend. It does not wait for the server: what is wrong with it
// comes with the first call, and from [Backend.Health].
func New(cfg Config) (*Backend, error) {
	place, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.APIKey != "" && !place.tls && !place.private() {
		return nil, &zerodb.Error{Kind: zerodb.ErrInvalid, Field: "ZERODB_URL", Message: "the API key would cross a public network unencrypted: use https://" + place.host}
	}
	if cfg.Dimension < 0 || cfg.Dimension > 65536 {
		return nil, &zerodb.Error{Kind: zerodb.ErrInvalid, Field: "Dimension", Message: "must be from 0 to 65536"}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 30 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{}
	}
	conn, err := wire.Dial(wire.Config{
		Host: place.dialHost(), Port: place.port, APIKey: cfg.APIKey, UseTLS: place.tls, TLS: cfg.TLS, Timeout: cfg.Timeout,
	})
	if err != nil {
		return nil, err
	}
	return &Backend{conn: conn, cfg: cfg, place: place, measured: map[zerodb.Type]int{}}, nil
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// Close closes the connection.
func (b *Backend) Close() error { return b.conn.Close() }

// Name is "qdrant".
func (*Backend) Name() string { return "qdrant" }

// CollectionName is the name of the collection that holds a type: "walker_short_term_memory".
func CollectionName(t zerodb.Type) string { return "walker_" + string(t) + "_memory" }

// leases is the collection that says who is changing which scope.
const leases = "walker_memory_leases"

func schema(t zerodb.Type, dimension int) wire.Schema {
	s := wire.Schema{Name: CollectionName(t), Dimension: dimension}
	s.Indexes = append(s.Indexes, wire.Index{Key: wire.TenantKey, Type: pb.PayloadSchemaType_Keyword, Tenant: true})
	for _, key := range []string{
		keyScope, keyAgent, keySubject, keyLineage, keyIdentity, keyModel, keyTerms, keyRevision, keyRecallRevision,
		keyValues + "[]." + valPath, keyValues + "[]." + valIs,
	} {
		s.Indexes = append(s.Indexes, wire.Index{Key: key, Type: pb.PayloadSchemaType_Keyword})
	}
	for _, key := range []string{keyValidFrom, keyValidUntil, keyExpiresAt, keyValues + "[]." + valTime} {
		s.Indexes = append(s.Indexes, wire.Index{Key: key, Type: pb.PayloadSchemaType_Datetime})
	}
	s.Indexes = append(s.Indexes, wire.Index{Key: keyValues + "[]." + valNumber, Type: pb.PayloadSchemaType_Float})
	return s
}

func leaseSchema() wire.Schema {
	return wire.Schema{Name: leases, Indexes: []wire.Index{
		{Key: wire.TenantKey, Type: pb.PayloadSchemaType_Keyword, Tenant: true},
		{Key: keyOwner, Type: pb.PayloadSchemaType_Keyword},
		{Key: keyUntil, Type: pb.PayloadSchemaType_Datetime},
	}}
}

// Health checks that Qdrant answers, that its version is one that will do, and that every collection is there.
func (b *Backend) Health(ctx context.Context) error {
	if err := b.conn.Check(ctx); err != nil {
		return err
	}
	names := []string{leases}
	for _, t := range zerodb.Types() {
		names = append(names, CollectionName(t))
	}
	missing, err := b.conn.Missing(ctx, names)
	if err == nil && len(missing) > 0 {
		err = zerodb.Unavailable(nil, "Qdrant lacks "+strings.Join(missing, ", ")+": create them with `madansara memory init`")
	}
	return err
}

// dimension is that of a collection's vectors, asked for once: see [Backend.forget].
func (b *Backend) dimension(ctx context.Context, t zerodb.Type) (int, error) {
	b.mu.Lock()
	n, known := b.measured[t]
	b.mu.Unlock()
	if known {
		return n, nil
	}
	found, err := b.conn.Inspect(ctx, CollectionName(t))
	if err != nil {
		return 0, err
	}
	if !found.Exists {
		return 0, zerodb.Unavailable(nil, "Qdrant lacks "+CollectionName(t)+": create it with `madansara memory init`")
	}
	b.mu.Lock()
	b.measured[t] = found.Dimension
	b.mu.Unlock()
	return found.Dimension, nil
}

// forget makes the dimensions be asked for again: a collection was made anew.
func (b *Backend) forget() {
	b.mu.Lock()
	clear(b.measured)
	b.mu.Unlock()
}

// View runs fn with a reader of the tenant's memories. Qdrant has no snapshots: what is
// stored while fn runs, it may see or not, also in part.
func (b *Backend) View(ctx context.Context, tenant uuid.UUID, fn func(context.Context, zerodb.Reader) error) error {
	t, err := b.conn.Tenant(tenant)
	if err != nil {
		return err
	}
	return fn(ctx, reader{b: b, t: t})
}

// Init creates what is missing of the six collections and the leases', and adds missing
// indexes. A collection whose vectors have another length than Config.Dimension is made
// anew when Config.Rebuild is set; else it is reported as "outdated" and goes on working,
// with vectors of the new length compared in the process.
func (b *Backend) Init(ctx context.Context) ([]zerodb.Collection, error) {
	if err := b.conn.Check(ctx); err != nil {
		return nil, err
	}
	b.forget()
	var report []zerodb.Collection
	for _, t := range zerodb.Types() {
		done, err := b.initOne(ctx, schema(t, b.cfg.Dimension), b.cfg.Rebuild)
		if err != nil {
			return report, err
		}
		report = append(report, done)
	}
	done, err := b.initOne(ctx, leaseSchema(), false)
	if err == nil {
		report = append(report, done)
	}
	return report, err
}

func (b *Backend) initOne(ctx context.Context, s wire.Schema, rebuild bool) (zerodb.Collection, error) {
	report := zerodb.Collection{Name: s.Name, Status: "current"}
	rebuilt, err := b.finishRebuild(ctx, s)
	if err != nil {
		return report, err
	}
	if rebuilt != "" {
		report.Status, report.Detail = "migrated", rebuilt
		return report, nil
	}
	found, err := b.conn.Inspect(ctx, s.Name)
	if err != nil {
		return report, err
	}
	if !found.Exists {
		report.Status, report.Detail = "created", fmt.Sprintf("vectors of %d numbers", s.Dimension)
		if s.Dimension == 0 {
			report.Detail = "no vectors"
		}
		return report, b.conn.Create(ctx, s)
	}
	added, err := b.conn.Complete(ctx, s, found)
	if err != nil {
		return report, err
	}
	if len(added) > 0 {
		slices.Sort(added)
		report.Status, report.Detail = "migrated", "added "+strings.Join(added, ", ")
	}
	if found.Dimension == s.Dimension || s.Dimension == 0 {
		return report, nil
	}
	if !rebuild {
		report.Status = "outdated"
		report.Detail = fmt.Sprintf("holds vectors of %d numbers, the embedder makes %d: those are compared in the process, which is slow; stop what writes memories and run `madansara memory init --rebuild`", found.Dimension, s.Dimension)
		return report, nil
	}
	report.Status = "migrated"
	report.Detail, err = b.rebuild(ctx, s, found.Dimension)
	return report, err
}
