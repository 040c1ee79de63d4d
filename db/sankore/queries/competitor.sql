-- name: LockObservations :exec
SELECT pg_advisory_xact_lock(hashtextextended('competitor import ' || sqlc.arg(tenant_uuid)::uuid::text, 0));

-- name: ItemsOn :many
SELECT item_key, content FROM competitor_intelligence
WHERE kind = sqlc.arg(kind) AND platform = sqlc.arg(platform) AND competitor = sqlc.arg(competitor) AND observed_on = sqlc.arg(observed_on)
ORDER BY item_key;

-- name: ObservedOn :one
-- Whether there is an observation of that day.
SELECT EXISTS (SELECT FROM competitor_observations
WHERE kind = sqlc.arg(kind) AND platform = sqlc.arg(platform) AND competitor = sqlc.arg(competitor) AND observed_on = sqlc.arg(observed_on));

-- name: DropObservation :exec
DELETE FROM competitor_observations
WHERE kind = sqlc.arg(kind) AND platform = sqlc.arg(platform) AND competitor = sqlc.arg(competitor) AND observed_on = sqlc.arg(observed_on);

-- name: WriteObservation :exec
INSERT INTO competitor_observations (tenant_uuid, kind, platform, competitor, observed_on, items, source, imported_by, imported_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: WriteItems :exec
INSERT INTO competitor_intelligence (tenant_uuid, kind, platform, competitor, observed_on, item_key, content)
SELECT sqlc.arg(tenant_uuid)::uuid, sqlc.arg(kind)::text, sqlc.arg(platform)::text, sqlc.arg(competitor)::text, sqlc.arg(observed_on)::date, n.item_key, n.content::jsonb
FROM (SELECT unnest(sqlc.arg(keys)::text[]) AS item_key, unnest(sqlc.arg(contents)::text[]) AS content) n;

-- name: Observations :many
-- The days that a kind was observed on, in order, with the last one before the period.
SELECT o.platform, o.competitor, o.observed_on, o.items, o.source, o.imported_by, o.imported_at FROM competitor_observations o
WHERE o.kind = sqlc.arg(kind) AND (sqlc.arg(platform)::text = '' OR o.platform = sqlc.arg(platform))
    AND (sqlc.arg(competitor)::text = '' OR o.competitor = sqlc.arg(competitor))
    AND o.observed_on <= sqlc.arg(until)::date
    AND o.observed_on >= coalesce((SELECT max(b.observed_on) FROM competitor_observations b
        WHERE b.kind = o.kind AND b.platform = o.platform AND b.competitor = o.competitor AND b.observed_on < sqlc.arg(since)::date), sqlc.arg(since)::date)
ORDER BY o.platform, o.competitor, o.observed_on LIMIT sqlc.arg(most);

-- name: Shares :many
SELECT platform, competitor, observed_on, item_key, content FROM competitor_intelligence
WHERE kind = 'share' AND (sqlc.arg(platform)::text = '' OR platform = sqlc.arg(platform))
    AND (sqlc.arg(competitor)::text = '' OR competitor = sqlc.arg(competitor))
    AND observed_on BETWEEN sqlc.arg(since)::date AND sqlc.arg(until)::date
ORDER BY platform, competitor, item_key, observed_on LIMIT sqlc.arg(most);

-- name: Competitors :many
SELECT kind, platform, competitor, count(*) AS observations, min(observed_on)::date AS first_on, max(observed_on)::date AS last_on,
    ((array_agg(items ORDER BY observed_on DESC))[1])::integer AS items
FROM competitor_observations WHERE competitor > sqlc.arg(after)
GROUP BY competitor, platform, kind ORDER BY competitor, platform, kind LIMIT sqlc.arg(page_size);
