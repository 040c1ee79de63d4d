package pgmem

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/zerodb"
)

func direction(t require.TestingT, random *rand.Rand, dimension int) []float32 {
	v := make([]float32, dimension)
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	v, err := zerodb.Normalize(v)
	require.NoError(t, err)
	return v
}

// TestTurningKeepsProducts: whatever the length, so that a code's cosine is about the vectors' own.
func TestTurningKeepsProducts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		dimension := rapid.IntRange(1, 1600).Draw(rt, "dimension")
		a, b := direction(rt, random, dimension), direction(rt, random, dimension)
		require.InDelta(rt, zerodb.Dot(a, b), zerodb.Dot(turn(a), turn(b)), 1e-5)
	})
}

// TestProductOfCodesIsThatOfTheirNumbers compares the product of bits with one of numbers.
func TestProductOfCodesIsThatOfTheirNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		dimension := rapid.IntRange(1, 400).Draw(rt, "dimension")
		vector, asked := direction(rt, random, dimension), direction(rt, random, dimension)
		code, factor := encode(vector)
		query := newCodeQuery(asked)
		var sum, self float32
		turned, turnedQuery := turn(vector), turn(asked)
		for i := range dimension {
			level := 2*float32(code[i/64*2]>>(i%64)&1+2*(code[i/64*2+1]>>(i%64)&1)) - 3
			require.Equal(rt, turned[i] >= 0, level > 0)
			number := float32(0)
			for plane, counts := range []float32{1, 2, 4, -8} {
				number += counts * float32(query.planes[i/64][plane]>>(i%64)&1)
			}
			require.InDelta(rt, turnedQuery[i], number*query.scale, float64(query.scale)*0.51)
			sum += level * number * query.scale
			self += level * turned[i]
		}
		require.InDelta(rt, sum, query.product(code), 1e-3)
		require.InDelta(rt, 1, self*factor, 1e-3, "the code of a vector has the product 1 with it")
	})
}

// TestRecallOfCodes: of the ten nearest, a search finds nearly all; the codes alone would not.
func TestRecallOfCodes(t *testing.T) {
	t.Parallel()
	const dimension, vectors, queries, centres = 384, 6000, 30, 4
	for name, noise := range map[string]float32{"clusters": 1, "tight clusters": 0.3, "nearly the same": 0.05, "no order at all": 50} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(5, 6))
			var middles [centres][]float32
			for i := range middles {
				middles[i] = direction(t, random, dimension)
			}
			draw := func() []float32 {
				v := direction(t, random, dimension)
				for i, x := range middles[random.IntN(centres)] {
					v[i] = x + noise*v[i]
				}
				v, err := zerodb.Normalize(v)
				require.NoError(t, err)
				return v
			}
			x, stored, read := newCompact(), make([]indexed, vectors), map[uuid.UUID]*zerodb.Memory{}
			for i := range stored {
				m := &stored[i].memory
				m.ID, m.Type, m.Vector, m.Model = uuid.Must(uuid.NewV7()), zerodb.Semantic, draw(), "random"
				read[m.ID] = m
			}
			putAll(x, stored)
			var found, alone, compared float64
			for range queries {
				search := zerodb.Search{Vector: draw(), Model: "random", Limit: 50}
				f := newFinder(&search, rowFilterOf(&search.Filter, time.Now(), nil))
				x.count(f)
				f.counted()
				x.find(f)
				f.takeFirst(read)
				compared += float64(f.rough.compared + len(f.unsure()))
				f.takeNear(f.unsure(), read)
				for _, i := range order(vectors, func(i int) float32 { return zerodb.Dot(search.Vector, stored[i].memory.Vector) })[:10] {
					id := stored[i].memory.ID
					if slices.ContainsFunc(f.dense.list, func(c zerodb.Candidate) bool { return c.ID == id }) {
						found++
					}
					if slices.ContainsFunc(f.rough.near.list[:10], func(g glimpse) bool { return g.id == id }) {
						alone++
					}
				}
			}
			t.Logf("recall %.3f, %.3f by the codes alone; %.0f compared", found/(10*queries), alone/(10*queries), compared/queries)
			require.GreaterOrEqual(t, found/(10*queries), 0.97)
			require.Less(t, alone/(10*queries), 0.9, "or there was nothing to lose")
		})
	}
}

func order(n int, score func(int) float32) []int {
	type scored struct {
		score float32
		i     int
	}
	list := make([]scored, n)
	for i := range list {
		list[i] = scored{score(i), i}
	}
	slices.SortFunc(list, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		default:
			return a.i - b.i
		}
	})
	places := make([]int, n)
	for i := range places {
		places[i] = list[i].i
	}
	return places
}

