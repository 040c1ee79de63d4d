-- Erasures of what is remembered of somebody, and their receipts.
-- +goose Up

-- The row is there before anything is erased, and is the receipt afterwards. It says who
-- asked, when, and how much went; whom it was about only as a hash. wanted is what to look for
-- (zerodb.Erasure), which may name a person: it goes with the memories.
CREATE TABLE memory_erasures (
    tenant_uuid    uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    erasure_uuid   uuid NOT NULL,
    subject_sha256 text NOT NULL CHECK (subject_sha256 ~ '^[0-9a-f]{64}$'),
    wanted         jsonb,
    cause          text NOT NULL CHECK (cause IN ('request', 'contact_erased')),
    requested_by   text NOT NULL,
    requested_at   timestamptz NOT NULL,
    erased         integer NOT NULL DEFAULT 0 CHECK (erased >= 0),
    by_type        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(by_type) = 'object'),
    agents         text[] NOT NULL DEFAULT '{}',
    digest         text NOT NULL DEFAULT '',
    remaining      integer NOT NULL DEFAULT 0 CHECK (remaining >= 0),
    backend        text NOT NULL DEFAULT '',
    started_at     timestamptz,
    finished_at    timestamptz,
    PRIMARY KEY (tenant_uuid, erasure_uuid),
    CHECK ((finished_at IS NULL) = (wanted IS NOT NULL))
);
CALL engarde_isolate_tenants('memory_erasures');

-- No DELETE: a receipt is kept as long as its tenant.
GRANT SELECT, INSERT, UPDATE ON memory_erasures TO madan_sara_app;

-- +goose Down
DROP TABLE memory_erasures;
