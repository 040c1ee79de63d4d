-- What is kept for a time only is deleted by a job, as each tenant in turn.
-- +goose Up

-- Whose turn is next. It tells ids alone; the job then works as the tenant.
CREATE FUNCTION core_tenants_after(after_tenant uuid, most integer) RETURNS TABLE (tenant_uuid uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT t.tenant_uuid FROM public.tenants t WHERE t.tenant_uuid > after_tenant ORDER BY t.tenant_uuid LIMIT most
$$;
GRANT SELECT (tenant_uuid) ON tenants TO engarde_auth;
CREATE POLICY retention ON tenants FOR SELECT TO engarde_auth USING (true);
GRANT CREATE ON SCHEMA public TO engarde_auth;
ALTER FUNCTION core_tenants_after(uuid, integer) OWNER TO engarde_auth;
REVOKE CREATE ON SCHEMA public FROM engarde_auth;
REVOKE ALL ON FUNCTION core_tenants_after(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core_tenants_after(uuid, integer) TO engarde_core_app, onside_app;

-- The log can still only be added to for as long as anybody may want to cover
-- something up: whoever gets hold of Core deletes nothing of the last 11 months.
GRANT DELETE ON audit_log TO engarde_core_app;
-- +goose StatementBegin
CREATE FUNCTION audit_log_keeps() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF OLD.at > now() - interval '11 months' THEN
        RAISE EXCEPTION 'entries of the audit log are kept for at least 11 months' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_keeps BEFORE DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_keeps();

-- +goose Down
DROP TRIGGER audit_log_keeps ON audit_log;
DROP FUNCTION audit_log_keeps();
REVOKE DELETE ON audit_log FROM engarde_core_app;
DROP FUNCTION core_tenants_after(uuid, integer);
DROP POLICY retention ON tenants;
REVOKE SELECT (tenant_uuid) ON tenants FROM engarde_auth;
