package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/mesh"
)

// shop writes the history of a small shop of that many days up to now straight
// to the tables: visitors of several channels, sign-ups, a campaign, orders
// whose credits are computed by the real models.
type shop struct {
	tx       engardedb.Tx
	rnd      *rand.Rand
	now      time.Time
	campaign uuid.UUID
	template uuid.UUID
	customer uuid.UUID // one who went the whole way
	orders   int
}

var sources = []struct {
	channel, source, medium, campaign, referrer string
	share                                       float64
	buys                                        float64
}{
	{"social", "instagram", "social", "autumn-look", "https://www.instagram.com/", 0.34, 0.035},
	{"organic_search", "", "", "", "https://www.google.com/", 0.24, 0.05},
	{"paid_search", "google", "cpc", "coffee-ht", "https://www.google.com/", 0.16, 0.06},
	{"direct", "", "", "", "", 0.18, 0.055},
	{"referral", "", "", "", "https://kafe.example/", 0.08, 0.045},
}

var people = [][2]string{
	{"Marie-Ange", "Désir"},
	{"Jean-Robert", "Pierre"},
	{"Rose", "Charles"},
	{"Widline", "Joseph"},
	{"Fabiola", "Saint-Fleur"},
	{"Emmanuel", "Louis"},
	{"Nadège", "Toussaint"},
	{"Stanley", "Jean-Baptiste"},
	{"Guerline", "Antoine"},
	{"Patrick", "Alexis"},
	{"Ketia", "Michel"},
	{"Wilner", "Augustin"},
	{"Amara", "Okafor"},
	{"Lucía", "Fernández"},
	{"Tomáš", "Novák"},
	{"Aiko", "Tanaka"},
	{"Hannah", "Weiss"},
	{"Daniel", "Moreau"},
}

var products = []string{"Blue Mountain coffee, 500 g", "Cacao nibs", "Vetiver candle"}

func seed(t *testing.T, b *bundle, days int) *shop {
	t.Helper()
	s := &shop{rnd: rand.New(rand.NewPCG(7, 11)), now: b.clock.Now()}
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(_ context.Context, tx engardedb.Tx) error {
		s.tx = tx
		s.outreach(t)
		for day := days - 1; day >= 0; day-- {
			start := time.Date(s.now.Year(), s.now.Month(), s.now.Day(), 0, 0, 0, 0, time.UTC).AddDate(0, 0, -day)
			growth := 0.7 + 0.6*float64(days-day)/float64(days)
			weekend := map[time.Weekday]float64{time.Saturday: 1.35, time.Sunday: 1.2}[start.Weekday()]
			if weekend == 0 {
				weekend = 1
			}
			visitors := int(28 * growth * weekend * (0.85 + 0.3*s.rnd.Float64()))
			for range visitors {
				at := start.Add(time.Duration(7*3600+s.rnd.IntN(15*3600)) * time.Second)
				if at.Before(s.now) {
					s.visitor(t, at)
				}
			}
		}
		return nil
	}))
	return s
}

func (s *shop) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := s.tx.Exec(t.Context(), sql, args...)
	require.NoError(t, err, sql)
}

func id() uuid.UUID { return uuid.Must(uuid.NewV7()) }

var landingPage = mesh.SEOAnalysis{
	URL: "https://kafelakay.example/blue-mountain", Title: "Blue Mountain coffee from Thiotte – Kafe Lakay", WordCount: 842,
	PrimaryKeywords: []mesh.SEOKeyword{
		{Term: "blue mountain coffee", Count: 14, Weight: 1},
		{Term: "thiotte", Count: 9, Weight: 0.71},
		{Term: "coffee", Count: 31, Weight: 0.64},
		{Term: "roasted weekly", Count: 4, Weight: 0.38},
	},
	Audit: mesh.SEOAudit{Score: 86, Checks: []mesh.SEOCheck{{ID: "canonical", Severity: "warning"}, {ID: "description", Severity: "error"}, {ID: "title", Severity: "error", Passed: true}}},
}

var advertising = mesh.CampaignIntelligence{
	Name: "Spring coffee, Haiti and diaspora", Platform: "meta_ads", Spend: mesh.Money{Amount: 48210, Currency: "USD"},
	Conversions: 41, ConversionsSource: mesh.MadanSara, CPA: &mesh.Estimate{Value: 1176, Low: 878, High: 1612}, ROAS: &mesh.Estimate{Value: 3.1, Low: 2.2, High: 4.2},
}

