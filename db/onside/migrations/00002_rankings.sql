-- Where a site stood in search results for a keyword, on a day.
-- +goose Up

-- page is the page of the site that ranked, '' when the source does not say; so
-- are country and device. clicks and impressions are null when unknown.
CREATE TABLE keyword_rankings (
    tenant_uuid  uuid NOT NULL,
    ranking_uuid uuid NOT NULL,
    site         text NOT NULL CHECK (length(site) BETWEEN 1 AND 255),
    keyword      text NOT NULL CHECK (length(keyword) BETWEEN 1 AND 200),
    ranked_on    date NOT NULL,
    source       text NOT NULL CHECK (length(source) BETWEEN 1 AND 50),
    country      text NOT NULL CHECK (length(country) <= 60),
    device       text NOT NULL CHECK (device IN ('', 'desktop', 'mobile', 'tablet')),
    page         text NOT NULL CHECK (length(page) <= 2048),
    position     double precision NOT NULL CHECK (position >= 1 AND position <= 1000),
    clicks       bigint CHECK (clicks >= 0),
    impressions  bigint CHECK (impressions >= 0),
    imported_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, ranking_uuid)
);
-- A ranking told twice is one. It serves the questions of a site's period too;
-- an address can be longer than an index entry may be.
CREATE UNIQUE INDEX keyword_rankings_once ON keyword_rankings (tenant_uuid, site, ranked_on, keyword, source, country, device, md5(page));
-- The history of one keyword.
CREATE INDEX keyword_rankings_keyword ON keyword_rankings (tenant_uuid, site, keyword, ranked_on);
CALL engarde_isolate_tenants('keyword_rankings');
GRANT SELECT, INSERT, UPDATE ON keyword_rankings TO onside_app;

-- +goose Down
DROP TABLE keyword_rankings;
