-- Pages of others that link to a tenant's site.
-- +goose Up

-- target_url is '' when only the site is known to be linked to. status: unchecked
-- since it was imported; live: seen at the last look; lost: gone at the last look;
-- unreachable: its page could not be had, which proves nothing until it has
-- failed often (failures counts in a row).
CREATE TABLE backlinks (
    tenant_uuid     uuid NOT NULL,
    backlink_uuid   uuid NOT NULL,
    site            text NOT NULL CHECK (length(site) BETWEEN 1 AND 255),
    source_url      text NOT NULL CHECK (length(source_url) <= 2048),
    source_domain   text NOT NULL,
    target_url      text NOT NULL CHECK (length(target_url) <= 2048),
    anchor          text NOT NULL,
    rel             text NOT NULL,
    origin          text NOT NULL CHECK (origin IN ('import', 'crawl')),
    status          text NOT NULL CHECK (status IN ('unchecked', 'live', 'lost', 'unreachable')),
    failures        integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    first_seen_at   timestamptz NOT NULL,
    last_seen_at    timestamptz,
    last_checked_at timestamptz,
    PRIMARY KEY (tenant_uuid, backlink_uuid)
);
-- A link told or found twice is one. An address can be longer than an index entry may be.
CREATE UNIQUE INDEX backlinks_once ON backlinks (tenant_uuid, site, md5(source_url), md5(target_url));
CREATE INDEX backlinks_site ON backlinks (tenant_uuid, site, backlink_uuid);
CALL engarde_isolate_tenants('backlinks');

-- When links came, went and came back.
CREATE TABLE backlink_changes (
    tenant_uuid   uuid NOT NULL,
    change_uuid   uuid NOT NULL,
    backlink_uuid uuid NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('new', 'lost', 'regained')),
    occurred_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, change_uuid),
    FOREIGN KEY (tenant_uuid, backlink_uuid) REFERENCES backlinks ON DELETE CASCADE
);
CREATE INDEX backlink_changes_occurred ON backlink_changes (tenant_uuid, occurred_at, change_uuid);
CREATE INDEX backlink_changes_backlink ON backlink_changes (tenant_uuid, backlink_uuid);
CALL engarde_isolate_tenants('backlink_changes');

GRANT SELECT, INSERT, UPDATE, DELETE ON backlinks TO onside_app;
GRANT SELECT, INSERT, DELETE ON backlink_changes TO onside_app;

-- +goose Down
DROP TABLE backlink_changes, backlinks;
