package intelligence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/engardehq/madansara/internal/sankore/adreport"
	"github.com/engardehq/madansara/internal/sankore/campaign"
	"github.com/engardehq/madansara/mesh"
	meshproblem "github.com/engardehq/madansara/mesh/problem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// later is when every conversion has come in.
var later = clockwork.NewFakeClockAt(monday.AddDate(1, 0, 0))

// figures is a campaign of n days in which a unit of spend is 100 minor units.
func figures(n int, clicks, conversions func(i int) float64) *campaign.History {
	h := &campaign.History{
		Campaign: campaign.Campaign{
			UUID: uuid.MustParse("0198f4a2-0000-7000-8000-000000000007"), Platform: adreport.GoogleAds, ExternalID: "7", Name: "Spring", Currency: "USD",
		},
		Known: campaign.Known{First: monday, Last: monday.AddDate(0, 0, n-1), Days: n},
		From:  monday, To: monday.AddDate(0, 0, n-1), NameIsUnique: true,
	}
	for i := range n {
		date := monday.AddDate(0, 0, i)
		h.Days = append(h.Days, campaign.Day{
			Date: date, Day: date.Format(time.DateOnly), SpendMinor: 10_000, Impressions: 5000, Clicks: int64(clicks(i)),
			Conversions: conversions(i), RevenueMinor: int64(3000 * conversions(i)),
		})
		h.SpentToEnd += 10_000
	}
	return h
}

func constant(x float64) func(int) float64 { return func(int) float64 { return x } }

type campaigns struct{ known *campaign.History }

func (c campaigns) History(context.Context, uuid.UUID, string, time.Time, time.Time) (*campaign.History, error) {
	return c.known, nil
}

// madanSara answers what it is told to.
type madanSara struct {
	answer *mesh.CampaignConversions
	err    error
	asked  *mesh.CampaignConversionsRequest
}

func (m madanSara) Campaign(_ context.Context, _ string, request mesh.CampaignConversionsRequest) (*mesh.CampaignConversions, error) {
	if m.asked != nil {
		*m.asked = request
	}
	return m.answer, m.err
}

func ask(t *testing.T, h *campaign.History, m madanSara) *mesh.CampaignIntelligence {
	t.Helper()
	got, err := New(campaigns{h}, m, later).Campaign(t.Context(), uuid.New(), "7", time.Time{}, time.Time{})
	require.NoError(t, err)
	return got
}

func attributed(days ...mesh.CampaignConversionsDay) madanSara {
	return madanSara{answer: &mesh.CampaignConversions{Touches: 100, Model: "last_touch", Days: days}}
}

func TestMadanSarasConversionsCount(t *testing.T) {
	t.Parallel()
	h := figures(28, constant(100), constant(4))
	dollars := func(minor int64) []mesh.Money { return []mesh.Money{{Amount: minor, Currency: "USD"}} }
	got := ask(t, h, attributed(
		mesh.CampaignConversionsDay{Day: "2026-02-01", Conversions: 1, Revenue: dollars(100)}, // before the first known day
		mesh.CampaignConversionsDay{Day: "2026-03-03", Conversions: 20, Revenue: append(dollars(50_000), mesh.Money{Amount: 7, Currency: "EUR"})},
		mesh.CampaignConversionsDay{Day: "2026-03-10", Conversions: 7, Revenue: dollars(20_000)},
		mesh.CampaignConversionsDay{Day: "2026-04-05", Conversions: 0, Revenue: dollars(-100)}, // a refund, after the last
	))
	require.Equal(t, mesh.ConversionsFromMadanSara, got.ConversionsSource)
	require.Empty(t, got.ConversionsProblem)
	require.Equal(t, "last_touch", got.AttributionModel)
	require.InDelta(t, 28, got.Conversions, 1e-9)
	require.InDelta(t, 112, got.PlatformConversions, 1e-9, "the platform claims four times as many")
	require.Equal(t, mesh.Money{Amount: 70_000, Currency: "USD"}, got.Revenue)
	require.Equal(t, []mesh.Money{{Amount: 7, Currency: "EUR"}}, got.OtherRevenue)
	require.InDelta(t, 10_000, got.CPA.Value, 1e-6)
	require.InDelta(t, 0.25, got.ROAS.Value, 1e-9)
	require.InDelta(t, 0.02, got.CTR.Value, 1e-9)
	require.InDelta(t, 100, got.CPC.Value, 1e-9)
}

