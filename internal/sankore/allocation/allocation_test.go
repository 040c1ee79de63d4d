package allocation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/sankore/adreport"
	"github.com/engardehq/madansara/internal/sankore/allocation"
	"github.com/engardehq/madansara/internal/sankore/campaign"
	"github.com/engardehq/madansara/internal/sankore/intelligence"
	"github.com/engardehq/madansara/mesh"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

type keys struct{}

func (keys) Key(_ context.Context, token string) (httpkit.Principal, error) {
	tenant, err := uuid.Parse(token)
	if err != nil {
		return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This key is unknown.")
	}
	return httpkit.Principal{Tenant: tenant, ID: token, Name: "the key", Scopes: []string{"ads:read", "ads:write"}}, nil
}

func (keys) Session(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This session has ended.")
}

// madanSara attributes to each campaign, by its id, what it is told; it cannot
// be reached for one it has nothing of.
type madanSara map[string][]mesh.CampaignConversionsDay

func (m madanSara) Campaign(_ context.Context, _ string, request mesh.CampaignConversionsRequest) (*mesh.CampaignConversions, error) {
	days, known := m[request.CampaignID]
	if !known {
		return nil, errors.New("away")
	}
	return &mesh.CampaignConversions{Touches: 1, Model: "last_touch", Days: days}, nil
}

type bundle struct {
	tenant, other uuid.UUID
	campaigns     *campaign.Service
	conversions   madanSara
	server        *httptest.Server
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "sankore_app")
	clock := clockwork.NewFakeClockAt(noon)
	b := &bundle{tenant: dbtest.Tenant(t, url), other: dbtest.Tenant(t, url), campaigns: campaign.New(db, clock), conversions: madanSara{}}
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "test", Version: "0", Authenticator: keys{}, Logger: slog.New(slog.DiscardHandler)})
	allocation.New(db, intelligence.New(b.campaigns, b.conversions, clock), clock).Register(router.API())
	b.server = httptest.NewServer(router.Handler())
	t.Cleanup(b.server.Close)
	return b
}

// runs imports sixty days of a campaign whose conversions are level·(spend/100)^exponent.
func (b *bundle) runs(t *testing.T, id, currency string, level, exponent float64) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, uint64(len(b.conversions))))
	report := &adreport.Report{Platform: adreport.GoogleAds}
	b.conversions[id] = []mesh.CampaignConversionsDay{}
	for i := range 60 {
		day := noon.Truncate(24*time.Hour).AddDate(0, 0, -i)
		spend := 100 * math.Exp(0.5*random.NormFloat64())
		converted := distuv.Poisson{Lambda: level * math.Pow(spend/100, exponent), Src: random}.Rand()
		report.Rows = append(report.Rows, adreport.Row{
			Campaign: "Campaign " + id, ExternalID: id, Status: adreport.Active, Day: day, Currency: currency,
			Spend: int64(100 * spend), Impressions: 1000, Clicks: 50, Conversions: 3 * converted,
		})
		b.conversions[id] = append(b.conversions[id], mesh.CampaignConversionsDay{Day: day.Format(time.DateOnly), Conversions: converted})
	}
	_, err := b.campaigns.Import(t.Context(), b.tenant, campaign.Batch{Report: report, Source: campaign.FromAPI})
	require.NoError(t, err)
}

func (b *bundle) call(t *testing.T, tenant uuid.UUID, method, path, body string, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+"/api/v1/budget-allocations"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+tenant.String())
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if out != nil {
		require.NoError(t, json.Unmarshal(raw, out), "%s", raw)
	}
	return response.StatusCode
}

func TestMoneyGoesWhereItEarnsMost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runs(t, "strong", "USD", 20, 0.8)
	b.runs(t, "tired", "USD", 8, 0.2)
	var a allocation.Allocation
	require.Equal(t, 201, b.call(t, b.tenant, http.MethodPost, "", `{"name":"August","total_minor":600000,"days":30,
		"campaigns":[{"campaign_id":"strong"},{"campaign_id":"tired","min_minor":60000}]}`, &a))
	require.Equal(t, mesh.ConversionsFromMadanSara, a.ConversionsSource)
	require.Equal(t, int64(600_000), a.Campaigns[0].AmountMinor+a.Campaigns[1].AmountMinor)
	require.Equal(t, int64(600_000), a.Campaigns[0].PresentMinor+a.Campaigns[1].PresentMinor)
	require.InEpsilon(t, 300_000, a.Campaigns[0].PresentMinor, 0.3, "both spend about the same now")
	require.Greater(t, a.Campaigns[0].AmountMinor, int64(450_000))
	require.GreaterOrEqual(t, a.Campaigns[1].AmountMinor, int64(60_000))
	require.Positive(t, a.Outcome.Gain.Low, "sure to be better")
	require.Greater(t, a.Outcome.Better, 0.99)
	require.InEpsilon(t, a.Campaigns[0].Conversions+a.Campaigns[1].Conversions, a.Outcome.Conversions.Value, 1e-9)
	require.NotNil(t, a.Campaigns[1].Saturation)
	require.Greater(t, a.Campaigns[1].Saturation.Value, 0.55)
	require.Equal(t, 53, a.Campaigns[0].DaysKnown, "the last seven days' conversions are still coming in")
	require.Equal(t, "the key", a.CreatedBy)

	var kept allocation.Allocation
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodGet, "/"+a.UUID.String(), "", &kept))
	require.Equal(t, a, kept)
	require.Equal(t, 404, b.call(t, b.other, http.MethodGet, "/"+a.UUID.String(), "", nil))
	var list struct {
		Allocations []allocation.Allocation
		Next        *uuid.UUID `json:"next_cursor"`
	}
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodGet, "?limit=1", "", &list))
	require.Equal(t, []allocation.Allocation{a}, list.Allocations)
	require.NotNil(t, list.Next)
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodGet, "?cursor="+list.Next.String(), "", &list))
	require.Empty(t, list.Allocations)
}

