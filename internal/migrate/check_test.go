package migrate_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/migrate"
)

func TestCheckTellsAnOldDatabase(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	require.NoError(t, migrate.Check(t.Context(), db.Pool(), migrate.RiverSchema))

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	for _, change := range []string{
		"delete from goose_madansara where version_id = (select max(version_id) from goose_madansara)",
		"drop table goose_core",
	} {
		_, err = conn.Exec(t.Context(), change)
		require.NoError(t, err)
		require.ErrorIs(t, migrate.Check(t.Context(), db.Pool(), migrate.RiverSchema), migrate.ErrBehind)
	}
}

func TestANewerDatabaseIsFine(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "insert into goose_madansara (version_id, is_applied) values (99999, true)")
	require.NoError(t, err)
	require.NoError(t, migrate.Check(t.Context(), db.Pool(), migrate.RiverSchema))
}
