-- Facts on their way to Core: each commits with what it tells, and waits here until Core has it.
-- +goose Up

-- Counts a tenant's facts. Whoever adds some holds the row until the commit, so
-- that a tenant's facts are numbered in the order in which they commit.
CREATE TABLE outbox_counters (
    tenant_uuid   uuid PRIMARY KEY,
    last_sequence bigint NOT NULL CHECK (last_sequence > 0)
);
CALL engarde_isolate_tenants('outbox_counters');

-- A lane is a customer to whom something undelivered belongs; its facts are
-- delivered one after another. due_at is when the first of them may be tried,
-- null when that fact has failed and a person must decide.
CREATE TABLE outbox_lanes (
    tenant_uuid uuid NOT NULL,
    lane_uuid   uuid NOT NULL,
    due_at      timestamptz,
    PRIMARY KEY (tenant_uuid, lane_uuid)
);
CREATE INDEX outbox_lanes_due ON outbox_lanes (tenant_uuid, due_at) WHERE due_at IS NOT NULL;
CALL engarde_isolate_tenants('outbox_lanes');

-- customer_uuid is whom the fact was about when it was recorded, and what Core is
-- told. lane_uuid follows when that person turns out to be another.
CREATE TABLE outbox_facts (
    tenant_uuid   uuid NOT NULL,
    fact_uuid     uuid NOT NULL,
    lane_uuid     uuid NOT NULL,
    sequence      bigint NOT NULL,
    customer_uuid uuid NOT NULL,
    data_type     text NOT NULL CHECK (data_type ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    data          jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    occurred_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    status        text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'failed', 'delivered', 'discarded')),
    attempts      integer NOT NULL DEFAULT 0,
    failure       jsonb,
    settled_at    timestamptz CHECK ((settled_at IS NULL) = (status = 'pending')),
    settled_by    text NOT NULL DEFAULT '',
    reason        text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_uuid, fact_uuid)
);
-- A lane's facts in their order; also what is counted and measured.
CREATE UNIQUE INDEX outbox_facts_waiting ON outbox_facts (tenant_uuid, lane_uuid, sequence) WHERE status IN ('pending', 'failed');
CREATE INDEX outbox_facts_listed ON outbox_facts (tenant_uuid, status, sequence);
CREATE INDEX outbox_facts_settled ON outbox_facts (tenant_uuid, settled_at) WHERE status IN ('delivered', 'discarded');
CALL engarde_isolate_tenants('outbox_facts');

GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_counters, outbox_lanes, outbox_facts TO madan_sara_app;

-- The operator's gauges are of all tenants together; this function sums and tells nothing else.
GRANT SELECT (tenant_uuid, lane_uuid, sequence, status, recorded_at) ON outbox_facts TO engarde_auth;
CREATE POLICY metering ON outbox_facts FOR SELECT TO engarde_auth USING (true);
CREATE FUNCTION outbox_totals() RETURNS TABLE (pending bigint, failed bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'failed'),
        min(recorded_at) FILTER (WHERE status = 'pending')
    FROM public.outbox_facts WHERE status IN ('pending', 'failed')
$$;
GRANT CREATE ON SCHEMA public TO engarde_auth;
ALTER FUNCTION outbox_totals() OWNER TO engarde_auth;
REVOKE CREATE ON SCHEMA public FROM engarde_auth;
REVOKE ALL ON FUNCTION outbox_totals() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_totals() TO madan_sara_app;

-- +goose Down
DROP FUNCTION outbox_totals();
DROP TABLE outbox_facts, outbox_lanes, outbox_counters;
