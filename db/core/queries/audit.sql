-- name: InsertEntry :exec
INSERT INTO audit_log (tenant_uuid, entry_uuid, at, actor, actor_name, action, object_type, object, details, address, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
