package embed

import (
	_ "embed"
	"encoding/binary"
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

// words is the one table; it holds only offsets into wordBytes.
var words = openTable(wordBytes)

// openTable panics when the table is cut short: the program was built from a broken tree.
func openTable(data string) wordTable {
	if len(data) < tableHeader || data[:len(tableMagic)] != tableMagic {
		panic("embed: words.bin is not a word table")
	}
	t := wordTable{
		count:     int(uint32At(data, len(tableMagic))),
		dimension: int(uint32At(data, len(tableMagic)+4)),
		madeFrom:  data[len(tableMagic)+8 : tableHeader],
	}
	rest := data[tableHeader:]
	t.starts, rest = rest[:4*(t.count+1)], rest[4*(t.count+1):]
	length := int(uint32At(t.starts, 4*t.count))
	t.words, rest = rest[:length], rest[(length+3)/4*4:]
	t.ranks, t.vectors = rest[:4*t.count], rest[4*t.count:]
	if len(t.vectors) != t.count*t.dimension {
		panic("embed: words.bin is cut short")
	}
	return t
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
