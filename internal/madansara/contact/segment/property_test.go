package segment_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// history is what one contact has and did.
type history struct {
	Contact     uuid.UUID
	Email, Name string
	Traits      map[string]any
	Created     time.Time
	Consent     map[string]string
	Events      []fact // by the contact itself or by a visitor linked to it
	Conversions []fact
	Visits      []visit
	Messages    []message
}

type fact struct {
	Name       string
	At         time.Time
	Own        bool // carries the contact's id
	ByVisitor  bool // carries the id of a visitor linked to the contact
	Foreign    bool // of a visitor who is linked to nobody: not the contact's
	Identifies bool // not a track call
}

type visit struct {
	Source, Channel string
	At              time.Time
}

type message struct {
	Campaign                           uuid.UUID
	Sent, Opened, Clicked, Unsubscribe *time.Time
}

// holds is the meaning of a rule, in the plainest words.
func holds(r segment.Rule, h history) bool {
	switch {
	case r.All != nil:
		for _, rule := range r.All {
			if !holds(rule, h) {
				return false
			}
		}
		return true
	case r.Any != nil:
		for _, rule := range r.Any {
			if holds(rule, h) {
				return true
			}
		}
		return false
	case r.Not != nil:
		return !holds(*r.Not, h)
	case r.Event != nil:
		return count(h.Events, r.Event.Name, r.Event.WithinDays) >= max(1, r.Event.AtLeast)
	case r.Conversion != nil:
		return count(h.Conversions, r.Conversion.Name, r.Conversion.WithinDays) >= max(1, r.Conversion.AtLeast)
	case r.Consent != nil:
		status := h.Consent[r.Consent.Channel]
		return status == r.Consent.Status || status == "" && r.Consent.Status == segment.Unknown
	case r.Created != nil:
		return (r.Created.After.IsZero() || !h.Created.Before(r.Created.After)) &&
			(r.Created.Before.IsZero() || h.Created.Before(r.Created.Before))
	case r.Visit != nil:
		for _, v := range h.Visits {
			if (r.Visit.Source == "" || v.Source == r.Visit.Source) && (r.Visit.Channel == "" || v.Channel == r.Visit.Channel) && within(v.At, r.Visit.WithinDays) {
				return true
			}
		}
		return false
	case r.Message != nil:
		return became(h.Messages, *r.Message)
	default:
		return compares(*r.Field, h)
	}
}

func within(at time.Time, days int) bool { return days == 0 || !at.Before(now.AddDate(0, 0, -days)) }

func count(facts []fact, name string, days int) (n int) {
	for _, f := range facts {
		if (name == "" || f.Name == name) && within(f.At, days) && (f.Own || f.ByVisitor) && !f.Identifies {
			n++
		}
	}
	return n
}

func became(messages []message, wanted segment.Message) bool {
	for _, m := range messages {
		at := map[string]*time.Time{segment.Sent: m.Sent, segment.Opened: m.Opened, segment.Clicked: m.Clicked, segment.Unsubscribed: m.Unsubscribe}[wanted.Did]
		if at != nil && within(*at, wanted.WithinDays) && (wanted.Campaign == uuid.Nil || wanted.Campaign == m.Campaign) {
			return true
		}
	}
	return false
}

func compares(f segment.Field, h history) bool {
	var value any
	if trait, ok := strings.CutPrefix(f.Name, "traits."); ok {
		value = h.Traits[trait]
	} else if text := map[string]string{"email": h.Email, "first_name": h.Name}[f.Name]; text != "" {
		value = text
	}
	switch f.Op {
	case segment.Exists:
		return value != nil && value != ""
	case segment.Equal:
		return value == f.Value
	case segment.NotEqual:
		return value != f.Value
	case segment.Contains:
		text, ok := value.(string)
		return ok && strings.Contains(text, f.Value.(string))
	case segment.Greater:
		number, ok := value.(float64)
		return ok && number > f.Value.(float64)
	default:
		number, ok := value.(float64)
		return ok && number < f.Value.(float64)
	}
}

// Hostile text is data like any other.
var words = []string{
	"Signed Up", "Order Completed", "'; DROP TABLE contacts; --", "\\'); SELECT 1 --", "$1", "%s%d", "<script>alert(1)</script>", "a\"b", "é", "{{ x }}",
}

