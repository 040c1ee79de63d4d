-- What every service remembers of the calls it received: a schema beside public,
-- because a nonce belongs to a service and to no tenant.
-- +goose Up
CREATE SCHEMA mesh;
GRANT USAGE ON SCHEMA mesh TO engarde_core_app, madan_sara_app, onside_app, sankore_app, engarde_auth;

-- Nonces of signatures, until the signatures expire. A row is its service's: the
-- role that a service's sessions run as.
CREATE TABLE mesh.nonces (
    service    text NOT NULL DEFAULT current_user,
    digest     bytea NOT NULL CHECK (length(digest) = 16),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (service, digest)
);
CREATE INDEX nonces_expired ON mesh.nonces (expires_at);
ALTER TABLE mesh.nonces ENABLE ROW LEVEL SECURITY;
ALTER TABLE mesh.nonces FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON mesh.nonces USING (service = current_user) WITH CHECK (service = current_user);

-- Operations by their idempotency key, and what was answered. An answer is its
-- tenant's data, so a row is seen in its tenant's transactions only; one that
-- belongs to no tenant has the zero UUID and is seen where no tenant is set.
-- status is null while the operation runs.
CREATE TABLE mesh.operations (
    tenant_uuid uuid NOT NULL,
    service     text NOT NULL DEFAULT current_user,
    operation   bytea NOT NULL CHECK (length(operation) = 32),
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    status      smallint,
    header      jsonb NOT NULL DEFAULT '{}',
    body        bytea NOT NULL DEFAULT '',
    truncated   boolean NOT NULL DEFAULT false,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, service, operation)
);
CREATE INDEX operations_expired ON mesh.operations (expires_at);
ALTER TABLE mesh.operations ENABLE ROW LEVEL SECURITY;
ALTER TABLE mesh.operations FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON mesh.operations
    USING (service = current_user AND tenant_uuid =
        (SELECT COALESCE(NULLIF(current_setting('app.tenant_uuid', true), ''), '00000000-0000-0000-0000-000000000000')::uuid))
    WITH CHECK (service = current_user AND tenant_uuid =
        (SELECT COALESCE(NULLIF(current_setting('app.tenant_uuid', true), ''), '00000000-0000-0000-0000-000000000000')::uuid));

GRANT SELECT, INSERT, UPDATE, DELETE ON mesh.nonces, mesh.operations TO engarde_core_app, madan_sara_app, onside_app, sankore_app;

-- What has expired goes, whose ever it is: a tenant that fell silent sweeps
-- nothing. The function removes what is over and tells nothing of it.
GRANT SELECT, UPDATE (expires_at), DELETE ON mesh.nonces, mesh.operations TO engarde_auth;
CREATE POLICY expiry ON mesh.nonces TO engarde_auth USING (expires_at < now());
CREATE POLICY expiry ON mesh.operations TO engarde_auth USING (expires_at < now());
CREATE FUNCTION mesh.forget_expired(before timestamptz, most integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH nonces AS (
        DELETE FROM mesh.nonces WHERE ctid = ANY (ARRAY(SELECT ctid FROM mesh.nonces
            WHERE expires_at < before ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED)) RETURNING 1
    ), operations AS (
        DELETE FROM mesh.operations WHERE ctid = ANY (ARRAY(SELECT ctid FROM mesh.operations
            WHERE expires_at < before ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED)) RETURNING 1
    )
    SELECT ((SELECT count(*) FROM nonces) + (SELECT count(*) FROM operations))::integer
$$;
GRANT CREATE ON SCHEMA mesh TO engarde_auth;
ALTER FUNCTION mesh.forget_expired(timestamptz, integer) OWNER TO engarde_auth;
REVOKE CREATE ON SCHEMA mesh FROM engarde_auth;
REVOKE ALL ON FUNCTION mesh.forget_expired(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mesh.forget_expired(timestamptz, integer) TO engarde_core_app, madan_sara_app, onside_app, sankore_app;

-- +goose Down
DROP SCHEMA mesh CASCADE;