func TestWhenMadanSaraCannotTellThePlatformIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    madanSara
		says string
	}{
		"unreachable": {madanSara{err: &mesh.Error{Kind: mesh.ErrUnreachable, Peer: mesh.MadanSara, Err: errors.New("dial tcp 10.0.0.7:8002")}}, "cannot be reached (unreachable)"},
		"open":        {madanSara{err: &mesh.Error{Kind: mesh.ErrCircuitOpen}}, "cannot be reached (circuit_open)"},
		"rejected": {
			madanSara{err: &mesh.Error{Kind: mesh.ErrRejected, Status: 422, Problem: meshproblem.New(422, "invalid", "No such model.")}},
			"refused to tell the campaign's conversions: No such model.",
		},
		"unknown there":    {madanSara{answer: &mesh.CampaignConversions{}}, "knows no visit"},
		"never seen there": {madanSara{err: &mesh.Error{Kind: mesh.ErrRejected, Status: 404}}, "knows no visit"},
		"something else":   {madanSara{err: errors.New("boom")}, "cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, figures(28, constant(100), constant(4)), c.m)
			require.Equal(t, mesh.ConversionsFromPlatform, got.ConversionsSource)
			require.Contains(t, got.ConversionsProblem, c.says)
			require.NotContains(t, got.ConversionsProblem, "10.0.0.7")
			require.InDelta(t, 112, got.Conversions, 1e-9)
			require.Equal(t, int64(28*12_000), got.Revenue.Amount)
			require.InDelta(t, 1.2, got.ROAS.Value, 1e-9)
		})
	}
	_, err := New(campaigns{figures(3, constant(1), constant(1))}, madanSara{err: &mesh.Error{Kind: mesh.ErrCanceled}}, later).
		Campaign(t.Context(), uuid.New(), "7", time.Time{}, time.Time{})
	require.ErrorIs(t, err, mesh.ErrCanceled, "who gave up gets no answer")
}

func TestPendingConversionsAreSaid(t *testing.T) {
	t.Parallel()
	m := attributed(mesh.CampaignConversionsDay{Day: "2026-03-03", Conversions: 2})
	m.answer.Pending = 3
	got := ask(t, figures(28, constant(100), constant(4)), m)
	require.Equal(t, mesh.ConversionsFromMadanSara, got.ConversionsSource)
	require.Contains(t, got.ConversionsProblem, "still to attribute 3")
}

func TestACampaignIsAskedForByWhatItsLinksCarry(t *testing.T) {
	t.Parallel()
	asked := func(change func(*campaign.History)) mesh.CampaignConversionsRequest {
		h := figures(2, constant(1), constant(1))
		change(h)
		var request mesh.CampaignConversionsRequest
		m := attributed()
		m.asked = &request
		ask(t, h, m)
		return request
	}
	period := mesh.CampaignConversionsRequest{From: "2026-03-02", To: "2026-03-03"}
	want := period
	want.CampaignID, want.Aliases = "7", []string{"Spring"}
	require.Equal(t, want, asked(func(*campaign.History) {}))
	want.Aliases = nil
	require.Equal(t, want, asked(func(h *campaign.History) { h.NameIsUnique = false }))
	want.CampaignID = "spring-26"
	require.Equal(t, want, asked(func(h *campaign.History) { h.Campaign.UTMCampaign = "spring-26" }))
	want.CampaignID = "Spring"
	require.Equal(t, want, asked(func(h *campaign.History) { h.Campaign.ExternalID = "" }))
	require.Empty(t, asked(func(h *campaign.History) { h.Campaign.ExternalID, h.NameIsUnique = "", false }).CampaignID, "not asked")
}

