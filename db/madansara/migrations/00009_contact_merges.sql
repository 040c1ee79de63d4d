-- Contacts that turned out to be another.
-- +goose Up

-- Who was merged into contact_uuid. What agents wrote under the old name after the merge,
-- or other services kept under it, is found by it; it goes when the contact is erased.
CREATE TABLE contact_merges (
    tenant_uuid       uuid NOT NULL,
    from_contact_uuid uuid NOT NULL,
    contact_uuid      uuid NOT NULL,
    merged_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_uuid, from_contact_uuid),
    FOREIGN KEY (tenant_uuid, contact_uuid) REFERENCES contacts ON DELETE CASCADE
);
CREATE INDEX contact_merges_contact ON contact_merges (tenant_uuid, contact_uuid);
CALL engarde_isolate_tenants('contact_merges');
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_merges TO madan_sara_app;

-- +goose Down
DROP TABLE contact_merges;
