package segment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
)

// Page returns up to limit contacts that the rule selects, in the order of
// their ids, after the given one (uuid.Nil for the first page).
func Page(ctx context.Context, tx engardedb.Tx, rule Rule, now time.Time, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	where, err := Compile(rule, now)
	if err != nil {
		return nil, err
	}
	n := len(where.Args)
	query := fmt.Sprintf(`SELECT c.contact_uuid FROM contacts c WHERE %s AND c.contact_uuid > $%d
		ORDER BY c.contact_uuid LIMIT $%d`, where.SQL, n+1, n+2)
	rows, err := tx.Query(ctx, query, append(where.Args, after, limit)...)
	if err != nil {
		return nil, fmt.Errorf("page through a segment: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("page through a segment: %w", err)
	}
	return ids, nil
}

// Count returns how many contacts the rule selects.
func Count(ctx context.Context, tx engardedb.Tx, rule Rule, now time.Time) (int64, error) {
	where, err := Compile(rule, now)
	if err != nil {
		return 0, err
	}
	var count int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM contacts c WHERE "+where.SQL, where.Args...).Scan(&count); err != nil {
		return 0, fmt.Errorf("count a segment: %w", err)
	}
	return count, nil
}

// Member is a contact as a segment's preview shows it.
type Member struct {
	ContactUUID uuid.UUID `json:"contact_uuid" db:"contact_uuid"`
	Email       string    `json:"email" db:"email"`
	FirstName   string    `json:"first_name" db:"first_name"`
	LastName    string    `json:"last_name" db:"last_name"`
	CreatedAt   time.Time `json:"created_at" db:"created_at"`
}

// Members is Page with what a person wants to see of each contact.
func Members(ctx context.Context, tx engardedb.Tx, rule Rule, now time.Time, after uuid.UUID, limit int) ([]Member, error) {
	ids, err := Page(ctx, tx, rule, now, after, limit)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT contact_uuid, COALESCE(email, '') AS email, first_name, last_name, created_at
		FROM contacts WHERE contact_uuid = ANY($1) ORDER BY contact_uuid`, ids)
	if err != nil {
		return nil, fmt.Errorf("members of a segment: %w", err)
	}
	members, err := pgx.CollectRows(rows, pgx.RowToStructByName[Member])
	if err != nil {
		return nil, fmt.Errorf("members of a segment: %w", err)
	}
	return members, nil
}
