package pgmem

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// lowest is below every score.
const lowest = -math.MaxFloat64

// rowFilter is a zerodb.Filter as far as an index can tell. What only the database can tell
// (subject, lineage, metadata) it answers with the set of IDs allowed.
type rowFilter struct {
	types   [typeCount]bool
	agents  map[string]bool // nil: any
	from    int64           // validFrom at least
	before  int64           // validFrom below
	at      int64           // held at; used unless history
	history bool
	now     int64
	expired bool
	allowed map[uuid.UUID]bool // nil: any
}

func rowFilterOf(f *zerodb.Filter, now time.Time, allowed map[uuid.UUID]bool) *rowFilter {
	rf := &rowFilter{
		before: end(f.Before), history: f.History || f.Expired, now: now.UnixMicro(), at: now.UnixMicro(), expired: f.Expired, allowed: allowed,
		from: math.MinInt64,
	}
	if !f.From.IsZero() {
		rf.from = f.From.UnixMicro()
	}
	if !f.AsOf.IsZero() {
		rf.at = f.AsOf.UnixMicro()
	}
	for i, t := range types {
		rf.types[i] = len(f.Types) == 0 || slices.Contains(f.Types, t)
	}
	if len(f.Agents) > 0 {
		rf.agents = map[string]bool{}
		for _, agent := range f.Agents {
			rf.agents[agent] = true
		}
	}
	return rf
}

// agentNumbers are those of the filter's agents in an index; nil for any.
func (rf *rowFilter) agentNumbers(known names) map[uint32]bool {
	if rf.agents == nil {
		return nil
	}
	numbers := map[uint32]bool{}
	for agent := range rf.agents {
		if n, there := known[agent]; there {
			numbers[n] = true
		}
	}
	return numbers
}

func (rf *rowFilter) match(r *stamp, agents map[uint32]bool) bool {
	if r.dead || !rf.types[r.typ] || r.validFrom < rf.from || r.validFrom >= rf.before ||
		rf.expired != (r.expires <= rf.now) {
		return false
	}
	if !rf.history && (r.validFrom > rf.at || r.validUntil <= rf.at) {
		return false
	}
	return (agents == nil || agents[r.agent]) && (rf.allowed == nil || rf.allowed[r.id])
}

// typesOf reports whether all memories of the index are of the filter's types.
func (rf *rowFilter) typesOf(x *whole) bool {
	for t, wanted := range rf.types {
		if !wanted && x.alive[t] > 0 {
			return false
		}
	}
	return true
}

// finder runs one search over any number of indexes: first count over all of
// them, then find over all of them.
type finder struct {
	search *zerodb.Search
	filter *rowFilter
	total  int
	found  []int // memories that have each term
	idf    []float64
	all    float64 // sum of idf
	dense  top
	text   top
	rough  rough
}

func newFinder(s *zerodb.Search, f *rowFilter) *finder {
	return &finder{
		search: s, filter: f, found: make([]int, len(s.Terms)),
		dense: top{limit: s.Limit, signal: func(c *zerodb.Candidate) float64 { return c.Cosine }},
		text:  top{limit: s.Limit, signal: func(c *zerodb.Candidate) float64 { return c.Text }},
		rough: newRough(s),
	}
}

func (x *whole) count(f *finder) {
	for t, wanted := range f.filter.types {
		if wanted {
			f.total += x.alive[t]
		}
	}
	for i, term := range f.search.Terms {
		postings := x.postings[term]
		if x.dead == 0 && f.filter.typesOf(x) {
			f.found[i] += len(postings)
			continue
		}
		for _, p := range postings {
			if r := &x.rows[p.row]; !r.dead && f.filter.types[r.typ] {
				f.found[i]++
			}
		}
	}
}

// counted ends the counting.
func (f *finder) counted() {
	f.idf = make([]float64, len(f.found))
	for i, n := range f.found {
		f.idf[i] = zerodb.IDF(n, f.total)
		f.all += f.idf[i]
	}
}

// textScores are the text signals of an index's rows.
type textScores struct {
	rows    []textScore
	touched []uint32
}

type textScore struct {
	score, coverage float64
	found           uint64 // the terms, by their bits
}

var textPool = sync.Pool{New: func() any { return new(textScores) }}

func (s *textScores) reset(rows int) {
	if cap(s.rows) < rows {
		s.rows = make([]textScore, rows, rows+rows/4)
		s.touched = s.touched[:0]
	}
	s.rows = s.rows[:rows]
}

