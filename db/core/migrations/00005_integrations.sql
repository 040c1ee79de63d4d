-- A tenant's accounts at providers; the secrets of each are sealed by the service before they get here.
-- +goose Up
CREATE TABLE integrations (
    tenant_uuid      uuid NOT NULL REFERENCES tenants,
    integration_uuid uuid NOT NULL,
    provider         text NOT NULL CHECK (provider ~ '^[a-z][a-z0-9_]{0,62}$'),
    name             text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    settings         jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object'),
    -- A random nonce and the credentials, encrypted with AES-256-GCM under the key
    -- that key_id names; bound to the tenant and the integration.
    credentials      bytea NOT NULL,
    key_id           text NOT NULL,
    -- What may be shown of each credential: its name and a masked end.
    hints            jsonb NOT NULL CHECK (jsonb_typeof(hints) = 'object'),
    enabled          boolean NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, integration_uuid),
    UNIQUE (tenant_uuid, provider, name)
);
CALL engarde_isolate_tenants('integrations');
GRANT SELECT, INSERT, UPDATE, DELETE ON integrations TO engarde_core_app;
-- Shared and readable, but for the secrets, which a service is given by Core itself.
GRANT SELECT (tenant_uuid, integration_uuid, provider, name, settings, enabled, created_at, updated_at) ON integrations
    TO madan_sara_app, onside_app, sankore_app;

-- Which integrations, of whichever tenant, are under another key than the current
-- one. It tells ids alone; the job then works on each as its tenant.
CREATE FUNCTION core_stale_integrations(current_key text, after_tenant uuid, after_integration uuid, most integer)
RETURNS TABLE (tenant_uuid uuid, integration_uuid uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT i.tenant_uuid, i.integration_uuid FROM public.integrations i
    WHERE i.key_id <> current_key AND (i.tenant_uuid, i.integration_uuid) > (after_tenant, after_integration)
    ORDER BY i.tenant_uuid, i.integration_uuid LIMIT most
$$;
GRANT SELECT (tenant_uuid, integration_uuid, key_id) ON integrations TO engarde_auth;
CREATE POLICY rotation ON integrations FOR SELECT TO engarde_auth USING (true);
GRANT CREATE ON SCHEMA public TO engarde_auth;
ALTER FUNCTION core_stale_integrations(text, uuid, uuid, integer) OWNER TO engarde_auth;
REVOKE CREATE ON SCHEMA public FROM engarde_auth;
REVOKE ALL ON FUNCTION core_stale_integrations(text, uuid, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core_stale_integrations(text, uuid, uuid, integer) TO engarde_core_app;

-- +goose Down
DROP FUNCTION core_stale_integrations(text, uuid, uuid, integer);
DROP TABLE integrations;
