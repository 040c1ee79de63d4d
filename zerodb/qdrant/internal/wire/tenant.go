package wire

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/engardehq/madansara/zerodb"
)

// TenantKey is the payload key of the tenant, in every collection.
const TenantKey = "tenant_uuid"

// Tenant is the points of one tenant: nothing else can be read or written through it.
type Tenant struct {
	conn *Conn
	id   uuid.UUID
}

// Tenant returns the points of a tenant.
func (c *Conn) Tenant(id uuid.UUID) (Tenant, error) {
	if id == uuid.Nil {
		return Tenant{}, &zerodb.Error{Kind: zerodb.ErrInvalid, Field: "tenant", Message: "is required"}
	}
	return Tenant{conn: c, id: id}, nil
}

// PointID is the ID of the point that keeps a memory: the memory's first 8
// bytes, so that points are in the order of memories, and 8 bytes of a hash over
// the tenant and the memory, so that two tenants may have memories of one ID.
func (t Tenant) PointID(memory uuid.UUID) uuid.UUID {
	sum := sha256.Sum256(append(t.id[:], memory[:]...))
	return uuid.UUID(append(memory[:8:8], sum[:8]...))
}

// Where are conditions beside the tenant's.
type Where struct {
	Must, MustNot []*pb.Condition
}

// And returns w with more conditions that must hold.
func (w Where) And(must ...*pb.Condition) Where {
	w.Must = append(slices.Clip(w.Must), must...)
	return w
}

// HasID is the condition that a point is one of these.
func HasID(ids ...uuid.UUID) *pb.Condition {
	points := make([]*pb.PointId, len(ids))
	for i, id := range ids {
		points[i] = pb.NewID(id.String())
	}
	return pb.NewHasID(points...)
}

// filter is the only place that makes the filter of a request.
func (t Tenant) filter(w Where) *pb.Filter {
	return &pb.Filter{Must: append([]*pb.Condition{pb.NewMatchKeyword(TenantKey, t.id.String())}, w.Must...), MustNot: w.MustNot}
}

func (t Tenant) ready(ctx context.Context) error {
	if t.id == uuid.Nil {
		return errors.New("qdrant: a point operation without a tenant")
	}
	return t.conn.ready(ctx)
}

// Written is done when every replica that must have it has it, and seen by every read
// that begins later: writes are waited for and ordered, reads ask a majority.
var (
	wait      = new(true)
	strong    = &pb.WriteOrdering{Type: pb.WriteOrderingType_Strong}
	majority  = pb.NewReadConsistencyType(pb.ReadConsistencyType_Majority)
	everyByte = pb.NewWithPayload(true)
)

// Page says which points a scroll returns.
type Page struct {
	From    uuid.UUID // the first point ID that may be returned
	Limit   int
	Latest  string // a datetime key to order by, from the latest to the earliest; From does not count
	Keys    []string
	Vectors bool
}

// DenseName and TextName are the names of the vectors.
const (
	DenseName = "dense"
	TextName  = "text"
)

func vectors(with bool) *pb.WithVectorsSelector {
	if !with {
		return pb.NewWithVectors(false)
	}
	return pb.NewWithVectorsInclude(DenseName)
}

// Scroll returns points in the order of their IDs, or by time, and the ID that
// the next page begins with, uuid.Nil for the end.
func (t Tenant) Scroll(ctx context.Context, collection string, w Where, page Page) ([]*pb.RetrievedPoint, uuid.UUID, error) {
	if err := t.ready(ctx); err != nil {
		return nil, uuid.Nil, err
	}
	request := &pb.ScrollPoints{
		CollectionName: collection, Filter: t.filter(w), Limit: new(uint32(page.Limit)), ReadConsistency: majority,
		WithPayload: everyByte, WithVectors: vectors(page.Vectors),
	}
	if page.Keys != nil {
		request.WithPayload = pb.NewWithPayloadInclude(page.Keys...)
	}
	if page.Latest != "" {
		request.OrderBy = &pb.OrderBy{Key: page.Latest, Direction: pb.PtrOf(pb.Direction_Desc)}
	} else if page.From != uuid.Nil {
		request.Offset = pb.NewID(page.From.String())
	}
	type answer struct {
		points []*pb.RetrievedPoint
		next   *pb.PointId
	}
	got, err := call(ctx, t.conn, "list memories", func(ctx context.Context) (answer, error) {
		points, next, err := t.conn.client.ScrollAndOffset(ctx, request)
		return answer{points, next}, err
	})
	if err != nil || got.next == nil {
		return got.points, uuid.Nil, err
	}
	next, err := uuid.Parse(got.next.GetUuid())
	return got.points, next, err
}

// Nearest asks for the points with the highest inner product.
type Nearest struct {
	Where  Where
	Dense  []float32 // this, or
	Index  []uint32  // the sparse vector of Index and Weight
	Weight []float32
	Limit  int
}

