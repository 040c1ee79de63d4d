package intelligence

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/sankore/estimate"
	"github.com/engardehq/madansara/mesh"
)

// TestBuyersTakeTheirTime: nothing changes but that buyers take three days on
// average, so that the last days have not earned yet what they will. Taken for
// complete, 74 of 100 campaigns were told to be in decline, and the cost of a
// conversion was covered in 60.
func TestBuyersTakeTheirTime(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(8, 8))
	const times, days, lag = 40, 56, 3.0
	falling, covered := 0, 0
	for range times {
		h := figures(days, constant(100), func(i int) float64 {
			age := float64(days-i) - 0.5
			return distuv.Poisson{Lambda: 30 * (1 - math.Exp(-age/lag)), Src: random}.Rand()
		})
		now := h.To.AddDate(0, 0, 1) // midnight after the last day
		got, err := New(campaigns{h}, madanSara{err: errors.New("away")}, clockwork.NewFakeClockAt(now)).
			Campaign(t.Context(), uuid.New(), "7", time.Time{}, time.Time{})
		require.NoError(t, err)
		require.Equal(t, now.AddDate(0, 0, -ripening).Format(time.DateOnly), got.ConversionsTo)
		if got.Trend.High < 0 {
			falling++
		}
		if cost := 10_000.0 / 30; got.CPA.Low <= cost && cost <= got.CPA.High {
			covered++
		}
	}
	t.Logf("of %d, %d in decline, the cost of a conversion covered in %d", times, falling, covered)
	require.LessOrEqual(t, falling, times/10)
	require.GreaterOrEqual(t, covered, times*85/100)
}

// TestAYoungCampaignIsSaidToBe: of its first days nothing is complete yet.
func TestAYoungCampaignIsSaidToBe(t *testing.T) {
	t.Parallel()
	h := figures(6, constant(100), constant(4))
	ask := func(now time.Time) *mesh.CampaignIntelligence {
		got, err := New(campaigns{h}, madanSara{err: errors.New("away")}, clockwork.NewFakeClockAt(now)).
			Campaign(t.Context(), uuid.New(), "7", time.Time{}, time.Time{})
		require.NoError(t, err)
		return got
	}
	young := ask(h.To)
	require.Equal(t, "2026-03-07", young.ConversionsTo, "all there is, for want of better")
	require.NotNil(t, young.CPA)
	require.Contains(t, young.Notes, "The conversions of the last 7 days are incomplete, and there is too little before them: what a conversion costs looks higher than it will prove.")
	require.Contains(t, young.Notes, "Unlike days are looked for from 28 days on.")

	old := ask(h.To.AddDate(0, 1, 0))
	require.Equal(t, "2026-03-07", old.ConversionsTo)
	require.Equal(t, []string{"Unlike days are looked for from 28 days on."}, old.Notes)
}

// TestWhatIsNoNumberIsLeftOut: JSON has no word for it, and an estimate that was not to be
// had is no reason to answer nothing at all.
func TestWhatIsNoNumberIsLeftOut(t *testing.T) {
	t.Parallel()
	require.NotNil(t, wire(estimate.Interval{Value: 2, Low: 1, High: 3}, true))
	require.Nil(t, wire(estimate.Interval{Value: 2, Low: 1, High: 3}, false))
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		require.Nil(t, wire(estimate.Interval{Value: x, Low: 1, High: 3}, true))
		require.Nil(t, wire(estimate.Interval{Value: 2, Low: x, High: 3}, true))
		require.Nil(t, wire(estimate.Interval{Value: 2, Low: 1, High: x}, true))
	}
}

// TestEveryAnswerCanBeWritten: whatever figures an import takes, JSON can write what is told of them.
func TestEveryAnswerCanBeWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := figures(rapid.IntRange(0, 60).Draw(t, "days"), constant(1), constant(1))
		money, counts := rapid.SampledFrom([]int64{0, 1, 500, 1e15}), rapid.SampledFrom([]int64{0, 1, 500, 1e12})
		spread := rapid.Bool().Draw(t, "each day another")
		spend, shown, clicked, earned := money.Draw(t, "spend"), counts.Draw(t, "impressions"), counts.Draw(t, "clicks"), money.Draw(t, "revenue")
		converted := rapid.SampledFrom([]float64{0, 5e-324, 0.33, 40, 1e12})
		count := converted.Draw(t, "conversions")
		for i := range h.Days {
			if spread {
				spend, shown, clicked, earned = money.Draw(t, "spend"), counts.Draw(t, "impressions"), counts.Draw(t, "clicks"), money.Draw(t, "revenue")
				count = converted.Draw(t, "conversions")
			}
			d := &h.Days[i]
			d.SpendMinor, d.Impressions, d.Clicks, d.RevenueMinor, d.Conversions = spend, shown, clicked, earned, count
		}
		_, err := json.Marshal(compute(h, earnedByPlatform, h.To))
		require.NoError(t, err)
	})
}

var earnedByPlatform = earned{source: mesh.ConversionsFromPlatform}
