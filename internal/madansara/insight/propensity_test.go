package insight

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

// groups are all there are.
func groups() (list []group) {
	for recency := range int16(4) {
		for frequency := range int16(3) {
			list = append(list, group{recency, frequency, false}, group{recency, frequency, true})
		}
	}
	return list
}

// shop is a tenant whose groups' true rates and sizes are known: who came lately and
// often and has bought is likelier to buy, by factors that differ between shops.
func shop(random *rand.Rand, people, average float64) (tallies []tally, truth map[group]float64) {
	truth = make(map[group]float64)
	factor := func(spread float64) float64 { return math.Exp(spread * math.Abs(random.NormFloat64())) }
	lately, often, before := factor(0.4), factor(0.5), factor(1)
	for _, g := range groups() {
		rate := average * math.Pow(lately, 1-float64(g.Recency)) * math.Pow(often, float64(g.Frequency))
		share := 0.5 / 4 * []float64{0.7, 0.2, 0.1}[g.Frequency] * 2
		if g.Bought {
			rate, share = rate*before, share*0.15
		}
		truth[g] = min(rate, 0.9)
		n := distuv.Poisson{Lambda: people * share, Src: random}.Rand()
		if n == 0 {
			continue
		}
		converted := distuv.Binomial{N: n, P: truth[g], Src: random}.Rand()
		tallies = append(tallies, tally{g, int64(n), int64(converted)})
	}
	return tallies, truth
}

// TestPropensitiesAreReliable: of people who are told 5 %, 5 % buy, whatever is told
// and however large the shop is; bins of what is told are compared with the truth.
func TestPropensitiesAreReliable(t *testing.T) {
	t.Parallel()
	for _, people := range []float64{300, 1000, 5000, 50_000} {
		t.Run(fmt.Sprint(people), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(41, uint64(people)))
			type bin struct{ people, told, bought float64 }
			bins := make([]bin, 6)
			edges := []float64{0.02, 0.04, 0.08, 0.16, 0.32}
			for range 120 {
				tallies, truth := shop(random, people, 0.01+0.05*random.Float64())
				for _, of := range tallies {
					p := likelihood(tallies, of.group)
					if p == nil {
						continue
					}
					k := 0
					for k < len(edges) && *p > edges[k] {
						k++
					}
					n := float64(of.People)
					bins[k].people += n
					bins[k].told += n * *p
					bins[k].bought += n * truth[of.group]
				}
			}
			all, off := 0.0, 0.0
			for _, b := range bins {
				if b.people > 0 {
					all += b.people
					off += math.Abs(b.told - b.bought)
					t.Logf("told %4.1f %%, buy %4.1f %% (%.0f people)", 100*b.told/b.people, 100*b.bought/b.people, b.people)
				}
			}
			t.Logf("off by %.2f points on average", 100*off/all)
			require.Less(t, off/all, 0.0055)
		})
	}
}
