package conversion_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
)

func TestACampaignEarnsOnTheDaysOfItsTouches(t *testing.T) {
	t.Parallel()
	s := tell(t) // a visit by "spring" on the 1st, a mail's click on the 5th, an order of 100.01 on the 9th (UTC)
	euros := order("A-2", 700)
	euros.Amount.Currency, euros.ContactUUID, euros.VisitorUUID, euros.Name = "EUR", &s.contact, &s.visitor, "Subscribed"
	refund := order("A-1", -1)
	refund.Name, refund.ContactUUID = "Order Refunded", &s.contact
	for _, recorded := range s.record(t, euros, refund) {
		s.attribute(t, recorded.ConversionUUID)
	}
	s.record(t, order("A-3", 5)) // not attributed yet
	s.visit(t, s.visitor, &s.contact, "social", "instagram", "Other", noon)

	const period = "from=2026-03-01&to=2026-03-10"
	var earned mesh.CampaignConversions
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/campaigns/SPRING/conversions?model=linear&"+period, &earned))
	require.Equal(t, mesh.CampaignConversions{
		CampaignID: "SPRING", From: "2026-03-01", To: "2026-03-10", TimeZone: "UTC", Model: "linear", Touches: 1, Pending: 1,
		Days: []mesh.CampaignConversionsDay{{Day: "2026-03-01", Conversions: 1, Revenue: []mesh.Money{
			{Amount: 350, Currency: "EUR"}, {Amount: 5000, Currency: "USD"}, // half of each, less the cent that was refunded
		}}},
	}, earned)

	require.Equal(t, 200, s.get(t, "/api/v1/conversion/campaigns/spring/conversions?"+period, &earned))
	require.Equal(t, "last_touch", earned.Model)
	require.Empty(t, earned.Days, "the mail was the last touch")
	require.Equal(t, int64(1), earned.Touches)

	require.Equal(t, 200, s.get(t, "/api/v1/conversion/campaigns/spring/conversions?alias=win%20back&alias=other&"+period, &earned))
	require.Equal(t, int64(3), earned.Touches)
	require.Len(t, earned.Days, 1)
	require.Equal(t, "2026-03-05", earned.Days[0].Day)
	require.InDelta(t, 2, earned.Days[0].Conversions, 1e-9)

	require.Equal(t, 200, s.get(t, "/api/v1/conversion/campaigns/spring/conversions?from=2026-01-01&to=2026-01-31", &earned))
	require.Zero(t, earned.Touches)
	require.Empty(t, earned.Days)
	require.Equal(t, 404, s.get(t, "/api/v1/conversion/campaigns/sprong/conversions?"+period, nil), "a misspelt name")
	require.Equal(t, 422, s.get(t, "/api/v1/conversion/campaigns/spring/conversions?model=magic", nil))
	require.Equal(t, 422, s.get(t, "/api/v1/conversion/campaigns/spring/conversions?from=2026-03-01&to=2026-02-01", nil))
	// Another tenant has no such campaign.
	require.NotEqual(t, 200, s.call(t, uuid.NewString(), "GET", "/api/v1/conversion/campaigns/spring/conversions?"+period, "", nil))
}

func TestACampaignOfOurOwnIsFoundByItsID(t *testing.T) {
	t.Parallel()
	s := tell(t)
	campaign := uuid.New()
	s.exec(t, "update customer_touchpoints set campaign_uuid = $1, campaign = '' where kind = 'message_click'", campaign)
	var earned mesh.CampaignConversions
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/campaigns/"+campaign.String()+"/conversions?from=2026-03-01&to=2026-03-10", &earned))
	require.Equal(t, int64(1), earned.Touches)
	require.Equal(t, []mesh.CampaignConversionsDay{{Day: "2026-03-05", Conversions: 1, Revenue: []mesh.Money{{Amount: 10001, Currency: "USD"}}}}, earned.Days)
}

func TestACampaignsDaysAreTheTenants(t *testing.T) {
	t.Parallel()
	s := tell(t)
	executeAsOwner(t, s.bundle, "update tenants set time_zone = 'America/Port-au-Prince'")
	late := time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC) // the evening of the 1st there
	s.exec(t, "update customer_touchpoints set occurred_at = $1 where campaign = 'spring'", late)
	s.attribute(t, s.conversion)
	var earned mesh.CampaignConversions
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/campaigns/spring/conversions?from=2026-03-01&to=2026-03-01&model=first_touch", &earned))
	require.Len(t, earned.Days, 1)
	require.Equal(t, "2026-03-01", earned.Days[0].Day)
}
