package website_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/website"
)

func TestAnonymousHistoryBecomesTheContacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.take("/v1/page", `{"anonymousId":"a","context":{"sessionId":"s","page":{"url":"https://shop.test/?utm_source=instagram"}}}`)
	b.take("/v1/identify", `{"messageId":"i","anonymousId":"a","traits":{"email":"Ada@Example.com","firstName":"Ada","plan":"<b>pro</b>","marketing_consent":true},"timestamp":"2026-01-02T00:00:00Z"}`)
	require.JSONEq(t, `[{"email":"ada@example.com","first_name":"Ada","plan":"<b>pro</b>"}]`,
		b.read("select email, first_name, traits->>'plan' plan from contacts"))
	require.JSONEq(t, `[{"channel":"email","status":"granted","source":"event i"}]`, b.read("select channel, status, source from consents"))
	require.JSONEq(t, `[{"n":1}]`, b.read("select count(*) n from website_visitors join contacts using (tenant_uuid, contact_uuid)"))
	require.JSONEq(t, `[{"n":1}]`, b.read("select count(*) n from customer_touchpoints join contacts using (tenant_uuid, contact_uuid)"))

	b.take("/v1/identify", `{"anonymousId":"a","traits":{"email":"ada@example.com","marketing_consent":false},"timestamp":"2026-01-01T00:00:00Z"}`)
	require.JSONEq(t, `[{"status":"granted"}]`, b.read("select status from consents"), "an older word does not count")
	b.take("/v1/identify", `{"anonymousId":"a","traits":{"marketing_consent":false}}`)
	require.JSONEq(t, `[{"status":"withdrawn"}]`, b.read("select status from consents"))
}

func TestConversionsLearnWhatChangesTheirJourneys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.take("/v1/page", `{"anonymousId":"a","context":{"sessionId":"s","page":{"url":"https://shop.test/"}}}`)
	require.Empty(t, b.conversions.people)
	require.Empty(t, b.conversions.late, "a visit in time overtakes nothing")

	b.take("/v1/page", `{"anonymousId":"a","timestamp":"2026-01-01T00:00:00Z","context":{"sessionId":"t","page":{"url":"https://shop.test/"}}}`)
	require.Len(t, b.conversions.late, 1)
	require.Equal(t, website.VisitorID(b.tenant, "a"), *b.conversions.late[0].VisitorUUID)
	b.take("/v1/identify", `{"anonymousId":"a","userId":"u"}`)
	require.Len(t, b.conversions.people, 1)
	require.JSONEq(t, `[{"contact_uuid":"`+b.conversions.people[0].String()+`"}]`, b.read("select contact_uuid from contacts"))
}

func TestASharedComputerDoesNotMergePeople(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.take("/v1/identify", `{"anonymousId":"a","userId":"u1"}`)
	b.take("/v1/identify", `{"messageId":"second","anonymousId":"a","userId":"u2"}`)
	require.JSONEq(t, `[{"contacts":2}]`, b.read("select count(*) contacts from contacts"))
	require.JSONEq(t, `[{"value":"u1"}]`, b.read("select value from contact_identities join website_visitors using (tenant_uuid, contact_uuid)"))
	require.JSONEq(t, `[{"value":"u2"}]`, b.read("select value from contact_identities join website_events using (tenant_uuid, contact_uuid) where message_id = 'second'"))
}

