-- How a budget was shared out among campaigns, and what that was expected to earn.
-- +goose Up

-- campaigns keeps each campaign's part as it was computed: it is a record, and
-- outlives the campaigns.
CREATE TABLE budget_allocations (
    tenant_uuid         uuid NOT NULL,
    allocation_uuid     uuid NOT NULL,
    name                text NOT NULL CHECK (length(name) <= 200),
    currency            text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor         bigint NOT NULL CHECK (total_minor > 0),
    days                integer NOT NULL CHECK (days BETWEEN 1 AND 366),
    conversions_source  text NOT NULL CHECK (conversions_source IN ('madan-sara', 'platform')),
    conversions_problem text NOT NULL,
    outcome             jsonb NOT NULL,
    campaigns           jsonb NOT NULL,
    created_by          text NOT NULL,
    created_at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, allocation_uuid)
);
CALL engarde_isolate_tenants('budget_allocations');

GRANT SELECT, INSERT ON budget_allocations TO sankore_app;

-- +goose Down
DROP TABLE budget_allocations;
