-- Crawls of small sites. The frontier is rows, so that a crawl goes on where a
-- killed process left it.
-- +goose Up

CREATE TABLE site_crawls (
    tenant_uuid   uuid NOT NULL,
    crawl_uuid    uuid NOT NULL,
    start_url     text NOT NULL CHECK (length(start_url) <= 2048),
    status        text NOT NULL CHECK (status IN ('queued', 'running', 'done', 'cancelled')),
    -- Why it is done: nothing is left, or the limit that it met.
    ended_by      text CHECK (ended_by IN ('frontier', 'pages', 'bytes', 'time')),
    max_pages     integer NOT NULL,
    max_depth     integer NOT NULL,
    max_bytes     bigint NOT NULL,
    max_seconds   integer NOT NULL,
    delay_ms      integer NOT NULL,
    use_sitemap   boolean NOT NULL,
    backlinks_to  text NOT NULL,
    sitemap_read  boolean NOT NULL DEFAULT false,
    bytes         bigint NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz,
    finished_at   timestamptz,
    PRIMARY KEY (tenant_uuid, crawl_uuid)
);
CALL engarde_isolate_tenants('site_crawls');

-- A page is queued, then done, failed (it could not be had) or skipped (robots.txt,
-- a limit). A redirect is a page of its own: final_url says where it leads.
CREATE TABLE crawl_pages (
    tenant_uuid   uuid NOT NULL,
    crawl_uuid    uuid NOT NULL,
    page_uuid     uuid NOT NULL,
    url           text NOT NULL,
    depth         integer NOT NULL,
    in_sitemap    boolean NOT NULL,
    state         text NOT NULL CHECK (state IN ('queued', 'done', 'failed', 'skipped')),
    reason        text NOT NULL DEFAULT '',
    status        integer,
    final_url     text NOT NULL DEFAULT '',
    hops          integer NOT NULL DEFAULT 0,
    title         text NOT NULL DEFAULT '',
    description   text NOT NULL DEFAULT '',
    canonical     text NOT NULL DEFAULT '',
    words         integer NOT NULL DEFAULT 0,
    indexable     boolean NOT NULL DEFAULT false,
    score         integer,
    failed_checks text[] NOT NULL DEFAULT '{}',
    first_byte_ms bigint NOT NULL DEFAULT 0,
    fetched_at    timestamptz,
    PRIMARY KEY (tenant_uuid, crawl_uuid, page_uuid),
    FOREIGN KEY (tenant_uuid, crawl_uuid) REFERENCES site_crawls ON DELETE CASCADE
);
CREATE UNIQUE INDEX crawl_pages_url ON crawl_pages (tenant_uuid, crawl_uuid, md5(url));
-- The next page: breadth first.
CREATE INDEX crawl_pages_frontier ON crawl_pages (tenant_uuid, crawl_uuid, state, depth, page_uuid);
CALL engarde_isolate_tenants('crawl_pages');

CREATE TABLE crawl_links (
    tenant_uuid uuid NOT NULL,
    crawl_uuid  uuid NOT NULL,
    from_page   uuid NOT NULL,
    to_page     uuid NOT NULL,
    PRIMARY KEY (tenant_uuid, crawl_uuid, from_page, to_page),
    FOREIGN KEY (tenant_uuid, crawl_uuid, from_page) REFERENCES crawl_pages ON DELETE CASCADE,
    FOREIGN KEY (tenant_uuid, crawl_uuid, to_page) REFERENCES crawl_pages ON DELETE CASCADE
);
CREATE INDEX crawl_links_to ON crawl_links (tenant_uuid, crawl_uuid, to_page);
CALL engarde_isolate_tenants('crawl_links');

ALTER TABLE technical_audits ADD COLUMN crawl_uuid uuid;
ALTER TABLE technical_audits ADD CHECK ((crawl_uuid IS NOT NULL) = (kind = 'site'));
ALTER TABLE technical_audits ADD FOREIGN KEY (tenant_uuid, crawl_uuid) REFERENCES site_crawls ON DELETE CASCADE;
CREATE UNIQUE INDEX technical_audits_crawl ON technical_audits (tenant_uuid, crawl_uuid) WHERE crawl_uuid IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON site_crawls, crawl_pages TO onside_app;
GRANT SELECT, INSERT, DELETE ON crawl_links TO onside_app;

-- +goose Down
ALTER TABLE technical_audits DROP COLUMN crawl_uuid;
DROP TABLE crawl_links, crawl_pages, site_crawls;