// everywhere makes a contact, a@b.co, of which every table with a contact_uuid has a row, and returns its id and the
// tables; the catalogue says which there are. Another contact with the user id u is older.
func (b *bundle) everywhere(t *testing.T) (id string, tables []string) {
	t.Helper()
	b.take("/v1/identify", `{"userId":"u","traits":{"first_name":"Old","a":1,"b":1}}`)
	b.take("/v1/identify", `{"anonymousId":"a","traits":{"email":"a@b.co","b":2,"c":2,"marketing_consent":true}}`)
	b.take("/v1/page", `{"anonymousId":"a","context":{"sessionId":"s","page":{"url":"https://shop.test/"}}}`)
	require.NoError(t, b.database.QueryRow(t.Context(), "select contact_uuid::text from contacts where email = 'a@b.co'").Scan(&id))
	_, err := b.database.Exec(t.Context(), `
		with s as (insert into segments values ($1, gen_random_uuid(), 's', '{}', now(), now()) returning segment_uuid),
		t as (insert into channel_templates values ($1, gen_random_uuid(), 'email', 't', '', '', '', now(), now()) returning template_uuid)
		insert into outreach_campaigns (tenant_uuid, campaign_uuid, name, channel, segment_uuid, template_uuid, status, created_at, updated_at)
		select $1, gen_random_uuid(), 'c', 'email', segment_uuid, template_uuid, 'running', now(), now() from s, t`, b.tenant)
	require.NoError(t, err)
	for _, sql := range []string{
		`insert into outreach_decisions (tenant_uuid, decision_uuid, campaign_uuid, contact_uuid, outcome, channel, reasons, decided_at) select tenant_uuid, gen_random_uuid(), campaign_uuid, contact_uuid, 'send', 'email', '{}', now() from outreach_campaigns join contacts using (tenant_uuid)`,
		`insert into outreach_messages (tenant_uuid, message_uuid, campaign_uuid, contact_uuid, template_uuid, channel, address, status, not_before, created_at)
			select tenant_uuid, gen_random_uuid(), campaign_uuid, contact_uuid, template_uuid, 'email', 'x', 'queued', now(), now() from outreach_campaigns join contacts using (tenant_uuid)`,
		`update page_views set contact_uuid = '` + id + `'`,
		`update website_events set contact_uuid = '` + id + `' where contact_uuid is null`,
		`insert into conversion_events select tenant_uuid, gen_random_uuid(), '1', 'n', null, contact_uuid, null, 1, 'EUR', '{"to":"a@b.co"}', now(), now() from contacts where contact_uuid = '` + id + `'`,
		`insert into contact_merges select tenant_uuid, gen_random_uuid(), contact_uuid, now() from contacts where contact_uuid = '` + id + `'`,
	} {
		_, err := b.database.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	require.NoError(t, b.database.QueryRow(t.Context(), `select array_agg(table_name::text order by table_name) from information_schema.columns
		where column_name = 'contact_uuid' and table_schema = 'public'`).Scan(&tables))
	for _, table := range tables {
		require.Positive(t, b.rowsOf(t, table, id), "%s has no row of the contact: extend this test, the merge and the erasure", table)
	}
	return id, tables
}

func (b *bundle) rowsOf(t *testing.T, table, contact string) (n int) {
	t.Helper()
	require.NoError(t, b.database.QueryRow(t.Context(), "select count(*) from "+table+" where contact_uuid::text = $1", contact).Scan(&n))
	return n
}

// TestMergeMovesEverything: no table has a row of the younger contact afterwards.
func TestMergeMovesEverything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	younger, tables := b.everywhere(t)
	b.take("/v1/identify", `{"userId":"u","traits":{"email":"a@b.co"}}`)
	for _, table := range tables {
		require.Zero(t, b.rowsOf(t, table, younger), table)
	}
	require.JSONEq(t, `[{"first_name":"Old","email":"a@b.co","traits":{"a":1,"b":1,"c":2}}]`,
		b.read("select first_name, email, traits - 'first_name' - 'email' - 'marketing_consent' traits from contacts"))
	require.JSONEq(t, `[{"campaigns":1,"messages":2,"cancelled":1,"decisions":1,"consents":1}]`, b.read(`select count(campaign_uuid) campaigns, count(*) messages,
		count(*) filter (where status = 'cancelled') cancelled, (select count(*) from outreach_decisions) decisions, (select count(*) from consents) consents from outreach_messages`))
	require.JSONEq(t, `[{"merges":2,"people":1}]`, b.read("select count(*) merges, count(distinct contact_uuid) people from contact_merges join contacts using (tenant_uuid, contact_uuid)"),
		"who was merged before follows")
}

// TestErasureLeavesNothingThatNamesThePerson looks for the contact, its visitor and its address in every table.
func TestErasureLeavesNothingThatNamesThePerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, tables := b.everywhere(t)
	b.take("/v1/page", `{"anonymousId":"a","userId":"u","messageId":"somebody else's","context":{"page":{"url":"https://shop.test/mine"}}}`)
	contacts := contact.New(b.db, contact.Followers{}, clockwork.NewRealClock())
	_, err := b.database.Exec(t.Context(), "update outreach_messages set status = 'sending' where contact_uuid = $1", id)
	require.NoError(t, err)
	_, err = contacts.Erase(t.Context(), b.tenant, uuid.MustParse(id), "user 1")
	require.Equal(t, fault.Conflict, fault.CodeOf(err), "a message is on its way")
	_, err = b.database.Exec(t.Context(), "update outreach_messages set status = 'sent' where contact_uuid = $1", id)
	require.NoError(t, err)

	erased, err := contacts.Erase(t.Context(), b.tenant, uuid.MustParse(id), "user 1")
	require.NoError(t, err)
	require.Equal(t, contact.Rows{Visitors: 1, Events: 2, Messages: 1, Conversions: 1, Touchpoints: 1}, erased.Rows)
	require.Nil(t, erased.Memories)
	for _, table := range tables {
		require.Zero(t, b.rowsOf(t, table, id), table)
	}
	visitor := website.VisitorID(b.tenant, "a").String()
	rows, err := b.database.Query(t.Context(), "select format('%I.%I', table_schema, table_name) from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'")
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, table := range all {
		var n int
		require.NoError(t, b.database.QueryRow(t.Context(), "select count(*) from "+table+" r where r::text like any (array['%"+id+"%', '%a@b.co%', '%"+visitor+"%']) and r::text not like '%somebody else%'").Scan(&n))
		require.Zero(t, n, table)
	}
	require.JSONEq(t, `[{"contacts":1,"conversions":1,"together":true,"events":1}]`, b.read(`select (select count(*) from contacts) contacts, count(*) conversions,
		bool_and(contact_uuid in (select contact_uuid from customer_touchpoints)) together, (select count(*) from page_views) events from conversion_events`),
		"the figures stay, and what somebody else did")
	_, err = contacts.Erase(t.Context(), b.tenant, uuid.MustParse(id), "user 1")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = contacts.Erase(t.Context(), b.other, uuid.MustParse(id), "user 1")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

