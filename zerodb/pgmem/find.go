package pgmem

import (
	"bytes"
	"cmp"
	"container/heap"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

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
func (rf *rowFilter) agentNumbers(x *index) map[uint32]bool {
	if rf.agents == nil {
		return nil
	}
	numbers := map[uint32]bool{}
	for agent := range rf.agents {
		if n, known := x.agents[agent]; known {
			numbers[n] = true
		}
	}
	return numbers
}

func (rf *rowFilter) match(r *row, agents map[uint32]bool) bool {
	if r.dead || !rf.types[r.typ] || r.validFrom < rf.from || r.validFrom >= rf.before ||
		rf.expired != (r.expires <= rf.now) {
		return false
	}
	if !rf.history && (r.validFrom > rf.at || r.validUntil <= rf.at) {
		return false
	}
	return (agents == nil || agents[r.agent]) && (rf.allowed == nil || rf.allowed[r.id])
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
}

func newFinder(s *zerodb.Search, f *rowFilter) *finder {
	return &finder{search: s, filter: f, found: make([]int, len(s.Terms)), dense: top{limit: s.Limit}, text: top{limit: s.Limit}}
}

// count adds an index to the statistics that the words' weights depend on.
func (f *finder) count(x *index) {
	for t, wanted := range f.filter.types {
		if wanted {
			f.total += x.alive[t]
		}
	}
	for i, term := range f.search.Terms {
		for _, p := range x.postings[term] {
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
	score, coverage []float64
	touched         []uint32
}

var textPool = sync.Pool{New: func() any { return new(textScores) }}

func (s *textScores) reset(rows int) {
	if cap(s.score) < rows {
		s.score, s.coverage = make([]float64, rows, rows+rows/4), make([]float64, rows, rows+rows/4)
		s.touched = s.touched[:0]
	}
	s.score, s.coverage = s.score[:rows], s.coverage[:rows]
}

// release gives the scores back as zeros.
func (s *textScores) release() {
	for _, r := range s.touched {
		s.score[r], s.coverage[r] = 0, 0
	}
	s.touched = s.touched[:0]
	textPool.Put(s)
}

// find adds an index's best to the candidates.
func (f *finder) find(x *index) {
	scores, _ := textPool.Get().(*textScores)
	scores.reset(len(x.rows))
	defer scores.release()
	agents := f.filter.agentNumbers(x)
	for i, term := range f.search.Terms {
		idf := f.idf[i]
		for _, p := range x.postings[term] {
			if scores.score[p.row] == 0 {
				scores.touched = append(scores.touched, p.row)
			}
			scores.score[p.row] += idf * float64(p.weight)
			scores.coverage[p.row] += idf
		}
	}
	s := x.vectors[f.search.Model]
	if s != nil && len(f.search.Vector) != s.dimension {
		s = nil
	}
	for _, n := range scores.touched {
		r := &x.rows[n]
		if f.text.admits(scores.score[n]) && f.filter.match(r, agents) {
			f.text.add(scores.score[n], f.candidate(r, s, scores, n))
		}
	}
	if s != nil {
		f.scan(x, s, agents, scores)
	}
}

// scan compares the vectors. It is where a search spends its time.
func (f *finder) scan(x *index, s *slab, agents map[uint32]bool, scores *textScores) {
	query, d := f.search.Vector, s.dimension
	for b, block := range s.blocks {
		rows := s.rows[b*blockVectors:]
		for i := 0; i*d < len(block); i++ {
			r := &x.rows[rows[i]]
			if !f.filter.match(r, agents) {
				continue
			}
			cosine := float64(zerodb.Dot(query, block[i*d:i*d+d:i*d+d]))
			if f.dense.admits(cosine) {
				c := f.candidate(r, nil, scores, rows[i])
				c.Cosine, c.HasCosine = cosine, true
				f.dense.add(cosine, c)
			}
		}
	}
}

func (f *finder) candidate(r *row, s *slab, scores *textScores, n uint32) zerodb.Candidate {
	c := zerodb.Candidate{ID: r.id, Facts: r.facts()}
	if c.Text = scores.score[n]; c.Text > 0 {
		c.Coverage = min(scores.coverage[n]/f.all, 1)
	}
	if s != nil && r.model == s.number {
		c.Cosine, c.HasCosine = float64(zerodb.Dot(f.search.Vector, s.vector(r.vector))), true
	}
	return c
}

// candidates returns the union of the best by vector and by text.
func (f *finder) candidates() zerodb.Candidates {
	list := f.dense.list()
	seen := make(map[uuid.UUID]bool, len(list))
	for i := range list {
		seen[list[i].ID] = true
	}
	for _, c := range f.text.list() {
		if !seen[c.ID] {
			list = append(list, c)
		}
	}
	return zerodb.Candidates{List: list}
}

// top keeps the limit best candidates of one signal.
type top struct {
	limit   int
	entries []entry // a heap, the worst first
}

type entry struct {
	score     float64
	candidate zerodb.Candidate
}

// admits reports whether a score may be among the best.
func (t *top) admits(score float64) bool {
	return len(t.entries) < t.limit || score >= t.entries[0].score
}

func (t *top) add(score float64, c zerodb.Candidate) {
	e := entry{score, c}
	if len(t.entries) < t.limit {
		heap.Push(t, e)
		return
	}
	if compareEntries(&e, &t.entries[0]) < 0 {
		t.entries[0] = e
		heap.Fix(t, 0)
	}
}

// compareEntries orders the better first.
func compareEntries(a, b *entry) int {
	return cmp.Or(cmp.Compare(b.score, a.score), bytes.Compare(a.candidate.ID[:], b.candidate.ID[:]))
}

func (t *top) list() []zerodb.Candidate {
	slices.SortFunc(t.entries, func(a, b entry) int { return compareEntries(&a, &b) })
	list := make([]zerodb.Candidate, len(t.entries))
	for i := range t.entries {
		list[i] = t.entries[i].candidate
	}
	return list
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (t *top) Len() int           { return len(t.entries) }
func (t *top) Less(i, j int) bool { return compareEntries(&t.entries[i], &t.entries[j]) > 0 }
func (t *top) Swap(i, j int)      { t.entries[i], t.entries[j] = t.entries[j], t.entries[i] }

// Push adds an entry.
func (t *top) Push(e any) {
	if entry, ok := e.(entry); ok {
		t.entries = append(t.entries, entry)
	}
}

// Pop is never called: the heap only grows and is fixed.
func (t *top) Pop() any {
	last := t.entries[len(t.entries)-1]
	t.entries = t.entries[:len(t.entries)-1]
	return last
}
