package qdranttest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// collection is one collection's points and rules.
type collection struct {
	name    string
	dense   map[string]*pb.VectorParams
	sparse  map[string]*pb.SparseVectorParams
	hnsw    *pb.HnswConfigDiff
	strict  *pb.StrictModeConfig
	indexes map[string]*pb.PayloadSchemaInfo
	points  map[string]*point // by sortable ID
	// tenant is the payload key of the tenant index, "" for none.
	tenant string
	// shelves are the points of each tenant in the order of their IDs, so that a look at
	// one tenant's is not a look at all. A shelf that a write touched is missing until it is needed.
	shelves sync.Map // tenant -> []*point
}

// put stores a point, remove takes one away.
func (c *collection) put(p *point) {
	if there, exists := c.points[p.key]; exists {
		c.shelves.Delete(there.payload[c.tenant].GetStringValue())
	}
	c.points[p.key] = p
	c.shelves.Delete(p.payload[c.tenant].GetStringValue())
}

func (c *collection) remove(key string) {
	c.shelves.Delete(c.points[key].payload[c.tenant].GetStringValue())
	delete(c.points, key)
}

// matching returns the points that a filter matches, in the order of their IDs. tenant
// is whose, as admit found it.
func (c *collection) matching(f *pb.Filter, tenant string) []*point {
	var found []*point
	for _, p := range c.among(f, tenant) {
		if matchFilter(f, p) {
			found = append(found, p)
		}
	}
	return found
}

// among returns the points that a filter could match.
func (c *collection) among(f *pb.Filter, tenant string) []*point {
	byKey := func(a, b *point) int { return cmp.Compare(a.key, b.key) }
	for _, condition := range f.GetMust() {
		if ids := condition.GetHasId().GetHasId(); len(ids) > 0 {
			named := map[string]*point{}
			for _, id := range ids {
				if key, err := idKey(id); err == nil && c.points[key] != nil {
					named[key] = c.points[key]
				}
			}
			return slices.SortedFunc(maps.Values(named), byKey)
		}
	}
	if shelf, ok := c.shelves.Load(tenant); ok {
		points, _ := shelf.([]*point)
		return points
	}
	var points []*point
	for _, p := range c.points {
		if c.tenant == "" || tenant == "" || p.payload[c.tenant].GetStringValue() == tenant {
			points = append(points, p)
		}
	}
	slices.SortFunc(points, byKey)
	if tenant != "" {
		c.shelves.Store(tenant, points)
	}
	return points
}

type collectionsService struct {
	pb.UnimplementedCollectionsServer

	s *Server
}

func (c *collectionsService) CollectionExists(_ context.Context, r *pb.CollectionExistsRequest) (*pb.CollectionExistsResponse, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	_, exists := c.s.collections[r.GetCollectionName()]
	return &pb.CollectionExistsResponse{Result: &pb.CollectionExists{Exists: exists}}, nil
}

func (c *collectionsService) List(context.Context, *pb.ListCollectionsRequest) (*pb.ListCollectionsResponse, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	response := &pb.ListCollectionsResponse{}
	for _, name := range slices.Sorted(maps.Keys(c.s.collections)) {
		response.Collections = append(response.Collections, &pb.CollectionDescription{Name: name})
	}
	return response, nil
}

