package pgmem

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/engardehq/madansara/zerodb"
)

// best keeps the limit best rows of one index by one signal: a heap, the worst first.
// It holds numbers only, so that a scan that admits many moves little.
type best struct {
	limit int
	// least is what a score must reach to be worth adding: that of the worst kept
	// once there are limit of them.
	least float64
	rows  []row
	list  []scored
}

type scored struct {
	score float64
	row   uint32
}

func newBest(limit int, least float64, rows []row) *best {
	return &best{limit: limit, least: least, rows: rows, list: make([]scored, 0, limit)}
}

// worse reports whether a comes behind b: of equals, the higher ID does.
func (b *best) worse(x, y scored) bool {
	if x.score != y.score {
		return x.score < y.score
	}
	return bytes.Compare(b.rows[x.row].id[:], b.rows[y.row].id[:]) > 0
}

func (b *best) add(s scored) {
	switch {
	case len(b.list) < b.limit:
		b.list = append(b.list, s)
		b.up(len(b.list) - 1)
	case b.worse(b.list[0], s):
		b.list[0] = s
		b.down()
	}
	if len(b.list) == b.limit {
		b.least = max(b.least, b.list[0].score)
	}
}

func (b *best) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !b.worse(b.list[i], b.list[parent]) {
			return
		}
		b.list[i], b.list[parent] = b.list[parent], b.list[i]
		i = parent
	}
}

func (b *best) down() {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(b.list) {
			return
		}
		if child+1 < len(b.list) && b.worse(b.list[child+1], b.list[child]) {
			child++
		}
		if !b.worse(b.list[child], b.list[i]) {
			return
		}
		b.list[i], b.list[child] = b.list[child], b.list[i]
		i = child
	}
}

// top keeps the limit best candidates of one signal, of any number of indexes.
type top struct {
	limit   int
	entries []entry // the best first
}

type entry struct {
	score     float64
	candidate zerodb.Candidate
}

// least is the score below which nothing needs to be added.
func (t *top) least() float64 {
	if len(t.entries) < t.limit {
		return lowest
	}
	return t.entries[len(t.entries)-1].score
}

// add takes what one index has to offer.
func (t *top) add(entries []entry) {
	t.entries = append(t.entries, entries...)
	slices.SortFunc(t.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.score, a.score), bytes.Compare(a.candidate.ID[:], b.candidate.ID[:]))
	})
	t.entries = t.entries[:min(len(t.entries), t.limit)]
}
