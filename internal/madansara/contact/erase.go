package contact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outbox"
)

// Memories is what the agents remember of contacts, wherever that is kept. What it is told
// happens once the transaction has committed.
type Memories interface {
	// MergedTx makes what is remembered of from be remembered of into.
	MergedTx(ctx context.Context, tx engardedb.Tx, from, into uuid.UUID) error
	// ErasedTx erases what is remembered of a contact, and returns the receipt's id.
	ErasedTx(ctx context.Context, tx engardedb.Tx, by string, gone Gone) (uuid.UUID, error)
}

// Gone is by what names an erased contact may be known elsewhere.
type Gone struct {
	UUID       uuid.UUID
	Merged     []uuid.UUID // contacts that were merged into it
	Identities []Identity
}

// Followers are told what becomes of contacts, in the transaction that changes them. Nil ones are not told.
type Followers struct {
	Facts    Facts
	Memories Memories
}

// Erased says what an erasure of a contact did.
type Erased struct {
	ContactUUID uuid.UUID  `json:"contact_uuid" format:"uuid"`
	Memories    *uuid.UUID `json:"memory_erasure_uuid,omitempty" format:"uuid" doc:"The erasure of what the agents remember, which is under way: its receipt is at /api/v1/memory/erasures/{erasure_uuid}"`
	ErasedAt    time.Time  `json:"erased_at"`
	Rows        Rows       `json:"rows" doc:"What was erased here"`
}

// Rows counts what an erasure found.
type Rows struct {
	Visitors    int64 `json:"visitors" doc:"With their visits"`
	Events      int64 `json:"events" doc:"Page views and events"`
	Messages    int64 `json:"messages" doc:"Sent or waiting"`
	Conversions int64 `json:"conversions_kept" doc:"They stay in the figures, without the person and without what was bought"`
	Touchpoints int64 `json:"touchpoints_kept" doc:"They stay in the figures, without the person"`
}

// erasureFact tells Core that a contact was erased.
type erasureFact struct {
	ContactUUID uuid.UUID   `json:"contact_uuid"`
	Merged      []uuid.UUID `json:"merged_contact_uuids,omitempty"` // known by these before
}

// Erase deletes a contact with everything that names it: identities, consents, visits,
// events, messages and what the agents remember. Conversions and touchpoints stay in the figures
// under a new random id that nothing leads to. Suppressions stay, for an address that must not
// be written to must not be written to. by is who asked.
func (s *Service) Erase(ctx context.Context, tenant, id uuid.UUID, by string) (erased Erased, err error) {
	now := s.clock.Now().UTC()
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if _, err := tx.Exec(ctx, ChangeSQL, LockKey(tenant)); err != nil {
			return fmt.Errorf("lock the tenant's contacts: %w", err)
		}
		erased = Erased{ContactUUID: id, ErasedAt: now}
		gone, err := namesOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if erased.Rows, err = eraseRows(ctx, tx, id); err != nil {
			return err
		}
		if s.followers.Memories != nil {
			receipt, err := s.followers.Memories.ErasedTx(ctx, tx, by, gone)
			if err != nil {
				return err
			}
			erased.Memories = &receipt
		}
		if s.followers.Facts == nil {
			return nil
		}
		fact := outbox.Fact{Type: "contact_erasure", Customer: id, Data: erasureFact{id, gone.Merged}, At: now}
		return s.followers.Facts.AddTx(ctx, tx, fact)
	})
	return erased, err //nolint:wrapcheck // a fault, or engardedb says what it was
}

