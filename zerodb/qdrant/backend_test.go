package qdrant_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant"
	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// remember returns a client of the back end.
func remember(t *testing.T, b zerodb.Backend, embedder zerodb.Embedder) *zerodb.Client {
	t.Helper()
	client, err := zerodb.New(zerodb.Config{Backend: b, Embedder: embedder, Logger: slog.New(slog.DiscardHandler), FlushRecalls: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close(context.WithoutCancel(t.Context()))) })
	return client
}

func TestInitCreatesMigratesAndRepeats(t *testing.T) {
	t.Parallel()
	server := qdranttest.Start(t, qdranttest.Options{})
	b, err := qdrant.New(qdrant.Config{URL: server.URL, Dimension: 64})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	err = b.Health(t.Context())
	require.ErrorIs(t, err, zerodb.ErrUnavailable)
	require.ErrorContains(t, err, "walker_short_term_memory")
	require.ErrorContains(t, err, "madansara memory init")
	tenant := remember(t, b, nil).Tenant(uuid.New())
	_, err = tenant.Store(t.Context(), "a", zerodb.Semantic, "too early", nil, 0)
	require.ErrorContains(t, err, "madansara memory init")

	names := []string{
		"walker_working_memory", "walker_short_term_memory", "walker_episodic_memory", "walker_semantic_memory",
		"walker_procedural_memory", "walker_long_term_memory", "walker_memory_leases",
	}
	for _, status := range []string{"created", "current"} {
		report, err := b.Init(t.Context())
		require.NoError(t, err)
		require.Len(t, report, len(names))
		for i, collection := range report {
			require.Equal(t, names[i], collection.Name)
			require.Equal(t, status, collection.Status, collection.Detail)
		}
	}
	require.NoError(t, b.Health(t.Context()))

	// As an earlier version might have left it: without an index and not strict.
	raw := client(t, server)
	wait := true
	_, err = raw.DeleteFieldIndex(t.Context(), &pb.DeleteFieldIndexCollection{CollectionName: names[2], Wait: &wait, FieldName: "subject"})
	require.NoError(t, err)
	require.NoError(t, raw.UpdateCollection(t.Context(), &pb.UpdateCollection{CollectionName: names[2], StrictModeConfig: &pb.StrictModeConfig{}}))
	report, err := b.Init(t.Context())
	require.NoError(t, err)
	require.Equal(t, zerodb.Collection{Name: names[2], Status: "migrated", Detail: "added strict mode, subject"}, report[2])
	require.Equal(t, "current", report[3].Status)
}

