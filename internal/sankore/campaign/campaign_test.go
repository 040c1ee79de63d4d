package campaign_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/sankore/campaign"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// keys knows each tenant by its own id as the key; "reader" may only read.
type keys struct{ tenant uuid.UUID }

func (k keys) Key(_ context.Context, token string) (httpkit.Principal, error) {
	if token == "reader" {
		return httpkit.Principal{Tenant: k.tenant, ID: token, Name: token, Scopes: []string{"ads:read"}}, nil
	}
	tenant, err := uuid.Parse(token)
	if err != nil {
		return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This key is unknown.")
	}
	return httpkit.Principal{Tenant: tenant, ID: token, Name: "the key", Scopes: []string{"ads:read", "ads:write"}}, nil
}

func (keys) Session(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This session has ended.")
}

// bundle is Sankore's campaigns over HTTP, for two tenants.
type bundle struct {
	tenant, other uuid.UUID
	service       *campaign.Service
	server        *httptest.Server
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "sankore_app")
	b := &bundle{tenant: dbtest.Tenant(t, url), other: dbtest.Tenant(t, url), service: campaign.New(db, clockwork.NewFakeClockAt(noon))}
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "test", Version: "0", Authenticator: keys{b.tenant}, Logger: slog.New(slog.DiscardHandler)})
	b.service.Register(router.API())
	b.server = httptest.NewServer(router.Handler())
	t.Cleanup(b.server.Close)
	return b
}

func (b *bundle) call(t *testing.T, key, method, path, body string, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	if strings.Contains(path, "/csv") {
		request.Header.Set("Content-Type", "text/csv")
	}
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

func (b *bundle) as(t *testing.T, method, path, body string, out any) int {
	t.Helper()
	return b.call(t, b.tenant.String(), method, path, body, out)
}

func (b *bundle) importCSV(t *testing.T, file string) campaign.Import {
	t.Helper()
	var done campaign.Import
	require.Equal(t, 200, b.as(t, http.MethodPost, "/api/v1/campaigns/import/csv?file_name=report.csv", file, &done))
	return done
}

type list struct {
	Campaigns []campaign.Campaign
	Next      *uuid.UUID `json:"next_cursor"`
}

func (b *bundle) list(t *testing.T, query string) []campaign.Campaign {
	t.Helper()
	var l list
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns"+query, "", &l))
	return l.Campaigns
}

type performance struct {
	Campaign campaign.Campaign
	From, To string
	Days     []campaign.Day
}

func (b *bundle) days(t *testing.T, id string) []campaign.Day {
	t.Helper()
	var p performance
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns/"+id+"/performance", "", &p))
	return p.Days
}

func google(t *testing.T) string {
	t.Helper()
	file, err := os.ReadFile("../adreport/testdata/google_en.csv")
	require.NoError(t, err)
	return string(file)
}

func TestTheSameFileTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.importCSV(t, google(t))
	require.Equal(t, 2, first.CampaignsNew)
	require.Equal(t, []int{9, 2, 3, 3, 0, 0}, []int{first.Lines, first.Totals, first.Refused, first.DaysNew, first.DaysChanged, first.DaysSame})
	require.Len(t, first.Problems, 3)
	campaigns, days := b.list(t, ""), b.days(t, "1837091")
	require.Len(t, days, 2)
	require.Equal(t, int64(105000), days[0].SpendMinor)

	second := b.importCSV(t, google(t))
	require.Zero(t, second.CampaignsNew)
	require.Equal(t, []int{9, 2, 3, 0, 0, 3}, []int{second.Lines, second.Totals, second.Refused, second.DaysNew, second.DaysChanged, second.DaysSame})
	require.Equal(t, campaigns, b.list(t, ""), "not even the time of the last change")
	require.Equal(t, days, b.days(t, "1837091"), "nor the import that made it")

	later := b.importCSV(t, strings.Replace(google(t), `"12,040","1,043.50"`, `"13,040","1,143.50"`, 1))
	require.Equal(t, []int{0, 1, 2}, []int{later.DaysNew, later.DaysChanged, later.DaysSame})
	replaced := b.days(t, "1837091")
	require.Equal(t, int64(115000), replaced[0].SpendMinor, "replaced, not added")
	require.Equal(t, later.UUID, replaced[0].ImportUUID)
	require.Equal(t, days[1], replaced[1])

	var log struct{ Imports []campaign.Import }
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaign-imports", "", &log))
	require.Len(t, log.Imports, 3)
	require.Equal(t, later.UUID, log.Imports[0].UUID)
	var kept campaign.Import
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaign-imports/"+first.UUID.String(), "", &kept))
	first.CampaignsNew = 0 // told once
	require.Equal(t, first, kept)
	require.Equal(t, "the key", kept.ImportedBy)
}

func TestImportsAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := google(t)
	var group sync.WaitGroup
	var done [6]campaign.Import
	for i := range done {
		group.Go(func() { done[i] = b.importCSV(t, file) })
	}
	group.Wait()
	created, days := 0, 0
	for _, d := range done {
		created += d.CampaignsNew
		days += d.DaysNew
		require.Zero(t, d.DaysChanged)
	}
	require.Equal(t, 2, created)
	require.Equal(t, 3, days)
}

// TestACampaignIsKnownByItsIDOrItsName: a report without ids, then one with.
func TestACampaignIsKnownByItsIDOrItsName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nameless := "Day,Campaign,Currency code,Cost,Clicks\n2026-07-01,Brand,USD,1.00,1\n2026-07-01,brand,USD,1.00,1\n"
	require.Equal(t, 1, b.importCSV(t, nameless).CampaignsNew, "names differ by more than their case")
	require.Zero(t, b.importCSV(t, nameless).CampaignsNew)
	before := b.list(t, "")
	require.Equal(t, int64(200), b.days(t, before[0].UUID.String())[0].SpendMinor)

	named := b.importCSV(t, "Day,Campaign,Campaign ID,Currency code,Cost,Clicks\n2026-07-02,BRAND,7,USD,1.00,1\n2026-07-02,Brand,8,USD,5.00,1\n")
	require.Equal(t, 1, named.CampaignsNew, "the first takes the campaign that had no id, the second is another")
	after := b.list(t, "")
	require.Len(t, after, 2)
	require.Equal(t, before[0].UUID, after[1].UUID)
	require.Equal(t, "7", after[1].ExternalID)
	require.Len(t, b.days(t, "7"), 2)

	renamed := b.importCSV(t, "Day,Campaign,Campaign ID,Currency code,Cost,Clicks,Campaign state\n2026-07-03,Marque,7,USD,1.00,1,Paused\n2026-06-03,Old name,7,USD,1.00,1,Enabled\n")
	require.Zero(t, renamed.CampaignsNew)
	var c campaign.Campaign
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns/7", "", &c))
	require.Equal(t, "Marque", c.Name, "the latest day's")
	require.Equal(t, "paused", string(c.Status))
	b.importCSV(t, "Day,Campaign,Campaign ID,Currency code,Cost,Clicks,Campaign state\n2026-05-03,Older name,7,USD,1.00,1,Enabled\n")
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns/7", "", &c))
	require.Equal(t, "Marque", c.Name, "an older report does not undo a newer one")

	b.importCSV(t, "Day,Campaign,Campaign ID,Currency code,Cost,Clicks\n2026-07-03,Brand,9,USD,1.00,1\n")
	ambiguous := b.importCSV(t, nameless)
	require.Equal(t, 1, ambiguous.Refused, "both lines are one day of one name")
	require.Contains(t, ambiguous.Problems[0].Message, "Several campaigns have this name")
}

func TestWhatContradictsIsRefusedByLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.importCSV(t, "Day,Campaign,Campaign ID,Currency code,Cost,Clicks\n2026-07-02,Brand,7,USD,1.00,1\n")
	done := b.importCSV(t, "Day,Campaign,Campaign ID,Currency code,Cost,Clicks\n2026-07-03,Brand,7,EUR,1.00,1\n2026-08-03,Brand,7,USD,1.00,1\n2026-08-02,Brand,7,USD,1.00,1\n")
	require.Equal(t, 2, done.Refused)
	require.Equal(t, []int{2, 3}, []int{done.Problems[0].Line, done.Problems[1].Line})
	require.Equal(t, 1, done.DaysNew)
}

func TestDaysComeAsJSONToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const rows = `{"platform":"tiktok_ads","rows":[
		{"campaign":"Spark","external_id":"t1","day":"2026-07-01","currency":"HTG","spend_minor":5000,"impressions":100,"clicks":9,"conversions":1.5,"revenue_minor":900,"budget_kind":"daily","budget_minor":6000},
		{"campaign":"Spark","external_id":"t1","day":"2026-07-32","currency":"HTG","spend_minor":1,"impressions":1,"clicks":1},
		{"campaign":"  ","day":"2026-07-01","currency":"HTG","spend_minor":1,"impressions":1,"clicks":1},
		{"campaign":"Spark","external_id":"t1","day":"2026-07-02","currency":"ABC","spend_minor":1,"impressions":1,"clicks":1}]}`
	var done campaign.Import
	require.Equal(t, 200, b.as(t, http.MethodPost, "/api/v1/campaigns/import", rows, &done))
	require.Equal(t, []int{4, 3, 1}, []int{done.Lines, done.Refused, done.DaysNew})
	require.Equal(t, []int{2, 3, 4}, []int{done.Problems[0].Line, done.Problems[1].Line, done.Problems[2].Line})
	c := b.list(t, "?platform=tiktok_ads")[0]
	require.Equal(t, int64(6000), c.BudgetMinor)
	require.InDelta(t, 1.5, b.days(t, "t1")[0].Conversions, 0)

	const most = `{"campaign":"Big","day":"2026-07-01","currency":"HTG","spend_minor":1000000000000000,"impressions":1,"clicks":1}`
	require.Equal(t, 200, b.as(t, http.MethodPost, "/api/v1/campaigns/import", `{"platform":"tiktok_ads","rows":[`+most+`,`+most+`]}`, &done))
	require.Equal(t, 1, done.Refused, "a sum beyond all bounds")
	for _, body := range []string{
		`{"platform":"tiktok_ads","rows":[]}`, `{"platform":"Tik Tok","rows":[{"campaign":"a","day":"2026-07-01","currency":"USD","spend_minor":1,"impressions":1,"clicks":1}]}`,
		`{"platform":"x_ads","rows":[{"campaign":"a","day":"2026-07-01","currency":"USD","spend_minor":-1,"impressions":1,"clicks":1}]}`,
	} {
		require.Equal(t, 422, b.as(t, http.MethodPost, "/api/v1/campaigns/import", body, nil), body)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var problem struct{ Detail string }
	require.Equal(t, 422, b.as(t, http.MethodPost, "/api/v1/campaigns/import/csv", "Dear Sir", &problem))
	require.Contains(t, problem.Detail, "No line names a campaign")
	require.Equal(t, 413, b.as(t, http.MethodPost, "/api/v1/campaigns/import/csv", strings.Repeat("x", 5<<20), nil))
	require.Equal(t, 422, b.as(t, http.MethodPost, "/api/v1/campaigns/import/csv?platform=bing", google(t), nil))
	require.Equal(t, 403, b.call(t, "reader", http.MethodPost, "/api/v1/campaigns/import/csv", google(t), nil))
	require.Equal(t, 401, b.call(t, "nobody", http.MethodGet, "/api/v1/campaigns", "", nil))
	var log struct{ Imports []campaign.Import }
	require.Equal(t, 200, b.call(t, "reader", http.MethodGet, "/api/v1/campaign-imports", "", &log))
	require.Empty(t, log.Imports)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.importCSV(t, google(t))
	var c campaign.Campaign
	require.Equal(t, 200, b.as(t, http.MethodPatch, "/api/v1/campaigns/1837091",
		`{"utm_campaign":"brand-2026","budget_kind":"total","budget_minor":500000,"starts_on":"2026-07-01","ends_on":"2026-07-31"}`, &c))
	require.Equal(t, "brand-2026", c.UTMCampaign)
	require.Equal(t, "2026-07-31", c.EndsOn)
	c = campaign.Campaign{}
	require.Equal(t, 200, b.as(t, http.MethodPatch, "/api/v1/campaigns/1837091", `{"ends_on":""}`, &c))
	require.Empty(t, c.EndsOn)
	require.Equal(t, "2026-07-01", c.StartsOn)
	for _, body := range []string{
		`{"budget_kind":""}`, `{"budget_minor":0}`, `{"budget_kind":"weekly"}`, `{"starts_on":"soon"}`, `{"ends_on":"2026-06-30"}`, `{"budget_minor":-5}`,
	} {
		require.Equal(t, 422, b.as(t, http.MethodPatch, "/api/v1/campaigns/1837091", body, nil), body)
	}
	require.Equal(t, 404, b.as(t, http.MethodPatch, "/api/v1/campaigns/nobody", `{}`, nil))
	require.Equal(t, 204, b.as(t, http.MethodDelete, "/api/v1/campaigns/1837091", "", nil))
	require.Equal(t, 404, b.as(t, http.MethodGet, "/api/v1/campaigns/1837091", "", nil))
	require.Equal(t, 404, b.as(t, http.MethodDelete, "/api/v1/campaigns/"+uuid.NewString(), "", nil))
}

