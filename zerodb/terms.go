package zerodb

import (
	"math"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Terms cuts a text into what full-text search compares, in the text's order:
// words without case and accents, without the endings that inflect them, and
// without the words that say nothing alone. It needs no language: one list of
// endings and of such words serves English, French, Spanish, Portuguese and
// Haitian Creole, because a text's language is not known and a marketing
// team's texts mix them. Chinese, Japanese and Korean are cut into pairs of characters.
//
// Every back end must index these terms and no others.
//
// embed/terms cuts words too, by the stemmer of the language that it takes a text to be in, for the vectors: they need
// to know the language, to lead a word to its translation. Here it would do harm. A question of three words is often taken for
// another language than the memory that answers it, and then the same word has two
// stems and is not found. Measured on the conversations held out (bench/retrievalbench): with those stems text search finds 0.385 of the evidence instead of 0.395, of the Creole
// evidence 0.54 instead of 0.71; the fused search finds 0.611 with either.
func Terms(text string) []string {
	var terms []string
	for _, word := range words(text) {
		if !stopWords()[word] {
			terms = append(terms, stem(word))
		}
	}
	return terms
}

// words are the text's words, folded but whole: with endings and stop words.
func words(text string) []string {
	if strings.ContainsRune(text, '\'') || strings.ContainsRune(text, '’') {
		text = negations.Replace(text)
	}
	if plain(text) {
		return plainWords(strings.ToLower(text))
	}
	var out []string
	var word strings.Builder
	var wide rune // the East Asian character before, 0 for none
	flush := func() {
		if word.Len() > 0 {
			out = append(out, truncate(word.String(), maxTerm))
			word.Reset()
		}
	}
	for _, r := range norm.NFKD.String(text) {
		if r >= firstWide && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
			flush()
			if wide != 0 {
				out = append(out, string([]rune{wide, r}))
			}
			wide = r
			continue
		}
		if r >= firstMark && unicode.Is(unicode.Mn, r) {
			continue // an accent, parted from its letter by NFKD
		}
		wide = 0
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			word.WriteString(foldRune(unicode.ToLower(r)))
		case r == '\'' || r == '’':
			if elisions[word.String()] {
				word.Reset() // l'offre, qu'elle, m'ap: the word begins behind it
			}
			flush()
		default:
			flush()
		}
	}
	flush()
	return out
}

// No character before these is a mark, or written without spaces.
const (
	firstMark = 0x300
	firstWide = 0x1100
)

// plain reports whether a text is all ASCII.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plainWords is words for lower-case ASCII, which needs no folding and no copies.
func plainWords(text string) []string {
	out := make([]string, 0, len(text)/5+1)
	for at := 0; at < len(text); {
		end := at
		for end < len(text) && (text[end] >= 'a' && text[end] <= 'z' || text[end] >= '0' && text[end] <= '9') {
			end++
		}
		elided := end < len(text) && text[end] == '\'' && elisions[text[at:end]]
		if end > at && !elided {
			out = append(out, truncate(text[at:end], maxTerm))
		}
		at = end + 1
	}
	return out
}

// negations are written out, lest "don't like" be read as "don t like".
var negations = strings.NewReplacer("n't", " not", "n’t", " not", "N'T", " NOT", "N’T", " NOT")

// elisions are the words that French, Creole and Catalan shorten before a vowel.
var elisions = map[string]bool{
	"l": true, "d": true, "j": true, "m": true, "t": true, "s": true, "n": true, "c": true, "qu": true,
	"jusqu": true, "lorsqu": true, "puisqu": true, "w": true, "k": true, "y": true,
}

// maxTerm bytes of a word are kept; the rest is no word.
const maxTerm = 64

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// foldRune gives the letters that Unicode does not take apart.
func foldRune(r rune) string {
	switch r {
	case 'œ':
		return "oe"
	case 'æ':
		return "ae"
	case 'ß':
		return "ss"
	case 'ø':
		return "o"
	case 'ł':
		return "l"
	case 'đ', 'ð':
		return "d"
	case 'ı':
		return "i"
	default:
		return string(r)
	}
}

// endings inflect and derive words in the languages of Terms, longest first.
//
// They are kept by their last letter.
var endings = sync.OnceValue(func() *[256][]string {
	var byLast [256][]string
	for ending := range strings.FieldsSeq(`
	issements issement aciones
	ations idades aisons
	ation ement ments aient iendo acion mente ences ances aison
	ment ados adas idos idas ando endo ions ings ness ence ance
	ees ers ing ies ion ons ont ait ais ant ent ado ada ido ida ara era ira aba
	er es ed ez ee ir ar as os is ly en on ai
	e s x a o i y`) {
		last := ending[len(ending)-1]
		byLast[last] = append(byLast[last], ending)
	}
	return &byLast
})

