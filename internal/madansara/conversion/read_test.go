package conversion_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/conversion"
)

// story is one customer: a visit from Instagram on the 1st, a mail sent, opened
// and clicked on the 5th, an order on the 8th at 23:30 in Port-au-Prince.
type story struct {
	*site

	contact, visitor, message, conversion uuid.UUID
}

func tell(t *testing.T) *story {
	t.Helper()
	s := &story{site: setupSite(t), contact: uuid.New(), visitor: uuid.New(), message: uuid.New()}
	s.exec(t, `insert into contacts (tenant_uuid, contact_uuid, email, first_name, created_at, updated_at)
		values ($1, $2, 'marie@example.com', 'Marie', $3, $3)`, s.tenant, s.contact, noon)
	s.exec(t, `insert into contact_identities (tenant_uuid, kind, value, contact_uuid, created_at)
		values ($1, 'email', 'marie@example.com', $2, $3), ($1, 'user_id', 'u/1', $2, $3)`, s.tenant, s.contact, noon)
	first, mail := time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC), time.Date(2026, 3, 5, 15, 0, 0, 0, time.UTC)
	s.visit(t, s.visitor, &s.contact, "social", "instagram", "spring", first)
	s.exec(t, `insert into page_views (tenant_uuid, message_id, visitor_uuid, occurred_at, received_at, url, path, title, referrer, properties, context)
		values ($1, 'p1', $2, $3, $3, 'https://shop.example/basket', '/basket', 'Basket', '', '{}', '{}')`, s.tenant, s.visitor, first.Add(time.Second))
	s.exec(t, `insert into website_events (tenant_uuid, message_id, type, name, visitor_uuid, occurred_at, received_at, url, properties, context)
		values ($1, 'e1', 'track', 'Product Viewed', $2, $3, $3, '', '{"sku":"paddle"}', '{}')`, s.tenant, s.visitor, first.Add(2*time.Second))
	template := uuid.New()
	s.exec(t, `insert into channel_templates (tenant_uuid, template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at)
		values ($1, $2, 'email', 'win back', 'Come back', '', '', $3, $3)`, s.tenant, template, first)
	s.exec(t, `insert into outreach_messages (tenant_uuid, message_uuid, contact_uuid, template_uuid, channel, address, status, not_before, subject,
			created_at, sent_at, first_opened_at, first_clicked_at, open_count, click_count)
		values ($1, $2, $3, $7, 'email', 'marie@example.com', 'sent', $4, 'Come back', $4, $4, $5, $6, 1, 1)`,
		s.tenant, s.message, s.contact, mail, mail.Add(time.Minute), mail.Add(2*time.Minute), template)
	s.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, campaign, contact_uuid, message_uuid, occurred_at)
		values ($1, $2, $3, 'message_click', 'email', 'win back', $4, $5, $6)`,
		s.tenant, uuid.New(), "message:"+s.message.String(), s.contact, s.message, mail.Add(2*time.Minute))
	order := order("A-1", 10001)
	order.ContactUUID, order.VisitorUUID = &s.contact, &s.visitor
	order.OccurredAt = time.Date(2026, 3, 9, 3, 30, 0, 0, time.UTC)
	s.conversion = s.record(t, order)[0].ConversionUUID
	s.attribute(t, s.conversion)
	return s
}

// visit records a session and its touchpoint.
func (s *site) visit(t *testing.T, visitor uuid.UUID, contact *uuid.UUID, channel, source, campaign string, at time.Time) {
	t.Helper()
	session := uuid.New()
	s.exec(t, `insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, contact_uuid, first_seen_at, last_seen_at)
		values ($1, $2::uuid, $2::uuid::text, $3, $4, $4) on conflict do nothing`, s.tenant, visitor, contact, at)
	s.exec(t, `insert into website_sessions (tenant_uuid, session_uuid, visitor_uuid, started_at, ended_at, channel, utm_source, utm_campaign, landing_url)
		values ($1, $2, $3, $4, $4, $5, $6, $7, 'https://shop.example/')`, s.tenant, session, visitor, at, channel, source, campaign)
	s.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, source, campaign, visitor_uuid, session_uuid, occurred_at)
		values ($1, $2, $3, 'visit', $4, $5, $6, $7, $8, $9)`,
		s.tenant, uuid.New(), "session:"+session.String(), channel, source, campaign, visitor, session, at)
}

func (s *site) attribute(t *testing.T, id uuid.UUID) {
	t.Helper()
	require.NoError(t, s.models.Attribute(context.Background(), s.tenant, id))
}

func TestJourneyTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	s := tell(t)
	for _, id := range []string{s.contact.String(), s.visitor.String(), "u%2F1", "Marie@Example.com"} {
		var journey conversion.Journey
		require.Equal(t, 200, s.get(t, "/api/v1/conversion/journey/"+id, &journey), id)
		require.Equal(t, "Marie", journey.Customer.FirstName, id)
		require.Equal(t, []uuid.UUID{s.visitor}, journey.Customer.Visitors)
		var kinds []string
		for _, entry := range journey.Entries {
			kinds = append(kinds, entry.Kind+" "+entry.Title+" "+entry.Channel)
		}
		require.Equal(t, []string{
			"conversion Order Completed ",
			"touchpoint win back email",
			"message_clicked Come back email",
			"message_opened Come back email",
			"message_sent Come back email",
			"event Product Viewed ",
			"page_view Basket ",
			"touchpoint spring social",
			"session  social",
		}, kinds, id)
		order := journey.Entries[0]
		require.Equal(t, &conversion.Money{Minor: 10001, Currency: "USD", Amount: "100.01"}, order.Revenue)
		require.Len(t, order.Credits, 8)
		require.Equal(t, map[string]any{"sku": "paddle"}, journey.Entries[5].Detail["properties"])
		require.Empty(t, journey.Next)
	}
}

func TestJourneyIsPagedAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := tell(t)
	moment := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range 25 { // all of one moment, of two browsers
		s.visit(t, s.visitor, &s.contact, "search", fmt.Sprint(i), "", moment)
	}
	other := uuid.New()
	for range 5 {
		s.visit(t, other, &s.contact, "search", "phone", "", moment)
	}
	seen := make(map[string]bool)
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		journey, err := s.service.Journey(context.Background(), s.tenant, s.contact.String(), conversion.Page{Limit: 4, Cursor: cursor})
		require.NoError(t, err)
		require.LessOrEqual(t, len(journey.Entries), 4)
		for _, entry := range journey.Entries {
			require.False(t, seen[entry.Kind+entry.ID])
			seen[entry.Kind+entry.ID] = true
		}
		cursor = journey.Next
	}
	require.Len(t, seen, 9+2*30)
}

