package pgmem

import (
	"math/bits"

	"github.com/engardehq/madansara/zerodb"
)

// wantedWords are a query's terms: a hash table from their hashes to their numbers, in which each has
// a slot of its own, so that a word costs one look and no guess of the processor's.
type wantedWords struct {
	hashes []uint32 // by number
	slots  []wantedWord
	factor uint32
	shift  int
	many   map[uint32]int // instead of slots, for more terms than a query of people's has
	// once are the weights of a word that a row of so many has once.
	once [128]float64
}

type wantedWord struct {
	hash uint32 // 0: none
	bit  uint32 // number of the term
}

// fewTerms have a bit each in a word.
const fewTerms = 64

func newWantedWords(terms []string) wantedWords {
	w := wantedWords{hashes: make([]uint32, len(terms))}
	for i, term := range terms {
		w.hashes[i] = hashOf(term)
	}
	for i := range w.once {
		w.once[i] = float64(zerodb.TermWeight(1, i))
	}
	if len(terms) > fewTerms {
		w.many = make(map[uint32]int, len(terms))
		for i, hash := range w.hashes {
			w.many[hash] = i
		}
		return w
	}
	for size := 6; ; size++ { // until each has its slot, in a table of about the terms' square
		for try := range uint32(16) {
			if w.fill(size, 0x9E3779B1+2*try*0x85EBCA77) {
				return w
			}
		}
	}
}

// fill reports whether each hash has a slot of its own.
func (w *wantedWords) fill(size int, factor uint32) bool {
	w.slots, w.factor, w.shift = make([]wantedWord, 1<<size), factor, 32-size
	for i, hash := range w.hashes {
		slot := &w.slots[hash*factor>>w.shift]
		if slot.hash != 0 && slot.hash != hash {
			return false
		}
		*slot = wantedWord{hash, uint32(i)}
	}
	return true
}

// number is that of the term with the hash, -1 for none.
func (w *wantedWords) number(hash uint32) int {
	if w.many != nil {
		if n, wanted := w.many[hash]; wanted {
			return n
		}
		return -1
	}
	slot := &w.slots[hash*w.factor>>w.shift]
	if slot.hash != hash || hash == 0 {
		return -1
	}
	return int(slot.bit)
}

// count counts each term that a row has, once.
func (w *wantedWords) count(words []uint32, found []int) {
	before := uint32(0)
	for _, hash := range words {
		if hash == before {
			continue
		}
		before = hash
		if n := w.number(hash); n >= 0 {
			found[n]++
		}
	}
}

// score is that of a row's words, sure unless one is there several times, or there are many. What is wiped
// may seem to have words.
func (w *wantedWords) score(words []uint32, idf []float64) (score float64, sure bool) {
	if w.many != nil || len(words) >= len(w.once) {
		return 0, false
	}
	var has uint64
	times := 0
	slots, factor, shift := w.slots, w.factor, w.shift&31
	for _, hash := range words {
		slot := slots[hash*factor>>shift]
		var same uint64
		if slot.hash == hash {
			same = 1
		}
		has |= same << (slot.bit & 63)
		times += int(same)
	}
	switch {
	case has == 0:
		return 0, true
	case times != bits.OnesCount64(has):
		return 0, false
	}
	for rest := has; rest != 0; rest &= rest - 1 {
		score += idf[bits.TrailingZeros64(rest)]
	}
	return score * w.once[len(words)], true
}
