-- What competitors were seen to do: their ads, and their share of the auctions.
-- +goose Up

-- An observation is all there was to see of a competitor on a platform on a day;
-- one without items says that there was nothing.
CREATE TABLE competitor_observations (
    tenant_uuid uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('ad', 'share')),
    platform    text NOT NULL CHECK (platform ~ '^[a-z][a-z0-9_]{1,31}$'),
    competitor  text NOT NULL CHECK (length(competitor) BETWEEN 1 AND 600),
    observed_on date NOT NULL,
    items       integer NOT NULL,
    source      text NOT NULL CHECK (source IN ('csv', 'api')),
    imported_by text NOT NULL,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, kind, platform, competitor, observed_on)
);
CALL engarde_isolate_tenants('competitor_observations');

-- item_key tells an ad from the competitor's others; of a share it is the part of
-- the account it is about, '' for all.
CREATE TABLE competitor_intelligence (
    tenant_uuid uuid NOT NULL,
    kind        text NOT NULL,
    platform    text NOT NULL,
    competitor  text NOT NULL,
    observed_on date NOT NULL,
    item_key    text NOT NULL CHECK (length(item_key) <= 1200),
    content     jsonb NOT NULL,
    PRIMARY KEY (tenant_uuid, kind, platform, competitor, observed_on, item_key),
    FOREIGN KEY (tenant_uuid, kind, platform, competitor, observed_on) REFERENCES competitor_observations ON DELETE CASCADE
);
CALL engarde_isolate_tenants('competitor_intelligence');

GRANT SELECT, INSERT, UPDATE, DELETE ON competitor_observations, competitor_intelligence TO sankore_app;

-- +goose Down
DROP TABLE competitor_intelligence, competitor_observations;
