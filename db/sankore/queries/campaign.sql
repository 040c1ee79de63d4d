-- name: LockImports :exec
-- One import of a tenant at a time: two that create the same campaign would
-- otherwise wait for each other.
SELECT pg_advisory_xact_lock(hashtextextended('ad import ' || sqlc.arg(tenant_uuid)::uuid::text, 0));

-- name: PlatformCampaigns :many
-- With the last day that each is known for.
SELECT campaign_uuid, external_id, name, status, currency, budget_kind, budget_minor,
    (SELECT max(day) FROM ad_performance p WHERE p.campaign_uuid = c.campaign_uuid)::date AS last_day
FROM ad_campaigns c WHERE platform = sqlc.arg(platform) ORDER BY campaign_uuid;

-- name: CreateCampaign :exec
INSERT INTO ad_campaigns (tenant_uuid, campaign_uuid, platform, external_id, name, status, currency, budget_kind, budget_minor, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10);

-- name: UpdateImported :exec
UPDATE ad_campaigns SET external_id = sqlc.arg(external_id), name = sqlc.arg(name), status = sqlc.arg(status),
    budget_kind = sqlc.arg(budget_kind), budget_minor = sqlc.arg(budget_minor), updated_at = sqlc.arg(updated_at)
WHERE campaign_uuid = sqlc.arg(campaign_uuid);

-- name: CreateImport :exec
INSERT INTO ad_imports (tenant_uuid, import_uuid, platform, source, file_name, lines, totals, refused, days_new, days_changed, days_same,
    problems, imported_by, imported_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: ListImports :many
SELECT import_uuid, platform, source, file_name, lines, totals, refused, days_new, days_changed, days_same, problems, imported_by, imported_at
FROM ad_imports WHERE import_uuid < sqlc.arg(before) ORDER BY import_uuid DESC LIMIT sqlc.arg(page_size);

-- name: GetImport :one
SELECT import_uuid, platform, source, file_name, lines, totals, refused, days_new, days_changed, days_same, problems, imported_by, imported_at
FROM ad_imports WHERE import_uuid = sqlc.arg(import_uuid);

-- name: ChangedDays :many
-- Which of the days that are to be written are there already, and whether they
-- would become others.
SELECT p.campaign_uuid, p.day,
    ((p.spend_minor, p.impressions, p.clicks, p.conversions, p.revenue_minor)
        IS DISTINCT FROM (n.spend_minor, n.impressions, n.clicks, n.conversions, n.revenue_minor))::boolean AS changed
FROM (SELECT unnest(sqlc.arg(campaigns)::uuid[]) AS campaign_uuid, unnest(sqlc.arg(days)::date[]) AS day,
    unnest(sqlc.arg(spends)::bigint[]) AS spend_minor, unnest(sqlc.arg(impressions)::bigint[]) AS impressions,
    unnest(sqlc.arg(clicks)::bigint[]) AS clicks, unnest(sqlc.arg(conversions)::double precision[]) AS conversions,
    unnest(sqlc.arg(revenues)::bigint[]) AS revenue_minor) n
JOIN ad_performance p ON p.campaign_uuid = n.campaign_uuid AND p.day = n.day;

-- name: WriteDays :exec
INSERT INTO ad_performance (tenant_uuid, campaign_uuid, day, spend_minor, impressions, clicks, conversions, revenue_minor, import_uuid)
SELECT sqlc.arg(tenant_uuid)::uuid, n.campaign_uuid, n.day, n.spend_minor, n.impressions, n.clicks, n.conversions, n.revenue_minor, sqlc.arg(import_uuid)::uuid
FROM (SELECT unnest(sqlc.arg(campaigns)::uuid[]) AS campaign_uuid, unnest(sqlc.arg(days)::date[]) AS day,
    unnest(sqlc.arg(spends)::bigint[]) AS spend_minor, unnest(sqlc.arg(impressions)::bigint[]) AS impressions,
    unnest(sqlc.arg(clicks)::bigint[]) AS clicks, unnest(sqlc.arg(conversions)::double precision[]) AS conversions,
    unnest(sqlc.arg(revenues)::bigint[]) AS revenue_minor) n
ON CONFLICT (tenant_uuid, campaign_uuid, day) DO UPDATE SET spend_minor = EXCLUDED.spend_minor, impressions = EXCLUDED.impressions,
    clicks = EXCLUDED.clicks, conversions = EXCLUDED.conversions, revenue_minor = EXCLUDED.revenue_minor, import_uuid = EXCLUDED.import_uuid;

-- name: GetCampaign :one
SELECT campaign_uuid, platform, external_id, name, status, currency, utm_campaign, budget_kind, budget_minor, starts_on, ends_on, created_at, updated_at
FROM ad_campaigns WHERE campaign_uuid = sqlc.arg(campaign_uuid);

-- name: CampaignsByExternalID :many
SELECT campaign_uuid FROM ad_campaigns WHERE external_id = sqlc.arg(external_id) AND external_id <> '' LIMIT 2;

-- name: CampaignsNamed :one
SELECT count(*) FROM ad_campaigns WHERE lower(name) = lower(sqlc.arg(name)::text);

-- name: ListCampaigns :many
SELECT campaign_uuid, platform, external_id, name, status, currency, utm_campaign, budget_kind, budget_minor, starts_on, ends_on, created_at, updated_at
FROM ad_campaigns
WHERE campaign_uuid < sqlc.arg(before) AND (sqlc.arg(platform)::text = '' OR platform = sqlc.arg(platform))
    AND (sqlc.arg(status)::text = '' OR status = sqlc.arg(status))
ORDER BY campaign_uuid DESC LIMIT sqlc.arg(page_size);

-- name: UpdateCampaign :execrows
UPDATE ad_campaigns SET utm_campaign = sqlc.arg(utm_campaign), budget_kind = sqlc.arg(budget_kind), budget_minor = sqlc.arg(budget_minor),
    starts_on = sqlc.narg(starts_on), ends_on = sqlc.narg(ends_on), updated_at = sqlc.arg(updated_at)
WHERE campaign_uuid = sqlc.arg(campaign_uuid);

-- name: DeleteCampaign :execrows
DELETE FROM ad_campaigns WHERE campaign_uuid = sqlc.arg(campaign_uuid);

-- name: Performance :many
SELECT day, spend_minor, impressions, clicks, conversions, revenue_minor, import_uuid
FROM ad_performance WHERE campaign_uuid = sqlc.arg(campaign_uuid) AND day BETWEEN sqlc.arg('from') AND sqlc.arg('to') ORDER BY day;

-- name: KnownDays :one
-- The first and last day that a campaign is known for.
SELECT min(day)::date AS first, max(day)::date AS last, count(*) AS days FROM ad_performance WHERE campaign_uuid = sqlc.arg(campaign_uuid);

-- name: SpentBetween :one
SELECT coalesce(sum(spend_minor), 0)::bigint AS spent FROM ad_performance
WHERE campaign_uuid = sqlc.arg(campaign_uuid) AND day BETWEEN sqlc.arg('from') AND sqlc.arg('to');
