package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
)

// load reads everything that the claims' identities and visitors point at.
func load(ctx context.Context, tx engardedb.Tx, claims []Claim) (*graph, error) {
	g := &graph{
		people: map[uuid.UUID]*person{}, identities: map[Identity]*person{},
		visitors: map[uuid.UUID]*person{}, exists: map[uuid.UUID]bool{},
	}
	var kinds, values []string
	var visitors []uuid.UUID
	for i := range claims {
		for _, id := range claims[i].identities() {
			kinds, values = append(kinds, id.Kind), append(values, id.Value)
		}
		for _, v := range []uuid.UUID{claims[i].Visitor, claims[i].PreviousVisitor} {
			if v != uuid.Nil {
				visitors = append(visitors, v)
			}
		}
	}
	var batch pgx.Batch
	batch.Queue(`
		SELECT i.kind, i.value, c.contact_uuid, c.created_at,
			EXISTS (SELECT FROM contact_identities u WHERE u.tenant_uuid = $1 AND u.contact_uuid = c.contact_uuid AND u.kind = 'user_id')
		FROM (SELECT DISTINCT * FROM unnest($2::text[], $3::text[]) AS w (kind, value)) w
		JOIN contact_identities i ON i.tenant_uuid = $1 AND i.kind = w.kind AND i.value = w.value
		JOIN contacts c ON c.tenant_uuid = $1 AND c.contact_uuid = i.contact_uuid`,
		tx.Tenant(), kinds, values,
	).Query(func(rows pgx.Rows) error {
		var id Identity
		var p person
		_, err := pgx.ForEachRow(rows, []any{&id.Kind, &id.Value, &p.id, &p.created, &p.identified}, func() error {
			g.identities[id] = g.known(p)
			return nil
		})
		return err //nolint:wrapcheck // wrapped below
	})
	batch.Queue(`
		SELECT v.visitor_uuid, c.contact_uuid, c.created_at,
			EXISTS (SELECT FROM contact_identities u WHERE u.tenant_uuid = $1 AND u.contact_uuid = c.contact_uuid AND u.kind = 'user_id')
		FROM website_visitors v LEFT JOIN contacts c ON c.tenant_uuid = $1 AND c.contact_uuid = v.contact_uuid
		WHERE v.tenant_uuid = $1 AND v.visitor_uuid = ANY ($2::uuid[])`,
		tx.Tenant(), visitors,
	).Query(func(rows pgx.Rows) error {
		var visitor uuid.UUID
		var contact *uuid.UUID
		var created *time.Time
		var identified bool
		_, err := pgx.ForEachRow(rows, []any{&visitor, &contact, &created, &identified}, func() error {
			g.exists[visitor] = true
			if contact != nil {
				g.visitors[visitor] = g.known(person{id: *contact, created: *created, identified: identified})
			}
			return nil
		})
		return err //nolint:wrapcheck // wrapped below
	})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read the people that events name: %w", err)
	}
	return g, nil
}

func (g *graph) known(p person) *person {
	if known := g.people[p.id]; known != nil {
		return known
	}
	g.people[p.id] = &p
	return &p
}

// save writes what the claims changed, in one round trip.
func (g *graph) save(ctx context.Context, tx engardedb.Tx) error {
	var batch pgx.Batch
	for _, p := range g.people {
		if p.isNew && p.into == nil {
			batch.Queue(`INSERT INTO contacts (tenant_uuid, contact_uuid, created_at, updated_at) VALUES ($1, $2, $3, $3)`,
				tx.Tenant(), p.id, p.created)
		}
	}
	for _, p := range g.merged {
		if !p.isNew {
			g.queueMerge(&batch, tx.Tenant(), p.id, p.root().id)
		}
	}
	for _, p := range g.people {
		if p.into == nil && p.changed {
			g.queueProfile(&batch, tx.Tenant(), p)
		}
	}
	g.queueIdentities(&batch, tx.Tenant())
	g.queueLinks(&batch, tx.Tenant())
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("write the people that events name: %w", err)
	}
	return nil
}

