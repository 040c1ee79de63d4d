package pgmem

import (
	"encoding/binary"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// compact is an index of about a tenth of a whole one's bytes: the stamps that filters ask, codes of the vectors,
// and hashes of the words. A search looks at all of them, each row that the filter admits, and has those that
// seem nearest compared exactly with the vectors in the database. What it says of words is exact.
//
// A row's number is that of its block times blockRows and its place in it.
type compact struct {
	blocks []*block
	open   map[uint32]uint32   // the block of each model that has room
	models map[modelKey]uint32 // numbers, from 1
	places places
	agents names
	alive  [typeCount]int // rows alive, by type
	dead   int
	words  int // of all rows, the dead ones included
	// having is how many rows have each word; nil for few rows, which are counted when it is asked.
	having map[uint32]uint32
	bytes  int // estimated
}

// modelKey: vectors of one model and of one length can be compared.
type modelKey struct {
	name      string
	dimension int
}

const blockRows = 1024

// block holds rows whose vectors are of one model, side by side.
type block struct {
	model uint32 // 0: without vectors
	rows  []stamp
	// words are hashes of all terms, one row's behind the other's up to its end, in order: a term that
	// is there three times stands there three times, so that they tell the weights too.
	words   []uint32
	ends    []uint32
	codes   []uint64
	factors []float32
}

func newCompact() *compact {
	return &compact{open: map[uint32]uint32{}, models: map[modelKey]uint32{}, agents: names{}, bytes: 500}
}

func (x *compact) size() int {
	const perWord = 16
	return x.bytes + 4*len(x.places.slots) + perWord*len(x.having)
}

func (x *compact) wasteful() bool { return x.dead > 1000 && x.dead > x.total() }

// wholeBytes is what the memories alive would take up as a whole index, roughly.
func (x *compact) wholeBytes() int {
	dimension := 0
	for key := range x.models {
		dimension = max(dimension, key.dimension)
	}
	alive := x.total()
	return alive*(900+4*dimension) + 20*x.words*alive/max(1, alive+x.dead)
}

// total is how many rows are alive.
func (x *compact) total() int {
	n := 0
	for _, alive := range x.alive {
		n += alive
	}
	return n
}

// memory is always nil: none is kept.
func (*compact) memory(uuid.UUID) (*zerodb.Memory, error) { return nil, nil } //nolint:nilnil // as the interface says

// termSeed makes hashes of terms that nobody outside can foresee.
var termSeed = maphash.MakeSeed()

// hashOf is never 0.
func hashOf(term string) uint32 { return max(uint32(maphash.String(termSeed, term)), 1) }

// read cuts and hashes the words, and encodes the vector.
func (x *compact) read(stored *indexed) (add func()) {
	m := &stored.memory
	terms := zerodb.Terms(m.Content)
	words := make([]uint32, len(terms))
	for i, term := range terms {
		words[i] = hashOf(term)
	}
	slices.Sort(words)
	if m.Vector == nil {
		return func() { x.put(m, words, nil, 0) }
	}
	code, factor := encode(m.Vector)
	return func() { x.put(m, words, code, factor) }
}

func (x *compact) put(m *zerodb.Memory, words []uint32, code []uint64, factor float32) {
	x.remove(m.ID)
	agent, bytes := x.agents.number(m.Agent)
	var model uint32
	if code != nil {
		key := modelKey{m.Model, len(m.Vector)}
		var known bool
		if model, known = x.models[key]; !known {
			model = uint32(len(x.models)) + 1
			x.models[key] = model
			bytes += len(m.Model) + 100
		}
	}
	number, b := x.place(model)
	bytes -= b.bytes()
	row := number*blockRows + uint32(len(b.rows))
	b.rows = append(b.rows, stampOf(m, agent))
	b.words = append(b.words, words...)
	b.ends = append(b.ends, uint32(len(b.words)))
	if code != nil {
		b.codes = append(b.codes, code...)
		b.factors = append(b.factors, factor)
	}
	if len(b.rows) == blockRows {
		b.clip()
		delete(x.open, model)
	}
	x.bytes += bytes + b.bytes()
	x.words += len(words)
	x.places.set(m.ID, row, x.row)
	x.alive[typeNumber(m.Type)]++
	switch {
	case x.having != nil:
		x.counted(words, 1)
	case row > countedRows:
		x.having = map[uint32]uint32{}
		for _, b := range x.blocks {
			for i := range b.rows {
				x.counted(b.wordsOf(i), 1)
			}
		}
	}
}

// countedRows are how many make counting the rows that have a word beforehand worth its room.
const countedRows = 4 * blockRows

// counted adds to the rows that have the words; what is wiped is no word.
func (x *compact) counted(words []uint32, by uint32) {
	before := uint32(0)
	for _, hash := range words {
		if hash == before {
			continue
		}
		before = hash
		if n := x.having[hash] + by; n > 0 {
			x.having[hash] = n
		} else {
			delete(x.having, hash)
		}
	}
}

// place returns the block of the model that has room.
func (x *compact) place(model uint32) (uint32, *block) {
	number, there := x.open[model]
	if !there {
		number = uint32(len(x.blocks))
		x.open[model] = number
		x.blocks = append(x.blocks, &block{model: model})
		x.bytes += x.blocks[number].bytes()
	}
	return number, x.blocks[number]
}

func (x *compact) row(number uint32) *stamp {
	return &x.blocks[number/blockRows].rows[number%blockRows]
}

// remove kills the row of a memory. What it was about is not to stay in the process.
func (x *compact) remove(id uuid.UUID) {
	number, there := x.places.get(id, x.row)
	if !there {
		return
	}
	r := x.row(number)
	if r.dead {
		return
	}
	r.dead = true
	b, i := x.blocks[number/blockRows], int(number%blockRows)
	words := b.wordsOf(i)
	if x.having != nil {
		x.counted(words, ^uint32(0)) // one less
	}
	clear(words)
	if b.model != 0 {
		clear(b.code(i))
	}
	x.alive[r.typ]--
	x.dead++
}

func (b *block) bytes() int {
	const stampBytes = 48
	return 200 + stampBytes*cap(b.rows) + 4*(cap(b.words)+cap(b.ends)+cap(b.factors)) + 8*cap(b.codes)
}

// clip gives back what was held ready.
func (b *block) clip() {
	b.rows, b.words, b.ends = slices.Clone(b.rows), slices.Clone(b.words), slices.Clone(b.ends)
	b.codes, b.factors = slices.Clone(b.codes), slices.Clone(b.factors)
}

func (b *block) wordsOf(i int) []uint32 {
	start := uint32(0)
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.words[start:b.ends[i]]
}

func (b *block) code(i int) []uint64 {
	length := len(b.codes) / len(b.rows)
	return b.codes[i*length : (i+1)*length]
}

// places finds rows by ID: a hash table of row numbers, whose keys are in the rows.
type places struct {
	slots []uint32 // row + 1, 0 for none; a power of two of them
	used  int
}

func (p *places) get(id uuid.UUID, row func(uint32) *stamp) (uint32, bool) {
	if len(p.slots) == 0 {
		return 0, false
	}
	slot := p.slot(id, row)
	return *slot - 1, *slot > 0
}

func (p *places) set(id uuid.UUID, number uint32, row func(uint32) *stamp) {
	if 4*(p.used+1) > 3*len(p.slots) {
		old := p.slots
		p.slots = make([]uint32, max(8, 2*len(old)))
		for _, entry := range old {
			if entry > 0 {
				*p.slot(row(entry-1).id, row) = entry
			}
		}
	}
	slot := p.slot(id, row)
	if *slot == 0 {
		p.used++
	}
	*slot = number + 1
}

// slot is that of the ID, or the empty one where it belongs.
func (p *places) slot(id uuid.UUID, row func(uint32) *stamp) *uint32 {
	mask := uint64(len(p.slots) - 1)
	hash := (binary.LittleEndian.Uint64(id[8:]) ^ binary.LittleEndian.Uint64(id[:8])) * 0x9E3779B97F4A7C15
	for at := hash >> 32; ; at++ {
		slot := &p.slots[at&mask]
		if *slot == 0 || row(*slot-1).id == id {
			return slot
		}
	}
}

// parallelBlocks are how many make a second processor worth calling.
const parallelBlocks = 8

// split runs step over parts of the blocks, on as many processors as are worth it.
func (x *compact) split(step func(part int, blocks []*block)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), len(x.blocks)/parallelBlocks))
	var working sync.WaitGroup
	for w := 1; w < workers; w++ {
		working.Go(func() { step(w, x.blocks[len(x.blocks)*w/workers:len(x.blocks)*(w+1)/workers]) })
	}
	step(0, x.blocks[:len(x.blocks)/workers])
	working.Wait()
}