var (
	campaigns = []uuid.UUID{uuid.MustParse("01900000-0000-7000-8000-000000000001"), uuid.MustParse("01900000-0000-7000-8000-000000000002")}
	word      = rapid.SampledFrom(words)
	days      = rapid.SampledFrom([]int{0, 1, 7, 30})
	times     = rapid.IntRange(0, 3)
	moment    = rapid.Map(rapid.IntRange(0, 40*24), func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) })
	scalar    = rapid.OneOf(rapid.Map(word, toAny[string]), rapid.Map(rapid.IntRange(-2, 2), func(i int) any { return float64(i) / 2 }), rapid.Map(rapid.Bool(), toAny[bool]))
)

func toAny[T any](v T) any { return v }

func genRule(depth int) *rapid.Generator[segment.Rule] {
	leaves := []*rapid.Generator[segment.Rule]{
		rapid.Custom(func(t *rapid.T) segment.Rule {
			return segment.Rule{Event: &segment.Event{Name: word.Draw(t, "event"), WithinDays: days.Draw(t, "days"), AtLeast: times.Draw(t, "times")}}
		}),
		rapid.Custom(func(t *rapid.T) segment.Rule {
			name := rapid.SampledFrom(append([]string{""}, words...)).Draw(t, "conversion")
			return segment.Rule{Conversion: &segment.Conversion{Name: name, WithinDays: days.Draw(t, "days"), AtLeast: times.Draw(t, "times")}}
		}),
		rapid.Custom(genField),
		rapid.Custom(func(t *rapid.T) segment.Rule {
			return segment.Rule{Consent: &segment.Consent{
				Channel: rapid.SampledFrom([]string{"email", "'; --"}).Draw(t, "channel"),
				Status:  rapid.SampledFrom([]string{segment.Granted, segment.Withdrawn, segment.Unknown}).Draw(t, "status"),
			}}
		}),
		rapid.Custom(func(t *rapid.T) segment.Rule {
			return segment.Rule{Message: &segment.Message{
				Campaign:   rapid.SampledFrom(append([]uuid.UUID{uuid.Nil}, campaigns...)).Draw(t, "campaign"),
				Did:        rapid.SampledFrom([]string{segment.Sent, segment.Opened, segment.Clicked, segment.Unsubscribed}).Draw(t, "did"),
				WithinDays: days.Draw(t, "days"),
			}}
		}),
		rapid.Custom(func(t *rapid.T) segment.Rule {
			either := rapid.SampledFrom([]string{"", "instagram", "'; --"})
			return segment.Rule{Visit: &segment.Visit{Source: either.Draw(t, "source"), Channel: either.Draw(t, "channel"), WithinDays: days.Draw(t, "days")}}
		}),
		rapid.Custom(func(t *rapid.T) segment.Rule {
			created := segment.Created{After: moment.Draw(t, "after")}
			if rapid.Bool().Draw(t, "bounded") {
				created.Before = moment.Draw(t, "before")
			}
			return segment.Rule{Created: &created}
		}),
	}
	if depth <= 1 {
		return rapid.OneOf(leaves...)
	}
	group := rapid.SliceOfN(genRule(depth-1), 1, 3)
	return rapid.OneOf(append(leaves,
		rapid.Map(group, func(rules []segment.Rule) segment.Rule { return segment.Rule{All: rules} }),
		rapid.Map(group, func(rules []segment.Rule) segment.Rule { return segment.Rule{Any: rules} }),
		rapid.Map(genRule(depth-1), func(rule segment.Rule) segment.Rule { return segment.Rule{Not: &rule} }),
	)...)
}

func genField(t *rapid.T) segment.Rule {
	f := segment.Field{
		Name: rapid.SampledFrom([]string{"email", "first_name", "traits.plan", "traits.a'b\"c"}).Draw(t, "field"),
		Op:   rapid.SampledFrom([]string{segment.Equal, segment.NotEqual, segment.Contains, segment.Exists, segment.Greater, segment.Less}).Draw(t, "op"),
	}
	switch f.Op {
	case segment.Exists:
	case segment.Contains:
		f.Value = word.Draw(t, "value")
	case segment.Greater, segment.Less:
		f.Value = float64(rapid.IntRange(-2, 2).Draw(t, "value")) / 2
	default:
		f.Value = scalar.Draw(t, "value")
	}
	return segment.Rule{Field: &f}
}

