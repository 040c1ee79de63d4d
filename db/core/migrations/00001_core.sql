-- En Garde Core: the tables every service may read.
-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
    role_name text;
BEGIN
    -- Roles are shared by every database of a cluster, so another database (or a
    -- concurrent migration) may have created them already.
    FOREACH role_name IN ARRAY ARRAY['engarde_auth', 'engarde_core_app', 'madan_sara_app', 'onside_app', 'sankore_app'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        IF NOT pg_has_role(current_user, role_name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
        END IF;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- A table's rows belong to the tenant named by the transaction's app.tenant_uuid.
-- The scalar sub-select is evaluated once a statement instead of once a row.
-- +goose StatementBegin
CREATE PROCEDURE engarde_isolate_tenants(target regclass) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY tenant_isolation ON %s
            USING (tenant_uuid = (SELECT NULLIF(current_setting(''app.tenant_uuid'', true), '''')::uuid))
            WITH CHECK (tenant_uuid = (SELECT NULLIF(current_setting(''app.tenant_uuid'', true), '''')::uuid))', target);
END
$$;
-- +goose StatementEnd

CREATE TABLE tenants (
    tenant_uuid uuid PRIMARY KEY,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    time_zone   text NOT NULL DEFAULT 'UTC',
    currency    text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    created_at  timestamptz NOT NULL
);
CALL engarde_isolate_tenants('tenants');

CREATE TABLE users (
    tenant_uuid   uuid NOT NULL REFERENCES tenants,
    user_uuid     uuid NOT NULL,
    email         text NOT NULL CHECK (email = lower(email)),
    name          text NOT NULL DEFAULT '',
    role          text NOT NULL CHECK (role IN ('owner', 'admin', 'marketer', 'viewer')),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, user_uuid)
);
-- A person logs in with an e-mail address alone, before any tenant is known, so
-- an address names one user in the whole installation.
CREATE UNIQUE INDEX users_email_key ON users (email);
CALL engarde_isolate_tenants('users');

CREATE TABLE user_sessions (
    tenant_uuid  uuid NOT NULL,
    token_hash   bytea NOT NULL CHECK (length(token_hash) = 32),
    user_uuid    uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, token_hash),
    FOREIGN KEY (tenant_uuid, user_uuid) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX user_sessions_token_hash ON user_sessions (token_hash);
CALL engarde_isolate_tenants('user_sessions');

-- kind 'secret' authorises the API; kind 'write' may only add events and is
-- public by nature (it stands in a web page).
CREATE TABLE api_keys (
    tenant_uuid  uuid NOT NULL REFERENCES tenants,
    key_uuid     uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('secret', 'write')),
    name         text NOT NULL,
    secret_hash  bytea NOT NULL CHECK (length(secret_hash) = 32),
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (tenant_uuid, key_uuid)
);
-- Not unique, so that every unique key starts with the tenant; a version 7 UUID is unique by itself.
CREATE INDEX api_keys_key_uuid ON api_keys (key_uuid);
CALL engarde_isolate_tenants('api_keys');

-- Log-in and key checks happen before a tenant is known. engarde_auth may read
-- across tenants, and only these three functions run as it.
GRANT SELECT ON users, user_sessions, api_keys TO engarde_auth;
CREATE POLICY authentication ON users FOR SELECT TO engarde_auth USING (true);
CREATE POLICY authentication ON user_sessions FOR SELECT TO engarde_auth USING (true);
CREATE POLICY authentication ON api_keys FOR SELECT TO engarde_auth USING (true);

CREATE FUNCTION auth_user_by_email(wanted text)
RETURNS TABLE (tenant_uuid uuid, user_uuid uuid, password_hash text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT u.tenant_uuid, u.user_uuid, u.password_hash FROM public.users u WHERE u.email = lower(wanted)
$$;

CREATE FUNCTION auth_session(wanted bytea)
RETURNS TABLE (tenant_uuid uuid, user_uuid uuid, email text, name text, role text, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT s.tenant_uuid, s.user_uuid, u.email, u.name, u.role, s.expires_at
    FROM public.user_sessions s JOIN public.users u USING (tenant_uuid, user_uuid)
    WHERE s.token_hash = wanted
$$;

CREATE FUNCTION auth_api_key(wanted uuid)
RETURNS TABLE (tenant_uuid uuid, kind text, secret_hash bytea, scopes text[], expires_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT k.tenant_uuid, k.kind, k.secret_hash, k.scopes, k.expires_at, k.revoked_at
    FROM public.api_keys k WHERE k.key_uuid = wanted
$$;

GRANT USAGE, CREATE ON SCHEMA public TO engarde_auth;
ALTER FUNCTION auth_user_by_email(text) OWNER TO engarde_auth;
ALTER FUNCTION auth_session(bytea) OWNER TO engarde_auth;
ALTER FUNCTION auth_api_key(uuid) OWNER TO engarde_auth;
REVOKE CREATE ON SCHEMA public FROM engarde_auth;
REVOKE ALL ON FUNCTION auth_user_by_email(text), auth_session(bytea), auth_api_key(uuid) FROM PUBLIC;
-- Password hashes are for Core's log-in alone.
GRANT EXECUTE ON FUNCTION auth_user_by_email(text) TO engarde_core_app;
GRANT EXECUTE ON FUNCTION auth_session(bytea), auth_api_key(uuid) TO engarde_core_app, madan_sara_app, onside_app, sankore_app;

GRANT USAGE ON SCHEMA public TO engarde_core_app, madan_sara_app, onside_app, sankore_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants, users, user_sessions, api_keys TO engarde_core_app;
-- Core's tables are shared and readable, but for what proves who somebody is.
GRANT SELECT ON tenants TO madan_sara_app, onside_app, sankore_app;
GRANT SELECT (tenant_uuid, user_uuid, email, name, role, created_at) ON users TO madan_sara_app, onside_app, sankore_app;

-- +goose Down
DROP TABLE api_keys, user_sessions, users, tenants CASCADE;
DROP FUNCTION auth_user_by_email(text), auth_session(bytea), auth_api_key(uuid);
DROP PROCEDURE engarde_isolate_tenants(regclass);
