package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
)

// appRoles are the roles that services run as.
const appRoles = `array['engarde_core_app', 'madan_sara_app', 'onside_app', 'sankore_app']`

// globallyUnique are the unique keys that cannot start with the tenant, because
// they are looked up before a tenant is known.
var globallyUnique = []string{"users_email_key"}

func TestEveryTableIsolatesTenants(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	ctx := context.Background()

	// The migrations' own tables hold no tenant's data.
	unprotected := column(t, conn, `
		select c.relname from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname not like 'goose%'
		  and not (c.relrowsecurity and c.relforcerowsecurity
		           and exists (select from pg_policies p where p.schemaname = 'public' and p.tablename = c.relname
		                       and p.policyname = 'tenant_isolation' and p.cmd = 'ALL' and p.roles = '{public}'))
		order by 1`)
	require.Empty(t, unprotected, "tables without forced row-level security")

	// Policies are alternatives: one more of them, for anybody but the
	// authentication role, would open the table.
	extra := column(t, conn, `select tablename || '.' || policyname from pg_policies
		where policyname <> 'tenant_isolation' and roles <> '{engarde_auth}' and schemaname = 'public'`)
	require.Empty(t, extra, "policies beside tenant_isolation")

	badKeys := column(t, conn, `
		select i.relname from pg_index x
		join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
		left join pg_attribute a on a.attrelid = x.indrelid and a.attnum = x.indkey[0]
		where c.relnamespace = 'public'::regnamespace and x.indisunique and a.attname is distinct from 'tenant_uuid'
		  and c.relname not like 'goose%' order by 1`)
	require.Equal(t, globallyUnique, badKeys, "unique keys that do not start with the tenant")

	badForeignKeys := column(t, conn, `
		select k.conname from pg_constraint k
		join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
		where k.contype = 'f' and k.connamespace = 'public'::regnamespace and a.attname <> 'tenant_uuid'`)
	require.Empty(t, badForeignKeys, "foreign keys that do not start with the tenant")

	owned := column(t, conn, `select relname from pg_class where pg_get_userbyid(relowner) = any (`+appRoles+`)`)
	require.Empty(t, owned, "relations owned by an application role")

	// Of what stands across tenants, the role of the look-ups may change one thing:
	// when a key was last used, which every service reports of the keys it checked.
	changeable := column(t, conn, `
		select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
		  and (has_column_privilege('engarde_auth', c.oid, a.attnum, 'UPDATE, INSERT') or has_table_privilege('engarde_auth', c.oid, 'DELETE'))`)
	require.Equal(t, []string{"api_keys.last_used_at"}, changeable, "columns that the look-ups could change")

	powerful := column(t, conn, `select rolname from pg_roles
		where rolname = any (`+appRoles+` || 'engarde_auth'::text)
		  and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolcanlogin)`)
	require.Empty(t, powerful, "application roles that could get around the policies")

	truncating := column(t, conn, `
		select r || ' ' || c.relname from unnest(`+appRoles+`) r, pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and has_table_privilege(r, c.oid, 'TRUNCATE, TRIGGER, REFERENCES')`)
	require.Empty(t, truncating, "TRUNCATE is not subject to row-level security")

	definers := column(t, conn, `select proname from pg_proc
		where prosecdef and pronamespace in ('public'::regnamespace, 'mesh'::regnamespace) and pg_get_userbyid(proowner) <> 'engarde_auth'`)
	require.Empty(t, definers, "functions that run with an owner's rights")
	require.NoError(t, conn.Ping(ctx))
}

