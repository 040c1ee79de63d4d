-- Onside: analyses of pages, and audits.
-- +goose Up

-- page is what stands on the page (internal/onside/page.Page), response how it
-- was had.
CREATE TABLE seo_analyses (
    tenant_uuid   uuid NOT NULL,
    analysis_uuid uuid NOT NULL,
    url           text NOT NULL,
    final_url     text NOT NULL,
    status        integer NOT NULL,
    title         text NOT NULL,
    page          jsonb NOT NULL,
    response      jsonb NOT NULL,
    fetched_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, analysis_uuid)
);
-- The history of one page. An address can be longer than an index entry may be.
CREATE INDEX seo_analyses_url ON seo_analyses (tenant_uuid, md5(url), analysis_uuid);
CALL engarde_isolate_tenants('seo_analyses');

-- An audit is of a page, with its analysis, or of a site, with its crawl.
CREATE TABLE technical_audits (
    tenant_uuid   uuid NOT NULL,
    audit_uuid    uuid NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('page', 'site')),
    url           text NOT NULL,
    analysis_uuid uuid CHECK ((analysis_uuid IS NOT NULL) = (kind = 'page')),
    score         integer NOT NULL CHECK (score BETWEEN 0 AND 100),
    errors        integer NOT NULL CHECK (errors >= 0),
    warnings      integer NOT NULL CHECK (warnings >= 0),
    checks        jsonb NOT NULL,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, audit_uuid),
    FOREIGN KEY (tenant_uuid, analysis_uuid) REFERENCES seo_analyses ON DELETE CASCADE
);
CREATE INDEX technical_audits_analysis ON technical_audits (tenant_uuid, analysis_uuid) WHERE analysis_uuid IS NOT NULL;
CALL engarde_isolate_tenants('technical_audits');

GRANT SELECT, INSERT, DELETE ON seo_analyses, technical_audits TO onside_app;

-- +goose Down
DROP TABLE technical_audits, seo_analyses;