func genHistory(t *rapid.T) history {
	facts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fact {
		f := fact{Name: word.Draw(t, "name"), At: moment.Draw(t, "at"), Identifies: rapid.IntRange(0, 5).Draw(t, "kind") == 0}
		switch rapid.IntRange(0, 3).Draw(t, "whose") {
		case 0:
			f.Own = true
		case 1:
			f.ByVisitor = true
		case 2:
			f.Own, f.ByVisitor = true, true // both ways, and still one event
		default:
			f.Foreign = true
		}
		return f
	}), 0, 5)
	h := history{
		Contact: uuid.Must(uuid.NewV7()), Created: moment.Draw(t, "created"), Traits: map[string]any{}, Consent: map[string]string{},
		Email: rapid.SampledFrom([]string{"", "a@example.com", "'; --@example.com"}).Draw(t, "email"), Name: rapid.SampledFrom(append([]string{""}, words...)).Draw(t, "first name"),
		Events: facts.Draw(t, "events"), Conversions: facts.Draw(t, "conversions"),
	}
	for i := range h.Conversions {
		h.Conversions[i].Identifies = false
	}
	for _, trait := range []string{"plan", "a'b\"c"} {
		if rapid.Bool().Draw(t, "has "+trait) {
			h.Traits[trait] = scalar.Draw(t, trait)
		}
	}
	for _, channel := range []string{"email", "'; --"} {
		if status := rapid.SampledFrom([]string{"", segment.Granted, segment.Withdrawn}).Draw(t, channel); status != "" {
			h.Consent[channel] = status
		}
	}
	h.Visits = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) visit {
		either := rapid.SampledFrom([]string{"", "instagram", "'; --"})
		return visit{Source: either.Draw(t, "source"), Channel: either.Draw(t, "channel"), At: moment.Draw(t, "at")}
	}), 0, 2).Draw(t, "visits")
	for _, campaign := range campaigns {
		if rapid.Bool().Draw(t, "written to") {
			maybe := rapid.OneOf(rapid.Just[*time.Time](nil), rapid.Ptr(moment, false))
			h.Messages = append(h.Messages, message{campaign, maybe.Draw(t, "sent"), maybe.Draw(t, "opened"), maybe.Draw(t, "clicked"), maybe.Draw(t, "unsubscribed")})
		}
	}
	return h
}

// What SQL selects is what the rule means, whatever the rule and the history.
func TestSQLSelectsWhatTheRuleMeans(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	rapid.Check(t, func(rt *rapid.T) {
		tenant := dbtest.Tenant(t, url)
		rule := genRule(3).Draw(rt, "rule")
		histories := rapid.SliceOfN(rapid.Custom(genHistory), 1, 4).Draw(rt, "histories")
		// A rule comes from storage in practice: it must survive the way there.
		raw, err := json.Marshal(rule)
		require.NoError(rt, err)
		rule, err = segment.Parse(raw)
		require.NoError(rt, err)

		var selected []uuid.UUID
		var number int64
		require.NoError(rt, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
			insertCampaigns(ctx, rt, tx)
			for _, h := range histories {
				insertHistory(ctx, rt, tx, h)
			}
			var after uuid.UUID
			for { // pages of one show that the key-set pages lose and repeat nobody
				page, err := segment.Page(ctx, tx, rule, now, after, 1)
				if err != nil || len(page) == 0 {
					number, _ = segment.Count(ctx, tx, rule, now)
					return err
				}
				selected = append(selected, page...)
				after = page[0]
			}
		}))
		var wanted []uuid.UUID
		for _, h := range histories {
			if holds(rule, h) {
				wanted = append(wanted, h.Contact)
			}
		}
		require.ElementsMatch(rt, wanted, selected)
		require.EqualValues(rt, len(wanted), number)
	})
}

