-- What an advertising campaign earned is asked for by the name its links carry.
-- +goose Up
CREATE INDEX customer_touchpoints_utm_campaign ON customer_touchpoints (tenant_uuid, lower(campaign), occurred_at) WHERE campaign <> '';
CREATE INDEX attribution_credits_touchpoint ON attribution_credits (tenant_uuid, touchpoint_uuid, model);

-- +goose Down
DROP INDEX customer_touchpoints_utm_campaign, attribution_credits_touchpoint;