func (s *shop) outreach(t *testing.T) {
	t.Helper()
	segment := id()
	s.template, s.campaign = id(), id()
	tenant, created := s.tx.Tenant(), s.now.AddDate(0, 0, -50)
	s.exec(t, `insert into segments values ($1, $2, 'Signed up, did not buy', '{"all":[{"event":{"name":"Signed Up"}},{"not":{"conversion":{}}}]}', $3, $3)`, tenant, segment, created)
	s.exec(t, `insert into channel_templates (tenant_uuid, template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at)
		values ($1, $2, 'email', 'Welcome offer', '{{ contact.first_name | default: "Friend" }}, your coffee is waiting', '<h1>Hello {{ contact.first_name }}</h1><p>Ten percent off your first bag.</p>', '', $3, $3)`, tenant, s.template, created)
	s.exec(t, `insert into outreach_campaigns (tenant_uuid, campaign_uuid, name, channel, segment_uuid, template_uuid, from_name, from_email, status, created_at, updated_at, started_at, expanded_at)
		values ($1, $2, 'Welcome, new friends', 'email', $3, $4, 'Kafe Lakay', 'bonjou@kafelakay.example', 'running', $5, $5, $5, $5)`, tenant, s.campaign, segment, s.template, created)
	s.exec(t, `insert into outreach_campaign_context (tenant_uuid, campaign_uuid, landing_url, ad_campaign_id, page, page_at, ads, ads_at, ads_error, asked_at)
		values ($1, $2, 'https://kafelakay.example/blue-mountain', 'spring-coffee', $3, $4, $5, $6, 'It could not be reached.', $4)`,
		tenant, s.campaign, landingPage, s.now.Add(-12*time.Minute), advertising, s.now.Add(-5*time.Hour))
}

type touchpoint struct {
	id      uuid.UUID
	channel string
	at      time.Time
}

func (s *shop) visitor(t *testing.T, at time.Time) {
	t.Helper()
	pick, source := s.rnd.Float64(), sources[0]
	for _, candidate := range sources {
		source = candidate
		if pick -= candidate.share; pick < 0 {
			break
		}
	}
	visitor := id()
	tenant := s.tx.Tenant()
	s.exec(t, `insert into website_visitors values ($1, $2, $3, null, $4, $4)`, tenant, visitor, visitor.String(), at)
	var touches []touchpoint
	touches = append(touches, s.session(t, visitor, at, source.channel, source.source, source.medium, source.campaign, source.referrer, nil))
	if s.rnd.Float64() > 0.3 {
		return
	}
	contact := s.contact(t, visitor, at.Add(4*time.Minute))
	sent := at.Add(20 * time.Hour)
	clicked := false
	if sent.Before(s.now) && s.rnd.Float64() < 0.9 {
		touches, clicked = s.message(t, contact, sent, touches)
	}
	chance := source.buys * 5
	if clicked {
		chance += 0.35
	}
	if s.rnd.Float64() < chance {
		bought := at.Add(time.Duration(26+s.rnd.IntN(60)) * time.Hour)
		if s.rnd.Float64() < 0.4 && bought.Before(s.now) {
			touches = append(touches, s.session(t, visitor, bought.Add(-10*time.Minute), "direct", "", "", "", "", &contact))
		}
		if bought.Before(s.now) {
			s.order(t, visitor, contact, bought, touches)
			if clicked && len(touches) > 2 {
				s.customer = contact
			}
		}
	}
}

