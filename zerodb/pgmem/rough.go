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
	all := true // the types that there are, are all wanted
	for t, wanted := range f.filter.types {
		if wanted {
			f.total += x.alive[t]
		}
		all = all && (wanted || x.alive[t] == 0)
	}
	switch {
	case len(f.found) == 0:
		return
	case all && x.having != nil:
		for i, hash := range rough.words.hashes {
			f.found[i] += int(x.having[hash])
		}
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

// foundRow is a row that a compact index offers.
type foundRow struct {
	score float64
	block *block
	row   int32
}

// foundRows keep the limit best rows of one index that reach least: a heap, the worst first.
type foundRows struct {
	limit int
	least float64
	list  []foundRow
}

// worse reports whether a comes behind b: of equals, the higher ID does.
func (a *foundRow) worse(b *foundRow) bool {
	if a.score != b.score {
		return a.score < b.score
	}
	return bytes.Compare(a.block.rows[a.row].id[:], b.block.rows[b.row].id[:]) > 0
}

func (r *foundRows) add(score float64, b *block, row int) {
	found := foundRow{score, b, int32(row)}
	switch {
	case len(r.list) < r.limit:
		r.list = append(r.list, found)
		siftUp(r.list, (*foundRow).worse)
	case r.list[0].worse(&found):
		r.list[0] = found
		siftDown(r.list, (*foundRow).worse)
	}
	if len(r.list) == r.limit {
		r.least = r.list[0].score
	}
}

func (x *compact) find(f *finder) {
	type part struct{ near, text foundRows }
	parts := make([]part, runtime.GOMAXPROCS(0)+1)
	f.prepare() // what was counted may have been whole
	agents := f.filter.agentNumbers(x.agents)
	model := x.models[modelKey{f.search.Model, len(f.search.Vector)}]
	x.split(func(n int, blocks []*block) {
		p := &parts[n]
		p.near = foundRows{limit: f.rough.near.limit, least: f.rough.near.least()}
		p.text = foundRows{limit: f.rough.text.limit, least: f.rough.text.least()}
		for _, b := range blocks {
			if len(f.search.Terms) > 0 {
				f.lookForWords(b, agents, &p.text)
			}
			if model != 0 && b.model == model {
				f.compareCodes(b, agents, &p.near)
			}
		}
	})
	for i := range parts {
		f.glimpse(parts[i].near.list, &f.rough.near)
		f.glimpse(parts[i].text.list, &f.rough.text)
	}
}

// glimpse takes what an index offers to what others did.
func (f *finder) glimpse(rows []foundRow, best *glimpses) {
	for _, found := range rows {
		g := glimpse{id: found.block.rows[found.row].id, score: found.score}
		g.text, g.coverage = f.wordsOf(found.block.wordsOf(int(found.row)))
		best.add(g)
	}
}

func (f *finder) lookForWords(b *block, agents map[uint32]bool, best *foundRows) {
	start := uint32(0)
	for i, end := range b.ends {
		words := b.words[start:end]
		start = end
		score, sure := f.rough.words.score(words, f.idf)
		if !sure {
			score, _ = f.wordsOf(words)
		}
		if score > 0 && score >= best.least && f.filter.match(&b.rows[i], agents) {
			best.add(score, b, i)
		}
	}
}

func (f *finder) compareCodes(b *block, agents map[uint32]bool, best *foundRows) {
	query := &f.rough.query
	length := 2 * len(query.planes)
	for i, factor := range b.factors {
		cosine := float64(factor * query.product(b.codes[i*length:(i+1)*length]))
		if cosine >= best.least && f.filter.match(&b.rows[i], agents) {
			best.add(cosine, b, i)
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