func TestPacing(t *testing.T) {
	t.Parallel()
	platform := madanSara{err: errors.New("away")}
	h := figures(28, constant(100), constant(4))
	require.Nil(t, ask(t, h, platform).Pacing)

	h.Campaign.BudgetKind, h.Campaign.BudgetMinor = adreport.DailyBudget, 12_500
	h.Days = append(h.Days[:10:10], h.Days[12:]...) // paused for two days
	require.Equal(t, &mesh.AdPacing{
		Period: "daily", From: "2026-03-02", To: "2026-03-29",
		Planned: mesh.Money{Amount: 350_000, Currency: "USD"}, Spent: mesh.Money{Amount: 260_000, Currency: "USD"}, Ratio: 260.0 / 350,
	}, ask(t, h, platform).Pacing)

	h = figures(28, constant(100), constant(4))
	h.Campaign.BudgetKind, h.Campaign.BudgetMinor = adreport.TotalBudget, 560_000
	require.Nil(t, ask(t, h, platform).Pacing, "its end is not known")
	h.Campaign.StartsOn, h.Campaign.EndsOn = "2026-03-02", "2026-04-26" // eight weeks, four of them over
	got := ask(t, h, platform).Pacing
	require.Equal(t, mesh.Money{Amount: 280_000, Currency: "USD"}, got.Planned)
	require.InDelta(t, 1, got.Ratio, 1e-9)
	require.Equal(t, mesh.Money{Amount: 560_000, Currency: "USD"}, *got.Projected)
	h.Campaign.EndsOn = "2026-03-15" // ended two weeks ago
	require.InDelta(t, 0.5, ask(t, h, platform).Pacing.Ratio, 1e-9, "all of it was planned by then")
}

// TestATiredCampaignIsSeen: the click-through rate halves in eight weeks,
// conversions with it, and on one day a link is broken.
func TestATiredCampaignIsSeen(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 5))
	poisson := func(mean float64) float64 { return distuv.Poisson{Lambda: mean, Src: random}.Rand() }
	const broken = 30
	h := figures(56, func(i int) float64 { return poisson(200 * math.Exp2(-float64(i)/55)) }, func(i int) float64 {
		if i == broken {
			return 0
		}
		return poisson(30 * math.Exp2(-float64(i)/55))
	})
	got := ask(t, h, madanSara{err: errors.New("away")})
	require.InDelta(t, 0.5, got.Fatigue.Value, 0.08)
	require.Greater(t, got.Fatigue.Low, 0.3)
	require.Less(t, got.Trend.High, 0.0)
	require.Len(t, got.Anomalies, 1)
	require.Equal(t, "conversions", got.Anomalies[0].Metric)
	require.Equal(t, "2026-04-01", got.Anomalies[0].Day)
	require.Less(t, got.Anomalies[0].Score, -3.5)
}

func TestACampaignWithoutFigures(t *testing.T) {
	t.Parallel()
	h := figures(1, constant(0), constant(0))
	h.Days, h.From, h.To = nil, time.Time{}, time.Time{}
	got := ask(t, h, attributed())
	require.Equal(t, mesh.ConversionsFromPlatform, got.ConversionsSource)
	require.NotEmpty(t, got.ConversionsProblem)
	require.Empty(t, got.From+got.To)
	require.Nil(t, got.CTR)
	require.Nil(t, got.CPA)
	require.Nil(t, got.Trend)
	require.Empty(t, got.Anomalies)
	_, err := json.Marshal(got)
	require.NoError(t, err)
}

// TestTheAnswerKeepsItsForm holds what peers read to a golden file.
func TestTheAnswerKeepsItsForm(t *testing.T) {
	t.Parallel()
	h := figures(35, func(i int) float64 { return 100 + float64(i%3) }, constant(4))
	h.Campaign.BudgetKind, h.Campaign.BudgetMinor = adreport.DailyBudget, 12_500
	h.Days[20].SpendMinor = 40_000
	var days []mesh.CampaignConversionsDay
	for i, d := range h.Days {
		days = append(days, mesh.CampaignConversionsDay{Day: d.Day, Conversions: float64(2 + i%2 + i/9), Revenue: []mesh.Money{{Amount: int64(5000 + 100*i), Currency: "USD"}}})
	}
	text, err := json.MarshalIndent(ask(t, h, attributed(days...)), "", "  ")
	require.NoError(t, err)
	// Machines differ in the last digits of a logarithm.
	text = append(rounded(t, text), '\n')
	const file = "testdata/intelligence.json"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, text, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(text))
}

func rounded(t *testing.T, text []byte) []byte {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	require.NoError(t, decoder.Decode(&value))
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key := range v {
				v[key] = walk(v[key])
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case json.Number:
			f, err := v.Float64()
			require.NoError(t, err)
			return json.Number(fmt.Sprintf("%.6g", f))
		}
		return v
	}
	out, err := json.MarshalIndent(walk(value), "", "  ")
	require.NoError(t, err)
	return out
}
