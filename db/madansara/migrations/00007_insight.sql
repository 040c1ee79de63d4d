-- How often people like this one bought within 30 days, by what they had done before.
-- +goose Up

-- A row is a group of people: when they last came, how often, whether they had bought.
-- The job that counts replaces all rows of the tenant.
CREATE TABLE conversion_propensity (
    tenant_uuid uuid NOT NULL,
    recency     smallint NOT NULL CHECK (recency BETWEEN 0 AND 3),
    frequency   smallint NOT NULL CHECK (frequency BETWEEN 0 AND 2),
    bought      boolean NOT NULL,
    people      bigint NOT NULL CHECK (people > 0),
    converted   bigint NOT NULL CHECK (converted BETWEEN 0 AND people),
    counted_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, recency, frequency, bought)
);
CALL engarde_isolate_tenants('conversion_propensity');
GRANT SELECT, INSERT, DELETE ON conversion_propensity TO madan_sara_app;

-- +goose Down
DROP TABLE conversion_propensity;
