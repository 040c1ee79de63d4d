-- name: TenantExists :one
SELECT EXISTS (SELECT FROM tenants WHERE tenant_uuid = $1);

-- name: InsertAnalysis :exec
INSERT INTO seo_analyses (tenant_uuid, analysis_uuid, url, final_url, status, title, page, response, fetched_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: InsertAudit :exec
INSERT INTO technical_audits (tenant_uuid, audit_uuid, kind, url, analysis_uuid, score, errors, warnings, checks, created_at)
VALUES ($1, $2, 'page', $3, $4, $5, $6, $7, $8, $9);

-- name: GetAnalysis :one
SELECT n.analysis_uuid, n.url, n.final_url, n.status, n.page, n.response, n.fetched_at, a.audit_uuid, a.score, a.checks
FROM seo_analyses n JOIN technical_audits a ON a.tenant_uuid = n.tenant_uuid AND a.analysis_uuid = n.analysis_uuid
WHERE n.analysis_uuid = $1;

-- name: ListAnalyses :many
SELECT n.analysis_uuid, n.url, n.final_url, n.status, n.title, n.fetched_at, a.audit_uuid, a.score, a.errors, a.warnings
FROM seo_analyses n JOIN technical_audits a ON a.tenant_uuid = n.tenant_uuid AND a.analysis_uuid = n.analysis_uuid
WHERE n.analysis_uuid < sqlc.arg(before)::uuid
ORDER BY n.analysis_uuid DESC LIMIT sqlc.arg(page_size)::int;

-- name: ListAnalysesOf :many
SELECT n.analysis_uuid, n.url, n.final_url, n.status, n.title, n.fetched_at, a.audit_uuid, a.score, a.errors, a.warnings
FROM seo_analyses n JOIN technical_audits a ON a.tenant_uuid = n.tenant_uuid AND a.analysis_uuid = n.analysis_uuid
WHERE n.analysis_uuid < sqlc.arg(before)::uuid AND md5(n.url) = md5(sqlc.arg(url)::text) AND n.url = sqlc.arg(url)::text
ORDER BY n.analysis_uuid DESC LIMIT sqlc.arg(page_size)::int;

-- name: DeleteAnalysis :execrows
DELETE FROM seo_analyses WHERE analysis_uuid = $1;

-- name: ListAudits :many
SELECT audit_uuid, kind, url, analysis_uuid, score, errors, warnings, created_at FROM technical_audits
WHERE audit_uuid < sqlc.arg(before)::uuid AND (sqlc.arg(kind)::text = '' OR kind = sqlc.arg(kind)::text)
ORDER BY audit_uuid DESC LIMIT sqlc.arg(page_size)::int;

-- name: GetAudit :one
SELECT audit_uuid, kind, url, analysis_uuid, score, errors, warnings, checks, created_at FROM technical_audits
WHERE audit_uuid = $1;