// TestPeopleInAnyOrder generates people, each with a user id, addresses and
// devices, and tells their events in any order and grouping: in the end each
// person is one contact, and everything they did is theirs.
func TestPeopleInAnyOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		var events []string
		owner := map[string]string{} // identity or anonymous id -> person
		for p := range rapid.IntRange(1, 4).Draw(rt, "people") {
			person := fmt.Sprintf("%d-%d", run, p)
			user := "user-" + person
			owner[user] = person
			add := func(format string, args ...any) { events = append(events, fmt.Sprintf(format, args...)) }
			for d := range rapid.IntRange(0, 3).Draw(rt, "devices") {
				device := fmt.Sprintf("device-%s-%d", person, d)
				email := fmt.Sprintf("mail-%s-%d@example.com", person, d)
				owner[device] = person
				switch rapid.IntRange(0, 3).Draw(rt, "how") {
				case 0: // the device logs in
					add(`{"type":"identify","anonymousId":%q,"userId":%q}`, device, user)
				case 1: // leaves an address, which the account has too
					owner[email] = person
					add(`{"type":"identify","anonymousId":%q,"traits":{"email":%q}}`, device, email)
					add(`{"type":"identify","userId":%q,"traits":{"email":%q}}`, user, strings.ToUpper(email))
				case 2: // an alias names it
					add(`{"type":"alias","previousId":%q,"userId":%q}`, device, user)
				case 3: // an event names both
					add(`{"type":"track","event":"x","anonymousId":%q,"userId":%q}`, device, user)
				}
				for range rapid.IntRange(1, 3).Draw(rt, "events") {
					add(`{"type":"page","anonymousId":%q,"context":{"sessionId":"s","page":{"url":"https://shop.test/"}}}`, device)
				}
			}
			add(`{"type":"track","event":"y","userId":%q}`, user)
		}
		events = rapid.Permutation(events).Draw(rt, "order")
		for len(events) > 0 {
			n := rapid.IntRange(1, len(events)).Draw(rt, "group")
			b.take("/v1/batch", `{"batch":[`+strings.Join(events[:n], ",")+`]}`)
			events = events[n:]
		}
		contacts := map[string]string{} // person -> contact
		for _, name := range slices.Sorted(maps.Keys(owner)) {
			var contact *string
			err := b.database.QueryRow(t.Context(), `
				select contact_uuid::text from contact_identities where tenant_uuid = $1 and kind <> 'anonymous_id' and value = $2
				union select contact_uuid::text from website_visitors where tenant_uuid = $1 and visitor_uuid = $3`,
				b.tenant, name, website.VisitorID(b.tenant, name)).Scan(&contact)
			if err != nil || contact == nil {
				rt.Fatalf("%s belongs to nobody: %v", name, err)
			}
			if known, ok := contacts[owner[name]]; ok && known != *contact {
				rt.Fatalf("%s is %s, but person %s is %s", name, *contact, owner[name], known)
			}
			contacts[owner[name]] = *contact
		}
		if distinct := slices.Compact(slices.Sorted(maps.Values(contacts))); len(distinct) != len(contacts) {
			rt.Fatalf("%d people are %d contacts", len(contacts), len(distinct))
		}
	})
	require.JSONEq(t, `[{"dangling":0}]`, b.read(`select count(*) dangling from (
		select contact_uuid from website_events union select contact_uuid from page_views union select contact_uuid from website_visitors
		union select contact_uuid from customer_touchpoints) x where contact_uuid is not null and contact_uuid not in (select contact_uuid from contacts)`))
	require.JSONEq(t, `[{"anonymous":0}]`, b.read(`select count(*) anonymous from customer_touchpoints t join website_visitors v using (tenant_uuid, visitor_uuid)
		where t.contact_uuid is distinct from v.contact_uuid`))
}
