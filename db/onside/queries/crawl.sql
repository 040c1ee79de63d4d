-- name: InsertCrawl :exec
INSERT INTO site_crawls (tenant_uuid, crawl_uuid, start_url, status, max_pages, max_depth, max_bytes, max_seconds, delay_ms, use_sitemap, backlinks_to, created_at)
VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8, $9, $10, $11);

-- name: CountActive :one
SELECT count(*) FROM site_crawls WHERE status IN ('queued', 'running');

-- name: GetCrawl :one
SELECT * FROM site_crawls WHERE crawl_uuid = $1;

-- name: LockCrawl :one
SELECT * FROM site_crawls WHERE crawl_uuid = $1 FOR UPDATE;

-- name: ListCrawls :many
SELECT * FROM site_crawls WHERE crawl_uuid < sqlc.arg(before)::uuid ORDER BY crawl_uuid DESC LIMIT sqlc.arg(page_size)::int;

-- name: StartCrawl :exec
UPDATE site_crawls SET status = 'running', started_at = coalesce(started_at, $2) WHERE crawl_uuid = $1;

-- name: SitemapRead :exec
UPDATE site_crawls SET sitemap_read = true WHERE crawl_uuid = $1;

-- name: AddBytes :exec
UPDATE site_crawls SET bytes = bytes + sqlc.arg(more)::bigint WHERE crawl_uuid = $1;

-- name: EndCrawl :exec
UPDATE site_crawls SET status = $2, ended_by = $3, finished_at = $4 WHERE crawl_uuid = $1;

-- name: DeleteCrawl :execrows
DELETE FROM site_crawls WHERE crawl_uuid = $1 AND status IN ('done', 'cancelled');

-- name: NextPage :one
SELECT page_uuid, url, depth FROM crawl_pages WHERE crawl_uuid = $1 AND state = 'queued' ORDER BY depth, page_uuid LIMIT 1;

-- name: CountPages :many
SELECT state, count(*) FROM crawl_pages WHERE crawl_uuid = $1 GROUP BY state;

-- name: QueuePages :exec
INSERT INTO crawl_pages (tenant_uuid, crawl_uuid, page_uuid, url, depth, in_sitemap, state)
SELECT sqlc.arg(tenant_uuid)::uuid, sqlc.arg(crawl_uuid)::uuid, unnest(sqlc.arg(ids)::uuid[]), unnest(sqlc.arg(urls)::text[]),
    sqlc.arg(depth)::integer, sqlc.arg(in_sitemap)::boolean, 'queued'
ON CONFLICT (tenant_uuid, crawl_uuid, md5(url)) DO NOTHING;

-- name: MarkInSitemap :exec
UPDATE crawl_pages SET in_sitemap = true WHERE crawl_uuid = $1 AND md5(url) IN (SELECT md5(u) FROM unnest(sqlc.arg(urls)::text[]) AS u);

-- name: LinkPages :exec
INSERT INTO crawl_links (tenant_uuid, crawl_uuid, from_page, to_page)
SELECT p.tenant_uuid, p.crawl_uuid, sqlc.arg(from_page)::uuid, p.page_uuid FROM crawl_pages p
WHERE p.crawl_uuid = sqlc.arg(crawl_uuid)::uuid AND md5(p.url) IN (SELECT md5(u) FROM unnest(sqlc.arg(urls)::text[]) AS u) AND p.page_uuid <> sqlc.arg(from_page)::uuid
ON CONFLICT DO NOTHING;

-- name: FinishPage :execrows
UPDATE crawl_pages SET state = $3, reason = $4, status = $5, final_url = $6, hops = $7, title = $8, description = $9, canonical = $10,
    words = $11, indexable = $12, score = $13, failed_checks = $14, first_byte_ms = $15, fetched_at = $16
WHERE crawl_uuid = $1 AND page_uuid = $2 AND state = 'queued';

-- name: SkipQueued :exec
UPDATE crawl_pages SET state = 'skipped', reason = $2 WHERE crawl_uuid = $1 AND state = 'queued';

-- name: ListPages :many
SELECT * FROM crawl_pages
WHERE crawl_uuid = sqlc.arg(crawl_uuid) AND page_uuid > sqlc.arg(after)::uuid AND (sqlc.arg(state)::text = '' OR state = sqlc.arg(state)::text)
ORDER BY page_uuid LIMIT sqlc.arg(page_size)::int;

-- name: VisitedPages :many
SELECT * FROM crawl_pages WHERE crawl_uuid = $1 AND state IN ('done', 'failed') ORDER BY depth, page_uuid;

-- name: ListLinks :many
SELECT l.from_page, l.to_page FROM crawl_links l
JOIN crawl_pages p ON p.tenant_uuid = l.tenant_uuid AND p.crawl_uuid = l.crawl_uuid AND p.page_uuid = l.to_page
WHERE l.crawl_uuid = $1 AND p.state IN ('done', 'failed') ORDER BY l.from_page, l.to_page;

-- name: InsertSiteAudit :exec
INSERT INTO technical_audits (tenant_uuid, audit_uuid, kind, url, crawl_uuid, score, errors, warnings, checks, created_at)
VALUES ($1, $2, 'site', $3, $4, $5, $6, $7, $8, $9);

-- name: SiteAuditOf :one
SELECT audit_uuid, score, errors, warnings FROM technical_audits WHERE crawl_uuid = sqlc.arg(crawl_uuid)::uuid;