// release gives the scores back as zeros.
func (s *textScores) release() {
	for _, r := range s.touched {
		s.rows[r] = textScore{}
	}
	s.touched = s.touched[:0]
	textPool.Put(s)
}

func (x *whole) find(f *finder) {
	scores, _ := textPool.Get().(*textScores)
	scores.reset(len(x.rows))
	defer scores.release()
	agents := f.filter.agentNumbers(x.agents)
	for i, term := range f.search.Terms {
		idf := f.idf[i]
		for _, p := range x.postings[term] {
			at := &scores.rows[p.row]
			if at.score == 0 {
				scores.touched = append(scores.touched, p.row)
			}
			at.score += idf * float64(p.weight)
			at.coverage += idf
			at.found |= 1 << i
		}
	}
	words := newBest(f.search.Limit, f.text.least(), x.rows)
	for _, n := range scores.touched {
		if score := scores.rows[n].score; score >= words.least && f.filter.match(&x.rows[n].stamp, agents) {
			words.add(scored{score, n})
		}
	}
	s := x.vectors[f.search.Model]
	if s != nil && len(f.search.Vector) != s.dimension {
		s = nil
	}
	f.text.add(f.ofRows(x, s, scores, words, 0))
	if s != nil {
		f.dense.add(f.ofRows(x, s, scores, f.scan(x, s, agents), len(f.text.list)))
	}
}

// parallelVectors are how many make a second processor worth calling.
const parallelVectors = 20_000

// scan compares the vectors and returns the nearest. It is where a search of a large scope spends its time.
func (f *finder) scan(x *whole, s *slab, agents map[uint32]bool) *best {
	workers := min(runtime.GOMAXPROCS(0), len(s.rows)/(parallelVectors/2))
	if workers < 2 {
		return f.scanBlocks(x, s, agents, 0, len(s.blocks))
	}
	parts := make([]*best, workers)
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			parts[w] = f.scanBlocks(x, s, agents, len(s.blocks)*w/workers, len(s.blocks)*(w+1)/workers)
		})
	}
	working.Wait()
	for _, part := range parts[1:] {
		for _, found := range part.list {
			parts[0].add(found)
		}
	}
	return parts[0]
}

// scanBlocks scans some of the blocks. Few vectors come near enough for
// the filter to be asked about their memories.
func (f *finder) scanBlocks(x *whole, s *slab, agents map[uint32]bool, from, to int) *best {
	query, stride := f.search.Vector, s.stride
	nearest := newBest(f.search.Limit, f.dense.least(), x.rows)
	for b := from; b < to; b++ {
		block, rows := s.blocks[b], s.rows[b*blockVectors:min(len(s.rows), (b+1)*blockVectors)]
		for i, n := range rows {
			cosine := float64(zerodb.Dot(query, block[i*stride:i*stride+len(query)]))
			if cosine >= nearest.least && f.filter.match(&x.rows[n].stamp, agents) {
				nearest.add(scored{cosine, n})
			}
		}
	}
	return nearest
}

// ofRows says of an index's best all that speaks for them. It leaves room for so many more.
func (f *finder) ofRows(x *whole, s *slab, scores *textScores, rows *best, more int) []zerodb.Candidate {
	candidates := make([]zerodb.Candidate, len(rows.list), len(rows.list)+more)
	for i, found := range rows.sorted() {
		r, c := &x.rows[found.row], &candidates[i]
		c.ID, c.Facts = r.id, r.facts()
		if c.Text = scores.rows[found.row].score; c.Text > 0 {
			c.Coverage = min(scores.rows[found.row].coverage/f.all, 1)
			c.Found = scores.rows[found.row].found
		}
		if s != nil && r.model == s.number {
			c.Cosine, c.HasCosine = float64(zerodb.Dot(f.search.Vector, s.vector(r.vector))), true
		}
	}
	return candidates
}

// candidates returns the union of the best by vector and by text.
func (f *finder) candidates() zerodb.Candidates {
	list := f.dense.list
	seen := make(map[uuid.UUID]bool, len(list))
	for i := range list {
		seen[list[i].ID] = true
	}
	for i := range f.text.list {
		if !seen[f.text.list[i].ID] {
			list = append(list, f.text.list[i])
		}
	}
	return zerodb.Candidates{List: list}
}