func insertCampaigns(ctx context.Context, t require.TestingT, tx engardedb.Tx) {
	id := uuid.Must(uuid.NewV7())
	run(ctx, t, tx, `INSERT INTO segments VALUES ($1, $2, 'S', '{}', now(), now())`, tx.Tenant(), id)
	run(ctx, t, tx, `INSERT INTO channel_templates VALUES ($1, $2, 'email', 'T', '', '', '', now(), now())`, tx.Tenant(), id)
	for _, campaign := range campaigns {
		run(ctx, t, tx, `INSERT INTO outreach_campaigns (tenant_uuid, campaign_uuid, name, channel, segment_uuid, template_uuid, status, created_at, updated_at)
			VALUES ($1, $2, 'C', 'email', $3, $3, 'draft', now(), now())`, tx.Tenant(), campaign, id)
	}
}

func insertHistory(ctx context.Context, t require.TestingT, tx engardedb.Tx, h history) {
	tenant := tx.Tenant()
	traits, err := json.Marshal(h.Traits)
	require.NoError(t, err)
	run(ctx, t, tx, `INSERT INTO contacts (tenant_uuid, contact_uuid, email, first_name, traits, created_at, updated_at)
		VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6, $6)`, tenant, h.Contact, h.Email, h.Name, traits, h.Created)
	linked, stranger := uuid.New(), uuid.New()
	run(ctx, t, tx, `INSERT INTO website_visitors VALUES ($1, $2, 'linked ' || $3::uuid, $3::uuid, now(), now()), ($1, $4, 'stranger ' || $3::uuid, NULL, now(), now())`,
		tenant, linked, h.Contact, stranger)
	owners := func(f fact) (contact, visitor *uuid.UUID) {
		if f.Own {
			contact = &h.Contact
		}
		if f.ByVisitor {
			visitor = &linked
		}
		if f.Foreign {
			visitor = &stranger
		}
		return contact, visitor
	}
	for _, f := range h.Events {
		contact, visitor := owners(f)
		kind := "track"
		if f.Identifies {
			kind = "identify"
		}
		run(ctx, t, tx, `INSERT INTO website_events (tenant_uuid, message_id, type, name, visitor_uuid, contact_uuid, occurred_at, received_at, url, properties, context)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7, '', '{}', '{}')`, tenant, uuid.NewString(), kind, f.Name, visitor, contact, f.At)
	}
	for _, f := range h.Conversions {
		contact, visitor := owners(f)
		run(ctx, t, tx, `INSERT INTO conversion_events (tenant_uuid, conversion_uuid, external_id, name, visitor_uuid, contact_uuid, revenue_minor, currency, occurred_at, received_at)
			VALUES ($1, $2, $3, $4, $5, $6, 1, 'USD', $7, $7)`, tenant, uuid.New(), uuid.NewString(), f.Name, visitor, contact, f.At)
	}
	for channel, status := range h.Consent {
		run(ctx, t, tx, `INSERT INTO consents VALUES ($1, $2, $3, $4, 'test', now())`, tenant, h.Contact, channel, status)
	}
	for _, v := range h.Visits {
		run(ctx, t, tx, `INSERT INTO website_sessions (tenant_uuid, session_uuid, visitor_uuid, started_at, ended_at, utm_source, channel)
			VALUES ($1, $2, $3, $4, $4, $5, $6)`, tenant, uuid.New(), linked, v.At, v.Source, v.Channel)
	}
	for _, m := range h.Messages {
		run(ctx, t, tx, `INSERT INTO outreach_messages (tenant_uuid, message_uuid, campaign_uuid, contact_uuid, template_uuid, channel, address, status, not_before, created_at,
				sent_at, first_opened_at, first_clicked_at, unsubscribed_at)
			SELECT $1, $2, $3, $4, template_uuid, 'email', '', 'sent', now(), current_timestamp, $5, $6, $7, $8 FROM channel_templates LIMIT 1`,
			tenant, uuid.New(), m.Campaign, h.Contact, m.Sent, m.Opened, m.Clicked, m.Unsubscribe)
	}
}

func run(ctx context.Context, t require.TestingT, tx engardedb.Tx, sql string, args ...any) {
	_, err := tx.Exec(ctx, sql, args...)
	require.NoError(t, err, sql)
}
