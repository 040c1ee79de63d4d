package balance_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/mesh/balance"
)

// simulate sends one call each millisecond to addresses that take as long as
// latency says, and returns how many each got.
func simulate(calls int, latency []time.Duration, failing []bool) []int {
	random := rand.New(rand.NewPCG(1, 2))
	addresses := make([]balance.PeakEWMA, len(latency))
	got := make([]int, len(latency))
	type end struct {
		at     time.Time
		choice int
	}
	var under []end
	now := time.Unix(0, 0).UTC()
	for range calls {
		now = now.Add(time.Millisecond)
		kept := under[:0]
		for _, e := range under {
			if e.at.After(now) {
				kept = append(kept, e)
				continue
			}
			addresses[e.choice].Done(now, latency[e.choice], failing[e.choice])
		}
		under = kept
		choice := balance.Choose(len(addresses), random.IntN, func(i int) float64 { return addresses[i].Load(now) })
		addresses[choice].Begin()
		got[choice]++
		under = append(under, end{now.Add(latency[choice]), choice})
	}
	return got
}

func TestEqualAddressesShareEqually(t *testing.T) {
	t.Parallel()
	got := simulate(9000, []time.Duration{5 * time.Millisecond, 5 * time.Millisecond, 5 * time.Millisecond}, make([]bool, 3))
	for _, n := range got {
		require.InDelta(t, 3000, n, 600, "%v", got)
	}
}

func TestASlowAddressGetsLittle(t *testing.T) {
	t.Parallel()
	got := simulate(9000, []time.Duration{5 * time.Millisecond, 100 * time.Millisecond, 5 * time.Millisecond}, make([]bool, 3))
	require.Less(t, got[1], 450, "%v", got)
	require.Positive(t, got[1])
}

func TestFailingFastDoesNotAttract(t *testing.T) {
	t.Parallel()
	got := simulate(9000, []time.Duration{5 * time.Millisecond, time.Microsecond, 5 * time.Millisecond}, []bool{false, true, false})
	require.Less(t, got[1], 900, "%v", got)
}

func TestOneStallCostsAnAddressItsShareAtOnceAndTimeForgives(t *testing.T) {
	t.Parallel()
	var steady, stalled balance.PeakEWMA
	now := time.Unix(100, 0)
	for range 100 {
		for _, a := range []*balance.PeakEWMA{&steady, &stalled} {
			a.Begin()
			a.Done(now, time.Millisecond, false)
		}
	}
	stalled.Begin()
	stalled.Done(now, time.Second, false)
	require.Greater(t, stalled.Load(now), 100*steady.Load(now))
	later := now.Add(2 * time.Minute)
	steady.Begin()
	steady.Done(later, time.Millisecond, false)
	require.Less(t, stalled.Load(later), steady.Load(later))
}

func TestChooseTakesTheLessLoadedOfTwoDifferentOnes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "n")
		asked := map[int]bool{}
		loads := rapid.SliceOfN(rapid.Float64Range(0, 10), n, n).Draw(t, "loads")
		choice := balance.Choose(n, nil, func(i int) float64 { asked[i] = true; return loads[i] })
		if n == 1 {
			require.Zero(t, choice)
			return
		}
		require.Len(t, asked, 2, "two different addresses are compared")
		for i := range asked {
			require.LessOrEqual(t, loads[choice], loads[i])
		}
	})
}