func TestJourneyHoldsWhatAServerSaidOfTheContact(t *testing.T) {
	t.Parallel()
	s := tell(t)
	later := noon.Add(time.Hour)
	s.exec(t, `insert into page_views (tenant_uuid, message_id, contact_uuid, occurred_at, received_at, url, path, title, referrer, properties, context)
		values ($1, 'p2', $2, $3, $3, '', '', 'Invoice', '', '{}', '{}')`, s.tenant, s.contact, later)
	s.exec(t, `insert into website_events (tenant_uuid, message_id, type, name, contact_uuid, occurred_at, received_at, url, properties, context)
		values ($1, 'e2', 'identify', '', $2, $3, $3, '', '{}', '{}')`, s.tenant, s.contact, later)
	journey, err := s.service.Journey(context.Background(), s.tenant, s.visitor.String(), conversion.Page{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, "Invoice", journey.Entries[0].Title)
	require.Equal(t, "identify", journey.Entries[1].Title)
}

func TestJourneyOfAVisitorNobodyKnows(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	visitor := uuid.New()
	s.visit(t, visitor, nil, "direct", "", "", noon)
	journey, err := s.service.Journey(context.Background(), s.tenant, visitor.String(), conversion.Page{})
	require.NoError(t, err)
	require.Nil(t, journey.Customer.ContactUUID)
	require.Len(t, journey.Entries, 2)
	_, err = s.service.Journey(context.Background(), s.tenant, "nobody", conversion.Page{})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestStatsAreByTheTenantsDays(t *testing.T) {
	t.Parallel()
	s := tell(t)
	executeAsOwner(t, s.bundle, "update tenants set time_zone = 'America/Port-au-Prince'")
	refund := order("A-1", 1)
	refund.Name, refund.ContactUUID, refund.OccurredAt = "Order Refunded", &s.contact, noon
	yen := order("A-2", 700)
	yen.Amount.Currency, yen.ContactUUID, yen.OccurredAt = "JPY", &s.contact, noon
	s.record(t, refund, yen)

	var stats conversion.Stats
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/stats?from=2026-03-01&to=2026-03-10", &stats))
	require.Equal(t, "America/Port-au-Prince", stats.TimeZone)
	require.Len(t, stats.Days, 10)
	two := 1.0
	none := []conversion.Money{}
	require.Equal(t, conversion.Figures{Visitors: 1, Revenue: none, Rate: new(float64)}, stats.Days[0].Figures)
	require.Equal(t, conversion.Figures{Messages: 1, Revenue: none}, stats.Days[4].Figures)
	require.Equal(t, "2026-03-08", stats.Days[7].Date, "the order was on the 8th there, on the 9th in UTC")
	require.Equal(t, conversion.Figures{Conversions: 1, Customers: 1, Revenue: []conversion.Money{{Minor: 10001, Currency: "USD", Amount: "100.01"}}},
		stats.Days[7].Figures)
	require.Equal(t, conversion.Figures{Conversions: 1, Customers: 1, Revenue: []conversion.Money{
		{Minor: 700, Currency: "JPY", Amount: "700"}, {Minor: -1, Currency: "USD", Amount: "-0.01"},
	}}, stats.Days[9].Figures)
	require.Equal(t, conversion.Figures{Visitors: 1, Messages: 1, Conversions: 2, Customers: 1, Rate: &two, Revenue: []conversion.Money{
		{Minor: 700, Currency: "JPY", Amount: "700"}, {Minor: 10000, Currency: "USD", Amount: "100.00"},
	}}, stats.Total)

	require.Equal(t, 200, s.get(t, "/api/v1/conversion/stats", &stats))
	require.Equal(t, []string{"2026-02-09", "2026-03-10"}, []string{stats.From, stats.To}, "30 days that end today")
	executeAsOwner(t, s.bundle, "update tenants set time_zone = 'Mars/Olympus'")
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/stats", &stats))
	require.Equal(t, "UTC", stats.TimeZone)
}

func TestAttributionReportSumsToTheConversions(t *testing.T) {
	t.Parallel()
	s := tell(t)
	unknown := order("A-2", 500) // no person: never a touch
	unknown.OccurredAt = noon.Add(-time.Hour)
	pending := order("A-3", 250)
	pending.Amount.Currency, pending.OccurredAt = "EUR", noon.Add(-time.Hour)
	refund := order("A-1", -1)
	refund.Name, refund.ContactUUID, refund.OccurredAt = "Order Refunded", &s.contact, noon
	recorded := s.record(t, unknown, refund, pending)
	s.attribute(t, recorded[0].ConversionUUID)
	s.attribute(t, recorded[1].ConversionUUID)

	var report conversion.Report
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/attribution?from=2026-03-01&to=2026-03-10", &report))
	require.Equal(t, int64(1), report.Pending)
	require.Len(t, report.Models, 5)
	require.Equal(t, int64(3), report.Total.Conversions)
	totals := map[string]int64{"USD": 10500, "EUR": 250}
	for _, model := range report.Models {
		weight, byChannel, byCampaign := 0.0, map[string]int64{}, map[string]int64{}
		for _, channel := range model.Channels {
			weight += channel.Weight
			for _, m := range channel.Revenue {
				byChannel[m.Currency] += m.Minor
			}
		}
		for _, campaign := range model.Campaigns {
			for _, m := range campaign.Revenue {
				byCampaign[m.Currency] += m.Minor
			}
		}
		require.InDelta(t, 3, weight, 1e-9, model.Model)
		require.Equal(t, totals, byChannel, model.Model)
		require.Equal(t, totals, byCampaign, model.Model)
	}
	linear := report.Models[2]
	require.Equal(t, conversion.ChannelEarned{Channel: "unattributed", Earned: conversion.Earned{Conversions: 2, Weight: 2, Revenue: []conversion.Money{
		{Minor: 250, Currency: "EUR", Amount: "2.50"}, {Minor: 500, Currency: "USD", Amount: "5.00"},
	}}}, linear.Channels[0])
	require.Equal(t, conversion.CampaignEarned{Channel: "email", Campaign: "win back", Earned: conversion.Earned{
		Conversions: 1, Weight: 0.5,
		Revenue: []conversion.Money{{Minor: 5000, Currency: "USD", Amount: "50.00"}},
	}}, linear.Campaigns[1])

	require.Equal(t, 200, s.get(t, "/api/v1/conversion/attribution?from=2026-03-01&to=2026-03-10&model=last_touch", &report))
	require.Len(t, report.Models, 1)
	require.Equal(t, "last_touch", string(report.Models[0].Model))
}

func TestRecentConversions(t *testing.T) {
	t.Parallel()
	s := tell(t)
	recent, err := s.service.RecentConversions(context.Background(), s.tenant, 5)
	require.NoError(t, err)
	require.Len(t, recent, 1)
	require.Equal(t, "marie@example.com", recent[0].Email)
	require.NotNil(t, recent[0].AttributedAt)
}
