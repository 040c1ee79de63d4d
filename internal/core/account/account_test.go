package account_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

var _ httpkit.Authenticator = (*account.Service)(nil)

const password = "correct horse battery"

type bundle struct {
	url      string
	clock    *clockwork.FakeClock
	accounts *account.Service
	tenant   uuid.UUID
}

func setup(t *testing.T) bundle {
	t.Helper()
	url, db := dbtest.App(t, "engarde_core_app")
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	accounts := account.New(db, clock)
	tenant, err := accounts.CreateTenant(t.Context(), account.Tenant{Name: "Ti Machann", TimeZone: "America/Port-au-Prince", Currency: "USD"})
	require.NoError(t, err)
	return bundle{url: url, clock: clock, accounts: accounts, tenant: tenant}
}

func (b bundle) owner(t *testing.T) uuid.UUID {
	t.Helper()
	user, err := b.accounts.CreateUser(t.Context(), b.tenant, account.User{Email: "Owner@Example.com", Name: "Owner", Role: account.Owner, Password: password})
	require.NoError(t, err)
	return user
}

func requireCode(t *testing.T, want fault.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, fault.CodeOf(err), err)
}

func TestLogInAndOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	user := b.owner(t)

	login, err := b.accounts.LogIn(ctx, " OWNER@example.com ", password, "192.0.2.1")
	require.NoError(t, err)
	principal, err := b.accounts.Session(ctx, login.Token)
	require.NoError(t, err)
	require.Equal(t, b.tenant, principal.Tenant)
	require.Equal(t, user, principal.User)
	require.Equal(t, "owner@example.com", principal.Name)
	require.True(t, principal.Allows("outreach:write"))

	require.NoError(t, b.accounts.LogOut(ctx, login.Token))
	_, err = b.accounts.Session(ctx, login.Token)
	requireCode(t, fault.Unauthenticated, err)
	require.NoError(t, b.accounts.LogOut(ctx, login.Token), "logging out twice is no error")
}

func TestASessionExpires(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.owner(t)
	login, err := b.accounts.LogIn(t.Context(), "owner@example.com", password, "192.0.2.1")
	require.NoError(t, err)
	b.clock.Advance(account.SessionLife - time.Second)
	_, err = b.accounts.Session(t.Context(), login.Token)
	require.NoError(t, err)
	b.clock.Advance(time.Second)
	_, err = b.accounts.Session(t.Context(), login.Token)
	requireCode(t, fault.Unauthenticated, err)
}

func TestAWrongLogInDoesNotTellWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.owner(t)
	_, wrongPassword := b.accounts.LogIn(t.Context(), "owner@example.com", "wrong", "192.0.2.1")
	_, wrongEmail := b.accounts.LogIn(t.Context(), "nobody@example.com", password, "192.0.2.1")
	requireCode(t, fault.Unauthenticated, wrongPassword)
	require.Equal(t, wrongPassword.Error(), wrongEmail.Error())
	// The hash that stands for nobody belongs to no password at all.
	_, err := b.accounts.LogIn(t.Context(), "nobody@example.com", "", "192.0.2.1")
	requireCode(t, fault.Unauthenticated, err)
}

func TestLogInsAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.owner(t)
	var err error
	for range 10 {
		_, err = b.accounts.LogIn(t.Context(), "owner@example.com", "wrong password", "192.0.2.1")
		requireCode(t, fault.Unauthenticated, err)
	}
	_, err = b.accounts.LogIn(t.Context(), "owner@example.com", password, "198.51.100.7")
	requireCode(t, fault.RateLimited, err)
	b.clock.Advance(30 * time.Second)
	_, err = b.accounts.LogIn(t.Context(), "owner@example.com", password, "198.51.100.7")
	require.NoError(t, err)
}

func TestSettingAPasswordEndsSessions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	user := b.owner(t)
	login, err := b.accounts.LogIn(t.Context(), "owner@example.com", password, "")
	require.NoError(t, err)
	require.NoError(t, b.accounts.SetPassword(t.Context(), b.tenant, user, "another long password"))
	_, err = b.accounts.Session(t.Context(), login.Token)
	requireCode(t, fault.Unauthenticated, err)
	_, err = b.accounts.LogIn(t.Context(), "owner@example.com", "another long password", "")
	require.NoError(t, err)
}