func TestListsArePagedAndFiltered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var file strings.Builder
	file.WriteString("Day,Campaign,Campaign ID,Currency code,Cost,Clicks,Campaign state\n")
	for i := range 7 {
		fmt.Fprintf(&file, "2026-07-01,C%d,%d,USD,1.00,1,%s\n", i, i, []string{"Enabled", "Paused"}[i%2])
	}
	b.importCSV(t, file.String())
	seen := 0
	for cursor := ""; ; {
		var page list
		require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns?limit=3"+cursor, "", &page))
		seen += len(page.Campaigns)
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + page.Next.String()
	}
	require.Equal(t, 7, seen)
	require.Len(t, b.list(t, "?status=paused"), 3)
	require.Empty(t, b.list(t, "?platform=meta_ads"))
}

func TestTenantsSeeTheirOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.importCSV(t, google(t))
	id := b.list(t, "")[0].UUID.String()
	var theirs list
	require.Equal(t, 200, b.call(t, b.other.String(), http.MethodGet, "/api/v1/campaigns", "", &theirs))
	require.Empty(t, theirs.Campaigns)
	for _, path := range []string{id, "1837091", id + "/performance"} {
		require.Equal(t, 404, b.call(t, b.other.String(), http.MethodGet, "/api/v1/campaigns/"+path, "", nil))
	}
	var done campaign.Import
	require.Equal(t, 200, b.call(t, b.other.String(), http.MethodPost, "/api/v1/campaigns/import/csv", google(t), &done))
	require.Equal(t, 2, done.CampaignsNew, "the same ids are other campaigns")
}

func TestHistoryHasAPeriod(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.importCSV(t, google(t))
	var p performance
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns/1837091/performance", "", &p))
	require.Equal(t, []string{"2026-05-21", "2026-07-15"}, []string{p.From, p.To})
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns/1837091/performance?from=2026-07-15", "", &p))
	require.Len(t, p.Days, 1)
	require.Equal(t, 200, b.as(t, http.MethodGet, "/api/v1/campaigns/1837091/performance?from=2026-01-01&to=2026-01-31", "", &p))
	require.Empty(t, p.Days)
	for _, query := range []string{"from=2026-07-16", "from=x", "to=2026-02-30", "from=2000-01-01", "to=9999-01-01"} {
		require.Equal(t, 422, b.as(t, http.MethodGet, "/api/v1/campaigns/1837091/performance?"+query, "", nil), query)
	}
}