func (c *collectionsService) Get(_ context.Context, r *pb.GetCollectionInfoRequest) (*pb.GetCollectionInfoResponse, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	named, err := c.s.named(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	params := &pb.CollectionParams{
		ShardNumber: 1, OnDiskPayload: true, SparseVectorsConfig: pb.NewSparseVectorsConfig(named.sparse),
		VectorsConfig: pb.NewVectorsConfigMap(named.dense),
	}
	return &pb.GetCollectionInfoResponse{Result: &pb.CollectionInfo{
		Status: pb.CollectionStatus_Green, SegmentsCount: 1, PointsCount: new(uint64(len(named.points))),
		Config:        &pb.CollectionConfig{Params: params, HnswConfig: named.hnsw, StrictModeConfig: named.strict},
		PayloadSchema: maps.Clone(named.indexes),
	}}, nil
}

func (c *collectionsService) Create(_ context.Context, r *pb.CreateCollection) (*pb.CollectionOperationResponse, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	name := r.GetCollectionName()
	if name == "" || len(name) > 255 {
		return nil, invalid("Validation error in body: collection_name: length must be from 1 to 255")
	}
	if _, exists := c.s.collections[name]; exists {
		return nil, status.Errorf(codes.AlreadyExists, "Wrong input: Collection `%s` already exists!", name)
	}
	dense := r.GetVectorsConfig().GetParamsMap().GetMap()
	for vector, params := range dense {
		if params.GetSize() < 1 || params.GetSize() > 65536 {
			return nil, invalid("Validation error in body: vectors.%s.size: value %d invalid, must be from 1 to 65536", vector, params.GetSize())
		}
		if d := params.GetDistance(); d != pb.Distance_Dot && d != pb.Distance_Cosine {
			return nil, status.Errorf(codes.Unimplemented, "contract: distance %s is not modelled", d)
		}
	}
	c.s.collections[name] = &collection{
		name: name, dense: dense, sparse: r.GetSparseVectorsConfig().GetMap(), hnsw: r.GetHnswConfig(), strict: r.GetStrictModeConfig(),
		indexes: map[string]*pb.PayloadSchemaInfo{}, points: map[string]*point{},
	}
	return &pb.CollectionOperationResponse{Result: true}, nil
}

func (c *collectionsService) Update(_ context.Context, r *pb.UpdateCollection) (*pb.CollectionOperationResponse, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	named, err := c.s.named(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	if strict := r.GetStrictModeConfig(); strict != nil {
		named.strict = strict
	}
	return &pb.CollectionOperationResponse{Result: true}, nil
}

func (c *collectionsService) Delete(_ context.Context, r *pb.DeleteCollection) (*pb.CollectionOperationResponse, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	_, existed := c.s.collections[r.GetCollectionName()]
	delete(c.s.collections, r.GetCollectionName())
	return &pb.CollectionOperationResponse{Result: existed}, nil
}

// schemaTypes are the index types by the type that a request names.
var schemaTypes = map[pb.FieldType]pb.PayloadSchemaType{
	pb.FieldType_FieldTypeKeyword: pb.PayloadSchemaType_Keyword, pb.FieldType_FieldTypeInteger: pb.PayloadSchemaType_Integer,
	pb.FieldType_FieldTypeFloat: pb.PayloadSchemaType_Float, pb.FieldType_FieldTypeDatetime: pb.PayloadSchemaType_Datetime,
	pb.FieldType_FieldTypeBool: pb.PayloadSchemaType_Bool, pb.FieldType_FieldTypeText: pb.PayloadSchemaType_Text,
	pb.FieldType_FieldTypeUuid: pb.PayloadSchemaType_Uuid,
}

func (p *pointsService) CreateFieldIndex(_ context.Context, r *pb.CreateFieldIndexCollection) (*pb.PointsOperationResponse, error) {
	return p.write(r.GetCollectionName(), r.Wait, func(c *collection) error {
		if r.GetFieldName() == "" || r.FieldType == nil {
			return invalid("Validation error in body: field_name and field_type are required")
		}
		typ, known := schemaTypes[r.GetFieldType()]
		if !known {
			return status.Errorf(codes.Unimplemented, "contract: index type %s is not modelled", r.GetFieldType())
		}
		keyword := r.GetFieldIndexParams().GetKeywordIndexParams()
		if keyword != nil && typ != pb.PayloadSchemaType_Keyword {
			return invalid("Wrong input: field_type and field_index_params disagree")
		}
		if there, exists := c.indexes[r.GetFieldName()]; exists && there.GetDataType() != typ {
			return invalid("contract: %s is indexed as %s already", r.GetFieldName(), there.GetDataType())
		}
		for _, point := range c.points {
			if err := checkIndexed(r.GetFieldName(), typ, point.payload); err != nil {
				return err
			}
		}
		c.indexes[r.GetFieldName()] = &pb.PayloadSchemaInfo{DataType: typ, Params: r.GetFieldIndexParams()}
		if keyword.GetIsTenant() {
			c.shelves.Clear()
			c.tenant = r.GetFieldName()
		}
		return nil
	})
}

func (p *pointsService) DeleteFieldIndex(_ context.Context, r *pb.DeleteFieldIndexCollection) (*pb.PointsOperationResponse, error) {
	return p.write(r.GetCollectionName(), r.Wait, func(c *collection) error {
		delete(c.indexes, r.GetFieldName())
		if c.tenant == r.GetFieldName() {
			c.tenant = ""
		}
		return nil
	})
}