func (s *shop) session(t *testing.T, visitor uuid.UUID, at time.Time, channel, source, medium, campaign, referrer string, contact *uuid.UUID) touchpoint {
	t.Helper()
	session, touch, tenant := id(), id(), s.tx.Tenant()
	device := []string{"mobile", "mobile", "desktop"}[s.rnd.IntN(3)]
	pages := []string{"/", "/products", "/products/coffee", "/cart"}[:1+s.rnd.IntN(4)]
	s.exec(t, `insert into website_sessions values ($1, $2, $3, $4, $5, 'https://kafelakay.example/', $6, $7, $8, $9, '', '', $10, $11, $12, $13)`,
		tenant, session, visitor, at, at.Add(time.Duration(len(pages))*70*time.Second), referrer, source, medium, campaign, channel, device, len(pages), len(pages))
	for i, path := range pages {
		s.exec(t, `insert into page_views values ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, '', '{}', '{}')`, tenant, id().String(), visitor, session, contact,
			at.Add(time.Duration(i)*65*time.Second), "https://kafelakay.example"+path, path, "Kafe Lakay")
	}
	if len(pages) > 2 {
		s.exec(t, `insert into website_events values ($1, $2, 'track', 'Element Clicked', $3, $4, $5, $6, $6, '', '{"text":"Add to cart"}', '{}')`,
			tenant, id().String(), visitor, session, contact, at.Add(150*time.Second))
	}
	s.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, source, medium, campaign, visitor_uuid, session_uuid, occurred_at)
		values ($1, $2, $3, 'visit', $4, $5, $6, $7, $8, $9, $10)`, tenant, touch, "session:"+session.String(), channel, source, medium, campaign, visitor, session, at)
	s.exec(t, `update website_visitors set last_seen_at = $3 where tenant_uuid = $1 and visitor_uuid = $2`, tenant, visitor, at)
	return touchpoint{touch, channel, at}
}

func (s *shop) contact(t *testing.T, visitor uuid.UUID, at time.Time) uuid.UUID {
	t.Helper()
	contact, tenant := id(), s.tx.Tenant()
	name := people[s.rnd.IntN(len(people))]
	email := fmt.Sprintf("%s.%d@example.org", []string{"marie", "jean", "rose", "ana", "emmanuel"}[s.rnd.IntN(5)], s.rnd.IntN(1_000_000))
	s.exec(t, `insert into contacts values ($1, $2, $3, $4, $5, 'America/Port-au-Prince', '{"city":"Port-au-Prince","plan":"free"}', $6, $6)`, tenant, contact, email, name[0], name[1], at)
	s.exec(t, `insert into contact_identities values ($1, 'email', $2, $3, $4)`, tenant, email, contact, at)
	s.exec(t, `insert into consents values ($1, $2, 'email', 'granted', 'sign-up form', $3)`, tenant, contact, at)
	s.exec(t, `update website_visitors set contact_uuid = $3 where tenant_uuid = $1 and visitor_uuid = $2`, tenant, visitor, contact)
	s.exec(t, `insert into website_events values ($1, $2, 'track', 'Signed Up', $3, null, $4, $5, $5, '', '{}', '{}')`, tenant, id().String(), visitor, contact, at)
	return contact
}

func (s *shop) message(t *testing.T, contact uuid.UUID, at time.Time, touches []touchpoint) ([]touchpoint, bool) {
	t.Helper()
	message, tenant := id(), s.tx.Tenant()
	status, failure := "sent", ""
	switch s.rnd.IntN(60) {
	case 0:
		status = "unknown"
	case 1:
		status, failure = "failed", "550 5.1.1 mailbox does not exist"
	}
	var sentAt, opened, clicked *time.Time
	if status == "sent" {
		sentAt = &at
		if s.rnd.Float64() < 0.52 {
			open := at.Add(time.Duration(5+s.rnd.IntN(300)) * time.Minute)
			opened = &open
			if s.rnd.Float64() < 0.4 {
				click := open.Add(40 * time.Second)
				clicked = &click
			}
		}
	}
	s.exec(t, `insert into outreach_decisions (tenant_uuid, decision_uuid, campaign_uuid, contact_uuid, outcome, channel, reasons, decided_at)
		values ($1, $2, $3, $4, 'send', 'email', '[{"code":"reachable","text":"Has an e-mail address."},{"code":"within_frequency_caps","text":"0 of 2 messages in 24 hours, 0 of 5 in 7 days."}]', $5)`, tenant, message, s.campaign, contact, at)
	s.exec(t, `insert into outreach_messages (tenant_uuid, message_uuid, campaign_uuid, contact_uuid, template_uuid, channel, address, status, attempts, not_before, subject, error, created_at, sent_at, first_opened_at, open_count, first_clicked_at, click_count)
		select $1, $2, $3, $4, $5, 'email', email, $6, 1, $7, first_name || ', your coffee is waiting', $8, $7, $9, $10, case when $10::timestamptz is null then 0 else 2 end, $11, case when $11::timestamptz is null then 0 else 1 end
		from contacts where tenant_uuid = $1 and contact_uuid = $4`, tenant, message, s.campaign, contact, s.template, status, at, failure, sentAt, opened, clicked)
	if clicked == nil || clicked.After(s.now) {
		return touches, false
	}
	touch := id()
	s.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, contact_uuid, message_uuid, campaign_uuid, occurred_at)
		values ($1, $2, $3, 'message_click', 'email', $4, $5, $6, $7)`, tenant, touch, "message:"+message.String(), contact, message, s.campaign, *clicked)
	return append(touches, touchpoint{touch, "email", *clicked}), true
}

func (s *shop) order(t *testing.T, visitor, contact uuid.UUID, at time.Time, touches []touchpoint) {
	t.Helper()
	conversion, tenant := id(), s.tx.Tenant()
	s.orders++
	revenue := []int64{1890, 2490, 3450, 4380, 6200, 8990}[s.rnd.IntN(6)]
	properties, err := json.Marshal(map[string]string{"product": products[s.rnd.IntN(3)]})
	require.NoError(t, err)
	s.exec(t, `insert into conversion_events values ($1, $2, $3, 'Order Completed', $4, $5, null, $6, 'USD', $7, $8, $8, $8)`,
		tenant, conversion, fmt.Sprintf("KL-%05d", 10000+s.orders), visitor, contact, revenue, properties, at)
	var ordered []attribution.Touch
	for _, touch := range touches {
		ordered = append(ordered, attribution.Touch{At: touch.at})
	}
	for _, model := range attribution.Models() {
		weights := attribution.Default(model).Weights(ordered, at)
		left := revenue
		for i, weight := range weights {
			share := int64(float64(revenue) * weight)
			if i == len(weights)-1 {
				share = left
			}
			left -= share
			s.exec(t, `insert into attribution_credits values ($1, $2, $3, $4, $5, $6, $7)`, tenant, conversion, model, touches[i].id, touches[i].channel, weight, share)
		}
	}
}
