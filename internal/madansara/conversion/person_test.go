package conversion_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/conversion"
)

func TestPeopleCountWhatTheirJourneysShow(t *testing.T) {
	t.Parallel()
	s := tell(t)
	refund := order("A-1", 1)
	refund.Name, refund.ContactUUID, refund.OccurredAt = "Order Refunded", &s.contact, noon
	refund.Amount.Minor = -1001
	before := order("A-0", 500) // made before anybody knew whose browser it was
	before.VisitorUUID, before.OccurredAt = &s.visitor, noon
	s.record(t, refund, before)

	people, err := s.service.People(context.Background(), s.tenant, s.contact, uuid.New())
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]conversion.PersonFigures{s.contact: {
		Visits: 1, Messages: 1, Conversions: 2, Revenue: []conversion.Money{{Minor: 9500, Currency: "USD", Amount: "95.00"}},
	}}, people)

	events, _, err := s.service.Events(context.Background(), s.tenant, conversion.Filter{ContactUUID: s.contact}, conversion.Page{})
	require.NoError(t, err)
	require.Len(t, events, 3, "the browser's order is its person's")
	for _, event := range events {
		require.Equal(t, s.contact, *event.ContactUUID)
		require.Equal(t, "marie@example.com", event.Email)
	}
}

func TestACampaignsOutcomeIsWhatItsClicksEarned(t *testing.T) {
	t.Parallel()
	s := tell(t)
	campaign := uuid.New()
	s.exec(t, `update customer_touchpoints set campaign_uuid = $2 where tenant_uuid = $1 and kind = 'message_click'`, s.tenant, campaign)
	for model, want := range map[attribution.Model]conversion.Earned{
		attribution.LastTouch:  {Conversions: 1, Weight: 1, Revenue: []conversion.Money{{Minor: 10001, Currency: "USD", Amount: "100.01"}}},
		attribution.Linear:     {Conversions: 1, Weight: 0.5, Revenue: []conversion.Money{{Minor: 5000, Currency: "USD", Amount: "50.00"}}},
		attribution.FirstTouch: {Revenue: []conversion.Money{}},
	} {
		earned, err := s.service.CampaignOutcome(context.Background(), s.tenant, campaign, model)
		require.NoError(t, err)
		require.Equal(t, want, earned, model)
	}
}

func TestAMessageThatDidNotArriveIsInTheJourney(t *testing.T) {
	t.Parallel()
	s := tell(t)
	for status, at := range map[string]time.Time{"failed": noon.Add(time.Hour), "unknown": noon.Add(2 * time.Hour), "queued": noon.Add(3 * time.Hour)} {
		s.exec(t, `insert into outreach_messages (tenant_uuid, message_uuid, contact_uuid, template_uuid, channel, address, status, error, not_before, created_at)
			select tenant_uuid, $2, contact_uuid, template_uuid, channel, address, $3, '550 no', $4, $4 from outreach_messages where tenant_uuid = $1 and message_uuid = $5`,
			s.tenant, uuid.New(), status, at, s.message)
	}
	journey, err := s.service.Journey(context.Background(), s.tenant, s.contact.String(), conversion.Page{})
	require.NoError(t, err)
	found := map[string]any{}
	for _, entry := range journey.Entries {
		if entry.Kind == conversion.EntryFailed || entry.Kind == conversion.EntryUnknown {
			found[entry.Kind] = entry.Detail["error"]
		}
	}
	require.Equal(t, map[string]any{conversion.EntryFailed: "550 no", conversion.EntryUnknown: "550 no"}, found)
}
