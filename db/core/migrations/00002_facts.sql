-- What the other services tell Core, one row a fact, never changed.
-- +goose Up

-- fact_uuid is the sender's; (fact_uuid, source) is what makes a fact that is sent again the same one.
CREATE TABLE synced_facts (
    tenant_uuid uuid NOT NULL REFERENCES tenants,
    fact_uuid   uuid NOT NULL,
    source      text NOT NULL CHECK (source ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    data_type   text NOT NULL CHECK (data_type ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    customer_id text CHECK (length(customer_id) BETWEEN 1 AND 320),
    sequence    bigint NOT NULL CHECK (sequence >= 0),
    data        jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, fact_uuid, source)
);
-- Lists and counts of a type.
CREATE INDEX synced_facts_by_time ON synced_facts (tenant_uuid, data_type, occurred_at, fact_uuid, source);
-- A customer's facts, the newest of each type and source first.
CREATE INDEX synced_facts_by_customer ON synced_facts
    (tenant_uuid, customer_id, data_type, source, sequence DESC, occurred_at DESC, fact_uuid DESC) WHERE customer_id IS NOT NULL;
CALL engarde_isolate_tenants('synced_facts');
-- Neither UPDATE nor DELETE: a fact stays as it was told.
GRANT SELECT, INSERT ON synced_facts TO engarde_core_app;

-- +goose Down
DROP TABLE synced_facts;