func (g *graph) queueProfile(batch *pgx.Batch, tenant uuid.UUID, p *person) {
	c := p.changes
	traits := make([]string, len(c.traits))
	for i, t := range c.traits {
		traits[i] = string(t)
	}
	batch.Queue(`
		UPDATE contacts SET
			email = coalesce(nullif($3, ''), email),
			first_name = coalesce(nullif($4, ''), first_name),
			last_name = coalesce(nullif($5, ''), last_name),
			time_zone = coalesce(nullif($6, ''), time_zone),
			traits = traits || coalesce((
				SELECT jsonb_object_agg(key, value ORDER BY n)
				FROM unnest($7::text[]) WITH ORDINALITY AS t (object, n), jsonb_each(t.object::jsonb)), '{}'),
			updated_at = greatest(updated_at, $8)
		WHERE tenant_uuid = $1 AND contact_uuid = $2`,
		tenant, p.id, c.email, c.firstName, c.lastName, c.timeZone, traits, g.now)
	if c.consent == nil {
		return
	}
	status := "withdrawn"
	if *c.consent {
		status = "granted"
	}
	// What was said before is read first, which only its being asked for makes sure of.
	batch.Queue(`
		WITH before AS MATERIALIZED (
			SELECT channel, status FROM consents WHERE tenant_uuid = $1 AND contact_uuid = $2 AND channel = 'email' FOR UPDATE)
		INSERT INTO consents (tenant_uuid, contact_uuid, channel, status, source, recorded_at)
		SELECT $1, $2, 'email', $3, $4, $5 WHERE (SELECT count(*) FROM before) >= 0
		ON CONFLICT (tenant_uuid, contact_uuid, channel) DO UPDATE
		SET status = excluded.status, source = excluded.source, recorded_at = excluded.recorded_at
		WHERE consents.recorded_at <= excluded.recorded_at
		RETURNING contact_uuid, channel, status, source, recorded_at, COALESCE((SELECT b.status FROM before b WHERE b.channel = consents.channel), '')`,
		tenant, p.id, status, c.consentSource, c.consentAt).Query(g.readConsents)
}

func (g *graph) queueIdentities(batch *pgx.Batch, tenant uuid.UUID) {
	if len(g.newIdentities) == 0 {
		return
	}
	kinds, values := make([]string, 0, len(g.newIdentities)), make([]string, 0, len(g.newIdentities))
	contacts := make([]uuid.UUID, 0, len(g.newIdentities))
	for _, id := range g.newIdentities {
		kinds, values, contacts = append(kinds, id.Kind), append(values, id.Value), append(contacts, g.identities[id].root().id)
	}
	batch.Queue(`
		INSERT INTO contact_identities (tenant_uuid, kind, value, contact_uuid, created_at)
		SELECT $1, kind, value, contact, $5 FROM unnest($2::text[], $3::text[], $4::uuid[]) AS n (kind, value, contact)
		ON CONFLICT DO NOTHING`, tenant, kinds, values, contacts, g.now)
}

// queueLinks gives visitors, and what they did before anybody knew them, to
// their contact.
func (g *graph) queueLinks(batch *pgx.Batch, tenant uuid.UUID) {
	if len(g.linked) == 0 {
		return
	}
	contacts := make([]uuid.UUID, len(g.linked))
	for i, visitor := range g.linked {
		contacts[i] = g.visitors[visitor].root().id
	}
	for _, table := range []string{"website_visitors", "customer_touchpoints", "conversion_events"} {
		batch.Queue(`UPDATE `+table+` t SET contact_uuid = n.contact
			FROM unnest($2::uuid[], $3::uuid[]) AS n (visitor, contact)
			WHERE t.tenant_uuid = $1 AND t.visitor_uuid = n.visitor AND t.contact_uuid IS NULL`, tenant, g.linked, contacts)
	}
}

// repointed are the tables whose contact_uuid a merge changes as it stands; the
// rest of the tables that have one are handled by queueMerge itself. A test
// holds the two against the catalogue.
var repointed = []string{
	"contact_identities", "website_visitors", "page_views", "website_events",
	"customer_touchpoints", "conversion_events", "contact_merges",
}

