package website

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/conversion"
)

// People finds and makes the visitors and contacts that a server names.
type People struct{ clock clockwork.Clock }

// NewPeople returns a People.
func NewPeople(clock clockwork.Clock) People { return People{clock: clock} }

// IdentifyTx returns whom the identity names, adding the visitor and the
// contact that are not known yet. It takes the tenant's people alone until the
// transaction ends, so it comes first in it.
func (p People) IdentifyTx(ctx context.Context, tx engardedb.Tx, identity conversion.Identity, at time.Time) (conversion.Person, error) {
	var person conversion.Person
	var batch pgx.Batch
	batch.Queue(contact.ChangeSQL, contact.LockKey(tx.Tenant()))
	claim := contact.Claim{UserID: identity.UserID, Email: strings.ToLower(identity.Email), At: at, Source: "conversion"}
	if identity.AnonymousID != "" {
		claim.Visitor = VisitorID(tx.Tenant(), identity.AnonymousID)
		person.VisitorUUID = &claim.Visitor
		times := []time.Time{at}
		batch.Queue(upsertVisitors, tx.Tenant(), []uuid.UUID{claim.Visitor}, texts{identity.AnonymousID}, times, times)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return person, fmt.Errorf("name the visitor: %w", err)
	}
	contacts, err := contact.ResolveTx(ctx, tx, []contact.Claim{claim}, p.clock.Now().UTC())
	if err != nil {
		return person, err //nolint:wrapcheck // it says what it was
	}
	person.ContactUUID = contacts[0]
	return person, nil
}
