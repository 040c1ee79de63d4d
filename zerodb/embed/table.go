package embed

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"math"
	"strings"
)

//go:generate npm --prefix table ci --no-audit --no-fund --loglevel=error
//go:generate npm --prefix table run --silent build

// wordBytes is made by table/build.mjs, which describes its layout. It is
// read where the linker put it: nothing is decoded or copied at the start, and
// only the pages of words that are used become resident.
//
//go:embed words.bin
var wordBytes string

// wordTable finds a word's vector.
type wordTable struct {
	count, dimension int
	madeFrom         string // SHA-256 of what made the table
	starts           string // count+1 uint32
	words            string
	ranks            string // count uint32
	vectors          string // count*dimension int8
}

const (
	tableMagic  = "MSWORDS1"
	tableHeader = len(tableMagic) + 4 + 4 + 32
)

// words is the one table; it holds only offsets into wordBytes. errWords says why there is none.
var words, errWords = openTable(wordBytes)

// errBrokenTable says that the program was built from a broken tree. It concerns those who
// embed, and nobody else.
var errBrokenTable = errors.New("embed: words.bin is not a whole word table: the program was built from a broken tree; run 'make vectors' and build it again")

// openTable finds a table's parts, all of which must be there: nothing looks again.
func openTable(data string) (wordTable, error) {
	if len(data) < tableHeader || data[:len(tableMagic)] != tableMagic {
		return wordTable{}, errBrokenTable
	}
	t := wordTable{
		count:     int(uint32At(data, len(tableMagic))),
		dimension: int(uint32At(data, len(tableMagic)+4)),
		madeFrom:  data[len(tableMagic)+8 : tableHeader],
	}
	rest, whole := data[tableHeader:], true
	take := func(n int) (part string) {
		if n > len(rest) {
			n, whole = len(rest), false
		}
		part, rest = rest[:n], rest[n:]
		return part
	}
	if t.starts = take(4 * (t.count + 1)); !whole {
		return wordTable{}, errBrokenTable
	}
	length := 0
	for i := range t.count + 1 {
		start := int(uint32At(t.starts, 4*i))
		whole = whole && start >= length
		length = start
	}
	t.words = take((length + 3) / 4 * 4)
	t.words = t.words[:min(length, len(t.words))]
	t.ranks = take(4 * t.count)
	t.vectors = take(t.count * t.dimension)
	if !whole || rest != "" || t.dimension != wordDimension {
		return wordTable{}, errBrokenTable
	}
	return t, nil
}

func uint32At(data string, at int) uint32 {
	return binary.LittleEndian.Uint32([]byte(data[at : at+4]))
}

func (t wordTable) word(i int) string {
	return t.words[uint32At(t.starts, 4*i):uint32At(t.starts, 4*i+4)]
}

// find gives a word's row; ok is false for a word the table lacks.
func (t wordTable) find(word string) (row int, ok bool) {
	low, high := 0, t.count
	for low < high {
		middle := int(uint(low+high) / 2)
		switch c := strings.Compare(t.word(middle), word); {
		case c == 0:
			return middle, true
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false
}

// rank is the row's place by frequency in the news and encyclopedia the vectors were trained on: 0 is "the".
func (t wordTable) rank(row int) int {
	return int(uint32At(t.ranks, 4*row))
}

// addTo adds the row's vector, made as long as weight, to sum.
func (t wordTable) addTo(sum []float64, row int, weight float64) {
	vector := t.vectors[row*t.dimension : (row+1)*t.dimension]
	var squares int
	for i := range len(vector) {
		x := int(int8(vector[i]))
		squares += x * x
	}
	scale := weight / math.Sqrt(float64(squares))
	for i := range len(vector) {
		sum[i] += scale * float64(int8(vector[i]))
	}
}
