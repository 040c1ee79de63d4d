package website

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/engardehq/madansara/internal/fault"
)

// isPoison reports whether err blames a value, not the database's state: the
// same event will never be taken.
func isPoison(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23") || pg.Code == "54000"
	}
	return fault.CodeOf(err) == fault.Invalid
}

// poisonReason is what the sender may see of a poison error.
func poisonReason(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "the database does not take this event: " + pg.Message
	}
	return "the event can't be stored"
}

// isRepeat reports that an event is in the database already.
func isRepeat(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505" && (pg.ConstraintName == "page_views_pkey" || pg.ConstraintName == "website_events_pkey")
}

// isRetryable reports a transaction that may succeed when run again: a
// deadlock or a failed serialisation.
func isRetryable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// unavailable keeps a fault's own code and makes every other failure a 503, so
// that the sender repeats the events.
func unavailable(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "The events could not be stored; send them again later.")
}
