package contact_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/outbox"
)

// Core is told of consents when they change and of contacts that merge.
func TestCoreIsToldConsentsAndMerges(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	queue, err := jobs.New(db, jobs.Config{})
	require.NoError(t, err)
	at := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	clock := clockwork.NewFakeClockAt(at)
	facts := outbox.New(db, queue, clock)
	resolve := func(claim contact.Claim) (id uuid.UUID) {
		clock.Advance(time.Minute)
		claim.At, claim.Source = clock.Now(), "event"
		require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
			_, err := tx.Exec(ctx, contact.ChangeSQL, contact.LockKey(tenant))
			require.NoError(t, err)
			found, err := contact.ResolveTx(ctx, tx, contact.Followers{Facts: facts}, []contact.Claim{claim}, clock.Now())
			require.NoError(t, err)
			id = *found[0]
			return nil
		}))
		return id
	}
	yes, no := true, false
	older := resolve(contact.Claim{UserID: "7", EmailConsent: &yes})
	resolve(contact.Claim{UserID: "7", EmailConsent: &yes}) // the same again is no news
	younger := resolve(contact.Claim{Email: "marie@example.com", EmailConsent: &no})
	require.NotEqual(t, older, younger)
	require.Equal(t, older, resolve(contact.Claim{UserID: "7", Email: "marie@example.com"}))

	told, err := facts.List(t.Context(), tenant, outbox.Filter{Status: "pending"}, 0, 100)
	require.NoError(t, err)
	var types []string
	for _, fact := range told {
		types = append(types, fact.Type)
	}
	require.Equal(t, []string{"consent", "contact_merge", "consent", "consent"}, types, "the latest first")
	require.JSONEq(t, `{"contact_uuid":"`+older.String()+`","channel":"email","status":"withdrawn","source":"event","recorded_at":"2026-03-10T12:03:00Z"}`,
		string(told[0].Data), "the no of the younger is the person's latest word")
	require.JSONEq(t, `{"from_contact_uuid":"`+younger.String()+`","into_contact_uuid":"`+older.String()+`"}`, string(told[1].Data))
	require.Equal(t, []uuid.UUID{older, older, younger, older},
		[]uuid.UUID{told[0].CustomerUUID, told[1].CustomerUUID, told[2].CustomerUUID, told[3].CustomerUUID})
	// They are one person's now, and delivered one after another.
	lanes := 0
	require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(DISTINCT lane_uuid) FROM outbox_facts").Scan(&lanes)
	}))
	require.Equal(t, 1, lanes)
}
