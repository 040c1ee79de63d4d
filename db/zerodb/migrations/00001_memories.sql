-- ZeroDB: the memory that the agents of all four services share.
-- +goose Up

-- A partition is the memories of one scope. changed counts its changes: a process
-- that holds what was there at one count asks for what has changed since. The row
-- is locked while memories of the scope change, so counts become visible in order.
CREATE TABLE memory_partitions (
    tenant_uuid    uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    scope_kind     text NOT NULL CHECK (scope_kind IN ('agent', 'group', 'tenant')),
    scope_name     text NOT NULL,
    changed        bigint NOT NULL DEFAULT 0,
    -- Deletions are listed from this count on; who is further behind starts anew.
    deletions_from bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_uuid, scope_kind, scope_name)
);
CALL engarde_isolate_tenants('memory_partitions');

-- The columns are the fields of zerodb.Memory. identity is the SHA-256 of its Identity. vector holds
-- little-endian 32-bit floats; model is '' while the memory waits to be embedded.
CREATE TABLE memories (
    tenant_uuid   uuid NOT NULL,
    memory_uuid   uuid NOT NULL,
    lineage_uuid  uuid NOT NULL,
    scope_kind    text NOT NULL,
    scope_name    text NOT NULL,
    agent         text NOT NULL,
    type          text NOT NULL CHECK (type IN ('working', 'short_term', 'episodic', 'semantic', 'procedural', 'long_term')),
    key           text NOT NULL,
    identity      bytea NOT NULL CHECK (length(identity) = 32),
    subject       text NOT NULL,
    content       text NOT NULL,
    metadata      jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    service       text NOT NULL,
    source        text NOT NULL,
    reference     text NOT NULL,
    importance    double precision NOT NULL CHECK (importance BETWEEN 0 AND 1),
    prior         double precision NOT NULL CHECK (prior BETWEEN 0 AND 1),
    successes     integer NOT NULL CHECK (successes >= 0),
    failures      integer NOT NULL CHECK (failures >= 0),
    mentions      integer NOT NULL CHECK (mentions >= 0),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    valid_from    timestamptz NOT NULL,
    valid_until   timestamptz,
    superseded_by uuid,
    expires_at    timestamptz,
    vector        bytea CHECK (length(vector) % 4 = 0),
    model         text NOT NULL,
    changed       bigint NOT NULL,
    PRIMARY KEY (tenant_uuid, memory_uuid),
    FOREIGN KEY (tenant_uuid, scope_kind, scope_name) REFERENCES memory_partitions ON DELETE CASCADE
);
-- A vector's numbers don't compress: looking for it costs, and they are read whole.
ALTER TABLE memories ALTER COLUMN vector SET STORAGE EXTERNAL;
CREATE INDEX memories_changed ON memories (tenant_uuid, scope_kind, scope_name, changed, memory_uuid);
-- Without the scope, which a hash hardly needs: with it, the planner may take memories_changed instead and read the whole scope.
CREATE INDEX memories_identity ON memories (tenant_uuid, identity);
CREATE INDEX memories_lineage ON memories (tenant_uuid, lineage_uuid);
CREATE INDEX memories_subject ON memories (tenant_uuid, subject) WHERE subject <> '';
CREATE INDEX memories_expiry ON memories (tenant_uuid, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX memories_model ON memories (tenant_uuid, model);
CALL engarde_isolate_tenants('memories');

CREATE TABLE memory_deletions (
    tenant_uuid uuid NOT NULL,
    scope_kind  text NOT NULL,
    scope_name  text NOT NULL,
    changed     bigint NOT NULL,
    memory_uuid uuid NOT NULL,
    PRIMARY KEY (tenant_uuid, scope_kind, scope_name, changed, memory_uuid),
    FOREIGN KEY (tenant_uuid, scope_kind, scope_name) REFERENCES memory_partitions ON DELETE CASCADE
);
CALL engarde_isolate_tenants('memory_deletions');

-- Apart from the memories, so that counting a recall changes no partition.
CREATE TABLE memory_recalls (
    tenant_uuid      uuid NOT NULL,
    memory_uuid      uuid NOT NULL,
    recalls          integer NOT NULL CHECK (recalls > 0),
    last_recalled_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, memory_uuid),
    FOREIGN KEY (tenant_uuid, memory_uuid) REFERENCES memories ON DELETE CASCADE
);
CALL engarde_isolate_tenants('memory_recalls');

-- The time that an RFC 3339 text says; null for any other text.
-- +goose StatementBegin
CREATE FUNCTION zerodb_time(value text) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF value ~ '^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$' THEN
        RETURN value::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
-- +goose StatementEnd

GRANT SELECT, INSERT, UPDATE, DELETE ON memory_partitions, memories, memory_deletions, memory_recalls
    TO engarde_core_app, madan_sara_app, onside_app, sankore_app;

-- +goose Down
DROP FUNCTION zerodb_time(text);
DROP TABLE memory_recalls, memory_deletions, memories, memory_partitions;
