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
func (b *best) worse(x, y *scored) bool {
	if x.score != y.score {
		return x.score < y.score
	}
	return bytes.Compare(b.rows[x.row].id[:], b.rows[y.row].id[:]) > 0
}

func (b *best) add(s scored) {
	switch {
	case len(b.list) < b.limit:
		b.list = append(b.list, s)
		siftUp(b.list, b.worse)
	case b.worse(&b.list[0], &s):
		b.list[0] = s
		siftDown(b.list, b.worse)
	}
	if len(b.list) == b.limit {
		b.least = max(b.least, b.list[0].score)
	}
}

// siftUp moves the last of a heap to its place, siftDown the first. The worst is in front.
func siftUp[T any](heap []T, worse func(a, b *T) bool) {
	for i := len(heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !worse(&heap[i], &heap[parent]) {
			return
		}
		heap[i], heap[parent] = heap[parent], heap[i]
		i = parent
	}
}

func siftDown[T any](heap []T, worse func(a, b *T) bool) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && worse(&heap[child+1], &heap[child]) {
			child++
		}
		if !worse(&heap[child], &heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// sorted ends the collection: it returns the rows, the best first.
func (b *best) sorted() []scored {
	slices.SortFunc(b.list, func(x, y scored) int {
		switch {
		case x == y:
			return 0
		case b.worse(&y, &x):
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
		t.list = candidates[:min(len(candidates), t.limit)]
		return
	}
	t.list = append(t.list, candidates...)
	slices.SortFunc(t.list, bySignal(t.signal))
	t.list = t.list[:min(len(t.list), t.limit)]
}

// bySignal orders candidates, the best first.
func bySignal(signal func(*zerodb.Candidate) float64) func(a, b zerodb.Candidate) int {
	return func(a, b zerodb.Candidate) int {
		return cmp.Or(cmp.Compare(signal(&b), signal(&a)), bytes.Compare(a.ID[:], b.ID[:]))
	}
}
