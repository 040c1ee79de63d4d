package app

import (
	"context"
	"fmt"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/website"
)

// people answers conversion's question who an identity is, by the rules of contact.
type people struct {
	clock     clockwork.Clock
	followers contact.Followers
}

// IdentifyTx implements conversion.People.
func (p people) IdentifyTx(ctx context.Context, tx engardedb.Tx, identity conversion.Identity, at time.Time) (conversion.Person, error) {
	if _, err := tx.Exec(ctx, contact.ChangeSQL, contact.LockKey(tx.Tenant())); err != nil {
		return conversion.Person{}, fmt.Errorf("lock the tenant's contacts: %w", err)
	}
	claim := contact.Claim{UserID: identity.UserID, Email: identity.Email, At: at, Source: "conversion"}
	var person conversion.Person
	if identity.AnonymousID != "" {
		visitor := website.VisitorID(tx.Tenant(), identity.AnonymousID)
		claim.Visitor, claim.AnonymousID, person.VisitorUUID = visitor, identity.AnonymousID, &visitor
	}
	contacts, err := contact.ResolveTx(ctx, tx, p.followers, []contact.Claim{claim}, p.clock.Now().UTC())
	if err != nil {
		return conversion.Person{}, err
	}
	person.ContactUUID = contacts[0]
	return person, nil
}

var _ conversion.People = people{}
