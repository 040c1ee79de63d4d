-- name: InsertFact :execrows
INSERT INTO synced_facts (tenant_uuid, fact_uuid, source, data_type, customer_id, sequence, data, occurred_at, received_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_uuid, fact_uuid, source) DO NOTHING;

-- name: SameFact :one
-- Whether the fact that has this id is this one.
SELECT (data_type = sqlc.arg(data_type) AND customer_id IS NOT DISTINCT FROM sqlc.narg(customer_id)::text AND sequence = sqlc.arg(sequence)
    AND occurred_at = sqlc.arg(occurred_at) AND data = sqlc.arg(data))::boolean AS same
FROM synced_facts WHERE tenant_uuid = sqlc.arg(tenant_uuid) AND fact_uuid = sqlc.arg(fact_uuid) AND source = sqlc.arg(source);

-- name: CountFacts :many
SELECT data_type, source, count(*) AS facts, count(DISTINCT customer_id) AS customers,
    max(occurred_at)::timestamptz AS last_occurred_at, max(received_at)::timestamptz AS last_received_at
FROM synced_facts
WHERE tenant_uuid = sqlc.arg(tenant_uuid)
    AND (sqlc.narg('from')::timestamptz IS NULL OR occurred_at >= sqlc.narg('from'))
    AND (sqlc.narg('to')::timestamptz IS NULL OR occurred_at < sqlc.narg('to'))
GROUP BY data_type, source ORDER BY data_type, source LIMIT 1000;