// TestEveryTableOfTheMeshIsolatesServices holds the one schema whose rows are a
// service's: what a service sees there is its own, and of a tenant's rows those
// of the transaction's tenant (internal/meshstore tests that they work).
func TestEveryTableOfTheMeshIsolatesServices(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	open := column(t, conn, `
		select c.relname::text from pg_class c
		where c.relnamespace = 'mesh'::regnamespace and c.relkind in ('r', 'p')
		  and not (c.relrowsecurity and c.relforcerowsecurity and exists (
			select from pg_policies p where p.schemaname = 'mesh' and p.tablename = c.relname and p.policyname = 'own_rows'
			  and p.roles = '{public}' and p.qual like '%(service = CURRENT_USER)%' and p.qual = p.with_check
			  and (p.qual like '%app.tenant_uuid%' or not exists (
				select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_uuid'))))
		order by 1`)
	require.Empty(t, open, "tables whose rows are not their service's alone")
	extra := column(t, conn, `select tablename || '.' || policyname from pg_policies
		where schemaname not in ('public', 'mesh') or schemaname = 'mesh' and policyname <> 'own_rows' and roles <> '{engarde_auth}'`)
	require.Empty(t, extra, "policies beside own_rows")
	// Of what stands across tenants, the role of the look-ups may change one thing:
	// when a key was last used, which every service reports of the keys it checked.
	changeable := column(t, conn, `
		select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
		  and (has_column_privilege('engarde_auth', c.oid, a.attnum, 'UPDATE, INSERT') or has_table_privilege('engarde_auth', c.oid, 'DELETE'))`)
	require.Equal(t, []string{"api_keys.last_used_at"}, changeable, "columns that the look-ups could change")

	powerful := column(t, conn, `
		select r || ' ' || c.relname from unnest(`+appRoles+`) r, pg_class c
		where c.relnamespace = 'mesh'::regnamespace and c.relkind = 'r' and has_table_privilege(r, c.oid, 'TRUNCATE, TRIGGER, REFERENCES')`)
	require.Empty(t, powerful, "TRUNCATE is not subject to row-level security")
}

// TestForgottenTenantSeesNoRow fills every tenant table of the catalogue for
// two tenants and then looks at it as each service would.
func TestForgottenTenantSeesNoRow(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	conn := connect(t, url)
	mine, other := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	tables := tenantTables(t, conn)
	require.Greater(t, len(tables), 15)
	fill(t, conn, tables, mine, other)

	for _, role := range column(t, conn, "select unnest("+appRoles+") order by 1") {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			db := dbtest.Pool(t, url, role)
			readable := tablesWith(t, db, tables, "SELECT")
			writable := tablesWith(t, db, tables, "UPDATE")
			require.NotEmpty(t, readable)
			t.Run("without a tenant", func(t *testing.T) {
				for _, table := range readable {
					require.Zero(t, count(t, db.Pool(), table), "%s sees rows of %s", role, table)
				}
				for _, table := range writable {
					tag, err := db.Pool().Exec(context.Background(), "update "+table+" set tenant_uuid = tenant_uuid")
					require.NoError(t, err)
					require.Zero(t, tag.RowsAffected(), "%s changes rows of %s", role, table)
					_, err = db.Pool().Exec(context.Background(), "insert into "+table+" (tenant_uuid) values ($1)", mine)
					require.Error(t, err, "%s adds rows to %s", role, table)
				}
			})
			t.Run("as a tenant", func(t *testing.T) {
				for _, table := range readable {
					require.NoError(t, db.Tenant(context.Background(), mine, func(_ context.Context, tx engardedb.Tx) error {
						require.Equal(t, 1, count(t, tx, table), "%s sees another tenant in %s", role, table)
						return nil
					}))
				}
				for _, table := range writable {
					err := db.Tenant(context.Background(), mine, func(ctx context.Context, tx engardedb.Tx) error {
						_, err := tx.Exec(ctx, "update "+table+" set tenant_uuid = $1", other)
						return err
					})
					require.ErrorContains(t, err, "row-level security", "%s gives rows of %s away", role, table)
				}
			})
		})
	}
}

