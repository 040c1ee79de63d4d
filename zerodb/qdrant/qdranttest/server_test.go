package qdranttest_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
)

// setup returns a client of a server with one strict collection "c" of a dense vector of
// two numbers, indexed by tenant and time, with one point.
func setup(t *testing.T) (*pb.Client, *pb.UpsertPoints) {
	t.Helper()
	server := qdranttest.Start(t, qdranttest.Options{})
	var port int
	_, err := fmt.Sscanf(server.URL, "http://127.0.0.1:%d", &port)
	require.NoError(t, err)
	c, err := pb.NewClient(&pb.Config{Host: "127.0.0.1", Port: port + 1, SkipCompatibilityCheck: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.CreateCollection(t.Context(), &pb.CreateCollection{
		CollectionName:   "c",
		VectorsConfig:    pb.NewVectorsConfigMap(map[string]*pb.VectorParams{"dense": {Size: 2, Distance: pb.Distance_Cosine}}),
		StrictModeConfig: &pb.StrictModeConfig{Enabled: new(true), UnindexedFilteringRetrieve: new(false), UnindexedFilteringUpdate: new(false)},
	}))
	for key, typ := range map[string]pb.FieldType{"tenant": pb.FieldType_FieldTypeKeyword, "at": pb.FieldType_FieldTypeDatetime} {
		request := &pb.CreateFieldIndexCollection{CollectionName: "c", Wait: new(true), FieldName: key, FieldType: &typ}
		if key == "tenant" {
			request.FieldIndexParams = pb.NewPayloadIndexParamsKeyword(&pb.KeywordIndexParams{IsTenant: new(true)})
		}
		_, err := c.CreateFieldIndex(t.Context(), request)
		require.NoError(t, err)
	}
	upsert := &pb.UpsertPoints{
		CollectionName: "c", Wait: new(true), UpdateFilter: of(),
		Points: []*pb.PointStruct{{
			Id: pb.NewID(uuid.NewString()), Payload: pb.NewValueMap(map[string]any{"tenant": "one", "at": "2026-03-01T12:00:00Z"}),
			Vectors: pb.NewVectorsMap(map[string]*pb.Vector{"dense": pb.NewVectorDense([]float32{3, 4})}),
		}},
	}
	_, err = c.Upsert(t.Context(), upsert)
	require.NoError(t, err)
	return c, upsert
}

func of(more ...*pb.Condition) *pb.Filter {
	return &pb.Filter{Must: append([]*pb.Condition{pb.NewMatch("tenant", "one")}, more...)}
}

func TestWhatQdrantRefusesIsRefused(t *testing.T) {
	t.Parallel()
	c, good := setup(t)
	write := func(change func(u *pb.UpsertPoints, p *pb.PointStruct)) error {
		p := &pb.PointStruct{Id: good.GetPoints()[0].GetId(), Payload: pb.NewValueMap(map[string]any{"tenant": "one"}), Vectors: good.GetPoints()[0].GetVectors()}
		u := &pb.UpsertPoints{CollectionName: "c", Wait: new(true), UpdateFilter: of(), Points: []*pb.PointStruct{p}}
		change(u, p)
		_, err := c.Upsert(t.Context(), u)
		return err
	}
	count := func(name string, filter *pb.Filter) error {
		_, err := c.Count(t.Context(), &pb.CountPoints{CollectionName: name, Filter: filter})
		return err
	}
	require.NoError(t, write(func(*pb.UpsertPoints, *pb.PointStruct) {}))
	require.NoError(t, count("c", of()))
	for message, err := range map[string]error{
		"wait must be true":    write(func(u *pb.UpsertPoints, _ *pb.PointStruct) { u.Wait = nil }),
		"doesn't exist":        count("d", of()),
		"Unable to parse UUID": write(func(_ *pb.UpsertPoints, p *pb.PointStruct) { p.Id = pb.NewID("no-uuid") }),
		"expected dim: 2, got 3": write(func(_ *pb.UpsertPoints, p *pb.PointStruct) {
			p.Vectors = pb.NewVectorsMap(map[string]*pb.Vector{"dense": pb.NewVectorDense([]float32{1, 2, 3})})
		}),
		"Not existing vector name": write(func(_ *pb.UpsertPoints, p *pb.PointStruct) {
			p.Vectors = pb.NewVectorsMap(map[string]*pb.Vector{"other": pb.NewVectorDense([]float32{1, 2})})
		}),
		"is indexed as Datetime":    write(func(_ *pb.UpsertPoints, p *pb.PointStruct) { p.Payload["at"] = pb.NewValueString("soon") }),
		"without the condition":     write(func(u *pb.UpsertPoints, _ *pb.PointStruct) { u.UpdateFilter = nil }),
		"a point of tenant":         write(func(_ *pb.UpsertPoints, p *pb.PointStruct) { p.Payload["tenant"] = pb.NewValueString("two") }),
		"Index required but not":    count("c", of(pb.NewMatch("colour", "red"))),
		"types: [Datetime]":         count("c", of(pb.NewDatetimeRange("tenant", &pb.DatetimeRange{}))),
		"is not modelled":           count("c", of(pb.NewHasVector("dense"))),
		"that tenant is one tenant": count("c", &pb.Filter{Should: []*pb.Condition{pb.NewMatch("tenant", "one")}}),
	} {
		require.ErrorContains(t, err, message)
		require.NotEqual(t, codes.Unknown, status.Code(err))
	}
}

func TestAConditionalUpsertReplacesOnlyWhatFulfilsIt(t *testing.T) {
	t.Parallel()
	c, good := setup(t)
	replace := func(filter *pb.Filter, at string) string {
		good.UpdateFilter = filter
		good.Points[0].Payload["at"] = pb.NewValueString(at)
		_, err := c.Upsert(t.Context(), good)
		require.NoError(t, err)
		points, err := c.Scroll(t.Context(), &pb.ScrollPoints{CollectionName: "c", Filter: of(), WithVectors: pb.NewWithVectors(true)})
		require.NoError(t, err)
		require.Len(t, points, 1)
		require.InDeltaSlice(t, []float32{0.6, 0.8}, points[0].GetVectors().GetVectors().GetVectors()["dense"].GetDense().GetData(), 1e-6, "Cosine scales")
		return points[0].GetPayload()["at"].GetStringValue()
	}
	yes, no := pb.NewHasID(good.GetPoints()[0].GetId()), pb.NewHasID(pb.NewIDNum(1))
	require.Equal(t, "2026-03-01T12:00:00Z", replace(of(no), "2027-01-01T00:00:00Z"))
	require.Equal(t, "2027-01-01T00:00:00Z", replace(of(yes), "2027-01-01T00:00:00Z"))
}
