package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func setup(t *testing.T) (*engardedb.DB, *audit.Service, uuid.UUID) {
	t.Helper()
	url, db := dbtest.App(t, "engarde_core_app")
	return db, audit.New(db), dbtest.Tenant(t, url)
}

func record(ctx context.Context, t *testing.T, db *engardedb.DB, tenant uuid.UUID, at time.Time, act audit.Act) {
	t.Helper()
	require.NoError(t, db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error { return audit.Record(ctx, tx, at, act) }))
}

func TestAnActAndItsEntryAreOne(t *testing.T) {
	t.Parallel()
	db, log, tenant := setup(t)
	failed := errors.New("failed")
	err := db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		require.NoError(t, audit.Record(ctx, tx, now, audit.On("key.created", "k1", nil)))
		return failed
	})
	require.ErrorIs(t, err, failed)
	entries, next, err := log.List(t.Context(), tenant, audit.Filter{}, "", 10)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Empty(t, entries, "what did not happen is not on record")
}

func TestWhoActs(t *testing.T) {
	t.Parallel()
	db, log, tenant := setup(t)
	ctx := httpkit.WithPrincipal(t.Context(), httpkit.Principal{Tenant: tenant, ID: "key 1", Name: "CI"})
	record(t.Context(), t, db, tenant, now, audit.On("key.created", "k1", nil))
	record(ctx, t, db, tenant, now.Add(time.Second), audit.On("key.revoked", "k1", map[string]any{"why": "'; drop table audit_log; --"}))
	record(audit.WithActor(ctx, "job", "reencrypt"), t, db, tenant, now.Add(2*time.Second), audit.On("integration.reencrypted", "i1", nil))
	entries, _, err := log.List(t.Context(), tenant, audit.Filter{}, "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.Equal(t, []string{"job", "key 1", "system"}, []string{entries[0].Actor, entries[1].Actor, entries[2].Actor})
	require.Equal(t, "CI", entries[1].ActorName)
	require.Equal(t, "key", entries[1].ObjectType)
	require.JSONEq(t, `{"why":"'; drop table audit_log; --"}`, string(entries[1].Details))
	require.JSONEq(t, `{}`, string(entries[0].Details))
}

func TestTheLogIsOnlyAddedTo(t *testing.T) {
	t.Parallel()
	db, _, tenant := setup(t)
	record(t.Context(), t, db, tenant, time.Now().AddDate(0, -10, 0), audit.On("key.created", "k1", nil)) // the database's clock judges what may go
	for _, statement := range []string{"update audit_log set actor = 'nobody'", "delete from audit_log", "truncate audit_log"} {
		err := db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
			_, err := tx.Exec(ctx, statement)
			return err
		})
		pgErr, is := errors.AsType[*pgconn.PgError](err)
		require.True(t, is, statement)
		require.Equal(t, "42501", pgErr.Code, "%s: insufficient privilege", statement)
	}
}

func TestPagesAndFilters(t *testing.T) {
	t.Parallel()
	db, log, tenant := setup(t)
	for n := range 7 {
		action, object := "key.created", "k1"
		if n%2 == 1 {
			action, object = "user.created", "u1"
		}
		// Acts of one moment must not be lost between pages.
		record(t.Context(), t, db, tenant, now.Add(time.Duration(n/3)*time.Hour), audit.On(action, object, nil))
	}
	seen := map[uuid.UUID]bool{}
	pages := 0
	for cursor, more := "", true; more; more = cursor != "" {
		entries, next, err := log.List(t.Context(), tenant, audit.Filter{}, cursor, 2)
		require.NoError(t, err)
		for _, entry := range entries {
			require.False(t, seen[entry.ID])
			seen[entry.ID] = true
		}
		cursor = next
		pages++
	}
	require.Len(t, seen, 7)
	require.Equal(t, 4, pages)
	for filter, want := range map[audit.Filter]int{
		{Action: "key.created"}: 4, {Object: "u1"}: 3, {ObjectType: "user"}: 3, {Actor: "system"}: 7, {Actor: "nobody"}: 0,
		{From: now.Add(time.Hour)}: 4, {To: now.Add(time.Hour)}: 3, {From: now.Add(time.Hour), To: now.Add(2 * time.Hour), Object: "u1"}: 2,
	} {
		entries, _, err := log.List(t.Context(), tenant, filter, "", 100)
		require.NoError(t, err)
		require.Len(t, entries, want, "%+v", filter)
	}
}

// everybody lets anybody in as one tenant's reader.
type everybody uuid.UUID

func (e everybody) Key(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{Tenant: uuid.UUID(e), ID: "key 1", Scopes: []string{"audit:read"}}, nil
}

func (e everybody) Session(ctx context.Context, token string) (httpkit.Principal, error) {
	return e.Key(ctx, token)
}

func TestHostileQueries(t *testing.T) {
	t.Parallel()
	_, log, tenant := setup(t)
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "Core", Version: "1", Authenticator: everybody(tenant), Logger: slog.New(slog.DiscardHandler)})
	log.Register(router.API())
	for query, want := range map[string]int{
		"": 200, "limit=500": 200, "limit=501": 422, "limit=0": 422, "cursor=bnVsbA": 422, "cursor=%00": 422, "cursor=e30": 422, "from=x": 422,
		"actor=%27%20or%201%3D1--": 200, "action=%00": 422, "from=2026-03-01T00:00:00Z&to=2020-01-01T00:00:00Z": 200,
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/audit?"+query, http.NoBody)
		request.Header.Set("Authorization", "Bearer x")
		answer := httptest.NewRecorder()
		router.Handler().ServeHTTP(answer, request)
		require.Equal(t, want, answer.Code, "%s: %s", query, answer.Body)
	}
}
