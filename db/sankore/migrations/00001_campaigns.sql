-- Sankore: advertising campaigns and what they did each day.
-- +goose Up

-- A report without ids names a campaign by its name alone; a later one with ids
-- gives it its own. Money is in minor units of the campaign's currency, which an
-- advertising account never changes.
CREATE TABLE ad_campaigns (
    tenant_uuid   uuid NOT NULL,
    campaign_uuid uuid NOT NULL,
    platform      text NOT NULL CHECK (platform ~ '^[a-z][a-z0-9_]{1,31}$'),
    external_id   text NOT NULL DEFAULT '' CHECK (length(external_id) <= 100),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    status        text NOT NULL CHECK (status IN ('active', 'paused', 'ended', 'unknown')),
    currency      text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    utm_campaign  text NOT NULL DEFAULT '' CHECK (length(utm_campaign) <= 500),
    budget_kind   text NOT NULL DEFAULT '' CHECK (budget_kind IN ('', 'daily', 'total')),
    budget_minor  bigint NOT NULL DEFAULT 0 CHECK (budget_minor >= 0 AND (budget_minor > 0) = (budget_kind <> '')),
    starts_on     date,
    ends_on       date CHECK (ends_on >= starts_on),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, campaign_uuid)
);
CREATE UNIQUE INDEX ad_campaigns_external_id ON ad_campaigns (tenant_uuid, external_id, platform) WHERE external_id <> '';
CREATE UNIQUE INDEX ad_campaigns_nameless ON ad_campaigns (tenant_uuid, platform, lower(name)) WHERE external_id = '';
CREATE INDEX ad_campaigns_name ON ad_campaigns (tenant_uuid, lower(name));
CALL engarde_isolate_tenants('ad_campaigns');

-- What was imported, and what of it could not be read.
CREATE TABLE ad_imports (
    tenant_uuid  uuid NOT NULL,
    import_uuid  uuid NOT NULL,
    platform     text NOT NULL,
    source       text NOT NULL CHECK (source IN ('csv', 'api')),
    file_name    text NOT NULL DEFAULT '' CHECK (length(file_name) <= 255),
    lines        integer NOT NULL,
    totals       integer NOT NULL,
    refused      integer NOT NULL,
    days_new     integer NOT NULL,
    days_changed integer NOT NULL,
    days_same    integer NOT NULL,
    problems     jsonb NOT NULL,
    imported_by  text NOT NULL,
    imported_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, import_uuid)
);
CALL engarde_isolate_tenants('ad_imports');

-- A day of a campaign as the platform last reported it. conversions is not whole:
-- platforms share one out among the ads that led to it.
CREATE TABLE ad_performance (
    tenant_uuid   uuid NOT NULL,
    campaign_uuid uuid NOT NULL,
    day           date NOT NULL,
    spend_minor   bigint NOT NULL CHECK (spend_minor >= 0),
    impressions   bigint NOT NULL CHECK (impressions >= 0),
    clicks        bigint NOT NULL CHECK (clicks >= 0),
    conversions   double precision NOT NULL CHECK (conversions >= 0),
    revenue_minor bigint NOT NULL CHECK (revenue_minor >= 0),
    import_uuid   uuid NOT NULL,
    PRIMARY KEY (tenant_uuid, campaign_uuid, day),
    FOREIGN KEY (tenant_uuid, campaign_uuid) REFERENCES ad_campaigns ON DELETE CASCADE,
    FOREIGN KEY (tenant_uuid, import_uuid) REFERENCES ad_imports
);
CALL engarde_isolate_tenants('ad_performance');

GRANT SELECT, INSERT, UPDATE, DELETE ON ad_campaigns TO sankore_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ad_performance TO sankore_app;
GRANT SELECT, INSERT ON ad_imports TO sankore_app;

-- +goose Down
DROP TABLE ad_performance, ad_imports, ad_campaigns;
