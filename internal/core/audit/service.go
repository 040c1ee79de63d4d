package audit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
)

// Service answers what was done. It is safe for concurrent use.
type Service struct{ db *engardedb.DB }

// New returns the logs in db, whose sessions run as engarde_core_app.
func New(db *engardedb.DB) *Service { return &Service{db: db} }

// DeleteBefore deletes at most $3 entries of the tenant $1 from before $2. The database
// lets none go that is younger than 11 months.
const DeleteBefore = `DELETE FROM audit_log WHERE tenant_uuid = $1 AND entry_uuid IN
	(SELECT entry_uuid FROM audit_log WHERE tenant_uuid = $1 AND at < $2 ORDER BY at LIMIT $3)`

// Entry is an act on record.
type Entry struct {
	ID         uuid.UUID       `json:"id"`
	At         time.Time       `json:"at"`
	Actor      string          `json:"actor" doc:"Who did it: a user, a key, a service, a command or a job" example:"user 0198c000-0000-7000-8000-00000000de30"`
	ActorName  string          `json:"actor_name,omitempty" doc:"The user's e-mail address or the key's name at the time"`
	Action     string          `json:"action" example:"key.created"`
	ObjectType string          `json:"object_type" example:"key"`
	Object     string          `json:"object" doc:"The id of what it was done to"`
	Details    json.RawMessage `json:"details"`
	Address    string          `json:"address,omitempty" doc:"Where the request came from: an IPv4 address or an IPv6 /64 network"`
	RequestID  string          `json:"request_id,omitempty" doc:"Names the request in the service's log"`
}

// Filter narrows a list; zero fields do not.
type Filter struct {
	Actor, Action, ObjectType, Object string
	From, To                          time.Time // from included, to not
}

// List returns a tenant's entries, the newest first, and the cursor of the next
// page, "" after the last. limit is 1 or more.
func (s *Service) List(ctx context.Context, tenant uuid.UUID, filter Filter, after string, limit int) (entries []Entry, next string, err error) {
	from, err := parseCursor(after)
	if err != nil {
		return nil, "", err
	}
	query, args := listQuery(tenant, filter, from, limit+1)
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("list the audit log: %w", err)
		}
		entries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Entry, err error) {
			err = row.Scan(&e.ID, &e.At, &e.Actor, &e.ActorName, &e.Action, &e.ObjectType, &e.Object, &e.Details, &e.Address, &e.RequestID)
			return e, err
		})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(entries) > limit {
		entries = entries[:limit]
		next = cursorAfter(entries[limit-1])
	}
	return entries, next, nil
}

func listQuery(tenant uuid.UUID, filter Filter, from cursor, limit int) (query string, args []any) {
	arg := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	query = `SELECT entry_uuid, at, actor, actor_name, action, object_type, object, details, address, request_id
		FROM audit_log WHERE tenant_uuid = ` + arg(tenant)
	for _, equal := range []struct{ column, value string }{
		{"actor", filter.Actor}, {"action", filter.Action}, {"object_type", filter.ObjectType}, {"object", filter.Object},
	} {
		if equal.value != "" {
			query += " AND " + equal.column + " = " + arg(equal.value)
		}
	}
	if !filter.From.IsZero() {
		query += " AND at >= " + arg(filter.From)
	}
	if !filter.To.IsZero() {
		query += " AND at < " + arg(filter.To)
	}
	if from != (cursor{}) {
		query += " AND (at, entry_uuid) < (" + arg(from.At) + ", " + arg(from.ID) + ")"
	}
	return query + " ORDER BY at DESC, entry_uuid DESC LIMIT " + arg(limit), args
}

// cursor is the last entry of a page.
type cursor struct {
	At time.Time `json:"t"`
	ID uuid.UUID `json:"i"`
}

func cursorAfter(e Entry) string {
	text, _ := json.Marshal(cursor{e.At.UTC(), e.ID}) // a time of four digits' year and an id always marshal
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || c.ID == uuid.Nil || c.At.Year() < 2000 {
		return cursor{}, fault.At("query.cursor", text, "must be the next_cursor of an earlier answer")
	}
	return c, nil
}
