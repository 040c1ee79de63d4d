package qdrant

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// revisions are what a point is written back on, and its recalls.
type revisions struct {
	revision       string
	recallRevision string
	// recallLog are the last recall revisions: who wrote one finds it here, even when
	// others have counted since.
	recallLog  []string
	recalls    int
	recalledAt time.Time
}

var revisionKeys = []string{keyRevision, keyRecallRevision, keyRecallLog, keyRecalls, keyRecalledAt}

func revisionsOf(payload map[string]*pb.Value) (revisions, error) {
	r := revisions{
		revision: payload[keyRevision].GetStringValue(), recallRevision: payload[keyRecallRevision].GetStringValue(),
		recalls: int(payload[keyRecalls].GetIntegerValue()),
	}
	for _, entry := range payload[keyRecallLog].GetListValue().GetValues() {
		r.recallLog = append(r.recallLog, entry.GetStringValue())
	}
	text := payload[keyRecalledAt].GetStringValue()
	if text == "" {
		return r, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return r, zerodb.Unavailable(err, "a point in Qdrant holds a time that is none")
	}
	r.recalledAt = at.UTC()
	return r, nil
}

// logged is how many recall revisions a point remembers.
const logged = 16

func logValue(log []string) *pb.Value {
	log = log[max(0, len(log)-logged):]
	values := make([]*pb.Value, len(log))
	for i, entry := range log {
		values[i] = pb.NewValueString(entry)
	}
	return pb.NewValueFromList(values...)
}

// recallAttempts at one chunk: each failed one means that another counted in between.
const recallAttempts = 50

// Recalled counts recalls. It reads and writes on the condition that nobody counted in
// between, so that counts of several processes add up.
func (b *Backend) Recalled(ctx context.Context, tenant uuid.UUID, recalls []zerodb.Recall) error {
	t, err := b.conn.Tenant(tenant)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(recalls, pointsAtOnce) {
		byPoint := make(map[string]zerodb.Recall, len(chunk))
		ids := make([]uuid.UUID, len(chunk))
		for i, recall := range chunk {
			ids[i] = t.PointID(recall.ID)
			sum := byPoint[ids[i].String()]
			byPoint[ids[i].String()] = zerodb.Recall{ID: recall.ID, Count: sum.Count + recall.Count, At: later(sum.At, recall.At)}
		}
		_, err := each(ctx, zerodb.Types(), func(ctx context.Context, typ zerodb.Type) (struct{}, error) {
			return struct{}{}, recalled(ctx, t, CollectionName(typ), ids, byPoint)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func recalled(ctx context.Context, t wire.Tenant, collection string, ids []uuid.UUID, byPoint map[string]zerodb.Recall) error {
	written := map[string]string{} // the revision that is in a point's log if its recalls were counted
	for attempt := range recallAttempts {
		if attempt > 1 { // the second look usually finds that all is written
			if err := pause(ctx, attempt); err != nil {
				return err
			}
		}
		points, _, err := t.Scroll(ctx, collection, wire.Where{}.And(wire.HasID(ids...)), wire.Page{
			Limit: len(ids), Keys: revisionKeys,
		})
		if err != nil {
			return err
		}
		var sets []wire.Set
		for _, point := range points {
			id := point.GetId().GetUuid()
			k, err := revisionsOf(point.GetPayload())
			if err != nil {
				return err
			}
			if slices.Contains(k.recallLog, written[id]) {
				continue
			}
			written[id] = newRevision()
			k.recallLog = append(k.recallLog, written[id])
			sets = append(sets, wire.Set{
				Where: wire.Where{}.And(wire.HasID(uuid.MustParse(id)), pb.NewMatchKeyword(keyRecallRevision, k.recallRevision)),
				Payload: map[string]*pb.Value{
					keyRecalls:        pb.NewValueInt(int64(k.recalls + byPoint[id].Count)),
					keyRecalledAt:     timeValue(later(k.recalledAt, byPoint[id].At)),
					keyRecallRevision: pb.NewValueString(written[id]),
					keyRecallLog:      logValue(k.recallLog),
				},
			})
		}
		if len(sets) == 0 {
			return nil
		}
		if err := t.SetPayloads(ctx, collection, sets); err != nil {
			return err
		}
	}
	return zerodb.Unavailable(nil, "recalls of the same memories are counted by too many at once")
}
