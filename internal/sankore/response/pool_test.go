package response_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/engardehq/madansara/internal/sankore/response"
)

// market is a number of campaigns, of days each, that spend 1000 a day and earn
// level conversions on average, a campaign's own level being off by spread.
type market struct {
	campaigns, days int
	level, spread   float64
}

// stated is what an allocation said it gains, relative, and what it gains in truth.
type stated struct{ claimed, low, high, gained float64 }

func (m market) allocate(t *testing.T, random *rand.Rand) stated {
	t.Helper()
	const days = 30
	total := int64(1000 * m.campaigns * days)
	curves, truths := make([]*response.Curve, m.campaigns), make([]truth, m.campaigns)
	shares, present := make([]response.Share, m.campaigns), make([]int64, m.campaigns)
	for i := range curves {
		level, elasticity := m.level*math.Exp(m.spread*random.NormFloat64()), random.Float64()
		truths[i] = func(spend float64) float64 { return hill(level, elasticity)(spend / 10) }
		list := make([]response.Day, m.days)
		for d := range list {
			spend := 1000 * math.Exp(0.3*random.NormFloat64())
			list[d] = response.Day{Date: monday.AddDate(0, 0, d), Spend: spend, Conversions: distuv.Poisson{Lambda: truths[i](spend), Src: random}.Rand()}
		}
		curve, ok := response.Fit(list)
		require.True(t, ok)
		curves[i], shares[i], present[i] = &curve, response.Share{Curve: &curve, Max: total}, total/int64(m.campaigns)
	}
	response.Pool(curves)
	amounts, err := response.Allocate(total, days, shares)
	require.NoError(t, err)
	outcome := response.Compare(days, shares, amounts, present)
	now, then := 0.0, 0.0
	for i := range truths {
		now += days * truths[i](float64(present[i])/days)
		then += days * truths[i](float64(amounts[i])/days)
	}
	return stated{outcome.Gain.Value / now, outcome.Gain.Low / now, outcome.Gain.High / now, then/now - 1}
}

// TestLuckIsNoReasonToMoveMoney: twenty campaigns that are alike have a conversion or
// two each. Fitted one by one, the luckiest got the money, 17 % more were promised
// and 13 % fewer were had, outside the interval in 82 of 100 cases.
func TestLuckIsNoReasonToMoveMoney(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]market{
		"alike, hardly any":  {20, 30, 0.05, 0},
		"alike, a few":       {10, 30, 0.1, 0},
		"two":                {2, 30, 0.1, 0},
		"different, enough":  {8, 83, 1, 0.5},
		"different, plenty":  {4, 60, 15, 0.5},
		"different, too few": {10, 30, 0.1, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(35, 1))
			const times = 30
			held, below, claimed, gained := 0, 0, 0.0, 0.0
			for range times {
				s := m.allocate(t, random)
				claimed, gained = claimed+s.claimed/times, gained+s.gained/times
				if s.gained >= s.low && s.gained <= s.high {
					held++
				}
				if s.gained < s.low {
					below++
				}
			}
			t.Logf("claimed %+.1f %%, gained %+.1f %%, %d %% covered, %d %% below", 100*claimed, 100*gained, 100*held/times, 100*below/times)
			require.GreaterOrEqual(t, held, times*8/10)
			require.LessOrEqual(t, below, times*15/100)
			require.InDelta(t, gained, claimed, 0.04)
		})
	}
}

func TestPoolingLeavesTheSureAlone(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(36, 1))
	rich, ok := response.Fit(simulate(random, hill(200, 0.5), 90, 0))
	require.True(t, ok)
	thin, ok := response.Fit([]response.Day{{Date: monday, Spend: 1, Conversions: 1}})
	require.True(t, ok)
	before, alone := rich.Mean(100), thin.Mean(1)
	response.Pool([]*response.Curve{&rich})
	require.InDelta(t, before, rich.Mean(100), 0, "there is nobody to learn from")
	response.Pool([]*response.Curve{&rich, &thin})
	require.InEpsilon(t, before, rich.Mean(100), 0.01)
	require.Greater(t, thin.Mean(1), 1.2*alone, "a single conversion says little against what the other earns")

	none, ok := response.Fit([]response.Day{{Date: monday, Spend: 100}})
	require.True(t, ok)
	same := none
	response.Pool([]*response.Curve{&none, &same})
	require.InDelta(t, 0.5, none.Mean(100), 1e-9, "nobody has earned anything")
}
