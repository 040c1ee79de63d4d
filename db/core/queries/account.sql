-- name: InsertTenant :exec
INSERT INTO tenants (tenant_uuid, name, time_zone, currency, created_at) VALUES ($1, $2, $3, $4, $5);

-- name: InsertUser :exec
INSERT INTO users (tenant_uuid, user_uuid, email, name, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: SetPassword :execrows
UPDATE users SET password_hash = $3 WHERE tenant_uuid = $1 AND user_uuid = $2;

-- name: InsertSession :exec
INSERT INTO user_sessions (tenant_uuid, token_hash, user_uuid, created_at, expires_at) VALUES ($1, $2, $3, $4, $5);

-- name: DeleteExpiredSessions :exec
DELETE FROM user_sessions WHERE tenant_uuid = $1 AND expires_at <= $2;

-- name: DeleteSession :exec
DELETE FROM user_sessions WHERE tenant_uuid = $1 AND token_hash = $2;

-- name: DeleteUserSessions :exec
DELETE FROM user_sessions WHERE tenant_uuid = $1 AND user_uuid = $2;

-- name: InsertKey :exec
INSERT INTO api_keys (tenant_uuid, key_uuid, kind, name, secret_hash, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: ListKeys :many
SELECT key_uuid, kind, name, scopes, created_at, expires_at, revoked_at FROM api_keys
WHERE tenant_uuid = $1 ORDER BY created_at DESC, key_uuid DESC LIMIT 1000;

-- name: RevokeKey :execrows
UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE tenant_uuid = $1 AND key_uuid = $2;
