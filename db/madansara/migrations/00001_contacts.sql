-- People: contacts, what identifies them, what they agreed to, whom never to write to.
-- +goose Up

CREATE TABLE contacts (
    tenant_uuid  uuid NOT NULL,
    contact_uuid uuid NOT NULL,
    email        text,
    first_name   text NOT NULL DEFAULT '',
    last_name    text NOT NULL DEFAULT '',
    time_zone    text NOT NULL DEFAULT '',
    traits       jsonb NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, contact_uuid)
);
CREATE INDEX contacts_email ON contacts (tenant_uuid, email) WHERE email IS NOT NULL;
CALL engarde_isolate_tenants('contacts');

-- Every name a contact is known by. One value names one contact; when two turn
-- out to be one person their identities are moved to the older contact. An
-- anonymous_id is one that an alias named before its visitor came; visitors that
-- exist point at their contact themselves.
CREATE TABLE contact_identities (
    tenant_uuid  uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('email', 'user_id', 'phone', 'anonymous_id')),
    value        text NOT NULL,
    contact_uuid uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, kind, value),
    FOREIGN KEY (tenant_uuid, contact_uuid) REFERENCES contacts ON DELETE CASCADE
);
CREATE INDEX contact_identities_contact ON contact_identities (tenant_uuid, contact_uuid);
CALL engarde_isolate_tenants('contact_identities');

-- The latest word on each channel; granted_at or withdrawn_at tells when.
CREATE TABLE consents (
    tenant_uuid  uuid NOT NULL,
    contact_uuid uuid NOT NULL,
    channel      text NOT NULL,
    status       text NOT NULL CHECK (status IN ('granted', 'withdrawn')),
    source       text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, contact_uuid, channel),
    FOREIGN KEY (tenant_uuid, contact_uuid) REFERENCES contacts ON DELETE CASCADE
);
CALL engarde_isolate_tenants('consents');

-- Addresses never to be written to again, kept even when the contact is erased.
CREATE TABLE suppressions (
    tenant_uuid uuid NOT NULL,
    channel     text NOT NULL,
    address     text NOT NULL,
    reason      text NOT NULL CHECK (reason IN ('unsubscribed', 'bounced', 'complained', 'manual')),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, channel, address)
);
CALL engarde_isolate_tenants('suppressions');

CREATE TABLE segments (
    tenant_uuid  uuid NOT NULL,
    segment_uuid uuid NOT NULL,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    rules        jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, segment_uuid)
);
CALL engarde_isolate_tenants('segments');

GRANT SELECT, INSERT, UPDATE, DELETE ON contacts, contact_identities, consents, suppressions, segments TO madan_sara_app;

-- +goose Down
DROP TABLE segments, suppressions, consents, contact_identities, contacts;