// client is Qdrant's own client of a server.
func client(t *testing.T, server *qdranttest.Server) *pb.Client {
	t.Helper()
	var port int
	_, err := fmt.Sscanf(server.URL, "http://127.0.0.1:%d", &port)
	require.NoError(t, err)
	c, err := pb.NewClient(&pb.Config{Host: "127.0.0.1", Port: port + 1, SkipCompatibilityCheck: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestServersThatWillNotDoAreRefused(t *testing.T) {
	t.Parallel()
	for version, message := range map[string]string{"1.15.5": "1.16.0 or a later 1.x", "2.0.0": "1.16.0 or a later 1.x", "eleven": "none of Qdrant's"} {
		server := qdranttest.Start(t, qdranttest.Options{Version: version})
		b, err := qdrant.New(qdrant.Config{URL: server.URL})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		_, initErr := b.Init(t.Context())
		// Not only Init: a write to an old server would lose its condition.
		writeErr := b.Change(t.Context(), uuid.New(), []zerodb.Scope{zerodb.TenantScope()}, func(context.Context, zerodb.Writer) error { return nil })
		for _, err := range []error{initErr, writeErr, b.Health(t.Context())} {
			require.ErrorIs(t, err, zerodb.ErrUnavailable)
			require.ErrorContains(t, err, message)
		}
	}
}

func TestTheKeyIsSentOverTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := selfSigned(t)
	server := qdranttest.Start(t, qdranttest.Options{APIKey: "open sesame", TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}})
	trust := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	b := open(t, qdrant.Config{URL: server.URL, APIKey: "open sesame", TLS: trust})
	require.NoError(t, b.Health(t.Context()))
	for _, step := range zerodb.Check(t.Context(), b, &zerodbtest.Hashing{}, uuid.New()) {
		require.NoError(t, step.Err, step.Name)
	}
	for name, cfg := range map[string]qdrant.Config{
		"refuses the API key": {URL: server.URL, APIKey: "wrong", TLS: trust},
		"set ZERODB_API_KEY":  {URL: server.URL, TLS: trust},
		"can't be reached":    {URL: server.URL, APIKey: "open sesame", Timeout: time.Second}, // a certificate nobody vouches for
	} {
		b, err := qdrant.New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		err = b.Health(t.Context())
		require.ErrorIs(t, err, zerodb.ErrUnavailable)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "sesame")
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "qdrant"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// TestEveryRequestIsWaitedForExactAndATenants looks at what the whole life of memories
// sends. That every point operation names its tenant is what the contract server insists on.
func TestEveryRequestIsWaitedForExactAndATenants(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	methods := map[string]int{}
	server := qdranttest.Start(t, qdranttest.Options{Observe: func(method string, request proto.Message) error {
		mu.Lock()
		defer mu.Unlock()
		methods[strings.TrimPrefix(method, "/qdrant.")]++
		if batch, ok := request.(*pb.QueryBatchPoints); ok {
			for _, query := range batch.GetQueryPoints() {
				if !query.GetParams().GetExact() {
					return status.Error(codes.InvalidArgument, "a search that is not exact")
				}
			}
		}
		if upsert, ok := request.(*pb.UpsertPoints); ok && upsert.GetUpdateFilter() == nil {
			return status.Error(codes.InvalidArgument, "an upsert without a condition")
		}
		return nil
	}})
	b := open(t, qdrant.Config{URL: server.URL})
	for _, step := range zerodb.Check(t.Context(), b, &zerodbtest.Hashing{}, uuid.New()) {
		require.NoError(t, step.Err, step.Name)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Positive(t, methods["Points/Upsert"])
	require.Positive(t, methods["Points/QueryBatch"])
	require.Zero(t, methods["Points/Get"], "reading by ID has no filter, so points are scrolled to")
}

func TestWithoutATenantNothingIsAsked(t *testing.T) {
	t.Parallel()
	b, err := qdrant.New(qdrant.Config{URL: "http://127.0.0.1:1"}) // nobody there: a request would fail otherwise
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.ErrorIs(t, b.View(t.Context(), uuid.Nil, nil), zerodb.ErrInvalid)
	require.ErrorIs(t, b.Change(t.Context(), uuid.Nil, nil, nil), zerodb.ErrInvalid)
	require.ErrorIs(t, b.Recalled(t.Context(), uuid.Nil, nil), zerodb.ErrInvalid)
}

func TestAServerThatFailsForAMomentIsAskedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failures := map[string]int{}
	server := qdranttest.Start(t, qdranttest.Options{Observe: func(method string, _ proto.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if failures[method]++; failures[method]%3 == 1 {
			return status.Error(codes.Unavailable, "restarting")
		}
		return nil
	}})
	b := open(t, qdrant.Config{URL: server.URL})
	tenant := remember(t, b, &zerodbtest.Hashing{}).Tenant(uuid.New())
	for i := range 5 {
		_, err := tenant.Store(t.Context(), "a", zerodb.Semantic, fmt.Sprintf("fact number %d", i), nil, 0)
		require.NoError(t, err)
	}
	hits, err := tenant.Retrieve(t.Context(), "a", "fact", "", 10, 0)
	require.NoError(t, err)
	require.Len(t, hits, 5, "each once")
}

func TestAServerThatIsGoneIsSaidToBe(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	b, err := qdrant.New(qdrant.Config{URL: "grpc://" + listener.Addr().String(), Timeout: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	err = b.Health(t.Context())
	require.ErrorIs(t, err, zerodb.ErrUnavailable)
	require.ErrorContains(t, err, "can't be reached")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.Canceled)
	require.ErrorIs(t, b.Health(ctx), context.Canceled)
}

func TestACollectionIsMadeAnewForAnotherEmbedder(t *testing.T) {
	t.Parallel()
	server := qdranttest.Start(t, qdranttest.Options{})
	old := open(t, qdrant.Config{URL: server.URL})
	tenants := []uuid.UUID{uuid.New(), uuid.New()}
	for _, id := range tenants {
		tenant := remember(t, old, &zerodbtest.Hashing{}).Tenant(id)
		var items []zerodb.Item
		for i := range 130 { // more than a page
			items = append(items, zerodb.Item{Agent: "a", Type: zerodb.Semantic, Content: fmt.Sprintf("fact number %d", i), Key: fmt.Sprint(i)})
		}
		_, err := tenant.StoreBatch(t.Context(), items)
		require.NoError(t, err)
	}
	known, err := old.Tenants(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, tenants, known)

	report, err := open(t, qdrant.Config{URL: server.URL, Dimension: 32}).Init(t.Context())
	require.NoError(t, err)
	require.Equal(t, "outdated", report[3].Status)
	before := zerodbtest.NewReference()
	_, err = zerodb.Copy(t.Context(), old, before, tenants, nil)
	require.NoError(t, err)

	anew := open(t, qdrant.Config{URL: server.URL, Dimension: 32, Rebuild: true})
	report, err = anew.Init(t.Context())
	require.NoError(t, err)
	require.Equal(t, "current", report[3].Status, "the first Init did it")
	copied, err := zerodb.Copy(t.Context(), before, anew, tenants, nil)
	require.NoError(t, err)
	for _, r := range copied {
		require.Zero(t, r.Written, "nothing was lost or changed, old vectors included")
		require.Equal(t, 130, r.Verified)
	}
	newer := &zerodbtest.Hashing{Name: "newer", Dimensions: 32}
	tenant := remember(t, anew, newer).Tenant(tenants[0])
	n, err := tenant.EmbedPending(t.Context(), 1000)
	require.NoError(t, err)
	require.Equal(t, 130, n)
	found, err := tenant.Search(t.Context(), zerodb.Query{Agent: "a", Text: "fact number 77", Mode: zerodb.ModeDense, Limit: 200})
	require.NoError(t, err)
	require.Len(t, found.Hits, 130, "all have vectors of the new embedder")

	// One that still believes in the old length writes on.
	_, err = remember(t, old, &zerodbtest.Hashing{}).Tenant(tenants[0]).Store(t.Context(), "a", zerodb.Semantic, "another", nil, 0)
	require.NoError(t, err)
	names, err := client(t, server).ListCollections(t.Context())
	require.NoError(t, err)
	require.Len(t, names, 7, "nothing is left aside")
}

func TestARebuildThatWasBrokenOffIsFinished(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"Create walker_semantic_memory_rebuild_complete", "Delete walker_semantic_memory", "Create walker_semantic_memory", "Upsert walker_semantic_memory", "Delete walker_semantic_memory_rebuild_complete", "Delete walker_semantic_memory_rebuild"} {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			armed := false
			server := qdranttest.Start(t, qdranttest.Options{Observe: func(method string, request proto.Message) error {
				mu.Lock()
				defer mu.Unlock()
				named, ok := request.(interface{ GetCollectionName() string })
				if ok && armed && method[strings.LastIndex(method, "/")+1:]+" "+named.GetCollectionName() == broken {
					return status.Error(codes.Internal, "the process was killed")
				}
				return nil
			}})
			id := uuid.New()
			old := open(t, qdrant.Config{URL: server.URL})
			_, err := remember(t, old, &zerodbtest.Hashing{}).Tenant(id).Store(t.Context(), "a", zerodb.Semantic, "a fact", nil, 0)
			require.NoError(t, err)
			anew, err := qdrant.New(qdrant.Config{URL: server.URL, Dimension: 32, Rebuild: true})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, anew.Close()) })
			set := func(on bool) {
				mu.Lock()
				defer mu.Unlock()
				armed = on
			}
			set(true)
			_, err = anew.Init(t.Context())
			require.ErrorIs(t, err, zerodb.ErrUnavailable)
			set(false)
			_, err = anew.Init(t.Context())
			require.NoError(t, err)
			stats, err := remember(t, anew, nil).Tenant(id).Stats(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, stats.Memories)
			names, err := client(t, server).ListCollections(t.Context())
			require.NoError(t, err)
			require.Len(t, names, 7)
		})
	}
}
