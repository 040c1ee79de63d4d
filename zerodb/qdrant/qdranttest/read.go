package qdranttest

import (
	"cmp"
	"context"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// read runs one look at the points that a filter matches, in the order of their IDs, while
// nobody writes. limit is the request's, 0 for none.
func read[T any](p *pointsService, name string, filter *pb.Filter, limit uint64, look func(c *collection, matching []*point) (T, error)) (T, error) {
	p.s.mu.RLock()
	defer p.s.mu.RUnlock()
	var none T
	c, err := p.s.named(name)
	if err != nil {
		return none, err
	}
	tenant, err := c.admit(filter, false)
	if err != nil {
		return none, err
	}
	if most := c.strictly().MaxQueryLimit; most != nil && limit > uint64(*most) {
		return none, invalid("Forbidden: Limit exceeded %d > %d for \"limit\". Help: Reduce the \"limit\" parameter to or below %d.", limit, *most, *most)
	}
	return look(c, c.matching(filter, tenant))
}

func (p *pointsService) Scroll(_ context.Context, r *pb.ScrollPoints) (*pb.ScrollResponse, error) {
	limit := 10
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	if limit < 1 {
		return nil, invalid("Validation error in body: limit: value 0 invalid, must be 1 or larger")
	}
	if r.GetOrderBy() != nil && r.GetOffset() != nil {
		return nil, invalid("Wrong input: Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` and a filter to exclude the IDs that you've already seen for the `order_by.start_from` value")
	}
	return read(p, r.GetCollectionName(), r.GetFilter(), uint64(limit), func(c *collection, matching []*point) (*pb.ScrollResponse, error) {
		found, err := c.scrolled(r, matching)
		if err != nil {
			return nil, err
		}
		response := &pb.ScrollResponse{}
		if len(found) > limit && r.GetOrderBy() == nil {
			response.NextPageOffset = found[limit].id
		}
		for _, point := range found[:min(limit, len(found))] {
			response.Result = append(response.Result, &pb.RetrievedPoint{
				Id: point.id, Payload: point.selectPayload(r.GetWithPayload(), true), Vectors: point.selectVectors(r.GetWithVectors()),
			})
		}
		return response, nil
	})
}

func (c *collection) scrolled(r *pb.ScrollPoints, matching []*point) ([]*point, error) {
	from := ""
	if r.GetOffset() != nil {
		var err error
		if from, err = idKey(r.GetOffset()); err != nil {
			return nil, err
		}
	}
	begin, _ := slices.BinarySearchFunc(matching, from, func(p *point, from string) int { return cmp.Compare(p.key, from) })
	found := matching[begin:]
	by := r.GetOrderBy()
	if by == nil {
		return found, nil
	}
	if index := c.indexes[by.GetKey()]; index.GetDataType() != pb.PayloadSchemaType_Datetime {
		return nil, invalid("Bad request: No range index for `order_by` key: `%s`. Please create one to use `order_by`. The contract server orders by times only.", by.GetKey())
	}
	at := func(p *point) int64 {
		values := fields(p.payload).at(by.GetKey())
		t, _ := instant(values[0])
		return t
	}
	found = slices.DeleteFunc(found, func(p *point) bool { return len(fields(p.payload).at(by.GetKey())) == 0 })
	slices.SortFunc(found, func(a, b *point) int {
		order := cmp.Compare(at(a), at(b))
		if by.GetDirection() == pb.Direction_Desc {
			order = -order
		}
		return cmp.Or(order, cmp.Compare(b.key, a.key))
	})
	return found, nil
}

// selectPayload returns what a selector asks for; without one, whether there is a payload depends on the method.
func (p *point) selectPayload(selector *pb.WithPayloadSelector, unsaid bool) map[string]*pb.Value {
	switch s := selector.GetSelectorOptions().(type) {
	case nil:
		if unsaid {
			return p.payload
		}
	case *pb.WithPayloadSelector_Enable:
		if s.Enable {
			return p.payload
		}
	case *pb.WithPayloadSelector_Include:
		some := map[string]*pb.Value{}
		for _, key := range s.Include.GetFields() {
			if value, has := p.payload[key]; has {
				some[key] = value
			}
		}
		return some
	}
	return nil
}

func (p *point) selectVectors(selector *pb.WithVectorsSelector) *pb.VectorsOutput {
	wanted := func(string) bool { return selector.GetEnable() }
	if names := selector.GetInclude(); names != nil {
		wanted = func(name string) bool { return slices.Contains(names.GetNames(), name) }
	}
	out := map[string]*pb.VectorOutput{}
	for name, data := range p.dense {
		if wanted(name) {
			out[name] = &pb.VectorOutput{Vector: &pb.VectorOutput_Dense{Dense: &pb.DenseVector{Data: data}}}
		}
	}
	for name, entries := range p.sparse {
		if wanted(name) {
			sparse := &pb.SparseVector{}
			for index, value := range entries {
				sparse.Indices, sparse.Values = append(sparse.Indices, index), append(sparse.Values, value)
			}
			out[name] = &pb.VectorOutput{Vector: &pb.VectorOutput_Sparse{Sparse: sparse}}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &pb.VectorsOutput{VectorsOptions: &pb.VectorsOutput_Vectors{Vectors: &pb.NamedVectorsOutput{Vectors: out}}}
}

func (p *pointsService) Count(_ context.Context, r *pb.CountPoints) (*pb.CountResponse, error) {
	return read(p, r.GetCollectionName(), r.GetFilter(), 0, func(_ *collection, matching []*point) (*pb.CountResponse, error) {
		return &pb.CountResponse{Result: &pb.CountResult{Count: uint64(len(matching))}}, nil
	})
}

func (p *pointsService) Facet(_ context.Context, r *pb.FacetCounts) (*pb.FacetResponse, error) {
	limit := uint64(10)
	if r.Limit != nil {
		limit = r.GetLimit()
	}
	if limit < 1 {
		return nil, invalid("Validation error in body: limit: value 0 invalid, must be 1 or larger")
	}
	look := func(c *collection, matching []*point) (*pb.FacetResponse, error) {
		if index := c.indexes[r.GetKey()]; index.GetDataType() != pb.PayloadSchemaType_Keyword {
			return nil, invalid("Bad request: Payload index not found for facet field %q", r.GetKey())
		}
		counts := map[string]uint64{}
		for _, point := range matching {
			seen := map[string]bool{}
			for _, value := range fields(point.payload).at(r.GetKey()) {
				if text := value.GetStringValue(); !seen[text] {
					seen[text] = true
					counts[text]++
				}
			}
		}
		response := &pb.FacetResponse{}
		for text, n := range counts {
			response.Hits = append(response.Hits, &pb.FacetHit{Value: &pb.FacetValue{Variant: &pb.FacetValue_StringValue{StringValue: text}}, Count: n})
		}
		slices.SortFunc(response.GetHits(), func(a, b *pb.FacetHit) int {
			return cmp.Or(cmp.Compare(b.GetCount(), a.GetCount()), cmp.Compare(a.GetValue().GetStringValue(), b.GetValue().GetStringValue()))
		})
		response.Hits = response.GetHits()[:min(uint64(len(response.GetHits())), limit)]
		return response, nil
	}
	p.s.mu.RLock()
	c, err := p.s.named(r.GetCollectionName())
	free := err == nil && c.tenant != "" && r.GetKey() == c.tenant && r.GetFilter() == nil
	if free {
		defer p.s.mu.RUnlock()
		return look(c, c.matching(nil, ""))
	}
	p.s.mu.RUnlock()
	return read(p, r.GetCollectionName(), r.GetFilter(), limit, look)
}

func (p *pointsService) QueryBatch(_ context.Context, r *pb.QueryBatchPoints) (*pb.QueryBatchResponse, error) {
	response := &pb.QueryBatchResponse{}
	for _, query := range r.GetQueryPoints() {
		if query.GetCollectionName() != r.GetCollectionName() {
			return nil, invalid("contract: a query of collection %q in a batch of %q", query.GetCollectionName(), r.GetCollectionName())
		}
		limit := uint64(10)
		if query.Limit != nil {
			limit = query.GetLimit()
		}
		if limit < 1 {
			return nil, invalid("Validation error in body: limit: value 0 invalid, must be 1 or larger")
		}
		result, err := read(p, r.GetCollectionName(), query.GetFilter(), limit, func(c *collection, matching []*point) (*pb.BatchResult, error) {
			return c.nearest(query, matching, limit)
		})
		if err != nil {
			return nil, err
		}
		response.Result = append(response.Result, result)
	}
	return response, nil
}

// nearest scores every matching point. It is always exact.
func (c *collection) nearest(q *pb.QueryPoints, matching []*point, limit uint64) (*pb.BatchResult, error) {
	if allowed := c.strictly().SearchAllowExact; allowed != nil && !*allowed && q.GetParams().GetExact() {
		return nil, invalid("Forbidden: Exact search disabled!")
	}
	score, err := c.scorer(q)
	if err != nil {
		return nil, err
	}
	type scored struct {
		point *point
		score float32
	}
	var found []scored
	for _, point := range matching {
		if s, has := score(point); has {
			found = append(found, scored{point, s})
		}
	}
	slices.SortFunc(found, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.point.key, a.point.key))
	})
	result := &pb.BatchResult{}
	for _, f := range found[:min(uint64(len(found)), limit)] {
		result.Result = append(result.Result, &pb.ScoredPoint{
			Id: f.point.id, Score: f.score, Payload: f.point.selectPayload(q.GetWithPayload(), false), Vectors: f.point.selectVectors(q.GetWithVectors()),
		})
	}
	return result, nil
}

