package qdrant

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// Tenants returns the tenants that have memories here, in the order of their IDs. It is
// for operators: whoever moves the memories of all of them.
func (b *Backend) Tenants(ctx context.Context) ([]uuid.UUID, error) {
	lists, err := each(ctx, zerodb.Types(), func(ctx context.Context, typ zerodb.Type) ([]uuid.UUID, error) {
		return b.conn.Tenants(ctx, CollectionName(typ))
	})
	tenants := slices.Concat(lists...)
	slices.SortFunc(tenants, func(x, y uuid.UUID) int { return slices.Compare(x[:], y[:]) })
	return slices.Compact(tenants), err
}

// A collection's vectors can't change their length, so one for another embedder takes
// the place of the old: its points are copied aside, the collection is created again,
// and they are copied back, those vectors that no longer fit into the payload. The marker, a
// collection too, says that all are aside: from then on the work is finished from there.
func aside(name string) string  { return name + "_rebuild" }
func marker(name string) string { return name + "_rebuild_complete" }

// rebuild makes a collection anew for another dimension.
func (b *Backend) rebuild(ctx context.Context, s wire.Schema, old int) (string, error) {
	copied := s
	copied.Name = aside(s.Name)
	if err := b.conn.Create(ctx, copied); err != nil {
		return "", err
	}
	n, err := b.copyPoints(ctx, s.Name, copied)
	if err != nil {
		return "", err
	}
	if err := b.conn.Create(ctx, wire.Schema{Name: marker(s.Name)}); err != nil {
		return "", err
	}
	if _, err := b.finishRebuild(ctx, s); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d memories moved from vectors of %d numbers to such of %d; they are embedded anew by the upkeep", n, old, s.Dimension), nil
}

// finishRebuild ends what a rebuild that was broken off has left: forward if all points are aside, else back.
func (b *Backend) finishRebuild(ctx context.Context, s wire.Schema) (string, error) {
	left, err := b.conn.Inspect(ctx, aside(s.Name))
	if err != nil || !left.Exists {
		return "", err
	}
	complete, err := b.conn.Inspect(ctx, marker(s.Name))
	if err != nil {
		return "", err
	}
	if !complete.Exists {
		return "", b.conn.Drop(ctx, aside(s.Name))
	}
	if s.Dimension == 0 {
		s.Dimension = left.Dimension
	}
	if err := b.conn.Drop(ctx, s.Name); err != nil {
		return "", err
	}
	if err := b.conn.Create(ctx, s); err != nil {
		return "", err
	}
	n, err := b.copyPoints(ctx, aside(s.Name), s)
	if err != nil {
		return "", err
	}
	// In this order: without the marker what is aside is a copy that nobody needs.
	if err := b.conn.Drop(ctx, marker(s.Name)); err != nil {
		return "", err
	}
	b.forget()
	return fmt.Sprintf("finished a rebuild: %d memories", n), b.conn.Drop(ctx, aside(s.Name))
}

// copyPoints copies every point, tenant by tenant, and counts both sides afterwards: a
// difference means that somebody wrote meanwhile.
func (b *Backend) copyPoints(ctx context.Context, from string, to wire.Schema) (int, error) {
	tenants, err := b.conn.Tenants(ctx, from)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, tenant := range tenants {
		t, err := b.conn.Tenant(tenant)
		if err != nil {
			return total, err
		}
		if err := copyTenant(ctx, t, from, to); err != nil {
			return total, err
		}
		was, err := t.Count(ctx, from, wire.Where{})
		if err != nil {
			return total, err
		}
		is, err := t.Count(ctx, to.Name, wire.Where{})
		if err != nil {
			return total, err
		}
		if was != is {
			return total, zerodb.Unavailable(nil, fmt.Sprintf("%s has %d memories of a tenant, its copy %d: something writes meanwhile; stop it and repeat", from, was, is))
		}
		total += is
	}
	return total, nil
}

func copyTenant(ctx context.Context, t wire.Tenant, from string, to wire.Schema) error {
	var next uuid.UUID
	for {
		var points []*pb.RetrievedPoint
		var err error
		if points, next, err = t.Scroll(ctx, from, wire.Where{}, wire.Page{From: next, Limit: pointsAtOnce, Vectors: true}); err != nil {
			return err
		}
		copies := make([]*pb.PointStruct, len(points))
		for i, point := range points {
			s, err := decode(point)
			if err != nil {
				return err
			}
			if copies[i], err = encode(t, &s.memory, to.Dimension, s.revisions); err != nil {
				return err
			}
		}
		if len(copies) > 0 {
			if err := t.Upsert(ctx, to.Name, copies, wire.Where{}); err != nil {
				return err
			}
		}
		if next == uuid.Nil {
			return nil
		}
	}
}