// stem takes up to two endings off, each the longest that leaves four letters,
// and then or before one of two equal consonants at the end. Numbers and codes stay whole.
func stem(word string) string {
	for i := range len(word) {
		if word[i] >= '0' && word[i] <= '9' || word[i] >= 0x80 {
			return word
		}
	}
	if len(word) == 4 && word[3] == 's' && word[2] != 's' {
		return word[:3] // bags, pubs
	}
	byLast := endings()
	for range 2 {
		word = single(word)
		for _, ending := range byLast[word[len(word)-1]] {
			if len(word)-len(ending) >= 4 && strings.HasSuffix(word, ending) {
				word = word[:len(word)-len(ending)]
				break
			}
		}
	}
	return single(word)
}

// single takes one of two equal consonants off a word's end: shipp, runn.
func single(word string) string {
	n := len(word)
	if n >= 4 && word[n-1] == word[n-2] && !strings.ContainsRune("aeiou", rune(word[n-1])) {
		return word[:n-1]
	}
	return word
}

// stopWords say nothing alone. Negations and numbers are none: they turn a statement round.
//
//nolint:misspell // five languages
var stopWords = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(`
		a an the this that these those of to in on at by for with from as is are was were be been being am
		and or but if then than so it its he she they we you i me my your our their his her them us him
		do does did have has had will would can could should may might shall must what which who whom when where
		how why there here about into over under up down out very just also too some any all more most other such
		le la les un une des du de au aux et ou mais donc car ce cet cette ces mon ma mes ton ta tes son sa ses
		notre nos votre vos leur leurs je tu il elle on nous vous ils elles me te se lui y en qui que quoi dont
		est sont etait etaient ete etre suis es sommes etes ai as avons avez ont avait par pour dans sur sous avec
		plus tres quel quelle quels quelles comment quand
		el los las una unos unas del al y e o u pero como mas este esta estos estas ese esa esos esas mi mis tu
		tus su sus yo ella nosotros ellos ellas lo le les se es son era eran fue ser estar por para con en
		cual cuando donde muy que quien
		os um uma uns umas do da dos das em na nos nas ao aos e ou mas meu minha seu sua eu ele ela eles elas
		sao foi com por para quem onde
		yon la a an nan lan yo li mwen ou nou se te ap pou ak epi men ki kisa sa ki kote ke tou gen nan sou
	`) {
		set[word] = true
	}
	return set
})

// The parameters of BM25, with a fixed length to compare with instead of the
// collection's mean: so a text's weights depend on nothing but the text, and
// every back end and every point in time gives it the same.
const (
	bm25K1     = 1.2
	bm25B      = 0.5
	typicalLen = 30 // terms of a typical memory
)

// Weights returns the weight of each term of a content, BM25's factor for term
// frequency and length: from above 0 to below 2.2.
func Weights(content string) map[string]float32 {
	terms := Terms(content)
	counts := make(map[string]float32, len(terms))
	for _, term := range terms {
		counts[term]++
	}
	for term, count := range counts {
		counts[term] = TermWeight(int(count), len(terms))
	}
	return counts
}

// TermWeight is the weight of a term that a content of so many terms has count times.
func TermWeight(count, terms int) float32 {
	long := float32(bm25K1 * (1 - bm25B + bm25B*float64(terms)/typicalLen))
	tf := float32(count)
	return tf * (bm25K1 + 1) / (tf + long)
}

// IDF is BM25's weight of a term that documents of total have: the rarer the
// higher, from above 0.
func IDF(documents, total int) float64 {
	return math.Log1p((float64(total-documents) + 0.5) / (float64(documents) + 0.5))
}

// TextSignal scores a content's weights against a query's terms, whose
// frequencies among total memories are given: the BM25 score, 0 when no term
// matches, and the coverage: which share of the query's IDF weight the content
// has, from 0 to 1.
func TextSignal(weights map[string]float32, query []string, frequency map[string]int, total int) (score, coverage float64) {
	var found, all float64
	for _, term := range query {
		idf := IDF(frequency[term], total)
		all += idf
		if w, ok := weights[term]; ok {
			score += idf * float64(w)
			found += idf
		}
	}
	if all == 0 {
		return 0, 0
	}
	return score, found / all
}