// TestDeletedMemoriesLeaveNothingBehind: neither words nor vectors stay in the process.
func TestDeletedMemoriesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	x := newCompact()
	random := rand.New(rand.NewPCG(7, 8))
	stored := make([]indexed, 2500)
	for i := range stored {
		stored[i].memory = zerodb.Memory{
			ID: uuid.Must(uuid.NewV7()), Agent: "walker", Type: zerodb.Semantic, Content: fmt.Sprintf("Marie bought %d red bags", i),
			Vector: direction(t, random, 70), Model: "random",
		}
	}
	putAll(x, stored)
	require.Equal(t, 2500, x.total())
	putAll(x, stored[:1]) // changed: once more
	require.Equal(t, 2500, x.total())
	for i := range stored {
		x.remove(stored[i].memory.ID)
		x.remove(stored[i].memory.ID)
	}
	require.Zero(t, x.total())
	require.Equal(t, 2501, x.dead)
	for _, b := range x.blocks {
		require.Zero(t, slices.Max(b.words))
		require.Zero(t, slices.Max(b.codes))
	}
	require.True(t, x.wasteful())
}

// TestWordsAreCountedAndWeighedAsInAWholeScope: whatever is stored, changed and deleted, and whatever words are wanted.
func TestWordsAreCountedAndWeighedAsInAWholeScope(t *testing.T) {
	t.Parallel()
	words := make([]string, 150)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", i)
	}
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
		compact, whole := newCompact(), newWhole()
		stored := make([]indexed, rapid.IntRange(1, 6000).Draw(rt, "memories"))
		for i := range stored {
			var content string
			for range 1 + random.IntN(20) {
				content += " " + words[int(float64(len(words))*random.Float64()*random.Float64())]
			}
			stored[i].memory = zerodb.Memory{ID: uuid.Must(uuid.NewV7()), Type: types[random.IntN(2)], Content: content}
		}
		for _, x := range []index{compact, whole} {
			putAll(x, stored)
			for i := range len(stored) / 3 {
				x.remove(stored[3*i].memory.ID)
			}
			putAll(x, stored[:len(stored)/10])
		}
		search := zerodb.Search{Terms: rapid.SliceOfNDistinct(rapid.SampledFrom(words), 1, 80, rapid.ID).Draw(rt, "terms"), Limit: 20}
		search.Filter.Types = rapid.SampledFrom([][]zerodb.Type{nil, {types[0]}}).Draw(rt, "types")
		read := map[uuid.UUID]*zerodb.Memory{}
		for i := range stored {
			read[stored[i].memory.ID] = &stored[i].memory
		}
		var lists [2][]zerodb.Candidate
		for i, x := range []index{compact, whole} {
			f := newFinder(&search, rowFilterOf(&search.Filter, time.Now(), nil))
			x.count(f)
			f.counted()
			x.find(f)
			f.takeFirst(read)
			lists[i] = f.text.list
		}
		require.Len(rt, lists[0], len(lists[1]))
		for i := range lists[0] {
			require.InDelta(rt, lists[1][i].Text, lists[0][i].Text, 1e-9)
			require.InDelta(rt, lists[1][i].Coverage, lists[0][i].Coverage, 1e-6)
		}
	})
}

// TestAFormMayChangeDuringASearch: what was counted whole may be compact when the best are looked for.
func TestAFormMayChangeDuringASearch(t *testing.T) {
	t.Parallel()
	stored := []indexed{{memory: zerodb.Memory{ID: uuid.Must(uuid.NewV7()), Type: types[0], Content: "a red bag", Vector: []float32{0.6, 0.8}, Model: "two"}}}
	compact, whole := newCompact(), newWhole()
	for _, x := range []index{compact, whole} {
		putAll(x, stored)
	}
	search := zerodb.Search{Terms: zerodb.Terms("red"), Vector: []float32{0.8, 0.6}, Model: "two", Limit: 20}
	f := newFinder(&search, rowFilterOf(&search.Filter, time.Now(), nil))
	whole.count(f)
	f.counted()
	compact.find(f)
	f.takeFirst(map[uuid.UUID]*zerodb.Memory{stored[0].memory.ID: &stored[0].memory})
	require.Len(t, f.dense.list, 1)
	require.InDelta(t, 0.96, f.dense.list[0].Cosine, 1e-6)
	require.Len(t, f.text.list, 1)
}
