-- What happens on the tenant's sites and in its products.
-- +goose Up

-- visitor_uuid is derived from (tenant, anonymous id), so that ingest can name
-- the visitor of an event without a look-up. See docs/decisions.
CREATE TABLE website_visitors (
    tenant_uuid   uuid NOT NULL,
    visitor_uuid  uuid NOT NULL,
    anonymous_id  text NOT NULL,
    contact_uuid  uuid,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, visitor_uuid),
    FOREIGN KEY (tenant_uuid, contact_uuid) REFERENCES contacts
);
CREATE INDEX website_visitors_contact ON website_visitors (tenant_uuid, contact_uuid) WHERE contact_uuid IS NOT NULL;
CREATE INDEX website_visitors_first_seen ON website_visitors (tenant_uuid, first_seen_at);
CALL engarde_isolate_tenants('website_visitors');

CREATE TABLE website_sessions (
    tenant_uuid     uuid NOT NULL,
    session_uuid    uuid NOT NULL,
    visitor_uuid    uuid NOT NULL,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    landing_url     text NOT NULL DEFAULT '',
    referrer        text NOT NULL DEFAULT '',
    utm_source      text NOT NULL DEFAULT '',
    utm_medium      text NOT NULL DEFAULT '',
    utm_campaign    text NOT NULL DEFAULT '',
    utm_term        text NOT NULL DEFAULT '',
    utm_content     text NOT NULL DEFAULT '',
    channel         text NOT NULL DEFAULT 'direct',
    device          text NOT NULL DEFAULT '',
    page_view_count integer NOT NULL DEFAULT 0,
    event_count     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_uuid, session_uuid),
    FOREIGN KEY (tenant_uuid, visitor_uuid) REFERENCES website_visitors
);
CREATE INDEX website_sessions_visitor ON website_sessions (tenant_uuid, visitor_uuid, started_at);
CREATE INDEX website_sessions_started ON website_sessions (tenant_uuid, started_at);
CALL engarde_isolate_tenants('website_sessions');

-- The two event tables take all the traffic: an event is one row in one of them,
-- its messageId is its key (which makes a repeated delivery a no-op), and they
-- carry no foreign keys, because the same transaction writes what they point at.
-- contact_uuid is set when the event names the person itself; otherwise the
-- event is its visitor's, and through it the visitor's contact's.
CREATE TABLE page_views (
    tenant_uuid  uuid NOT NULL,
    message_id   text NOT NULL,
    visitor_uuid uuid,
    session_uuid uuid,
    contact_uuid uuid,
    occurred_at  timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    url          text NOT NULL,
    path         text NOT NULL,
    title        text NOT NULL,
    referrer     text NOT NULL,
    properties   jsonb NOT NULL,
    context      jsonb NOT NULL,
    PRIMARY KEY (tenant_uuid, message_id)
);
CREATE INDEX page_views_visitor ON page_views (tenant_uuid, visitor_uuid, occurred_at);
CREATE INDEX page_views_contact ON page_views (tenant_uuid, contact_uuid, occurred_at) WHERE contact_uuid IS NOT NULL;
CALL engarde_isolate_tenants('page_views');

CREATE TABLE website_events (
    tenant_uuid  uuid NOT NULL,
    message_id   text NOT NULL,
    type         text NOT NULL CHECK (type IN ('track', 'screen', 'identify', 'group', 'alias')),
    name         text NOT NULL,
    visitor_uuid uuid,
    session_uuid uuid,
    contact_uuid uuid,
    occurred_at  timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    url          text NOT NULL,
    properties   jsonb NOT NULL,
    context      jsonb NOT NULL,
    PRIMARY KEY (tenant_uuid, message_id)
);
CREATE INDEX website_events_visitor ON website_events (tenant_uuid, visitor_uuid, occurred_at);
CREATE INDEX website_events_contact ON website_events (tenant_uuid, contact_uuid, occurred_at) WHERE contact_uuid IS NOT NULL;
CALL engarde_isolate_tenants('website_events');

GRANT SELECT, INSERT, UPDATE, DELETE ON website_visitors, website_sessions, page_views, website_events TO madan_sara_app;

-- +goose Down
DROP TABLE website_events, page_views, website_sessions, website_visitors;
