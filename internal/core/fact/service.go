package fact

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
	"github.com/engardehq/madansara/internal/core/fact/factdb"
	"github.com/engardehq/madansara/internal/fault"
)

// Service keeps facts. It is safe for concurrent use, also with others on the
// same database.
type Service struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// New returns the facts in db, whose sessions run as engarde_core_app.
func New(db *engardedb.DB, clock clockwork.Clock) *Service { return &Service{db: db, clock: clock} }

// Receive keeps a fact of a tenant, and reports whether it was there already. A
// fact of the same id and source but with other content is Invalid.
func (s *Service) Receive(ctx context.Context, tenant uuid.UUID, f Fact) (duplicate bool, err error) {
	now := s.clock.Now().UTC()
	if f, err = f.normal(now); err != nil {
		return false, err
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := factdb.New(tx)
		inserted, err := queries.InsertFact(ctx, factdb.InsertFactParams{
			TenantUUID: tenant, FactUUID: f.ID, Source: f.Source, DataType: f.DataType, CustomerID: optional(f.CustomerID),
			Sequence: f.Sequence, Data: f.Data, OccurredAt: f.OccurredAt, ReceivedAt: now,
		})
		if err != nil || inserted == 1 {
			return err
		}
		duplicate = true
		same, err := queries.SameFact(ctx, factdb.SameFactParams{
			TenantUUID: tenant, FactUUID: f.ID, Source: f.Source, DataType: f.DataType, CustomerID: optional(f.CustomerID),
			Sequence: f.Sequence, Data: f.Data, OccurredAt: f.OccurredAt,
		})
		if err != nil {
			return err
		}
		if !same {
			return fault.At("header.Idempotency-Key", f.ID.String(), "is the id of another fact of %s; each fact needs its own", f.Source)
		}
		return nil
	})
	if violates(err, foreignKey) {
		err = fault.At("body.tenant_uuid", tenant.String(), "is no tenant")
	}
	return duplicate && err == nil, err
}

const foreignKey = "23503"

func violates(err error, code string) bool {
	pgErr, is := errors.AsType[*pgconn.PgError](err)
	return is && pgErr.Code == code
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Stored is a fact as it is answered.
type Stored struct {
	ID         uuid.UUID       `json:"id"`
	DataType   string          `json:"data_type" example:"conversion"`
	Source     string          `json:"source" doc:"The service that told it" example:"madan-sara"`
	CustomerID string          `json:"customer_id,omitempty"`
	Sequence   int64           `json:"sequence,omitempty" doc:"Orders the facts that a source tells of a customer; the greater is the newer"`
	Data       json.RawMessage `json:"data"`
	OccurredAt time.Time       `json:"timestamp" doc:"When it became true"`
	ReceivedAt time.Time       `json:"received_at"`
}

const columns = "fact_uuid, data_type, source, coalesce(customer_id, ''), sequence, data, occurred_at, received_at"

func scan(row pgx.CollectableRow) (f Stored, err error) {
	err = row.Scan(&f.ID, &f.DataType, &f.Source, &f.CustomerID, &f.Sequence, &f.Data, &f.OccurredAt, &f.ReceivedAt)
	return f, err
}

// Filter narrows a list of facts; zero fields do not.
type Filter struct {
	Source     string
	CustomerID string
	From, To   time.Time // from included, to not
}

// pageBytes is where a page of large facts ends before its limit.
const pageBytes = 4 << 20

// List returns a tenant's facts of a type, those that became true last first,
// and the cursor of the next page, "" after the last. limit is 1 or more; a page
// of large facts may be shorter.
func (s *Service) List(ctx context.Context, tenant uuid.UUID, dataType string, filter Filter, after string, limit int) (facts []Stored, next string, err error) {
	from, err := parseCursor(after)
	if err != nil {
		return nil, "", err
	}
	query, args := listQuery(tenant, dataType, filter, from, limit+1)
	facts = []Stored{}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("list facts: %w", err)
		}
		defer rows.Close()
		size := 0
		for rows.Next() {
			if len(facts) == limit || size > pageBytes {
				next = cursorAfter(facts[len(facts)-1])
				return nil
			}
			f, err := scan(rows)
			if err != nil {
				return fmt.Errorf("list facts: %w", err)
			}
			facts = append(facts, f)
			size += len(f.Data)
		}
		return rows.Err()
	})
	return facts, next, err
}

