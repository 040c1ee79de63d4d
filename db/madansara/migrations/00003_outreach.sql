-- Campaigns, their templates, the decision about each recipient, the messages sent.
-- +goose Up

CREATE TABLE channel_templates (
    tenant_uuid   uuid NOT NULL,
    template_uuid uuid NOT NULL,
    channel       text NOT NULL,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    subject       text NOT NULL,
    body_html     text NOT NULL,
    body_text     text NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, template_uuid)
);
CALL engarde_isolate_tenants('channel_templates');

CREATE TABLE outreach_campaigns (
    tenant_uuid   uuid NOT NULL,
    campaign_uuid uuid NOT NULL,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    channel       text NOT NULL,
    segment_uuid  uuid NOT NULL,
    template_uuid uuid NOT NULL,
    from_name     text NOT NULL DEFAULT '',
    from_email    text NOT NULL DEFAULT '',
    rate_per_second integer NOT NULL DEFAULT 0 CHECK (rate_per_second BETWEEN 0 AND 10000), -- 0: as fast as it goes
    status        text NOT NULL CHECK (status IN ('draft', 'running', 'paused', 'finished')),
    pause_reason  text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    started_at    timestamptz,
    expanded_at   timestamptz,
    finished_at   timestamptz,
    PRIMARY KEY (tenant_uuid, campaign_uuid),
    FOREIGN KEY (tenant_uuid, segment_uuid) REFERENCES segments,
    FOREIGN KEY (tenant_uuid, template_uuid) REFERENCES channel_templates
);
CALL engarde_isolate_tenants('outreach_campaigns');

-- What a campaign sends: its template as it was when the campaign first started.
-- A template that is edited later changes nothing of it.
CREATE TABLE outreach_campaign_texts (
    tenant_uuid   uuid NOT NULL,
    campaign_uuid uuid NOT NULL,
    subject       text NOT NULL,
    body_html     text NOT NULL,
    body_text     text NOT NULL,
    version       timestamptz NOT NULL, -- the template's updated_at
    fixed_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, campaign_uuid),
    FOREIGN KEY (tenant_uuid, campaign_uuid) REFERENCES outreach_campaigns
);
CALL engarde_isolate_tenants('outreach_campaign_texts');

-- Why each contact of a campaign's segment, or of a single send (which has no
-- campaign), was or was not written to. A decision to send has a message with
-- the decision's id. idempotency_key makes a repeated send the first one; the
-- hash of the request tells a repetition from a key used twice.
CREATE TABLE outreach_decisions (
    tenant_uuid     uuid NOT NULL,
    decision_uuid   uuid NOT NULL,
    campaign_uuid   uuid,
    contact_uuid    uuid NOT NULL,
    idempotency_key text,
    request_hash    bytea,
    outcome       text NOT NULL CHECK (outcome IN ('send', 'skip')),
    channel       text NOT NULL,
    reasons       jsonb NOT NULL,
    decided_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, decision_uuid),
    FOREIGN KEY (tenant_uuid, campaign_uuid) REFERENCES outreach_campaigns,
    FOREIGN KEY (tenant_uuid, contact_uuid) REFERENCES contacts ON DELETE CASCADE
);
CREATE UNIQUE INDEX outreach_decisions_campaign_contact ON outreach_decisions (tenant_uuid, campaign_uuid, contact_uuid);
CREATE INDEX outreach_decisions_contact ON outreach_decisions (tenant_uuid, contact_uuid); -- a merge moves, an erasure deletes a contact's
CREATE UNIQUE INDEX outreach_decisions_idempotency_key ON outreach_decisions (tenant_uuid, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL engarde_isolate_tenants('outreach_decisions');

-- queued -> sending -> sent | failed | unknown. 'sending' commits before the
-- SMTP server is asked, 'sent' after it accepted. A message found in 'sending'
-- after a crash may or may not have been accepted: it becomes 'unknown', and a
-- human decides; it is never sent again by itself.
CREATE TABLE outreach_messages (
    tenant_uuid      uuid NOT NULL,
    message_uuid     uuid NOT NULL,
    campaign_uuid    uuid,
    contact_uuid     uuid NOT NULL,
    template_uuid    uuid NOT NULL,
    data             jsonb NOT NULL DEFAULT '{}', -- what a single send adds to the template's variables
    channel          text NOT NULL,
    address          text NOT NULL,
    status           text NOT NULL CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'unknown', 'cancelled')),
    attempts         integer NOT NULL DEFAULT 0,
    not_before       timestamptz NOT NULL,
    sending_job_id   bigint,
    subject          text NOT NULL DEFAULT '',
    provider_reply   text NOT NULL DEFAULT '',
    error            text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    sent_at          timestamptz,
    first_opened_at  timestamptz,
    open_count       integer NOT NULL DEFAULT 0,
    first_clicked_at timestamptz,
    click_count      integer NOT NULL DEFAULT 0,
    unsubscribed_at  timestamptz,
    resolved_by      text NOT NULL DEFAULT '',
    resolved_at      timestamptz,
    PRIMARY KEY (tenant_uuid, message_uuid),
    FOREIGN KEY (tenant_uuid, campaign_uuid) REFERENCES outreach_campaigns,
    FOREIGN KEY (tenant_uuid, template_uuid) REFERENCES channel_templates,
    FOREIGN KEY (tenant_uuid, contact_uuid) REFERENCES contacts
);
CREATE UNIQUE INDEX outreach_messages_campaign_contact ON outreach_messages (tenant_uuid, campaign_uuid, contact_uuid);
CREATE INDEX outreach_messages_due ON outreach_messages (tenant_uuid, campaign_uuid, not_before) WHERE status = 'queued';
CREATE INDEX outreach_messages_sending ON outreach_messages (tenant_uuid, sending_job_id) WHERE status = 'sending';
CREATE INDEX outreach_messages_contact ON outreach_messages (tenant_uuid, contact_uuid, created_at);
CREATE INDEX outreach_messages_sent ON outreach_messages (tenant_uuid, sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outreach_messages_created ON outreach_messages (tenant_uuid, created_at);
CALL engarde_isolate_tenants('outreach_messages');

GRANT SELECT, INSERT, UPDATE, DELETE ON channel_templates, outreach_campaigns, outreach_campaign_texts, outreach_decisions, outreach_messages TO madan_sara_app;

-- +goose Down
DROP TABLE outreach_messages, outreach_decisions, outreach_campaign_texts, outreach_campaigns, channel_templates;
