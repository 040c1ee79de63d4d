-- name: CreateCampaign :exec
INSERT INTO outreach_campaigns (tenant_uuid, campaign_uuid, name, channel, segment_uuid, template_uuid,
    from_name, from_email, rate_per_second, status, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'draft', $10, $10);

-- name: GetCampaign :one
SELECT * FROM outreach_campaigns WHERE campaign_uuid = $1;

-- name: LockCampaign :one
SELECT * FROM outreach_campaigns WHERE campaign_uuid = $1 FOR UPDATE;

-- name: ListCampaigns :many
SELECT * FROM outreach_campaigns
WHERE campaign_uuid < sqlc.arg(before)::uuid AND (sqlc.arg(status)::text = '' OR status = sqlc.arg(status)::text)
ORDER BY campaign_uuid DESC LIMIT sqlc.arg(page_size)::int;

-- name: UpdateCampaign :exec
UPDATE outreach_campaigns SET name = $2, segment_uuid = $3, template_uuid = $4, from_name = $5, from_email = $6,
    rate_per_second = $7, updated_at = $8
WHERE campaign_uuid = $1;

-- name: RunCampaign :exec
UPDATE outreach_campaigns SET status = 'running', pause_reason = '', started_at = COALESCE(started_at, sqlc.arg(now)::timestamptz),
    finished_at = NULL, updated_at = sqlc.arg(now)::timestamptz
WHERE campaign_uuid = $1;

-- name: PauseCampaign :execrows
UPDATE outreach_campaigns SET status = 'paused', pause_reason = $2, updated_at = $3
WHERE campaign_uuid = $1 AND status = 'running';

-- name: SetCampaignExpanded :exec
UPDATE outreach_campaigns SET expanded_at = sqlc.arg(now)::timestamptz, updated_at = sqlc.arg(now)::timestamptz WHERE campaign_uuid = $1;

-- name: FinishCampaign :exec
UPDATE outreach_campaigns SET status = 'finished', finished_at = sqlc.arg(now)::timestamptz, updated_at = sqlc.arg(now)::timestamptz
WHERE campaign_uuid = $1;

-- name: GetTemplate :one
SELECT * FROM channel_templates WHERE template_uuid = $1;

-- name: FixText :exec
-- The first start fixes what the campaign sends.
INSERT INTO outreach_campaign_texts (tenant_uuid, campaign_uuid, subject, body_html, body_text, version, fixed_at)
SELECT c.tenant_uuid, c.campaign_uuid, t.subject, t.body_html, t.body_text, t.updated_at, sqlc.arg(now)::timestamptz
FROM outreach_campaigns c JOIN channel_templates t USING (tenant_uuid, template_uuid)
WHERE c.campaign_uuid = $1 ON CONFLICT DO NOTHING;

-- name: CampaignText :one
SELECT * FROM outreach_campaign_texts WHERE campaign_uuid = $1;

-- name: CampaignTextState :one
SELECT x.subject, x.fixed_at, t.updated_at > x.version AS template_changed
FROM outreach_campaign_texts x
JOIN outreach_campaigns c USING (tenant_uuid, campaign_uuid)
JOIN channel_templates t USING (tenant_uuid, template_uuid)
WHERE x.campaign_uuid = $1;

-- name: LastDecided :one
SELECT contact_uuid FROM outreach_decisions WHERE campaign_uuid = $1 ORDER BY contact_uuid DESC LIMIT 1;

-- name: MessageCounts :many
SELECT campaign_uuid::uuid AS campaign_uuid, status, count(*) AS messages, count(*) FILTER (WHERE first_opened_at IS NOT NULL) AS opened,
    count(*) FILTER (WHERE first_clicked_at IS NOT NULL) AS clicked,
    count(*) FILTER (WHERE unsubscribed_at IS NOT NULL) AS unsubscribed,
    count(*) FILTER (WHERE sent_at > sqlc.arg(since)::timestamptz) AS sent_lately
FROM outreach_messages WHERE campaign_uuid = ANY (sqlc.arg(campaigns)::uuid[]) GROUP BY campaign_uuid, status;

-- name: DecisionCounts :many
SELECT campaign_uuid::uuid AS campaign_uuid, outcome, (reasons -> -1 ->> 'code')::text AS code, count(*) AS contacts
FROM outreach_decisions WHERE campaign_uuid = ANY (sqlc.arg(campaigns)::uuid[]) GROUP BY 1, 2, 3 ORDER BY 2, 4 DESC, 3;

