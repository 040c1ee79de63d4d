-- name: InsertTenant :exec
INSERT INTO tenants (tenant_uuid, name, time_zone, currency, created_at) VALUES ($1, $2, $3, $4, $5);

-- name: GetTenant :one
SELECT tenant_uuid, name, time_zone, currency, created_at FROM tenants WHERE tenant_uuid = $1;

-- name: LockTenant :one
-- For changes that must see each other; what only refers to the tenant need not wait.
SELECT tenant_uuid, name, time_zone, currency, created_at FROM tenants WHERE tenant_uuid = $1 FOR NO KEY UPDATE;

-- name: UpdateTenant :exec
UPDATE tenants SET name = $2, time_zone = $3, currency = $4 WHERE tenant_uuid = $1;

-- name: InsertUser :exec
INSERT INTO users (tenant_uuid, user_uuid, email, name, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: GetUser :one
SELECT user_uuid, email, name, role, created_at, disabled_at, last_login_at FROM users WHERE tenant_uuid = $1 AND user_uuid = $2;

-- name: ListUsers :many
SELECT user_uuid, email, name, role, created_at, disabled_at, last_login_at FROM users
WHERE tenant_uuid = $1 AND user_uuid > $2 ORDER BY user_uuid LIMIT $3;

-- name: CountOtherOwners :one
SELECT count(*) FROM users WHERE tenant_uuid = $1 AND user_uuid <> $2 AND role = 'owner' AND disabled_at IS NULL;

-- name: UpdateUser :exec
UPDATE users SET name = $3, role = $4, disabled_at = $5 WHERE tenant_uuid = $1 AND user_uuid = $2;

-- name: PasswordHash :one
SELECT password_hash, email FROM users WHERE tenant_uuid = $1 AND user_uuid = $2 AND disabled_at IS NULL;

-- name: SetPassword :execrows
UPDATE users SET password_hash = $3 WHERE tenant_uuid = $1 AND user_uuid = $2;

-- name: NoteLogIn :exec
UPDATE users SET last_login_at = $3 WHERE tenant_uuid = $1 AND user_uuid = $2;

-- name: InsertSession :exec
INSERT INTO user_sessions (tenant_uuid, token_hash, session_uuid, user_uuid, created_at, expires_at, address) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: ListSessions :many
SELECT session_uuid, created_at, expires_at, address FROM user_sessions
WHERE tenant_uuid = $1 AND user_uuid = $2 AND expires_at > $3 ORDER BY created_at DESC, session_uuid LIMIT 200;

-- name: DeleteExpiredSessions :exec
DELETE FROM user_sessions WHERE tenant_uuid = $1 AND expires_at <= $2;

-- name: DeleteSession :execrows
DELETE FROM user_sessions WHERE tenant_uuid = $1 AND user_uuid = $2 AND session_uuid = $3;

-- name: DeleteUserSessions :execrows
-- All of a user's sessions but one, which may be the zero id.
DELETE FROM user_sessions WHERE tenant_uuid = $1 AND user_uuid = $2 AND session_uuid <> sqlc.arg(but);

-- name: InsertKey :exec
INSERT INTO api_keys (tenant_uuid, key_uuid, kind, name, secret_hash, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: ListKeys :many
SELECT key_uuid, kind, name, scopes, created_at, expires_at, revoked_at, rotated_at, previous_until, last_used_at FROM api_keys
WHERE tenant_uuid = $1 ORDER BY created_at DESC, key_uuid DESC LIMIT 1000;

-- name: LockKey :one
SELECT key_uuid, kind, name, scopes, created_at, expires_at, revoked_at, rotated_at, previous_until, last_used_at FROM api_keys
WHERE tenant_uuid = $1 AND key_uuid = $2 FOR UPDATE;

-- name: RotateKey :exec
UPDATE api_keys SET previous_hash = secret_hash, previous_until = sqlc.arg(previous_until), secret_hash = sqlc.arg(secret_hash),
    rotated_at = sqlc.arg(rotated_at), expires_at = sqlc.arg(expires_at)
WHERE tenant_uuid = sqlc.arg(tenant_uuid) AND key_uuid = sqlc.arg(key_uuid);

-- name: RevokeKey :exec
UPDATE api_keys SET revoked_at = $3 WHERE tenant_uuid = $1 AND key_uuid = $2;