// scorer returns what gives a point its score, and whether it has one: for a sparse
// query, when it has an index in common.
func (c *collection) scorer(q *pb.QueryPoints) (func(*point) (float32, bool), error) {
	name := q.GetUsing()
	switch v := q.GetQuery().GetNearest().GetVariant().(type) {
	case *pb.VectorInput_Dense:
		params, ok := c.dense[name]
		if !ok {
			return nil, invalid("Wrong input: Not existing vector name error: %s", name)
		}
		query, err := checkDense(v.Dense.GetData(), params)
		if err != nil {
			return nil, err
		}
		return func(p *point) (float32, bool) {
			var sum float32
			for i, x := range p.dense[name] {
				sum += x * query[i]
			}
			return sum, p.dense[name] != nil
		}, nil
	case *pb.VectorInput_Sparse:
		if _, ok := c.sparse[name]; !ok {
			return nil, invalid("Wrong input: Not existing vector name error: %s", name)
		}
		query, err := checkSparse(v.Sparse)
		if err != nil {
			return nil, err
		}
		return func(p *point) (float32, bool) {
			var sum float32
			common := false
			for index, weight := range query {
				if x, has := p.sparse[name][index]; has {
					sum, common = sum+x*weight, true
				}
			}
			return sum, common
		}, nil
	default:
		return nil, status.Error(codes.Unimplemented, "contract: only the nearest of a dense or a sparse vector is modelled")
	}
}
