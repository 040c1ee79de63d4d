package app

import (
	"context"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/website"
)

func TestPeopleAreWhoTheContactsSay(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	who := people{clock: clockwork.NewRealClock()}
	identify := func(identity conversion.Identity) (person conversion.Person) {
		require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
			person, err = who.IdentifyTx(ctx, tx, identity, time.Now())
			return err
		}))
		return person
	}
	byEmail := identify(conversion.Identity{Email: "marie@example.com"})
	require.NotNil(t, byEmail.ContactUUID)
	require.Nil(t, byEmail.VisitorUUID)
	byBoth := identify(conversion.Identity{UserID: "u1", Email: "marie@example.com", AnonymousID: "a1"})
	require.Equal(t, byEmail.ContactUUID, byBoth.ContactUUID)
	require.Equal(t, website.VisitorID(tenant, "a1"), *byBoth.VisitorUUID)
	require.Equal(t, byEmail.ContactUUID, identify(conversion.Identity{UserID: "u1"}).ContactUUID)

	stranger := identify(conversion.Identity{AnonymousID: "a2"})
	require.Nil(t, stranger.ContactUUID)
	require.Equal(t, website.VisitorID(tenant, "a2"), *stranger.VisitorUUID)

	// A visitor that comes after its order is the person's from its first event.
	require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		var value string
		return tx.QueryRow(ctx, "select value from contact_identities where kind = 'anonymous_id' and contact_uuid = $1", byEmail.ContactUUID).Scan(&value)
	}))
}