// TestALogInThatWasOvertakenOpensNothing: the password was right when it was looked at, and
// another one by the time the session was to be opened. It would have been the session of
// whoever the password was changed because of, left over when all were ended.
func TestALogInThatWasOvertakenOpensNothing(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]string{
		"password": "UPDATE users SET password_hash = 'another' WHERE tenant_uuid = $1",
		"disabled": "UPDATE users SET disabled_at = now() WHERE tenant_uuid = $1",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.owner(t)
			conn, err := pgx.Connect(t.Context(), b.url)
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
			tx, err := conn.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			_, err = tx.Exec(t.Context(), change, b.tenant)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				_, err := b.accounts.LogIn(t.Context(), "owner@example.com", password, "192.0.2.1")
				done <- err
			}()
			require.Eventually(t, func() bool {
				waiting := false
				err := tx.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
					WHERE NOT l.granted AND a.datname = current_database())`).Scan(&waiting)
				return err == nil && waiting
			}, time.Minute, 10*time.Millisecond, "it looked at the password and waits for the user's row")
			_, err = tx.Exec(t.Context(), "DELETE FROM user_sessions WHERE tenant_uuid = $1", b.tenant)
			require.NoError(t, err)
			require.NoError(t, tx.Commit(t.Context()))
			requireCode(t, fault.Unauthenticated, <-done)
			open := 0
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM user_sessions WHERE tenant_uuid = $1", b.tenant).Scan(&open))
			require.Zero(t, open)
		})
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.owner(t)
	create := func(u account.User) error {
		_, err := b.accounts.CreateUser(t.Context(), b.tenant, u)
		return err
	}
	requireCode(t, fault.Conflict, create(account.User{Email: "owner@example.com", Role: account.Viewer, Password: password}))
	requireCode(t, fault.Invalid, create(account.User{Email: "no address", Role: account.Viewer, Password: password}))
	requireCode(t, fault.Invalid, create(account.User{Email: "a@example.com", Role: "king", Password: password}))
	requireCode(t, fault.Invalid, create(account.User{Email: "a@example.com", Role: account.Viewer, Password: "short"}))
	require.NoError(t, create(account.User{Email: "v@example.com", Role: account.Viewer, Password: password}))
	login, err := b.accounts.LogIn(t.Context(), "v@example.com", password, "")
	require.NoError(t, err)
	principal, err := b.accounts.Session(t.Context(), login.Token)
	require.NoError(t, err)
	require.False(t, principal.Allows("outreach:write"))
	require.True(t, principal.Allows("outreach:read"))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	token, key, err := b.accounts.CreateKey(ctx, b.tenant, account.NewKey{Kind: account.SecretKey, Name: "CI", Scopes: []string{"contacts:read"}})
	require.NoError(t, err)
	write, _, err := b.accounts.CreateKey(ctx, b.tenant, account.NewKey{Kind: account.WriteKey, Name: "site", Scopes: []string{"*"}})
	require.NoError(t, err)

	principal, err := b.accounts.Key(ctx, token)
	require.NoError(t, err)
	require.Equal(t, b.tenant, principal.Tenant)
	require.Equal(t, []string{"contacts:read"}, principal.Scopes)
	principal, err = b.accounts.Key(ctx, write)
	require.NoError(t, err)
	require.Equal(t, []string{"ingest:write"}, principal.Scopes, "a write key never holds more")

	for name, wrong := range map[string]string{
		"empty":              "",
		"another secret":     token[:len(token)-1] + flip(token[len(token)-1]),
		"another kind":       strings.Replace(token, "mssk_", "mswk_", 1),
		"longer":             token + "0",
		"no digits":          "mssk_" + strings.Repeat("-", len(token)-5),
		"an id out of range": "mssk_" + strings.Repeat("Z", len(token)-5),
		"nobody's":           "mssk_" + strings.Repeat("1", len(token)-5),
	} {
		_, err := b.accounts.Key(ctx, wrong)
		require.Equal(t, fault.Unauthenticated, fault.CodeOf(err), name)
	}

	list, err := b.accounts.Keys(ctx, b.tenant)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Nil(t, list[0].RevokedAt)

	require.NoError(t, b.accounts.RevokeKey(ctx, b.tenant, key.ID))
	_, err = b.accounts.Key(ctx, token)
	requireCode(t, fault.Unauthenticated, err)
	requireCode(t, fault.NotFound, b.accounts.RevokeKey(ctx, dbtest.Tenant(t, b.url), key.ID))
}

func flip(c byte) string {
	if c == '1' {
		return "2"
	}
	return "1"
}

// TestARevocationReachesOtherProcesses uses two services on one database as two processes.
func TestARevocationReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := account.New(dbtest.Pool(t, b.url, "madan_sara_app"), b.clock)
	token, key, err := b.accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.WriteKey, Name: "site"})
	require.NoError(t, err)
	_, err = other.Key(t.Context(), token)
	require.NoError(t, err)
	require.NoError(t, b.accounts.RevokeKey(t.Context(), b.tenant, key.ID))
	b.clock.Advance(15 * time.Second)
	_, err = other.Key(t.Context(), token)
	requireCode(t, fault.Unauthenticated, err)
}

func TestAKnownKeyNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token, _, err := b.accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.WriteKey, Name: "site"})
	require.NoError(t, err)
	_, err = b.accounts.Key(t.Context(), token)
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.accounts.Key(gone, token)
	require.NoError(t, err)
}

func TestAKeyExpires(t *testing.T) {
	t.Parallel()
	b := setup(t)
	expires := b.clock.Now().Add(time.Second)
	token, _, err := b.accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.WriteKey, Name: "site", ExpiresAt: &expires})
	require.NoError(t, err)
	_, err = b.accounts.Key(t.Context(), token)
	require.NoError(t, err)
	b.clock.Advance(time.Second)
	_, err = b.accounts.Key(t.Context(), token)
	requireCode(t, fault.Unauthenticated, err)
	past := b.clock.Now()
	_, _, err = b.accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.WriteKey, Name: "site", ExpiresAt: &past})
	requireCode(t, fault.Invalid, err)
}