-- name: CampaignNames :many
SELECT c.campaign_uuid, s.name AS segment_name, t.name AS template_name
FROM outreach_campaigns c
JOIN segments s USING (tenant_uuid, segment_uuid)
JOIN channel_templates t USING (tenant_uuid, template_uuid)
WHERE c.campaign_uuid = ANY (sqlc.arg(campaigns)::uuid[]);

-- name: ListDecisions :many
SELECT decision_uuid, contact_uuid, outcome, channel, reasons, decided_at FROM outreach_decisions
WHERE campaign_uuid = $1 AND contact_uuid > sqlc.arg(after)::uuid
    AND (sqlc.arg(outcome)::text = '' OR outcome = sqlc.arg(outcome)::text)
    AND (sqlc.arg(code)::text = '' OR reasons -> -1 ->> 'code' = sqlc.arg(code)::text)
ORDER BY contact_uuid LIMIT sqlc.arg(page_size)::int;

-- name: GetMessage :one
SELECT * FROM outreach_messages WHERE message_uuid = $1;

-- name: ListMessages :many
SELECT * FROM outreach_messages
WHERE message_uuid < sqlc.arg(before)::uuid
    AND (sqlc.narg(campaign)::uuid IS NULL OR campaign_uuid = sqlc.narg(campaign)::uuid)
    AND (sqlc.narg(contact)::uuid IS NULL OR contact_uuid = sqlc.narg(contact)::uuid)
    AND (sqlc.arg(status)::text = '' OR status = sqlc.arg(status)::text)
ORDER BY message_uuid DESC LIMIT sqlc.arg(page_size)::int;

-- name: ResolveMessage :one
-- Only what is unknown is resolved, once.
UPDATE outreach_messages SET status = sqlc.arg(status)::text, resolved_by = sqlc.arg(resolved_by)::text, resolved_at = sqlc.arg(now)::timestamptz,
    sending_job_id = NULL,
    attempts = CASE WHEN sqlc.arg(status)::text = 'queued' THEN 0 ELSE attempts END,
    not_before = CASE WHEN sqlc.arg(status)::text = 'queued' THEN sqlc.arg(now)::timestamptz ELSE not_before END,
    sent_at = CASE WHEN sqlc.arg(status)::text = 'sent' THEN sqlc.arg(now)::timestamptz ELSE sent_at END
WHERE message_uuid = $1 AND status = 'unknown'
RETURNING *;

-- name: AbandonSending :execrows
-- A job that is run again cannot know whether its predecessor's message was accepted.
UPDATE outreach_messages SET status = 'unknown', error = sqlc.arg(error)::text
WHERE sending_job_id = sqlc.arg(job)::bigint AND status = 'sending';

-- name: RecordUnsent :execrows
-- subject stays what it was when the failure came before rendering.
-- What a person resolved belongs to no job any more.
UPDATE outreach_messages SET status = sqlc.arg(status)::text, error = sqlc.arg(error)::text, not_before = sqlc.arg(not_before)::timestamptz,
    sending_job_id = CASE WHEN sqlc.arg(status)::text = 'unknown' THEN sending_job_id END,
    attempts = attempts - sqlc.arg(uncounted)::int,
    subject = CASE WHEN sqlc.arg(subject)::text = '' THEN subject ELSE sqlc.arg(subject)::text END
WHERE message_uuid = $1 AND sending_job_id = sqlc.arg(job)::bigint AND status IN ('sending', 'unknown');

-- name: Suppress :exec
INSERT INTO suppressions (tenant_uuid, channel, address, reason, created_at)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING;

-- name: Unsuppress :execrows
DELETE FROM suppressions WHERE channel = $1 AND address = $2;

-- name: ListSuppressions :many
SELECT channel, address, reason, created_at FROM suppressions
WHERE (channel, address) > (sqlc.arg(after_channel)::text, sqlc.arg(after_address)::text)
    AND (sqlc.arg(channel)::text = '' OR channel = sqlc.arg(channel)::text)
ORDER BY channel, address LIMIT sqlc.arg(page_size)::int;

-- name: SuppressionsOf :many
SELECT channel, address, reason, created_at FROM suppressions WHERE address = $1 ORDER BY channel;

-- name: InsertDecision :execrows
INSERT INTO outreach_decisions (tenant_uuid, decision_uuid, campaign_uuid, contact_uuid, idempotency_key, request_hash, outcome, channel, reasons, decided_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING;

-- name: DecisionByKey :one
SELECT decision_uuid, contact_uuid, request_hash, outcome, channel, reasons, decided_at FROM outreach_decisions WHERE idempotency_key = $1;

-- name: InsertMessage :exec
INSERT INTO outreach_messages (tenant_uuid, message_uuid, contact_uuid, template_uuid, data, channel, address, status, not_before, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $8);

