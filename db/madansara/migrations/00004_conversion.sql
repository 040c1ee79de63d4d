-- Touches, conversions, and what each touch is credited with.
-- +goose Up

-- A touch is a visit that came from somewhere, or a click in a message of ours.
-- source_key names its cause (a session, a message), so recording it twice is a no-op.
CREATE TABLE customer_touchpoints (
    tenant_uuid     uuid NOT NULL,
    touchpoint_uuid uuid NOT NULL,
    source_key      text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('visit', 'message_click')),
    channel         text NOT NULL,
    source          text NOT NULL DEFAULT '',
    medium          text NOT NULL DEFAULT '',
    campaign        text NOT NULL DEFAULT '',
    visitor_uuid    uuid,
    contact_uuid    uuid,
    session_uuid    uuid,
    message_uuid    uuid,
    campaign_uuid   uuid,
    occurred_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, touchpoint_uuid)
);
CREATE UNIQUE INDEX customer_touchpoints_source_key ON customer_touchpoints (tenant_uuid, source_key);
CREATE INDEX customer_touchpoints_contact ON customer_touchpoints (tenant_uuid, contact_uuid, occurred_at) WHERE contact_uuid IS NOT NULL;
CREATE INDEX customer_touchpoints_campaign ON customer_touchpoints (tenant_uuid, campaign_uuid) WHERE campaign_uuid IS NOT NULL;
CREATE INDEX customer_touchpoints_visitor ON customer_touchpoints (tenant_uuid, visitor_uuid, occurred_at) WHERE visitor_uuid IS NOT NULL;
CALL engarde_isolate_tenants('customer_touchpoints');

-- external_id is the order's own number: the same order reported by the browser
-- and by the server is one conversion. A refund's is its own, and refund_of the
-- number of its order: one order can have several. refund_of is null for what
-- is no refund.
CREATE TABLE conversion_events (
    tenant_uuid     uuid NOT NULL,
    conversion_uuid uuid NOT NULL,
    external_id     text NOT NULL,
    name            text NOT NULL,
    visitor_uuid    uuid,
    contact_uuid    uuid,
    session_uuid    uuid,
    revenue_minor   bigint NOT NULL,
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    properties      jsonb NOT NULL DEFAULT '{}',
    occurred_at     timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    attributed_at   timestamptz,
    refund_of       text,
    PRIMARY KEY (tenant_uuid, conversion_uuid)
);
-- The number comes before the name because a refund looks for the order of its number.
CREATE UNIQUE INDEX conversion_events_external_id ON conversion_events (tenant_uuid, external_id, name);
CREATE INDEX conversion_events_refunds ON conversion_events (tenant_uuid, refund_of) WHERE refund_of IS NOT NULL;
CREATE INDEX conversion_events_occurred ON conversion_events (tenant_uuid, occurred_at, conversion_uuid);
CREATE INDEX conversion_events_contact ON conversion_events (tenant_uuid, contact_uuid, occurred_at) WHERE contact_uuid IS NOT NULL;
CREATE INDEX conversion_events_visitor ON conversion_events (tenant_uuid, visitor_uuid, occurred_at) WHERE visitor_uuid IS NOT NULL;
CALL engarde_isolate_tenants('conversion_events');

-- The tenant's parameters of each model; a tenant's first conversion writes the defaults.
CREATE TABLE attribution_models (
    tenant_uuid   uuid NOT NULL,
    model         text NOT NULL CHECK (model IN ('first_touch', 'last_touch', 'linear', 'time_decay', 'position_based')),
    lookback_days integer NOT NULL CHECK (lookback_days BETWEEN 1 AND 730),
    parameters    jsonb NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, model)
);
CALL engarde_isolate_tenants('attribution_models');

-- Weights of one (conversion, model) sum to 1, its revenue_minor to the conversion's.
CREATE TABLE attribution_credits (
    tenant_uuid     uuid NOT NULL,
    conversion_uuid uuid NOT NULL,
    model           text NOT NULL,
    touchpoint_uuid uuid NOT NULL,
    channel         text NOT NULL,
    weight          double precision NOT NULL CHECK (weight >= 0 AND weight <= 1),
    revenue_minor   bigint NOT NULL,
    PRIMARY KEY (tenant_uuid, conversion_uuid, model, touchpoint_uuid),
    FOREIGN KEY (tenant_uuid, conversion_uuid) REFERENCES conversion_events ON DELETE CASCADE,
    FOREIGN KEY (tenant_uuid, touchpoint_uuid) REFERENCES customer_touchpoints ON DELETE CASCADE
);
CALL engarde_isolate_tenants('attribution_credits');

GRANT SELECT, INSERT, UPDATE, DELETE ON customer_touchpoints, conversion_events, attribution_models, attribution_credits TO madan_sara_app;

-- +goose Down
DROP TABLE attribution_credits, attribution_models, conversion_events, customer_touchpoints;
