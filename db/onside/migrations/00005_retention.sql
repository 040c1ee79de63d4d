-- Analyses and rankings are kept for a time only.
-- +goose Up
CREATE INDEX seo_analyses_by_time ON seo_analyses (tenant_uuid, fetched_at);
CREATE INDEX keyword_rankings_by_day ON keyword_rankings (tenant_uuid, ranked_on);
GRANT DELETE ON keyword_rankings TO onside_app;

-- +goose Down
REVOKE DELETE ON keyword_rankings FROM onside_app;
DROP INDEX seo_analyses_by_time, keyword_rankings_by_day;
