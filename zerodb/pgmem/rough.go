package pgmem

import (
	"bytes"
	"cmp"
	"math"
	"runtime"
	"slices"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// rough is the part of a search that looks through compact indexes. What it finds are glimpses, which
// [exactly] makes candidates.
type rough struct {
	query codeQuery
	words wantedWords
	// seen says that there was a compact index.
	seen       bool
	near, text glimpses
	compared   int     // of near, at least
	sorted     bool    // near is
	least      float64 // what others of near must reach; 0: not known yet
}

// Of the vectors, those that seem nearest are compared exactly: four times as many as the search asks for, and
// at least so many. More, up to ten times as many, are compared when they might belong to the front third of
// what is asked for, which is what a search returns of it: where many memories are nearly alike, their codes
// can't tell which are nearest. Measured in bench/memorybench.
const (
	oversampling  = 4
	leastCompared = 200
	mostCompared  = 10
	frontShare    = 3
	// codeError is two standard deviations of what a code and a query's bits make of a cosine, times the root
	// of the dimension.
	codeError = 2 * 0.39
)

func newRough(s *zerodb.Search) rough {
	compared := max(oversampling*s.Limit, leastCompared)
	return rough{compared: compared, near: glimpses{limit: min(mostCompared*compared, max(compared, comparedAtOnce))}, text: glimpses{limit: s.Limit}}
}

// prepare readies the query, once, when there is a compact index.
func (f *finder) prepare() *rough {
	r := &f.rough
	if !r.seen {
		r.seen = true
		r.query = newCodeQuery(f.search.Vector)
		r.words = newWantedWords(f.search.Terms)
	}
	return r
}

func (x *compact) count(f *finder) {
	rough := f.prepare()
	for t, wanted := range f.filter.types {
		if wanted {
			f.total += x.alive[t]
		}
	}
	if len(f.found) == 0 {
		return
	}
	parts := make([][]int, runtime.GOMAXPROCS(0)+1)
	x.split(func(part int, blocks []*block) {
		found := make([]int, len(f.found))
		for _, b := range blocks {
			start := uint32(0)
			for i, end := range b.ends {
				if r := &b.rows[i]; !r.dead && f.filter.types[r.typ] {
					rough.words.count(b.words[start:end], found)
				}
				start = end
			}
		}
		parts[part] = found
	})
	for _, found := range parts {
		for i, n := range found {
			f.found[i] += n
		}
	}
}

func (x *compact) find(f *finder) {
	type part struct{ near, text glimpses }
	parts := make([]part, runtime.GOMAXPROCS(0)+1)
	agents := f.filter.agentNumbers(x.agents)
	model := x.models[modelKey{f.search.Model, len(f.search.Vector)}]
	x.split(func(n int, blocks []*block) {
		p := &parts[n]
		if n == 0 { // the first goes on with what was found before
			p.near, p.text = f.rough.near, f.rough.text
		} else {
			p.near.limit, p.text.limit = f.rough.near.limit, f.rough.text.limit
		}
		for _, b := range blocks {
			if len(f.search.Terms) > 0 {
				f.glimpseWords(b, agents, &p.text)
			}
			if model != 0 && b.model == model {
				f.glimpseVectors(b, agents, &p.near)
			}
		}
	})
	for _, p := range parts[1:] {
		parts[0].near.merge(&p.near)
		parts[0].text.merge(&p.text)
	}
	f.rough.near, f.rough.text = parts[0].near, parts[0].text
}

func (f *finder) glimpseWords(b *block, agents map[uint32]bool, best *glimpses) {
	start := uint32(0)
	for i, end := range b.ends {
		if score, coverage := f.wordsOf(b.words[start:end]); score > 0 && score >= best.least() && f.filter.match(&b.rows[i], agents) {
			best.add(glimpse{id: b.rows[i].id, score: score, text: score, coverage: coverage})
		}
		start = end
	}
}

func (f *finder) glimpseVectors(b *block, agents map[uint32]bool, best *glimpses) {
	query, least := &f.rough.query, best.least()
	length := 2 * len(query.planes)
	for i, factor := range b.factors {
		cosine := float64(factor * query.product(b.codes[i*length:(i+1)*length]))
		if cosine >= least && f.filter.match(&b.rows[i], agents) {
			g := glimpse{id: b.rows[i].id, score: cosine}
			g.text, g.coverage = f.wordsOf(b.wordsOf(i))
			best.add(g)
			least = best.least()
		}
	}
}

// wordsOf are the text signals of a row's words.
func (f *finder) wordsOf(words []uint32) (score, coverage float64) {
	for i := 0; i < len(words); {
		n := f.rough.words.number(words[i])
		if n < 0 {
			i++
			continue
		}
		first := i
		for i < len(words) && words[i] == words[first] {
			i++
		}
		score += f.idf[n] * float64(zerodb.TermWeight(i-first, len(words)))
		coverage += f.idf[n]
	}
	if score > 0 {
		coverage = min(coverage/f.all, 1)
	}
	return score, coverage
}

// wantedWords are a query's terms: a hash table from their hashes to their numbers.
type wantedWords struct {
	slots []wantedWord // a power of two of them
}

type wantedWord struct {
	hash   uint32 // 0: none
	number int32
}

func newWantedWords(terms []string) wantedWords {
	size := 16
	for size < 8*len(terms) {
		size *= 2
	}
	w := wantedWords{slots: make([]wantedWord, size)}
	for i, term := range terms {
		hash := hashOf(term)
		at := hash
		for w.slots[at&uint32(size-1)].hash != 0 {
			at++
		}
		w.slots[at&uint32(size-1)] = wantedWord{hash, int32(i)}
	}
	return w
}

// number is that of the term with the hash, -1 for none.
func (w *wantedWords) number(hash uint32) int32 {
	for at := hash; ; at++ {
		slot := &w.slots[at&uint32(len(w.slots)-1)]
		switch slot.hash {
		case 0:
			return -1
		case hash:
			return slot.number
		}
	}
}

// count counts each term that a row has, once.
func (w *wantedWords) count(words []uint32, found []int) {
	before := uint32(0)
	for _, hash := range words {
		if hash == before {
			continue
		}
		before = hash
		if n := w.number(hash); n >= 0 {
			found[n]++
		}
	}
}

// glimpse is what a compact index says of a memory.
type glimpse struct {
	id             uuid.UUID
	score          float64 // by which it is among the best
	text, coverage float64
}

// glimpses keep the limit best: a heap, the worst first.
type glimpses struct {
	limit int
	list  []glimpse
}

func (g *glimpses) least() float64 {
	if len(g.list) < g.limit {
		return lowest
	}
	return g.list[0].score
}

// worse reports whether a comes behind b: of equals, the higher ID does.
func (a *glimpse) worse(b *glimpse) bool {
	if a.score != b.score {
		return a.score < b.score
	}
	return bytes.Compare(a.id[:], b.id[:]) > 0
}

func (g *glimpses) add(found glimpse) {
	switch {
	case len(g.list) < g.limit:
		g.list = append(g.list, found)
		siftUp(g.list, (*glimpse).worse)
	case g.list[0].worse(&found):
		g.list[0] = found
		siftDown(g.list, (*glimpse).worse)
	}
}

func (g *glimpses) merge(other *glimpses) {
	for _, found := range other.list {
		g.add(found)
	}
}

// first are the glimpses to compare exactly whatever comes out.
func (r *rough) first() (near, text []glimpse) {
	if !r.sorted {
		r.sorted = true
		slices.SortFunc(r.near.list, func(a, b glimpse) int {
			return cmp.Or(cmp.Compare(b.score, a.score), bytes.Compare(a.id[:], b.id[:]))
		})
	}
	return r.near.list[:min(len(r.near.list), r.compared)], r.text.list
}

// unsure are the other glimpses that may still be among the nearest, for all that their codes tell: once
// those in front are compared, what lies more than the codes' error below them is not.
func (f *finder) unsure() []glimpse {
	r := &f.rough
	front := (f.search.Limit + frontShare - 1) / frontShare
	if len(r.near.list) <= r.compared || len(f.dense.list) < front {
		return nil
	}
	if r.least == 0 {
		r.least = f.dense.list[front-1].Cosine - codeError/math.Sqrt(float64(len(f.search.Vector)))
	}
	rest := r.near.list[r.compared:]
	n := 0
	for n < len(rest) && rest[n].score >= r.least {
		n++
	}
	return rest[:n]
}
