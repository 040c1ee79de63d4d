-- name: InsertIntegration :exec
INSERT INTO integrations (tenant_uuid, integration_uuid, provider, name, settings, credentials, key_id, hints, enabled, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10);

-- name: ListIntegrations :many
SELECT * FROM integrations WHERE tenant_uuid = $1 AND (sqlc.arg(provider)::text = '' OR provider = sqlc.arg(provider)) ORDER BY provider, name LIMIT 1000;

-- name: GetIntegration :one
SELECT * FROM integrations WHERE tenant_uuid = $1 AND integration_uuid = $2;

-- name: LockIntegration :one
SELECT * FROM integrations WHERE tenant_uuid = $1 AND integration_uuid = $2 FOR UPDATE;

-- name: FindIntegration :one
-- The enabled integration of that name; without a name the one called default, else the oldest.
SELECT * FROM integrations
WHERE tenant_uuid = $1 AND provider = $2 AND enabled AND (sqlc.arg(name)::text = '' OR name = sqlc.arg(name))
ORDER BY name <> 'default', created_at, integration_uuid LIMIT 1;

-- name: UpdateIntegration :exec
UPDATE integrations SET name = $3, settings = $4, credentials = $5, key_id = $6, hints = $7, enabled = $8, updated_at = $9
WHERE tenant_uuid = $1 AND integration_uuid = $2;

-- name: DeleteIntegration :execrows
DELETE FROM integrations WHERE tenant_uuid = $1 AND integration_uuid = $2;

-- name: Reencrypt :exec
UPDATE integrations SET credentials = $3, key_id = $4 WHERE tenant_uuid = $1 AND integration_uuid = $2;
