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

// sorted ends the collection: it returns the rows, the best first.
func (b *best) sorted() []scored {
	slices.SortFunc(b.list, func(x, y scored) int {
		switch {
		case x == y:
			return 0
		case b.worse(y, x):
			return -1
		default:
			return 1
		}
	})
	return b.list
}

// top keeps the limit best candidates of one signal, of any number of indexes.
type top struct {
	limit  int
	signal func(*zerodb.Candidate) float64
	list   []zerodb.Candidate // the best first
}

// least is the signal below which nothing needs to be added.
func (t *top) least() float64 {
	if len(t.list) < t.limit {
		return lowest
	}
	return t.signal(&t.list[len(t.list)-1])
}

// add takes what one index has to offer, the best first.
func (t *top) add(candidates []zerodb.Candidate) {
	if len(candidates) == 0 {
		return
	}
	if len(t.list) == 0 {
		t.list = candidates
		return
	}
	t.list = append(t.list, candidates...)
	slices.SortFunc(t.list, func(a, b zerodb.Candidate) int {
		return cmp.Or(cmp.Compare(t.signal(&b), t.signal(&a)), bytes.Compare(a.ID[:], b.ID[:]))
	})
	t.list = t.list[:min(len(t.list), t.limit)]
}
