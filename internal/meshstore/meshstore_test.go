package meshstore_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/meshstore"
	"github.com/engardehq/madansara/mesh/idempotency"
	"github.com/engardehq/madansara/mesh/meshtest"
	"github.com/engardehq/madansara/mesh/signature"
)

var roles = []string{"engarde_core_app", "madan_sara_app", "onside_app", "sankore_app"}

var quiet = slog.New(slog.DiscardHandler)

func TestTheStoresKeepTheirContracts(t *testing.T) {
	t.Parallel()
	t.Run("nonces", func(t *testing.T) {
		t.Parallel()
		meshtest.Nonces(t, func(t *testing.T, clock clockwork.Clock) signature.NonceStore {
			_, db := dbtest.App(t, "onside_app")
			return meshstore.NewNonces(db, clock, quiet)
		})
	})
	t.Run("operations", func(t *testing.T) {
		t.Parallel()
		meshtest.Idempotency(t, func(t *testing.T, clock clockwork.Clock) idempotency.Store {
			_, db := dbtest.App(t, "sankore_app")
			return meshstore.NewOperations(db, clock, quiet)
		})
	})
}

func TestReplicasShareAndServicesDoNot(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	clock := clockwork.NewFakeClock()
	expires := clock.Now().Add(time.Minute)
	id := idempotency.ID{Source: "a", Tenant: dbtest.Tenant(t, url).String(), Key: "k\x00\xff"}
	for _, role := range roles {
		one, two := dbtest.Pool(t, url, role), dbtest.Pool(t, url, role)
		fresh, err := meshstore.NewNonces(one, clock, quiet).Use(t.Context(), "key", "nonce", expires)
		require.NoError(t, err)
		require.True(t, fresh, "%s: another service's nonce counts", role)
		fresh, err = meshstore.NewNonces(two, clock, quiet).Use(t.Context(), "key", "nonce", expires)
		require.NoError(t, err)
		require.False(t, fresh, "%s: another replica does not know the nonce", role)

		claim, err := meshstore.NewOperations(one, clock, quiet).Claim(t.Context(), id, idempotency.Fingerprint{1}, time.Minute)
		require.NoError(t, err)
		require.True(t, claim.Fresh, role)
		require.NoError(t, meshstore.NewOperations(two, clock, quiet).Complete(t.Context(), id, idempotency.Answer{Status: 204}, time.Hour))
		claim, err = meshstore.NewOperations(one, clock, quiet).Claim(t.Context(), id, idempotency.Fingerprint{1}, time.Minute)
		require.NoError(t, err)
		require.Equal(t, 204, claim.Answer.Status)
	}
}

// Each role sees and changes its own rows only, and of a tenant's operations only
// those of the transaction's tenant.
func TestRowsBelongToAServiceAndATenant(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	mine, other := dbtest.Tenant(t, url), dbtest.Tenant(t, url)
	clock := clockwork.NewRealClock()
	pools := map[string]*engardedb.DB{}
	for _, role := range roles {
		pools[role] = dbtest.Pool(t, url, role)
		_, err := meshstore.NewNonces(pools[role], clock, quiet).Use(t.Context(), "key", role, clock.Now().Add(time.Hour))
		require.NoError(t, err)
		for _, tenant := range []string{mine.String(), other.String(), ""} {
			_, err := meshstore.NewOperations(pools[role], clock, quiet).Claim(t.Context(), idempotency.ID{Tenant: tenant}, idempotency.Fingerprint{}, time.Hour)
			require.NoError(t, err)
		}
	}
	for _, role := range roles {
		db := pools[role]
		require.Equal(t, 1, changed(t, db.Pool(), "UPDATE mesh.nonces SET expires_at = expires_at"), role)
		require.Equal(t, 1, changed(t, db.Pool(), "UPDATE mesh.operations SET status = 200"), role)
		require.NoError(t, db.Tenant(t.Context(), mine, func(_ context.Context, tx engardedb.Tx) error {
			require.Equal(t, 1, changed(t, tx, "UPDATE mesh.operations SET status = 200"), role)
			return nil
		}))
		for _, theft := range []string{
			"INSERT INTO mesh.nonces VALUES ('someone', decode(repeat('00', 16), 'hex'), now())",
			"UPDATE mesh.nonces SET service = 'someone'",
			"UPDATE mesh.operations SET tenant_uuid = '" + other.String() + "'",
		} {
			_, err := db.Pool().Exec(t.Context(), theft)
			require.ErrorContains(t, err, "row-level security", theft)
		}
		for _, forbidden := range []string{"TRUNCATE mesh.nonces", "TRUNCATE mesh.operations", "CREATE TABLE mesh.x ()"} {
			_, err := db.Pool().Exec(t.Context(), forbidden)
			require.ErrorContains(t, err, "permission denied", forbidden)
		}
		// Nobody can make the sweeper forget what is alive.
		_, err := db.Pool().Exec(t.Context(), "SELECT mesh.forget_expired(now() + '1 day', 1000)")
		require.NoError(t, err)
	}
	superuser, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer superuser.Close(t.Context())
	var nonces, operations int
	require.NoError(t, superuser.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM mesh.nonces), (SELECT count(*) FROM mesh.operations)").Scan(&nonces, &operations))
	require.Equal(t, []int{4, 12}, []int{nonces, operations})
}

type executor interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

func changed(t *testing.T, db executor, update string) (rows int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), "WITH changed AS ("+update+" RETURNING 1) SELECT count(*) FROM changed").Scan(&rows))
	return rows
}

// What has expired is removed, another tenant's and another service's too.
func TestTheTablesStayAsLargeAsWhatIsAlive(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	silent := dbtest.Tenant(t, url)
	clock := clockwork.NewFakeClockAt(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	onside := dbtest.Pool(t, url, "onside_app")
	_, err := meshstore.NewOperations(onside, clock, quiet).Claim(t.Context(), idempotency.ID{Tenant: silent.String()}, idempotency.Fingerprint{}, time.Second)
	require.NoError(t, err)
	nonces := meshstore.NewNonces(db, clock, quiet)
	for n := range 192 {
		clock.Advance(time.Second)
		_, err := nonces.Use(t.Context(), "key", strconv.Itoa(n), clock.Now().Add(30*time.Second))
		require.NoError(t, err)
	}
	superuser, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer superuser.Close(t.Context())
	var kept, operations int
	require.NoError(t, superuser.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM mesh.nonces), (SELECT count(*) FROM mesh.operations)").Scan(&kept, &operations))
	require.Equal(t, 31, kept, "those that live, with the second in which they end")
	require.Zero(t, operations)
}

func TestATenantThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	_, db := dbtest.App(t, "onside_app")
	_, err := meshstore.NewOperations(db, clockwork.NewRealClock(), quiet).Claim(t.Context(), idempotency.ID{Tenant: "acme"}, idempotency.Fingerprint{}, time.Minute)
	require.ErrorContains(t, err, "tenant of an operation")
	_, err = meshstore.NewOperations(db, clockwork.NewRealClock(), quiet).Claim(t.Context(), idempotency.ID{Tenant: uuid.Nil.String()}, idempotency.Fingerprint{}, time.Minute)
	require.ErrorIs(t, err, engardedb.ErrNoTenant)
}
