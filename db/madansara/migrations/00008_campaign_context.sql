-- What the peers say about a campaign's landing page and about the advertising beside it.
-- +goose Up

-- What a peer said is kept as it was said (json, not jsonb) and read as a whole.
-- What was learned last stays when a peer cannot be asked; the failure stands beside it.
CREATE TABLE outreach_campaign_context (
    tenant_uuid    uuid NOT NULL,
    campaign_uuid  uuid NOT NULL,
    landing_url    text NOT NULL DEFAULT '',
    ad_campaign_id text NOT NULL DEFAULT '',
    page           json,        -- Onside's analysis
    page_at        timestamptz,
    page_error     text NOT NULL DEFAULT '',
    ads            json,        -- Sankore's intelligence
    ads_at         timestamptz,
    ads_error      text NOT NULL DEFAULT '',
    asked_at       timestamptz, -- when the peers were asked last
    PRIMARY KEY (tenant_uuid, campaign_uuid),
    FOREIGN KEY (tenant_uuid, campaign_uuid) REFERENCES outreach_campaigns ON DELETE CASCADE
);
CALL engarde_isolate_tenants('outreach_campaign_context');
GRANT SELECT, INSERT, UPDATE ON outreach_campaign_context TO madan_sara_app;

-- +goose Down
DROP TABLE outreach_campaign_context;
