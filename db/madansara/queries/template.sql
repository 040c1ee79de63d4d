-- name: CreateTemplate :one
INSERT INTO channel_templates (tenant_uuid, template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
RETURNING template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at;

-- name: UpdateTemplate :one
UPDATE channel_templates SET name = $2, subject = $3, body_html = $4, body_text = $5, updated_at = $6
WHERE template_uuid = $1
RETURNING template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at;

-- name: GetTemplate :one
SELECT template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at
FROM channel_templates WHERE template_uuid = $1;

-- name: ListTemplates :many
SELECT template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at
FROM channel_templates WHERE template_uuid < @before
ORDER BY template_uuid DESC LIMIT @page_size;

-- name: GetRecipient :one
SELECT c.first_name, c.last_name, coalesce(c.email, '')::text AS email, c.traits, t.name AS tenant_name
FROM contacts c JOIN tenants t USING (tenant_uuid) WHERE c.contact_uuid = $1;

-- name: GetTenantName :one
SELECT name FROM tenants;
