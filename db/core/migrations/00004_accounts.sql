-- Keys are rotated and tell when they were used last; users are disabled; sessions are listed; every act is on record.
-- +goose Up

-- Who did what to what. Only added to: no role of a service may change or remove a row.
CREATE TABLE audit_log (
    tenant_uuid uuid NOT NULL REFERENCES tenants,
    entry_uuid  uuid NOT NULL,
    at          timestamptz NOT NULL,
    actor       text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    actor_name  text NOT NULL,
    action      text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    object_type text NOT NULL,
    object      text NOT NULL,
    details     jsonb NOT NULL CHECK (jsonb_typeof(details) = 'object'),
    address     text NOT NULL,
    request_id  text NOT NULL,
    PRIMARY KEY (tenant_uuid, entry_uuid)
);
CREATE INDEX audit_log_by_time ON audit_log (tenant_uuid, at, entry_uuid);
CREATE INDEX audit_log_by_object ON audit_log (tenant_uuid, object, at, entry_uuid);
CALL engarde_isolate_tenants('audit_log');
GRANT SELECT, INSERT ON audit_log TO engarde_core_app;

ALTER TABLE api_keys
    ADD COLUMN previous_hash  bytea CHECK (length(previous_hash) = 32),
    ADD COLUMN previous_until timestamptz,
    ADD COLUMN rotated_at     timestamptz,
    ADD COLUMN last_used_at   timestamptz;
ALTER TABLE users ADD COLUMN disabled_at timestamptz, ADD COLUMN last_login_at timestamptz;
ALTER TABLE user_sessions
    ADD COLUMN session_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN address text NOT NULL DEFAULT '';
ALTER TABLE user_sessions ALTER COLUMN session_uuid DROP DEFAULT, ALTER COLUMN address DROP DEFAULT;
CREATE UNIQUE INDEX user_sessions_session_uuid ON user_sessions (tenant_uuid, session_uuid);

DROP FUNCTION auth_user_by_email(text);
CREATE FUNCTION auth_user_by_email(wanted text)
RETURNS TABLE (tenant_uuid uuid, user_uuid uuid, password_hash text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT u.tenant_uuid, u.user_uuid, u.password_hash FROM public.users u WHERE u.email = lower(wanted) AND u.disabled_at IS NULL
$$;

DROP FUNCTION auth_session(bytea);
CREATE FUNCTION auth_session(wanted bytea)
RETURNS TABLE (tenant_uuid uuid, user_uuid uuid, email text, name text, role text, expires_at timestamptz, session_uuid uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT s.tenant_uuid, s.user_uuid, u.email, u.name, u.role, s.expires_at, s.session_uuid
    FROM public.user_sessions s JOIN public.users u USING (tenant_uuid, user_uuid)
    WHERE s.token_hash = wanted AND u.disabled_at IS NULL
$$;

DROP FUNCTION auth_api_key(uuid);
CREATE FUNCTION auth_api_key(wanted uuid)
RETURNS TABLE (tenant_uuid uuid, kind text, secret_hash bytea, previous_hash bytea, previous_until timestamptz,
    scopes text[], expires_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT k.tenant_uuid, k.kind, k.secret_hash, k.previous_hash, k.previous_until, k.scopes, k.expires_at, k.revoked_at
    FROM public.api_keys k WHERE k.key_uuid = wanted
$$;

-- Any service may say when keys were used: it can only move that time, of keys
-- whose ids it knows, forward, and not beyond now. Rows are locked in one order,
-- so that replicas which report the same keys do not block each other for good.
CREATE FUNCTION auth_note_key_use(keys uuid[], times timestamptz[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    WITH used AS (
        SELECT key_uuid, least(max(used_at), now()) AS used_at FROM unnest(keys, times) AS u (key_uuid, used_at) GROUP BY key_uuid
    ), locked AS (
        SELECT k.tenant_uuid, k.key_uuid, used.used_at FROM public.api_keys k JOIN used USING (key_uuid)
        WHERE k.last_used_at IS NULL OR k.last_used_at < used.used_at ORDER BY k.key_uuid FOR UPDATE OF k
    )
    UPDATE public.api_keys k SET last_used_at = locked.used_at FROM locked
    WHERE k.tenant_uuid = locked.tenant_uuid AND k.key_uuid = locked.key_uuid
$$;
GRANT UPDATE (last_used_at) ON api_keys TO engarde_auth;
CREATE POLICY last_use ON api_keys FOR UPDATE TO engarde_auth USING (true) WITH CHECK (true);

GRANT CREATE ON SCHEMA public TO engarde_auth;
ALTER FUNCTION auth_user_by_email(text) OWNER TO engarde_auth;
ALTER FUNCTION auth_session(bytea) OWNER TO engarde_auth;
ALTER FUNCTION auth_api_key(uuid) OWNER TO engarde_auth;
ALTER FUNCTION auth_note_key_use(uuid[], timestamptz[]) OWNER TO engarde_auth;
REVOKE CREATE ON SCHEMA public FROM engarde_auth;
REVOKE ALL ON FUNCTION auth_user_by_email(text), auth_session(bytea), auth_api_key(uuid), auth_note_key_use(uuid[], timestamptz[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth_user_by_email(text) TO engarde_core_app;
GRANT EXECUTE ON FUNCTION auth_session(bytea), auth_api_key(uuid), auth_note_key_use(uuid[], timestamptz[])
    TO engarde_core_app, madan_sara_app, onside_app, sankore_app;

-- +goose Down
-- Not undone: what the log holds and who is disabled must not be forgotten by a step back.