// queueMerge moves everything of the contact from to the contact into, whose own
// word wins, and deletes from.
func (g *graph) queueMerge(batch *pgx.Batch, tenant, from, into uuid.UUID) {
	// Rows that other transactions are just adding hold this one by their foreign
	// key; wait for them, so that what follows sees them.
	batch.Queue(`SELECT FROM contacts WHERE tenant_uuid = $1 AND contact_uuid = $2 FOR UPDATE`, tenant, from)
	// A campaign may have reached both: one decision stands for the person, and
	// the second message stays in its history without counting for the campaign.
	batch.Queue(`
		UPDATE outreach_messages m SET contact_uuid = $3,
			campaign_uuid = CASE WHEN twice.campaign_uuid IS NULL THEN m.campaign_uuid END,
			status = CASE WHEN twice.campaign_uuid IS NOT NULL AND m.status = 'queued' THEN 'cancelled' ELSE m.status END
		FROM outreach_messages f LEFT JOIN outreach_messages twice
			ON twice.tenant_uuid = $1 AND twice.contact_uuid = $3 AND twice.campaign_uuid = f.campaign_uuid
		WHERE f.tenant_uuid = $1 AND f.contact_uuid = $2 AND m.tenant_uuid = $1 AND m.message_uuid = f.message_uuid`, tenant, from, into)
	batch.Queue(`
		UPDATE outreach_decisions d SET contact_uuid = $3
		WHERE tenant_uuid = $1 AND contact_uuid = $2 AND NOT EXISTS (SELECT FROM outreach_decisions e
			WHERE e.tenant_uuid = $1 AND e.contact_uuid = $3 AND e.campaign_uuid = d.campaign_uuid)`, tenant, from, into)
	// A click holds its message while it adds a touch, so messages come first.
	for _, table := range repointed {
		batch.Queue(`UPDATE `+table+` SET contact_uuid = $3 WHERE tenant_uuid = $1 AND contact_uuid = $2`, tenant, from, into)
	}
	// Of two consents for a channel the later word counts, and of two at one time the no.
	batch.Queue(`
		WITH before AS MATERIALIZED (SELECT channel, status FROM consents WHERE tenant_uuid = $1 AND contact_uuid = $3 FOR UPDATE)
		INSERT INTO consents (tenant_uuid, contact_uuid, channel, status, source, recorded_at)
		SELECT tenant_uuid, $3, channel, status, source, recorded_at FROM consents
		WHERE tenant_uuid = $1 AND contact_uuid = $2 AND (SELECT count(*) FROM before) >= 0
		ON CONFLICT (tenant_uuid, contact_uuid, channel) DO UPDATE
		SET status = excluded.status, source = excluded.source, recorded_at = excluded.recorded_at
		WHERE (consents.recorded_at, consents.status = 'withdrawn') < (excluded.recorded_at, excluded.status = 'withdrawn')
		RETURNING contact_uuid, channel, status, source, recorded_at, COALESCE((SELECT b.status FROM before b WHERE b.channel = consents.channel), '')`, tenant, from, into).Query(g.readConsents)
	batch.Queue(`
		UPDATE contacts c SET
			email = coalesce(c.email, f.email),
			first_name = coalesce(nullif(c.first_name, ''), f.first_name),
			last_name = coalesce(nullif(c.last_name, ''), f.last_name),
			time_zone = coalesce(nullif(c.time_zone, ''), f.time_zone),
			traits = f.traits || c.traits
		FROM contacts f
		WHERE c.tenant_uuid = $1 AND c.contact_uuid = $3 AND f.tenant_uuid = $1 AND f.contact_uuid = $2`, tenant, from, into)
	batch.Queue(`DELETE FROM contacts WHERE tenant_uuid = $1 AND contact_uuid = $2`, tenant, from)
	batch.Queue(`INSERT INTO contact_merges (tenant_uuid, from_contact_uuid, contact_uuid, merged_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, tenant, from, into, g.now)
}
