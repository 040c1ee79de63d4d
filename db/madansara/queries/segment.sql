-- name: CreateSegment :exec
INSERT INTO segments (tenant_uuid, segment_uuid, name, rules, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $5);

-- name: GetSegment :one
SELECT segment_uuid, name, rules, created_at, updated_at FROM segments WHERE segment_uuid = $1;

-- name: ListSegments :many
SELECT segment_uuid, name, rules, created_at, updated_at FROM segments
WHERE segment_uuid < sqlc.arg(before)::uuid
ORDER BY segment_uuid DESC LIMIT sqlc.arg(page_size)::int;

-- name: UpdateSegment :one
UPDATE segments SET name = $2, rules = $3, updated_at = $4 WHERE segment_uuid = $1
RETURNING segment_uuid, name, rules, created_at, updated_at;

-- name: DeleteSegment :execrows
DELETE FROM segments WHERE segment_uuid = $1;
