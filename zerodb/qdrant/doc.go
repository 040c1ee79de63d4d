// Package qdrant keeps the memories of package zerodb in Qdrant.
//
//	backend, err := qdrant.New(qdrant.Config{URL: "http://qdrant:6333", APIKey: key, Dimension: embedder.Dimension()})
//	report, err := backend.Init(ctx) // once; may be repeated
//	client, err := zerodb.New(zerodb.Config{Backend: backend, Embedder: embedder})
//
// # Collections
//
// Each type has a collection: walker_working_memory, walker_short_term_memory,
// walker_episodic_memory, walker_semantic_memory, walker_procedural_memory and
// walker_long_term_memory; walker_memory_leases says who is changing what. All tenants
// share them: the payload key tenant_uuid has a tenant index (is_tenant), by which Qdrant
// lays the points of a tenant together. Strict mode refuses filters on keys without an index.
//
// # Tenants
//
// Every operation on points is made by internal/wire, whose operations exist on a tenant only
// and add the tenant's condition themselves, to writes too. The one exception is the list of
// tenants, for operators, which holds nothing but their IDs.
//
// # Search
//
// Every search is exact: exact=true, and no HNSW graph is built. Under a filter on one agent of one
// tenant a graph over everybody's vectors loses neighbours, and how many can't be known before it is measured
// on the very data. What is paid for it is a scan of the vectors that the filter leaves. Words are
// searched as sparse vectors of zerodb's own weights, by the inner product with the
// query's IDF: that is BM25 as zerodb defines it.
//
// # What is promised without transactions
//
// A write is answered when it is applied (wait=true), in the order of one leader
// (ordering strong), and reads ask a majority of replicas: what was stored before a read began,
// the read sees. See [Backend.Change] for changes, and [Backend.Recalled] for counts.
//
// # Versions
//
// Qdrant 1.16 or a later 1.x. An older one is refused, because it would leave out silently the
// condition of an upsert.
package qdrant
