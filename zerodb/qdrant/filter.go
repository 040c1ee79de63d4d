package qdrant

import (
	"slices"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// typesOf returns the types, and so the collections, that a filter asks for.
func typesOf(f *zerodb.Filter) []zerodb.Type {
	if len(f.Types) == 0 {
		return zerodb.Types()
	}
	types := slices.Clone(f.Types)
	slices.Sort(types)
	return slices.Compact(types)
}

// audience is the condition that a scope is seen; none for everyone.
func audience(a zerodb.Audience) wire.Where {
	if a.Everyone {
		return wire.Where{}
	}
	scopes := a.Scopes()
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = scope.String()
	}
	return wire.Where{Must: []*pb.Condition{pb.NewMatchKeywords(keyScope, names...)}}
}

// where is what Qdrant is asked for a filter, beside the types. Qdrant compares times in
// microseconds and long texts by their hash here, so that it may find a little more than
// [zerodb.Filter.Match] does, never less: every answer is matched again.
func where(t wire.Tenant, f *zerodb.Filter, now time.Time) wire.Where {
	w := audience(f.Audience)
	if len(f.IDs) > 0 {
		ids := slices.Clone(f.IDs)
		for i, id := range ids {
			ids[i] = t.PointID(id)
		}
		w.Must = append(w.Must, wire.HasID(ids...))
	}
	if len(f.Agents) > 0 {
		w.Must = append(w.Must, pb.NewMatchKeywords(keyAgent, f.Agents...))
	}
	if f.Subject != "" {
		w.Must = append(w.Must, pb.NewMatchKeyword(keySubject, f.Subject))
	}
	if f.Lineage != noID {
		w.Must = append(w.Must, pb.NewMatchKeyword(keyLineage, f.Lineage.String()))
	}
	if f.NotModel != "" {
		w.MustNot = append(w.MustNot, pb.NewMatchKeyword(keyModel, f.NotModel))
	}
	if !f.From.IsZero() || !f.Before.IsZero() {
		bounds := &pb.DatetimeRange{}
		if !f.From.IsZero() {
			bounds.Gte = stamp(f.From)
		}
		if !f.Before.IsZero() {
			bounds.Lte = stamp(f.Before)
		}
		w.Must = append(w.Must, pb.NewDatetimeRange(keyValidFrom, bounds))
	}
	w = lifetime(w, f, now)
	for i := range f.Where {
		w = condition(w, &f.Where[i])
	}
	return w
}

// lifetime adds what [zerodb.Filter.Match] says of expiry and validity.
func lifetime(w wire.Where, f *zerodb.Filter, now time.Time) wire.Where {
	passed := pb.NewDatetimeRange(keyExpiresAt, &pb.DatetimeRange{Lte: stamp(now)})
	if f.Expired {
		return w.And(passed)
	}
	w.MustNot = append(w.MustNot, passed)
	if f.History {
		return w
	}
	at := f.AsOf
	if at.IsZero() {
		at = now
	}
	w.Must = append(w.Must, pb.NewDatetimeRange(keyValidFrom, &pb.DatetimeRange{Lte: stamp(at)}))
	w.MustNot = append(w.MustNot, pb.NewDatetimeRange(keyValidUntil, &pb.DatetimeRange{Lte: stamp(at)}))
	return w
}

func stamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(micros(t)) }

// condition adds a condition on metadata: that there is a value with its path that
// fulfils it.
func condition(w wire.Where, c *zerodb.Condition) wire.Where {
	must := []*pb.Condition{pb.NewMatchKeyword(valPath, short(c.Path))}
	switch c.Op {
	case zerodb.OpEq:
		must = append(must, tokens(c.Value))
	case zerodb.OpIn:
		must = append(must, tokens(c.Values...))
	case zerodb.OpRange:
		must = append(must, between(c))
	default:
	}
	has := pb.NewNestedFilter(keyValues, &pb.Filter{Must: must})
	if c.Op == zerodb.OpMissing {
		w.MustNot = append(w.MustNot, has)
		return w
	}
	return w.And(has)
}

func tokens(values ...any) *pb.Condition {
	names := make([]string, 0, len(values))
	for _, value := range values {
		if token, ok := scalarToken(value); ok {
			names = append(names, token)
		}
	}
	return pb.NewMatchKeywords(valIs, names...)
}

func between(c *zerodb.Condition) *pb.Condition {
	_, minIsTime := c.Min.(time.Time)
	_, maxIsTime := c.Max.(time.Time)
	if minIsTime || maxIsTime {
		bounds := &pb.DatetimeRange{}
		if t, ok := c.Min.(time.Time); ok {
			bounds.Gte = stamp(t)
		}
		if t, ok := c.Max.(time.Time); ok {
			bounds.Lte = stamp(t)
		}
		return pb.NewDatetimeRange(valTime, bounds)
	}
	bounds := &pb.Range{}
	if x, ok := c.Min.(float64); ok {
		bounds.Gte = &x
	}
	if x, ok := c.Max.(float64); ok {
		bounds.Lte = &x
	}
	return pb.NewRange(valNumber, bounds)
}