// TestServicesCannotForgeALogIn holds the services' roles to what they need of
// Core: who a token belongs to, and who is in the tenant. A hole in one of them
// must not yield password hashes, nor a session of somebody else.
func TestServicesCannotForgeALogIn(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	for _, role := range []string{"madan_sara_app", "onside_app", "sankore_app"} {
		db := dbtest.Pool(t, url, role)
		for _, statement := range []string{
			"select password_hash from auth_user_by_email('owner@example.com')",
			"select password_hash from users", "select * from users", "update users set role = 'owner'",
			"select * from user_sessions", "insert into user_sessions default values", "delete from user_sessions",
			"select secret_hash from api_keys", "insert into api_keys default values", "update api_keys set last_used_at = now()",
			"select * from audit_log", "insert into audit_log default values", "select * from synced_facts",
			"select credentials from integrations", "select hints from integrations", "update integrations set enabled = false", "delete from integrations",
			"select * from core_stale_integrations(current_key => '', after_tenant => null, after_integration => null, most => 1)",
			"insert into tenants default values", "update tenants set name = 'x'",
			"create table public.x ()", "create schema x", "alter role madan_sara_app bypassrls",
			"create function public.x() returns int language sql as 'select 1'",
			"copy tenants to program 'true'", "select pg_read_file('/etc/passwd')",
		} {
			_, err := db.Pool().Exec(t.Context(), statement)
			require.Error(t, err, "%s: %s", role, statement)
		}
	}
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func count(t *testing.T, q querier, table string) (n int) {
	t.Helper()
	// tenant_uuid is the one column that every reader of a table may see.
	require.NoError(t, q.QueryRow(context.Background(), "select count(tenant_uuid) from "+table).Scan(&n), table)
	return n
}

func tenantTables(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return column(t, conn, `
		select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and a.attname = 'tenant_uuid' order by 1`)
}

func tablesWith(t *testing.T, db *engardedb.DB, tables []string, privilege string) []string {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(tables), func(table string) bool {
		var has bool
		require.NoError(t, db.Pool().QueryRow(context.Background(),
			"select has_column_privilege($1::text, 'tenant_uuid', $2)", table, privilege).Scan(&has))
		return !has
	})
}

// fill adds one row a tenant to every table. What a row must satisfy beside its
// tenant is of no interest here, so checks and foreign keys go first.
func fill(t *testing.T, conn *pgx.Conn, tables []string, tenants ...uuid.UUID) {
	t.Helper()
	ctx := context.Background()
	for _, drop := range column(t, conn, `
		select format('alter table %s drop constraint %I', conrelid::regclass, conname) from pg_constraint
		where connamespace = 'public'::regnamespace and contype in ('c', 'f')`) {
		_, err := conn.Exec(ctx, drop)
		require.NoError(t, err)
	}
	const valueOf = `
		select format('insert into %I (%s) select %s', $1::text, string_agg(quote_ident(attname), ', ' order by attnum),
			string_agg(case
				when attname = 'tenant_uuid' then '$1'
				when t.typcategory = 'A' then '''{}''::' || format_type(atttypid, atttypmod)
				when t.typname = 'uuid' then 'gen_random_uuid()'
				when t.typname = 'bytea' then '''\x00''::bytea'
				when t.typname = 'jsonb' then '''{}''::jsonb'
				when t.typcategory = 'N' then '1'
				when t.typcategory = 'D' then 'now()'
				when t.typcategory = 'B' then 'false'
				else 'gen_random_uuid()::' || format_type(atttypid, atttypmod) end, ', ' order by attnum))
		from pg_attribute a join pg_type t on t.oid = a.atttypid
		where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attnotnull and attgenerated = ''`
	for _, table := range tables {
		var insert string
		require.NoError(t, conn.QueryRow(ctx, valueOf, table).Scan(&insert))
		for _, tenant := range tenants {
			_, err := conn.Exec(ctx, insert, tenant)
			require.NoError(t, err, "%s: extend fill for a new column type", insert)
		}
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

// column returns a query's single text column.
func column(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql)
	require.NoError(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err, strings.TrimSpace(fmt.Sprintf("%.80s", sql)))
	return values
}
