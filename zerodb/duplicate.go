package zerodb

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Thresholds of near-duplicates. A merge must not lose a fact, so they are
// strict: two memories that stay apart cost a line in a prompt, two facts taken
// for one cost a fact.
const (
	mostExtra     = 0.25 // share of the longer text's words that the shorter lacks
	sameCosine    = 0.97 // from which another wording may be the same statement
	differsCosine = 0.75 // below which vectors veto what the words suggest
)

// wording is a text as duplicates are judged by.
type wording struct {
	words    []string        // stemmed, without fillers, in order
	names    map[string]bool // those written with a capital letter inside the text
	shingles map[[2]string]bool
}

func wordingOf(text string) wording {
	w := wording{names: capitalised(text), shingles: map[[2]string]bool{}}
	for _, word := range words(text) {
		if !stopWords()[word] || len(word) == 1 {
			w.words = append(w.words, stem(word))
		}
	}
	for i := 1; i < len(w.words); i++ {
		w.shingles[[2]string{w.words[i-1], w.words[i]}] = true
	}
	return w
}

// capitalised returns the stems of words with a capital letter that does not
// merely begin the sentence.
func capitalised(text string) map[string]bool {
	names := map[string]bool{}
	begins := true
	for field := range strings.FieldsSeq(text) {
		first := strings.TrimLeftFunc(field, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if r, _ := utf8.DecodeRuneInString(first); unicode.IsUpper(r) && !begins {
			for _, word := range words(first) {
				names[stem(word)] = true
			}
		}
		begins = strings.ContainsAny(field[len(field)-1:], ".!?:")
	}
	return names
}

// reversals turn a statement round, or end it.
var reversals = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(`
		not no never none without nor neither cannot stop stopped stops former formerly previously except unless anymore longer
		hardly refuse refused refuses lost
		ne pas non sans jamais aucun aucune sauf ancien ancienne arrete
		nunca jamas sin ningun ninguna salvo excepto ya dejo
		nao sem nenhum nenhuma exceto
		pa janm san okenn sispann`) {
		set[word], set[stem(word)] = true, true
	}
	return set
})

// duplicates reports whether a and b say the same, and if so whether b says
// more. cosine is that of their vectors, when known.
func duplicates(a, b wording, cosine float64, known bool) (same, more bool) {
	if known && cosine < differsCosine || len(a.words) == 0 || len(b.words) == 0 {
		return false, false
	}
	onlyA, onlyB := difference(a.words, b.words), difference(b.words, a.words)
	if slices.ContainsFunc(onlyA, reverses) || slices.ContainsFunc(onlyB, reverses) {
		return false, false
	}
	allowed := max(1, int(mostExtra*float64(max(len(a.words), len(b.words)))))
	if len(onlyA) > allowed || len(onlyB) > allowed {
		return false, false
	}
	switch {
	case len(onlyA) == 0:
		// b has every word of a: the same, if also in a's order.
		return contained(a, b, len(onlyB)), len(onlyB) > 0
	case len(onlyB) == 0:
		return contained(b, a, len(onlyA)), false
	}
	// Words were exchanged. Only vectors can tell a synonym from another fact,
	// and they can't where a number, a letter or a name makes the difference.
	if !known || cosine < sameCosine {
		return false, false
	}
	tells := func(word string) bool {
		return a.names[word] || b.names[word] || len(word) == 1 || strings.ContainsFunc(word, unicode.IsDigit)
	}
	return !slices.ContainsFunc(onlyA, tells) && !slices.ContainsFunc(onlyB, tells), false
}

func reverses(word string) bool { return reversals()[word] }

// contained reports whether the longer says the words of the shorter in their order,
// with the extra words between them: each of those parts at most one pair of neighbours.
func contained(shorter, longer wording, extra int) bool {
	parted := 0
	for shingle := range shorter.shingles {
		if !longer.shingles[shingle] {
			parted++
		}
	}
	return parted <= extra
}

// difference is the multiset a without b.
func difference(a, b []string) []string {
	counts := map[string]int{}
	for _, word := range b {
		counts[word]++
	}
	var rest []string
	for _, word := range a {
		if counts[word]--; counts[word] < 0 {
			rest = append(rest, word)
		}
	}
	return rest
}
