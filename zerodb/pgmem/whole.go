package pgmem

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// whole is an index that has all a search asks for: words, vectors, the facts that ranks depend on,
// and most memories themselves. Its answers are exact.
type whole struct {
	rows     []row
	kept     []*kept // the memory of each row, nil where it is not held
	byID     map[uuid.UUID]uint32
	postings map[string][]posting
	vectors  map[string]*slab // by model
	slabs    []*slab          // by number, from 1
	agents   names
	alive    [typeCount]int // rows alive, by type
	dead     int
	bytes    int // estimated
}

// row is about 100 bytes, without pointers.
type row struct {
	stamp
	updated                int64
	importance, confidence float64
	model                  uint32 // number of the model's slab, 0 without a vector
	vector                 uint32 // number in it
}

type posting struct {
	row    uint32
	weight float32
}

// kept is a memory whole, for a search to return without asking the database again. Its
// vector is in the slab, and its metadata encoded, so that no two callers share one.
type kept struct {
	memory   zerodb.Memory
	metadata []byte
}

// Memories larger than keptBytes are not kept but read when they are found: their
// vectors and words are what a search needs in the process.
const (
	keptBytes     = 2000
	keptBaseBytes = 500 // of the struct
)

func (k *kept) bytes() int {
	m := &k.memory
	return keptBaseBytes + len(m.Content) + len(k.metadata) + len(m.Key) + len(m.Subject) +
		len(m.Provenance.Service) + len(m.Provenance.Source) + len(m.Provenance.Reference)
}

// slab holds the vectors of one model side by side, in blocks, so that it grows
// without moving many. Each takes up stride numbers, so that all begin where 16 divides the address.
type slab struct {
	number            uint32
	dimension, stride int
	rows              []uint32 // of each vector
	blocks            [][]float32
}

const blockVectors = 512

func newWhole() *whole {
	return &whole{byID: map[uuid.UUID]uint32{}, postings: map[string][]posting{}, vectors: map[string]*slab{}, agents: names{}}
}

// put adds a memory, whose words weigh weights, in place of the one with its ID.
func (x *whole) put(stored *indexed, weights map[string]float32) {
	m := &stored.memory
	x.remove(m.ID)
	number := uint32(len(x.rows))
	agent, bytes := x.agents.number(m.Agent)
	x.bytes += bytes
	r := row{stamp: stampOf(m, agent), updated: m.UpdatedAt.UnixMicro(), importance: m.Importance, confidence: m.Confidence()}
	if m.Vector != nil {
		r.model, r.vector = x.addVector(m.Model, number, m.Vector)
	}
	for term, weight := range weights {
		list, known := x.postings[term]
		if !known {
			term = strings.Clone(term) // it may be a part of the content, which would stay with it
			x.bytes += len(term) + 80  // the map's entry and the slice's head
		}
		x.postings[term] = append(list, posting{number, weight})
		x.bytes += 12 // and what append holds ready
	}
	x.rows = append(x.rows, r)
	x.kept = append(x.kept, x.keep(stored, r.model))
	x.byID[m.ID] = number
	x.alive[r.typ]++
	x.bytes += 100 + 40 // and the entry in byID
}

// keep returns what is kept of a memory whose vector is in the slab of that number.
func (x *whole) keep(stored *indexed, slab uint32) *kept {
	k := &kept{memory: stored.memory, metadata: stored.metadata}
	size := k.bytes()
	if size > keptBytes || k.memory.Vector != nil && slab == 0 {
		return nil
	}
	k.memory.Vector = nil
	x.bytes += size
	return k
}

func (x *whole) memory(id uuid.UUID) (*zerodb.Memory, error) {
	n, there := x.byID[id]
	if !there || x.kept[n] == nil {
		return nil, nil //nolint:nilnil // nil is "not kept"
	}
	m := x.kept[n].memory
	if err := decodeMetadata(x.kept[n].metadata, &m); err != nil {
		return nil, err
	}
	if r := &x.rows[n]; r.model > 0 {
		m.Vector = slices.Clone(x.slabs[r.model-1].vector(r.vector))
	}
	return &m, nil
}

func (x *whole) addVector(model string, row uint32, v []float32) (slabNumber, vectorNumber uint32) {
	s := x.vectors[model]
	if s == nil {
		s = &slab{number: uint32(len(x.vectors)) + 1, dimension: len(v), stride: (len(v) + 3) / 4 * 4}
		x.vectors[model] = s
		x.slabs = append(x.slabs, s)
	}
	if len(v) != s.dimension {
		return 0, 0 // not comparable with the others of its model: found by its words
	}
	n := len(s.rows)
	x.bytes += 4 * s.grow(n)
	copy(s.blocks[len(s.blocks)-1][n%blockVectors*s.stride:], v)
	s.rows = append(s.rows, row)
	x.bytes += 5
	return s.number, uint32(n)
}

// grow makes room for the vector of number n, and returns how many numbers that took. Most scopes are small:
// the first block begins with few vectors and grows to its size.
func (s *slab) grow(n int) int {
	const first = 8
	switch {
	case n == 0:
		s.blocks = append(s.blocks, make([]float32, first*s.stride))
		return first * s.stride
	case n%blockVectors == 0:
		s.blocks = append(s.blocks, make([]float32, blockVectors*s.stride))
		return blockVectors * s.stride
	case n*s.stride == len(s.blocks[0]): // the first block is full, and smaller than a block
		bigger := make([]float32, 2*n*s.stride)
		copy(bigger, s.blocks[0])
		s.blocks[0] = bigger
		return n * s.stride
	default:
		return 0
	}
}

func (s *slab) vector(n uint32) []float32 {
	at := int(n%blockVectors) * s.stride
	return s.blocks[n/blockVectors][at : at+s.dimension]
}

func (x *whole) remove(id uuid.UUID) {
	number, there := x.byID[id]
	if !there {
		return
	}
	r := &x.rows[number]
	r.dead = true
	if k := x.kept[number]; k != nil {
		x.bytes -= k.bytes()
		x.kept[number] = nil // what was deleted is not to stay in the process
	}
	delete(x.byID, id)
	x.alive[r.typ]--
	x.dead++
}

func (x *whole) size() int { return x.bytes }

func (x *whole) wasteful() bool { return x.dead > 1000 && x.dead > len(x.rows)/2 }

// read cuts the words.
func (x *whole) read(stored *indexed) (add func()) {
	weights := zerodb.Weights(stored.memory.Content)
	return func() { x.put(stored, weights) }
}

func (r *row) facts() zerodb.Facts {
	return zerodb.Facts{
		Type: types[r.typ], Importance: r.importance, Confidence: r.confidence,
		ValidFrom: time.UnixMicro(r.validFrom).UTC(), UpdatedAt: time.UnixMicro(r.updated).UTC(),
	}
}