// Query answers several searches of one collection. Dense ones are exact: no approximate index is used.
func (t Tenant) Query(ctx context.Context, collection string, searches []Nearest) ([][]*pb.ScoredPoint, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	queries := make([]*pb.QueryPoints, len(searches))
	for i := range searches {
		s := &searches[i]
		q := &pb.QueryPoints{
			CollectionName: collection, Filter: t.filter(s.Where), Limit: new(uint64(s.Limit)),
			WithPayload: everyByte, WithVectors: vectors(true), Params: &pb.SearchParams{Exact: new(true)},
		}
		if s.Dense != nil {
			q.Using, q.Query = new(DenseName), pb.NewQueryDense(s.Dense)
		} else {
			q.Using, q.Query = new(TextName), pb.NewQuerySparse(s.Index, s.Weight)
		}
		queries[i] = q
	}
	results, err := call(ctx, t.conn, "search memories", func(ctx context.Context) ([]*pb.BatchResult, error) {
		return t.conn.client.QueryBatch(ctx, &pb.QueryBatchPoints{CollectionName: collection, QueryPoints: queries, ReadConsistency: majority})
	})
	if err != nil {
		return nil, err
	}
	if len(results) != len(searches) {
		return nil, zerodb.Unavailable(nil, "Qdrant answered another number of searches than were asked")
	}
	found := make([][]*pb.ScoredPoint, len(results))
	for i, result := range results {
		found[i] = result.GetResult()
	}
	return found, nil
}

// Count counts points.
func (t Tenant) Count(ctx context.Context, collection string, w Where) (int, error) {
	if err := t.ready(ctx); err != nil {
		return 0, err
	}
	n, err := call(ctx, t.conn, "count memories", func(ctx context.Context) (uint64, error) {
		return t.conn.client.Count(ctx, &pb.CountPoints{CollectionName: collection, Filter: t.filter(w), Exact: new(true), ReadConsistency: majority})
	})
	return int(n), err
}

// Facet counts points by the values of a keyword key: those of the limit most frequent values.
func (t Tenant) Facet(ctx context.Context, collection, key string, w Where, limit int) (map[string]int, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	hits, err := call(ctx, t.conn, "count memories", func(ctx context.Context) ([]*pb.FacetHit, error) {
		return t.conn.client.Facet(ctx, &pb.FacetCounts{
			CollectionName: collection, Key: key, Filter: t.filter(w), Limit: new(uint64(limit)), Exact: new(true), ReadConsistency: majority,
		})
	})
	counts := make(map[string]int, len(hits))
	for _, hit := range hits {
		counts[hit.GetValue().GetStringValue()] = int(hit.GetCount())
	}
	return counts, err
}

// Upsert stores points. One that is there already is replaced only if it is the
// tenant's and w holds for it. Qdrant does not say which were: read them to know.
func (t Tenant) Upsert(ctx context.Context, collection string, points []*pb.PointStruct, w Where) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	for _, point := range points {
		point.Payload[TenantKey] = pb.NewValueString(t.id.String())
	}
	result, err := call(ctx, t.conn, "store memories", func(ctx context.Context) (*pb.UpdateResult, error) {
		return t.conn.client.Upsert(ctx, &pb.UpsertPoints{
			CollectionName: collection, Points: points, UpdateFilter: t.filter(w), Wait: wait, Ordering: strong,
		})
	})
	return done(err, result)
}

// done is an error when the server stopped waiting for its own write.
func done(err error, results ...*pb.UpdateResult) error {
	for _, result := range results {
		if err == nil && result.GetStatus() != pb.UpdateStatus_Completed {
			return zerodb.Unavailable(nil, "Qdrant has taken a change but not finished it: "+result.GetStatus().String())
		}
	}
	return err
}

// Set is payload for the points that fulfil Where.
type Set struct {
	Where   Where
	Payload map[string]*pb.Value
}

// SetPayloads sets payload keys, one Set after the other.
func (t Tenant) SetPayloads(ctx context.Context, collection string, sets []Set) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	operations := make([]*pb.PointsUpdateOperation, len(sets))
	for i, set := range sets {
		operations[i] = pb.NewPointsUpdateSetPayload(&pb.PointsUpdateOperation_SetPayload{
			Payload: set.Payload, PointsSelector: pb.NewPointsSelectorFilter(t.filter(set.Where)),
		})
	}
	results, err := call(ctx, t.conn, "update memories", func(ctx context.Context) ([]*pb.UpdateResult, error) {
		return t.conn.client.UpdateBatch(ctx, &pb.UpdateBatchPoints{CollectionName: collection, Operations: operations, Wait: wait, Ordering: strong})
	})
	return done(err, results...)
}

// Delete deletes the points that fulfil w, of which must be at least one condition.
func (t Tenant) Delete(ctx context.Context, collection string, w Where) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	if len(w.Must) == 0 {
		return errors.New("qdrant: refusing to delete all of a tenant's points")
	}
	result, err := call(ctx, t.conn, "delete memories", func(ctx context.Context) (*pb.UpdateResult, error) {
		return t.conn.client.Delete(ctx, &pb.DeletePoints{
			CollectionName: collection, Points: pb.NewPointsSelectorFilter(t.filter(w)), Wait: wait, Ordering: strong,
		})
	})
	return done(err, result)
}
