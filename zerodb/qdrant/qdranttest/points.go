package qdranttest

import (
	"context"
	"fmt"
	"maps"
	"math"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// point is a stored point. It is never changed, only replaced, so that an answer may hold it.
type point struct {
	id      *pb.PointId
	key     string // sortable
	payload map[string]*pb.Value
	dense   map[string][]float32
	sparse  map[string]map[uint32]float32
}

// idKey checks an ID and makes a text of it that sorts as Qdrant does: numbers, then UUIDs.
func idKey(id *pb.PointId) (string, error) {
	switch option := id.GetPointIdOptions().(type) {
	case *pb.PointId_Num:
		return fmt.Sprintf("n%020d", option.Num), nil
	case *pb.PointId_Uuid:
		parsed, err := uuid.Parse(option.Uuid)
		if err != nil {
			return "", invalid("Unable to parse UUID: %s", option.Uuid)
		}
		return "u" + parsed.String(), nil
	default:
		return "", invalid("Malformed id: neither a UUID nor an unsigned integer")
	}
}

type pointsService struct {
	pb.UnimplementedPointsServer

	s *Server
}

// write runs one change while nobody else reads or writes.
func (p *pointsService) write(name string, wait *bool, change func(c *collection) error) (*pb.PointsOperationResponse, error) {
	if wait == nil || !*wait {
		return nil, invalid("contract: wait must be true, or the answer does not say that anything was written")
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	c, err := p.s.named(name)
	if err != nil {
		return nil, err
	}
	if err := change(c); err != nil {
		return nil, err
	}
	return &pb.PointsOperationResponse{Result: p.done()}, nil
}

func (p *pointsService) done() *pb.UpdateResult {
	p.s.operations++
	return &pb.UpdateResult{OperationId: new(p.s.operations), Status: pb.UpdateStatus_Completed}
}

func (p *pointsService) Upsert(_ context.Context, r *pb.UpsertPoints) (*pb.PointsOperationResponse, error) {
	return p.write(r.GetCollectionName(), r.Wait, func(c *collection) error {
		if len(r.GetPoints()) == 0 {
			return invalid("Wrong input: empty update request")
		}
		if most := c.strictly().UpsertMaxBatchsize; most != nil && uint64(len(r.GetPoints())) > *most {
			return invalid("Forbidden: Upsert limit exceeded %d > %d", len(r.GetPoints()), *most)
		}
		tenant, err := c.admit(r.GetUpdateFilter(), true)
		if err != nil {
			return err
		}
		added := make([]*point, len(r.GetPoints()))
		for i, given := range r.GetPoints() {
			if added[i], err = c.make(given); err != nil {
				return err
			}
			if of := added[i].payload[c.tenant].GetStringValue(); c.tenant != "" && of != tenant {
				return invalid("contract: a point of tenant %q under a condition on tenant %q", of, tenant)
			}
		}
		for _, fresh := range added {
			there, exists := c.points[fresh.key]
			switch {
			case exists && (r.GetUpdateMode() == pb.UpdateMode_InsertOnly || r.GetUpdateFilter() != nil && !matchFilter(r.GetUpdateFilter(), there)),
				!exists && r.GetUpdateMode() == pb.UpdateMode_UpdateOnly:
			default:
				c.put(fresh)
			}
		}
		return nil
	})
}

// make checks a point and makes it what is stored.
func (c *collection) make(given *pb.PointStruct) (*point, error) {
	key, err := idKey(given.GetId())
	if err != nil {
		return nil, err
	}
	p := &point{id: given.GetId(), key: key, payload: given.GetPayload(), dense: map[string][]float32{}, sparse: map[string]map[uint32]float32{}}
	if p.payload == nil {
		p.payload = map[string]*pb.Value{}
	}
	if given.GetVectors() == nil {
		return nil, invalid("Expected some vectors")
	}
	for name, vector := range given.GetVectors().GetVectors().GetVectors() {
		switch v := vector.GetVector().(type) {
		case *pb.Vector_Dense:
			params, ok := c.dense[name]
			if !ok {
				return nil, invalid("Wrong input: Not existing vector name error: %s", name)
			}
			if p.dense[name], err = checkDense(v.Dense.GetData(), params); err != nil {
				return nil, err
			}
		case *pb.Vector_Sparse:
			if _, ok := c.sparse[name]; !ok {
				return nil, invalid("Wrong input: Not existing vector name error: %s", name)
			}
			if p.sparse[name], err = checkSparse(v.Sparse); err != nil {
				return nil, err
			}
		default:
			return nil, status.Errorf(codes.Unimplemented, "contract: vector %s has no form that is modelled", name)
		}
	}
	return p, c.checkPayload(p.payload)
}

func (c *collection) checkPayload(payload map[string]*pb.Value) error {
	for key, index := range c.indexes {
		if err := checkIndexed(key, index.GetDataType(), payload); err != nil {
			return err
		}
	}
	return nil
}

func checkDense(data []float32, params *pb.VectorParams) ([]float32, error) {
	if uint64(len(data)) != params.GetSize() {
		return nil, invalid("Wrong input: Vector dimension error: expected dim: %d, got %d", params.GetSize(), len(data))
	}
	var sum float64
	for _, x := range data {
		sum += float64(x) * float64(x)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return nil, invalid("contract: a vector has components that are no finite numbers")
	}
	if params.GetDistance() != pb.Distance_Cosine || sum == 0 {
		return data, nil
	}
	scaled := make([]float32, len(data))
	for i, x := range data {
		scaled[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return scaled, nil
}

func checkSparse(v *pb.SparseVector) (map[uint32]float32, error) {
	if len(v.GetIndices()) != len(v.GetValues()) {
		return nil, invalid("Validation error: sparse vector: must be the same length as indices")
	}
	entries := make(map[uint32]float32, len(v.GetIndices()))
	for i, index := range v.GetIndices() {
		if _, twice := entries[index]; twice {
			return nil, invalid("Validation error: sparse vector: indices: must be unique")
		}
		entries[index] = v.GetValues()[i]
	}
	return entries, nil
}

func (p *pointsService) Delete(_ context.Context, r *pb.DeletePoints) (*pb.PointsOperationResponse, error) {
	return p.write(r.GetCollectionName(), r.Wait, func(c *collection) error {
		selected, err := c.selected(r.GetPoints())
		for _, key := range selected {
			c.remove(key)
		}
		return err
	})
}

// selected returns the points that a selector of an update means.
func (c *collection) selected(selector *pb.PointsSelector) ([]string, error) {
	var keys []string
	switch by := selector.GetPointsSelectorOneOf().(type) {
	case *pb.PointsSelector_Points:
		if c.tenant != "" {
			return nil, invalid("contract: points are selected by their IDs alone, without the tenant")
		}
		for _, id := range by.Points.GetIds() {
			key, err := idKey(id)
			if err != nil {
				return nil, err
			}
			if c.points[key] != nil {
				keys = append(keys, key)
			}
		}
	case *pb.PointsSelector_Filter:
		tenant, err := c.admit(by.Filter, true)
		if err != nil {
			return nil, err
		}
		for _, point := range c.matching(by.Filter, tenant) {
			keys = append(keys, point.key)
		}
	default:
		return nil, invalid("Validation error: points selector: required")
	}
	return keys, nil
}

func (p *pointsService) UpdateBatch(_ context.Context, r *pb.UpdateBatchPoints) (*pb.UpdateBatchResponse, error) {
	response := &pb.UpdateBatchResponse{}
	for _, operation := range r.GetOperations() {
		set, ok := operation.GetOperation().(*pb.PointsUpdateOperation_SetPayload_)
		if !ok {
			return nil, status.Error(codes.Unimplemented, "contract: only set_payload is modelled in a batch")
		}
		answer, err := p.write(r.GetCollectionName(), r.Wait, func(c *collection) error { return c.setPayload(set.SetPayload) })
		if err != nil {
			return nil, err
		}
		response.Result = append(response.Result, answer.GetResult())
	}
	return response, nil
}

func (c *collection) setPayload(set *pb.PointsUpdateOperation_SetPayload) error {
	if len(set.GetPayload()) == 0 {
		return invalid("contract: set_payload without payload")
	}
	if _, moves := set.GetPayload()[c.tenant]; c.tenant != "" && moves {
		return invalid("contract: set_payload moves a point to another tenant")
	}
	selected, err := c.selected(set.GetPointsSelector())
	if err != nil {
		return err
	}
	for _, key := range selected {
		changed := *c.points[key]
		changed.payload = maps.Clone(changed.payload)
		maps.Copy(changed.payload, set.GetPayload())
		if err := c.checkPayload(changed.payload); err != nil {
			return err
		}
		c.put(&changed)
	}
	return nil
}
