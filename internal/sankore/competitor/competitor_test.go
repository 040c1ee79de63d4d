package competitor_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/sankore/competitor"
)

// TestDiffLeadsFromOneToTheOther applies the changes to what was and gets what is.
func TestDiffLeadsFromOneToTheOther(t *testing.T) {
	t.Parallel()
	ads := rapid.Custom(func(t *rapid.T) []competitor.Ad {
		list := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-f]`), 0, 6, rapid.ID[string]).Draw(t, "keys")
		out := make([]competitor.Ad, len(list))
		for i, key := range list {
			out[i] = competitor.Ad{Key: key, Headline: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "headline"), Body: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "body")}
		}
		return out
	})
	rapid.Check(t, func(t *rapid.T) {
		before, after := ads.Draw(t, "before"), ads.Draw(t, "after")
		changes := competitor.Diff(before, after)
		now := make(map[string]competitor.Ad)
		for _, ad := range before {
			now[ad.Key] = ad
		}
		for _, c := range changes.Gone {
			require.Equal(t, now[c.Ad.Key], c.Ad)
			delete(now, c.Ad.Key)
		}
		for _, c := range changes.New {
			require.NotContains(t, now, c.Ad.Key)
			now[c.Ad.Key] = c.Ad
		}
		for _, c := range changes.Changed {
			was := now[c.Ad.Key]
			for _, f := range c.Fields {
				require.NotEqual(t, f.Before, f.After)
				switch f.Name {
				case "headline":
					require.Equal(t, was.Headline, f.Before)
					was.Headline = f.After
				case "body":
					was.Body = f.After
				}
			}
			require.Equal(t, c.Ad, was, "the fields tell all that changed")
			now[c.Ad.Key] = c.Ad
		}
		want := make(map[string]competitor.Ad)
		for _, ad := range after {
			want[ad.Key] = ad
		}
		require.Equal(t, want, now)
		require.False(t, competitor.Diff(after, after).Any())
	})
}

func TestMovementsOfWhatIsToldRoughly(t *testing.T) {
	t.Parallel()
	exact := func(x float64) competitor.Range { return competitor.Range{Low: x, High: x} }
	few := competitor.Range{Low: 0, High: 0.1}
	requireMove := func(from, to competitor.Range, low, high float64) {
		t.Helper()
		m := competitor.Move(from, to)
		require.InDelta(t, low, m.Low, 1e-12)
		require.InDelta(t, high, m.High, 1e-12)
	}
	requireMove(exact(0.2), exact(0.35), 0.15, 0.15)
	requireMove(few, exact(0.15), 0.05, 0.15)
	requireMove(exact(0.15), few, -0.15, -0.05)
	requireMove(few, few, -0.1, 0.1)
}

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

type bundle struct {
	tenant, other uuid.UUID
	server        *httptest.Server
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "sankore_app")
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "test", Version: "0", Authenticator: keys{}, Logger: slog.New(slog.DiscardHandler)})
	competitor.New(db, clockwork.NewFakeClockAt(noon)).Register(router.API())
	b := &bundle{tenant: dbtest.Tenant(t, url), other: dbtest.Tenant(t, url), server: httptest.NewServer(router.Handler())}
	t.Cleanup(b.server.Close)
	return b
}

func (b *bundle) call(t *testing.T, tenant uuid.UUID, method, path, body string, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+"/api/v1/competitors"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+tenant.String())
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

type imported struct {
	Lines, Refused int
	New            int `json:"observations_new"`
	Replaced       int `json:"observations_replaced"`
	Same           int `json:"observations_same"`
}

func (b *bundle) post(t *testing.T, path, body string) (done imported) {
	t.Helper()
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodPost, path, body, &done))
	return done
}

type steps struct{ Changes []competitor.Step }

func (b *bundle) changes(t *testing.T, query string) []competitor.Step {
	t.Helper()
	var s steps
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodGet, "/changes"+query, "", &s))
	return s.Changes
}

func TestAdsAreDiffedFromDayToDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list, err := os.ReadFile("../adreport/testdata/ad_library.csv")
	require.NoError(t, err)
	const first = "/ads/csv?platform=meta_ads&observed_on=2026-07-01"
	require.Equal(t, imported{Lines: 4, Refused: 1, New: 2}, b.post(t, first, string(list)))
	require.Equal(t, imported{Lines: 4, Refused: 1, Same: 2}, b.post(t, first, string(list)), "again, nothing changes")

	// A week later: 101 says something else, 102 is gone, 105 is new.
	require.Equal(t, imported{Lines: 2, New: 1}, b.post(t, "/ads", `{"platform":"meta_ads","competitor":"RIVAL","observed_on":"2026-07-08","ads":[
		{"id":"101","headline":"Mango box","body":"Mangoes, half price.","url":"rival.example/mango","format":"facebook,instagram","started_on":"2026-06-20"},
		{"id":"105","headline":"Papaya"}]}`))
	changes := b.changes(t, "?from=2026-07-02")
	require.Len(t, changes, 1)
	step := changes[0]
	require.Equal(t, []string{"rival", "2026-07-08", "2026-07-01"}, []string{step.Competitor, step.Day, step.Since})
	require.Equal(t, "id:105", step.New[0].Ad.Key)
	require.Equal(t, "Ripe bananas", step.Gone[0].Ad.Body)
	require.Equal(t, []competitor.Field{{Name: "body", Before: "Fresh mangoes,\nevery morning.", After: "Mangoes, half price."}}, step.Changed[0].Fields)

	// A day in between, told late: the changes move to where they happened.
	b.post(t, "/ads", `{"platform":"meta_ads","competitor":"rival","observed_on":"2026-07-04","ads":[{"id":"101","headline":"Mango box","body":"Fresh mangoes,\nevery morning.",
		"url":"rival.example/mango","format":"facebook,instagram","started_on":"2026-06-20"}]}`)
	changes = b.changes(t, "?from=2026-07-02&competitor=rival")
	require.Len(t, changes, 2)
	require.Len(t, changes[0].Gone, 1)
	require.Empty(t, changes[1].Gone)
	require.Equal(t, "2026-07-04", changes[1].Since)

	// It stops advertising.
	b.post(t, "/ads", `{"platform":"meta_ads","competitor":"rival","observed_on":"2026-07-15","ads":[]}`)
	changes = b.changes(t, "?from=2026-07-10")
	require.Len(t, changes, 1)
	require.Len(t, changes[0].Gone, 2)
	require.Zero(t, changes[0].Ads)
	all := b.changes(t, "?from=2026-06-01&to=2026-07-31")
	require.Len(t, all, 5, "the first observations of both, then three changes")
	require.Empty(t, all[0].Since)

	var seen struct{ Competitors []competitor.Seen }
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodGet, "/ads?from=2026-07-01&to=2026-07-08", "", &seen))
	require.Len(t, seen.Competitors, 2)
	require.Equal(t, "2026-07-08", seen.Competitors[1].Day)
	require.Len(t, seen.Competitors[1].Ads, 2)
	var known struct{ Competitors []competitor.Overview }
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodGet, "", "", &known))
	require.Equal(t, []competitor.Overview{
		{Competitor: "other shop", Platform: "meta_ads", Kind: competitor.KindAd, Observations: 1, First: "2026-07-01", Last: "2026-07-01", Items: 1},
		{Competitor: "rival", Platform: "meta_ads", Kind: competitor.KindAd, Observations: 4, First: "2026-07-01", Last: "2026-07-15"},
	}, known.Competitors)
	require.Equal(t, 200, b.call(t, b.other, http.MethodGet, "", "", &known))
	require.Empty(t, known.Competitors, "another tenant watches nobody")
}

func TestSharesMove(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report, err := os.ReadFile("../adreport/testdata/auction_insights.csv")
	require.NoError(t, err)
	require.Equal(t, imported{Lines: 6, Refused: 2, New: 4}, b.post(t, "/share/csv", string(report)))
	require.Equal(t, imported{Lines: 6, Refused: 2, Same: 4}, b.post(t, "/share/csv", string(report)))
	require.Equal(t, imported{Lines: 2, New: 1}, b.post(t, "/share", `{"platform":"google_ads","observed_on":"2026-07-09","shares":[
		{"competitor":"small.com","impression_share":{"low":0.15,"high":0.15}},
		{"competitor":"small.com","scope":"Brand","impression_share":{"low":0.5,"high":0.5}}]}`))
	var got struct{ Shares []competitor.Voice }
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodGet, "/share?from=2026-07-01", "", &got))
	moved := make(map[string]competitor.Voice)
	for _, v := range got.Shares {
		moved[v.Competitor+"/"+v.Scope] = v
	}
	require.Len(t, moved, 4)
	require.InDelta(t, 0.075, moved["rival.com/"].Movement.Low, 1e-12)
	require.InDelta(t, 0.05, moved["small.com/"].Movement.Low, 1e-12)
	require.InDelta(t, 0.15, moved["small.com/"].Movement.High, 1e-12)
	require.Nil(t, moved["small.com/Brand"].Movement, "one day does not move")
	require.Equal(t, "2026-07-02", moved["rival.com/"].Last)
	require.Len(t, moved["rival.com/"].Days, 2)
}

func TestWhatCannotBeImported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct{ path, body string }{
		{"/ads/csv?platform=meta_ads", "no headings"},
		{"/ads/csv", "headline\nBuy\n"},
		{"/ads/csv?platform=meta_ads&competitor=x&observed_on=2027-01-01", "headline\nBuy\n"},
		{"/ads/csv?platform=meta_ads&competitor=%20", "headline\nBuy\n"}, // whose?
		{"/share/csv", "Dear Sir"},
		{"/share/csv", "Display URL domain,Impression share\nx.com,20%\n"}, // of which day?
		{"/ads", `{"platform":"meta_ads","competitor":" ","observed_on":"2026-07-01","ads":[]}`},
		{"/ads", `{"platform":"meta_ads","competitor":"x","observed_on":"2026-07-01","ads":[{"url":"only"}]}`},
		{"/ads", `{"platform":"meta_ads","competitor":"x","observed_on":"2026-02-30","ads":[]}`},
		{"/share", `{"platform":"google_ads","observed_on":"2026-07-01","shares":[{"competitor":"x","overlap":{"low":0.5,"high":0.4}}]}`},
		{"/share", `{"platform":"google_ads","observed_on":"2026-07-01","shares":[{"competitor":"x","overlap":{"low":0.5,"high":1.4}}]}`},
	} {
		require.Equal(t, 422, b.call(t, b.tenant, http.MethodPost, c.path, c.body, nil), "%s %s", c.path, c.body)
	}
	for _, query := range []string{"?from=x", "?from=2026-07-02&to=2026-07-01", "?from=2020-01-01"} {
		require.Equal(t, 422, b.call(t, b.tenant, http.MethodGet, "/changes"+query, "", nil), query)
	}
}

// TestADayThatHasNotComeIsRefusedByItsLine, as in a campaign report: kept, it would be the
// last that is known of a competitor for as long as it takes to come.
func TestADayThatHasNotComeIsRefusedByItsLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var answer struct {
		Lines, Refused int
		New            int `json:"observations_new"`
		Problems       []struct {
			Line  int
			Value string
		}
	}
	tomorrow, after := noon.AddDate(0, 0, 1).Format(time.DateOnly), noon.AddDate(0, 0, 2).Format(time.DateOnly)
	file := "Display URL domain,Day,Impression share\nx.com," + tomorrow + ",20%\nx.com," + after + ",20%\nx.com,2100-01-01,20%\n"
	require.Equal(t, 200, b.call(t, b.tenant, http.MethodPost, "/share/csv", file, &answer))
	require.Equal(t, 3, answer.Lines)
	require.Equal(t, 2, answer.Refused)
	require.Equal(t, 1, answer.New, "somewhere it is tomorrow already")
	require.Len(t, answer.Problems, 2)
	require.Equal(t, 3, answer.Problems[0].Line)
	require.Equal(t, after, answer.Problems[0].Value)
}

// TestOddNamesAreKeptAsTheyAre sends what a list made by hand may hold: none is an error of ours.
func TestOddNamesAreKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.Repeat("\U00010400", 255) // four bytes each, and another in lower case
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/ads/csv?platform=meta_ads", "advertiser,headline\n\u00a0,Buy\n\u0130STANBUL,Buy\n'; DROP TABLE x; --,\"=cmd|' /C calc'!A0\"\n", 200},
		{"/ads/csv?platform=meta_ads", "advertiser,headline\nx,\"never closed\n", 200},
		{"/ads/csv?platform=meta_ads", "advertiser,headline,id\nx,a,1\nX,b,1\n x ,c,1\n", 200},
		{"/ads", `{"platform":"meta_ads","competitor":"` + long + `","observed_on":"2026-07-01","ads":[{"id":"` + strings.Repeat("\U00010400", 100) + `"}]}`, 200},
		{"/ads", `{"platform":"meta_ads","competitor":"x","observed_on":"2026-07-01","ads":[{"body":"\ud800"}]}`, 422},
		{"/share", `{"platform":"google_ads","observed_on":"2026-07-01","shares":[{"competitor":"` + long + `","scope":"` + strings.Repeat("\U00010400", 125) + `"}]}`, 200},
		{"/share", `{"platform":"google_ads","observed_on":"2026-07-01","shares":[{"competitor":"a","scope":"\u0000"}]}`, 422},
		{"/share/csv?observed_on=2026-07-01", "Display URL domain,Impression share\nx.com,1e400%\ny.com,NaN\nz.com,-5%\nw.com,<10%\n", 200},
	} {
		var answer struct{ Detail string }
		require.Equal(t, c.want, b.call(t, b.tenant, http.MethodPost, c.path, c.body, &answer), "%s %.100s: %.500s", c.path, c.body, answer.Detail)
	}
	for _, query := range []string{"", "/ads?to=2026-07-02", "/changes?to=2026-07-02", "/share?to=2026-07-02", "?after=%FF", "/share?competitor=%00"} {
		var of [2]json.RawMessage
		for i, tenant := range []uuid.UUID{b.tenant, b.other} {
			require.Less(t, b.call(t, tenant, http.MethodGet, query, "", &of[i]), 500, query)
		}
		require.NotContains(t, string(of[1]), "x.com", "another tenant's")
	}
}