func listQuery(tenant uuid.UUID, dataType string, filter Filter, from cursor, limit int) (query string, args []any) {
	arg := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	query = "SELECT " + columns + " FROM synced_facts WHERE tenant_uuid = " + arg(tenant) + " AND data_type = " + arg(dataType)
	if filter.Source != "" {
		query += " AND source = " + arg(filter.Source)
	}
	if filter.CustomerID != "" {
		query += " AND customer_id = " + arg(filter.CustomerID)
	}
	if !filter.From.IsZero() {
		query += " AND occurred_at >= " + arg(filter.From)
	}
	if !filter.To.IsZero() {
		query += " AND occurred_at < " + arg(filter.To)
	}
	if from != (cursor{}) {
		query += " AND (occurred_at, fact_uuid, source) < (" + arg(from.At) + ", " + arg(from.ID) + ", " + arg(from.Source) + ")"
	}
	return query + " ORDER BY occurred_at DESC, fact_uuid DESC, source DESC LIMIT " + arg(limit), args
}

// Get returns a fact. source may be "" when only one source has a fact of this
// type and id.
func (s *Service) Get(ctx context.Context, tenant uuid.UUID, dataType string, id uuid.UUID, source string) (Stored, error) {
	var found []Stored
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, "SELECT "+columns+` FROM synced_facts
			WHERE tenant_uuid = $1 AND fact_uuid = $2 AND data_type = $3 AND ($4 = '' OR source = $4) LIMIT 2`, tenant, id, dataType, source)
		if err != nil {
			return fmt.Errorf("get a fact: %w", err)
		}
		found, err = pgx.CollectRows(rows, scan)
		return err
	})
	switch {
	case err != nil:
		return Stored{}, err
	case len(found) == 0:
		return Stored{}, fault.New(fault.NotFound, "There is no such fact.")
	case len(found) > 1:
		return Stored{}, fault.At("query.source", nil, "is needed: several sources have a fact of this id")
	}
	return found[0], nil
}

// mostKinds bounds how many kinds of facts are told of a customer.
const mostKinds = 500

// Customer returns the newest fact of each type and source about a customer:
// the one with the greatest sequence, of equal ones the one that became true
// last. It is the same whatever the order in which the facts came.
func (s *Service) Customer(ctx context.Context, tenant uuid.UUID, customerID string) ([]Stored, error) {
	facts := []Stored{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, "SELECT DISTINCT ON (data_type, source) "+columns+` FROM synced_facts
			WHERE tenant_uuid = $1 AND customer_id = $2
			ORDER BY data_type, source, sequence DESC, occurred_at DESC, fact_uuid DESC LIMIT $3`, tenant, customerID, mostKinds)
		if err != nil {
			return fmt.Errorf("newest facts of a customer: %w", err)
		}
		facts, err = pgx.CollectRows(rows, scan)
		return err
	})
	if err == nil && len(facts) == 0 {
		err = fault.New(fault.NotFound, "No fact is about this customer.")
	}
	return facts, err
}

// Count is how many facts of a type a source has told.
type Count struct {
	DataType       string    `json:"data_type"`
	Source         string    `json:"source"`
	Facts          int64     `json:"facts"`
	Customers      int64     `json:"customers" doc:"How many customers they are about"`
	LastOccurredAt time.Time `json:"last_timestamp" doc:"When the newest became true"`
	LastReceivedAt time.Time `json:"last_received_at"`
}

// Counts returns the counts of a tenant's facts that became true in [from, to),
// of which a zero one is no bound. It reads all those facts' index entries.
func (s *Service) Counts(ctx context.Context, tenant uuid.UUID, from, to time.Time) ([]Count, error) {
	counts := []Count{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := factdb.New(tx).CountFacts(ctx, factdb.CountFactsParams{TenantUUID: tenant, From: optionalTime(from), To: optionalTime(to)})
		for _, row := range rows {
			counts = append(counts, Count(row))
		}
		return err
	})
	return counts, err
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