// TestThinDataIsSaid: what is not known of a campaign's curve is in the answer.
func TestThinDataIsSaid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runs(t, "rich", "USD", 20, 0.5)
	b.runs(t, "thin", "USD", 0.05, 0.5)
	report := &adreport.Report{Platform: adreport.GoogleAds}
	b.conversions["new"] = []mesh.CampaignConversionsDay{}
	for i := range 5 {
		day := noon.Truncate(24*time.Hour).AddDate(0, 0, -i)
		report.Rows = append(report.Rows, adreport.Row{Campaign: "New", ExternalID: "new", Status: adreport.Active, Day: day, Currency: "USD", Spend: 10_000, Impressions: 1000, Clicks: 50})
		b.conversions["new"] = append(b.conversions["new"], mesh.CampaignConversionsDay{Day: day.Format(time.DateOnly), Conversions: 9})
	}
	_, err := b.campaigns.Import(t.Context(), b.tenant, campaign.Batch{Report: report, Source: campaign.FromAPI})
	require.NoError(t, err)
	var a allocation.Allocation
	require.Equal(t, 201, b.call(t, b.tenant, http.MethodPost, "", `{"total_minor":900000,"days":30,
		"campaigns":[{"campaign_id":"rich"},{"campaign_id":"thin"},{"campaign_id":"new"}]}`, &a))
	rich, thin, young := a.Campaigns[0], a.Campaigns[1], a.Campaigns[2]
	require.Empty(t, rich.Note)
	require.Equal(t, 53, rich.DaysKnown, "the last seven days' conversions are still coming in")
	require.Contains(t, thin.Note, "mostly that of the other campaigns")
	require.Contains(t, young.Note, "varied too little")
	require.Contains(t, young.Note, "still coming in")
	require.Equal(t, 5, young.DaysKnown)
}

// TestOneAccountMeasuresAll: when Madan Sara cannot tell one campaign's
// conversions, none is measured by it.
func TestOneAccountMeasuresAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runs(t, "a", "USD", 10, 0.5)
	b.runs(t, "b", "USD", 10, 0.5)
	const body = `{"total_minor":600000,"campaigns":[{"campaign_id":"a"},{"campaign_id":"b"}]}`
	var attributed, reported allocation.Allocation
	require.Equal(t, 201, b.call(t, b.tenant, http.MethodPost, "", body, &attributed))
	delete(b.conversions, "b")
	require.Equal(t, 201, b.call(t, b.tenant, http.MethodPost, "", body, &reported))
	require.Equal(t, mesh.ConversionsFromPlatform, reported.ConversionsSource)
	require.Contains(t, reported.ConversionsProblem, `"Campaign b": Madan Sara cannot be asked.`)
	for i := range reported.Campaigns {
		require.InEpsilon(t, 3*attributed.Campaigns[i].Conversions, reported.Campaigns[i].Conversions, 0.25, "the platform claims three times as many")
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runs(t, "a", "USD", 10, 0.5)
	b.runs(t, "euro", "EUR", 10, 0.5)
	_, err := b.campaigns.Import(t.Context(), b.tenant, campaign.Batch{Source: campaign.FromAPI, Report: &adreport.Report{
		Platform: adreport.GoogleAds, Rows: []adreport.Row{{Campaign: "old", ExternalID: "old", Status: adreport.Ended, Day: noon.AddDate(-1, 0, 0).Truncate(24 * time.Hour), Currency: "USD", Spend: 5}},
	}})
	require.NoError(t, err)
	for body, says := range map[string]string{
		`{"total_minor":0,"campaigns":[{"campaign_id":"a"}]}`:                                                                "total_minor",
		`{"total_minor":10,"campaigns":[]}`:                                                                                  "campaigns",
		`{"total_minor":10,"days":400,"campaigns":[{"campaign_id":"a"}]}`:                                                    "days",
		`{"total_minor":10,"campaigns":[{"campaign_id":"a"},{"campaign_id":"a"}]}`:                                           "asked for twice",
		`{"total_minor":10,"campaigns":[{"campaign_id":"a"},{"campaign_id":"euro"}]}`:                                        "each currency by itself",
		`{"total_minor":10,"campaigns":[{"campaign_id":"old"}]}`:                                                             "no day with spend",
		`{"total_minor":10,"campaigns":[{"campaign_id":"a","min_minor":11}]}`:                                                "minimums",
		`{"total_minor":10,"campaigns":[{"campaign_id":"a","max_minor":9}]}`:                                                 "maximums",
		`{"total_minor":10,"campaigns":[{"campaign_id":"a","min_minor":5,"max_minor":4}]}`:                                   "below min_minor",
		fmt.Sprintf(`{"total_minor":10,"campaigns":[%s]}`, strings.Repeat(`{"campaign_id":"a"},`, 50)+`{"campaign_id":"a"}`): "campaigns",
	} {
		var problem json.RawMessage
		require.Equal(t, 422, b.call(t, b.tenant, http.MethodPost, "", body, &problem), body)
		require.Contains(t, string(problem), says, body)
	}
	require.Equal(t, 404, b.call(t, b.tenant, http.MethodPost, "", `{"total_minor":10,"campaigns":[{"campaign_id":"nobody"}]}`, nil))
	require.Equal(t, 404, b.call(t, b.other, http.MethodPost, "", `{"total_minor":10,"campaigns":[{"campaign_id":"a"}]}`, nil), "another tenant's")
}
