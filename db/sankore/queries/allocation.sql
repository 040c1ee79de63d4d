-- name: CreateAllocation :exec
INSERT INTO budget_allocations (tenant_uuid, allocation_uuid, name, currency, total_minor, days, conversions_source, conversions_problem,
    outcome, campaigns, created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: GetAllocation :one
SELECT allocation_uuid, name, currency, total_minor, days, conversions_source, conversions_problem, outcome, campaigns, created_by, created_at
FROM budget_allocations WHERE allocation_uuid = sqlc.arg(allocation_uuid);

-- name: ListAllocations :many
SELECT allocation_uuid, name, currency, total_minor, days, conversions_source, conversions_problem, outcome, campaigns, created_by, created_at
FROM budget_allocations WHERE allocation_uuid < sqlc.arg(before) ORDER BY allocation_uuid DESC LIMIT sqlc.arg(page_size);