// namesOf locks the contact and reads what it is known by.
func namesOf(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (Gone, error) {
	gone := Gone{UUID: id}
	var sending bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM outreach_messages WHERE tenant_uuid = $1 AND contact_uuid = $2 AND status = 'sending')
		FROM contacts WHERE tenant_uuid = $1 AND contact_uuid = $2 FOR UPDATE`, tx.Tenant(), id).Scan(&sending)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return gone, fault.New(fault.NotFound, "There is no contact %s; it may have been merged into an older one.", id)
	case err != nil:
		return gone, fmt.Errorf("lock a contact: %w", err)
	case sending: // its outcome would have nowhere to be written
		return gone, fault.New(fault.Conflict, "A message to this contact is being sent right now: try again in a minute.")
	}
	err = tx.QueryRow(ctx, `SELECT
		ARRAY(SELECT from_contact_uuid FROM contact_merges WHERE tenant_uuid = $1 AND contact_uuid = $2 ORDER BY 1),
		(SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object('kind', kind, 'value', value)), '[]') FROM (
			SELECT kind, value FROM contact_identities WHERE tenant_uuid = $1 AND contact_uuid = $2
			UNION SELECT 'email', email FROM contacts WHERE tenant_uuid = $1 AND contact_uuid = $2 AND email IS NOT NULL) n)`,
		tx.Tenant(), id).Scan(&gone.Merged, &gone.Identities)
	if err != nil {
		return gone, fmt.Errorf("read what a contact is known by: %w", err)
	}
	return gone, nil
}

// eraseRows erases the contact itself, and all that its tables hold of it.
func eraseRows(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (rows Rows, err error) {
	visitors, err := queryUUIDs(ctx, tx, `SELECT visitor_uuid FROM website_visitors WHERE tenant_uuid = $1 AND contact_uuid = $2`, id)
	if err != nil {
		return rows, err
	}
	// Nothing keeps what it stands for: the person's touches and conversions hang together by it, and lead nowhere.
	nobody := uuid.New()
	const (
		theirs = ` WHERE tenant_uuid = $1 AND (contact_uuid = $2 OR visitor_uuid = ANY ($3) AND contact_uuid IS NULL)`
		// What somebody else did on the person's computer stays somebody else's.
		touched = ` WHERE tenant_uuid = $1 AND (contact_uuid = $2 OR visitor_uuid = ANY ($3))`
		unnamed = `contact_uuid = CASE WHEN contact_uuid <> $2 THEN contact_uuid ELSE $4 END, visitor_uuid = NULL, session_uuid = NULL`
	)
	for _, step := range []struct {
		count *int64
		sql   string
		args  []any
	}{
		// A click holds its message while it adds a touch, so messages come first.
		{&rows.Messages, `DELETE FROM outreach_messages WHERE tenant_uuid = $1 AND contact_uuid = $2`, []any{id}},
		{&rows.Touchpoints, `UPDATE customer_touchpoints SET ` + unnamed + `, message_uuid = NULL, source_key = 'erased:' || touchpoint_uuid` + touched, []any{id, visitors, nobody}},
		{&rows.Conversions, `UPDATE conversion_events SET ` + unnamed + `, properties = CASE WHEN contact_uuid <> $2 THEN properties ELSE '{}' END` + touched, []any{id, visitors, nobody}},
		{&rows.Events, `DELETE FROM page_views` + theirs, []any{id, visitors}},
		{&rows.Events, `DELETE FROM website_events` + theirs, []any{id, visitors}},
		{nil, `DELETE FROM website_sessions WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2)`, []any{visitors}},
		{&rows.Visitors, `DELETE FROM website_visitors WHERE tenant_uuid = $1 AND contact_uuid = $2`, []any{id}},
		{nil, `DELETE FROM contacts WHERE tenant_uuid = $1 AND contact_uuid = $2`, []any{id}}, // and what cascades from it
	} {
		tag, err := tx.Exec(ctx, step.sql, append([]any{tx.Tenant()}, step.args...)...)
		if err != nil {
			return rows, fmt.Errorf("erase a contact: %w", err)
		}
		if step.count != nil {
			*step.count += tag.RowsAffected()
		}
	}
	return rows, nil
}

func queryUUIDs(ctx context.Context, tx engardedb.Tx, sql string, id uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, sql, tx.Tenant(), id)
	if err == nil {
		var ids []uuid.UUID
		if ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err == nil {
			return ids, nil
		}
	}
	return nil, fmt.Errorf("read a contact's visitors: %w", err)
}
