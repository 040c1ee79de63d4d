package segment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/contact/segment/segmentdb"
)

// Segment is a named rule.
type Segment struct {
	UUID      uuid.UUID `json:"segment_uuid" format:"uuid"`
	Name      string    `json:"name"`
	Rules     Rule      `json:"rules"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Starter is a segment most shops want first.
type Starter struct {
	Name  string `json:"name"`
	Rules Rule   `json:"rules"`
}

// Starters returns the segments offered to a new tenant.
func Starters() []Starter {
	return []Starter{{
		Name: "Signed up, did not buy",
		Rules: Rule{All: []Rule{
			{Event: &Event{Name: "Signed Up"}},
			{Not: &Rule{Conversion: &Conversion{}}},
		}},
	}}
}

// Service keeps the tenants' segments.
type Service struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// New returns a Service on db.
func New(db *engardedb.DB, clock clockwork.Clock) *Service {
	return &Service{db: db, clock: clock}
}

// Create keeps a new segment.
func (s *Service) Create(ctx context.Context, tenant uuid.UUID, name string, rules Rule) (Segment, error) {
	if err := firstError(checkText("body.name", name), rules.Validate()); err != nil {
		return Segment{}, err
	}
	raw, err := json.Marshal(rules)
	if err != nil {
		return Segment{}, fmt.Errorf("encode the rules: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Segment{}, fmt.Errorf("make an id: %w", err)
	}
	now := s.clock.Now().UTC().Truncate(time.Microsecond) // as fine as the database keeps it
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return segmentdb.New(tx).CreateSegment(ctx, segmentdb.CreateSegmentParams{
			TenantUUID: tenant, SegmentUUID: id, Name: name, Rules: raw, CreatedAt: now,
		})
	})
	if err != nil {
		return Segment{}, fmt.Errorf("create a segment: %w", err)
	}
	return Segment{UUID: id, Name: name, Rules: rules, CreatedAt: now, UpdatedAt: now}, nil
}

// Get returns a segment; a *fault.Error with NotFound when there is none.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (segment Segment, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		segment, err = Load(ctx, tx, id)
		return err
	})
	return segment, err
}

// Load is Get in a transaction.
func Load(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (Segment, error) {
	row, err := segmentdb.New(tx).GetSegment(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Segment{}, notFound(id)
	}
	if err != nil {
		return Segment{}, fmt.Errorf("read a segment: %w", err)
	}
	return ofRow(segmentdb.ListSegmentsRow(row))
}

// List returns up to limit segments, newest first, older than before (uuid.Nil: from the newest).
func (s *Service) List(ctx context.Context, tenant, before uuid.UUID, limit int) (segments []Segment, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := segmentdb.New(tx).ListSegments(ctx, segmentdb.ListSegmentsParams{Before: before, PageSize: int32(limit)})
		if err != nil {
			return fmt.Errorf("list segments: %w", err)
		}
		segments = make([]Segment, len(rows))
		for i, row := range rows {
			if segments[i], err = ofRow(row); err != nil {
				return err
			}
		}
		return nil
	})
	return segments, err
}

// Update replaces a segment's name and rules. Campaigns that are already
// expanded keep the recipients they have.
func (s *Service) Update(ctx context.Context, tenant, id uuid.UUID, name string, rules Rule) (segment Segment, err error) {
	if err := firstError(checkText("body.name", name), rules.Validate()); err != nil {
		return Segment{}, err
	}
	raw, err := json.Marshal(rules)
	if err != nil {
		return Segment{}, fmt.Errorf("encode the rules: %w", err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := segmentdb.New(tx).UpdateSegment(ctx, segmentdb.UpdateSegmentParams{
			SegmentUUID: id, Name: name, Rules: raw, UpdatedAt: s.clock.Now().UTC(),
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound(id)
		}
		if err != nil {
			return fmt.Errorf("update a segment: %w", err)
		}
		segment, err = ofRow(segmentdb.ListSegmentsRow(row))
		return err
	})
	return segment, err
}

// Delete removes a segment; a Conflict when a campaign uses it.
func (s *Service) Delete(ctx context.Context, tenant, id uuid.UUID) error {
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		deleted, err := segmentdb.New(tx).DeleteSegment(ctx, id)
		var pgErr *pgconn.PgError
		switch {
		case errors.As(err, &pgErr) && pgErr.Code == "23503": // foreign_key_violation
			return fault.Wrap(err, fault.Conflict, "A campaign uses this segment: it tells whom the campaign was for, so it stays.")
		case err != nil:
			return fmt.Errorf("delete a segment: %w", err)
		case deleted == 0:
			return notFound(id)
		}
		return nil
	})
}

// Preview returns how many contacts the rules select and the first few.
func (s *Service) Preview(ctx context.Context, tenant uuid.UUID, rules Rule, after uuid.UUID, limit int) (count int64, members []Member, err error) {
	if err := rules.Validate(); err != nil {
		return 0, nil, err
	}
	now := s.clock.Now().UTC()
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if count, err = Count(ctx, tx, rules, now); err != nil {
			return err
		}
		members, err = Members(ctx, tx, rules, now, after, limit)
		return err
	})
	return count, members, err
}

func ofRow(row segmentdb.ListSegmentsRow) (Segment, error) {
	rules, err := Parse(row.Rules)
	if err != nil {
		return Segment{}, fault.Wrap(err, fault.Internal, "The segment's stored rules cannot be read.")
	}
	return Segment{UUID: row.SegmentUUID, Name: row.Name, Rules: rules, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt}, nil
}

func notFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "There is no segment %s.", id)
}
