package wire

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	pb "github.com/qdrant/go-client/qdrant"
)

// Schema is what a collection must be.
type Schema struct {
	Name      string
	Dimension int // of the dense vectors; 0 for none
	Indexes   []Index
}

// Index is a payload index.
type Index struct {
	Key    string
	Type   pb.PayloadSchemaType
	Tenant bool // the collection is organised by this key
}

// Collection is what a collection is.
type Collection struct {
	Exists    bool
	Dimension int
	Indexes   map[string]pb.PayloadSchemaType
	Strict    bool // filters on keys without an index are refused
}

// Inspect returns what the collection is.
func (c *Conn) Inspect(ctx context.Context, name string) (Collection, error) {
	if err := c.ready(ctx); err != nil {
		return Collection{}, err
	}
	exists, err := call(ctx, c, "look for collection "+name, func(ctx context.Context) (bool, error) {
		return c.client.CollectionExists(ctx, name)
	})
	if err != nil || !exists {
		return Collection{}, err
	}
	info, err := call(ctx, c, "describe collection "+name, func(ctx context.Context) (*pb.CollectionInfo, error) {
		return c.client.GetCollectionInfo(ctx, name)
	})
	if err != nil {
		return Collection{}, err
	}
	config := info.GetConfig()
	dense := config.GetParams().GetVectorsConfig().GetParamsMap().GetMap()[DenseName]
	strict := config.GetStrictModeConfig()
	found := Collection{
		Exists: true, Dimension: int(dense.GetSize()), Indexes: map[string]pb.PayloadSchemaType{},
		Strict: strict.GetEnabled() && strict.UnindexedFilteringRetrieve != nil && !strict.GetUnindexedFilteringRetrieve() &&
			strict.UnindexedFilteringUpdate != nil && !strict.GetUnindexedFilteringUpdate(),
	}
	for key, index := range info.GetPayloadSchema() {
		found.Indexes[key] = index.GetDataType()
	}
	return found, nil
}

// strictMode refuses filters on keys without an index: one would scan the whole collection.
var strictMode = &pb.StrictModeConfig{
	Enabled: new(true), UnindexedFilteringRetrieve: new(false), UnindexedFilteringUpdate: new(false),
}

// Create creates the collection.
func (c *Conn) Create(ctx context.Context, s Schema) error {
	request := &pb.CreateCollection{
		CollectionName: s.Name, OnDiskPayload: new(true), StrictModeConfig: strictMode,
		SparseVectorsConfig: pb.NewSparseVectorsConfig(map[string]*pb.SparseVectorParams{TextName: {}}),
		// No graph is built: every search is exact (see the package documentation of qdrant).
		HnswConfig: &pb.HnswConfigDiff{M: new(uint64(0)), PayloadM: new(uint64(0))},
	}
	if s.Dimension > 0 {
		// The vectors have length 1, so that the inner product is the cosine; under
		// Cosine Qdrant would scale them again, and give back other numbers.
		request.VectorsConfig = pb.NewVectorsConfigMap(map[string]*pb.VectorParams{
			DenseName: {Size: uint64(s.Dimension), Distance: pb.Distance_Dot},
		})
	}
	_, err := call(ctx, c, "create collection "+s.Name, func(ctx context.Context) (struct{}, error) {
		err := c.client.CreateCollection(ctx, request)
		if err != nil && strings.Contains(err.Error(), "already exists") {
			err = nil // an attempt before, or another process
		}
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	_, err = c.Complete(ctx, s, Collection{Strict: true})
	return err
}

// Complete adds what the collection lacks of the schema, and says what that was.
func (c *Conn) Complete(ctx context.Context, s Schema, found Collection) ([]string, error) {
	var added []string
	for _, index := range s.Indexes {
		there, ok := found.Indexes[index.Key]
		if ok && there == index.Type {
			continue
		}
		if ok { // of another type: its place must be free
			if err := c.dropIndex(ctx, s.Name, index.Key); err != nil {
				return added, err
			}
		}
		if err := c.createIndex(ctx, s.Name, index); err != nil {
			return added, err
		}
		added = append(added, index.Key)
	}
	if found.Strict {
		return added, nil
	}
	_, err := call(ctx, c, "make collection "+s.Name+" strict", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.client.UpdateCollection(ctx, &pb.UpdateCollection{CollectionName: s.Name, StrictModeConfig: strictMode})
	})
	return append(added, "strict mode"), err
}

func (c *Conn) createIndex(ctx context.Context, collection string, index Index) error {
	request := &pb.CreateFieldIndexCollection{CollectionName: collection, Wait: wait, FieldName: index.Key, Ordering: strong}
	switch index.Type {
	case pb.PayloadSchemaType_Keyword:
		request.FieldType = pb.FieldType_FieldTypeKeyword.Enum()
		params := &pb.KeywordIndexParams{}
		if index.Tenant {
			params.IsTenant = new(true)
		}
		request.FieldIndexParams = pb.NewPayloadIndexParamsKeyword(params)
	case pb.PayloadSchemaType_Datetime:
		request.FieldType = pb.FieldType_FieldTypeDatetime.Enum()
	case pb.PayloadSchemaType_Float:
		request.FieldType = pb.FieldType_FieldTypeFloat.Enum()
	default:
		request.FieldType = pb.FieldType_FieldTypeInteger.Enum()
	}
	result, err := call(ctx, c, "index "+index.Key+" of "+collection, func(ctx context.Context) (*pb.UpdateResult, error) {
		return c.client.CreateFieldIndex(ctx, request)
	})
	return done(err, result)
}

func (c *Conn) dropIndex(ctx context.Context, collection, key string) error {
	result, err := call(ctx, c, "drop the index of "+key, func(ctx context.Context) (*pb.UpdateResult, error) {
		return c.client.DeleteFieldIndex(ctx, &pb.DeleteFieldIndexCollection{CollectionName: collection, Wait: wait, FieldName: key, Ordering: strong})
	})
	return done(err, result)
}

// Missing returns which of the collections don't exist.
func (c *Conn) Missing(ctx context.Context, names []string) ([]string, error) {
	there, err := call(ctx, c, "list its collections", func(ctx context.Context) ([]string, error) {
		return c.client.ListCollections(ctx)
	})
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(there, name) }), err
}

// Drop deletes a collection, if there is one.
func (c *Conn) Drop(ctx context.Context, name string) error {
	_, err := call(ctx, c, "delete collection "+name, func(ctx context.Context) (struct{}, error) {
		exists, err := c.client.CollectionExists(ctx, name)
		if err == nil && exists {
			err = c.client.DeleteCollection(ctx, name)
		}
		return struct{}{}, err
	})
	return err
}

// mostTenants are told apart in one collection.
const mostTenants = 1_000_000

// Tenants returns whose points a collection holds. It is the only question that is not
// asked for a tenant, and its answer holds nothing but their IDs.
func (c *Conn) Tenants(ctx context.Context, collection string) ([]uuid.UUID, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	hits, err := call(ctx, c, "list tenants", func(ctx context.Context) ([]*pb.FacetHit, error) {
		return c.client.Facet(ctx, &pb.FacetCounts{
			CollectionName: collection, Key: TenantKey, Limit: new(uint64(mostTenants)), Exact: new(true), ReadConsistency: majority,
		})
	})
	if err != nil {
		return nil, err
	}
	tenants := make([]uuid.UUID, len(hits))
	for i, hit := range hits {
		if tenants[i], err = uuid.Parse(hit.GetValue().GetStringValue()); err != nil {
			return nil, fmt.Errorf("qdrant: a tenant of %s: %w", collection, err)
		}
	}
	return tenants, nil
}
