package embed

import (
	"context"
	"math"
	"strings"
	"unicode"

	"github.com/engardehq/madansara/zerodb/embed/terms"
)

// Builtin makes vectors without a network or a model server: the first
// [wordDimension] numbers are the weighted mean of the text's word vectors, the
// rest a random projection of its stems and of the letters they are made of. The
// first part knows that "refund" and "money back" are near; the second finds names,
// misspellings and words of languages the table does not know.
//
// It is a pure function of the text, the same on every machine, and safe for concurrent use.
type Builtin struct {
	words, grams float64
	reader       *reader
}

// BuiltinModel names the built-in embedder's vectors. It changes whenever they do: vectors
// of two models cannot be compared.
const BuiltinModel = "builtin-glove100-v1"

const (
	wordDimension    = 100
	gramDimension    = 156
	builtinDimension = wordDimension + gramDimension
)

// NewBuiltin gives the built-in embedder. It fails when the program was built from a broken tree.
func NewBuiltin() (*Builtin, error) {
	return NewBuiltinParts(0.75, 0.25)
}

// NewBuiltinParts gives one whose two parts have other shares in the similarity of
// two texts, to measure what each does. Shares are 0 or more, and not both 0. Its
// vectors must not be stored beside those of [NewBuiltin].
func NewBuiltinParts(words, grams float64) (*Builtin, error) {
	if errWords != nil {
		return nil, errWords
	}
	return &Builtin{words: math.Sqrt(words / (words + grams)), grams: math.Sqrt(grams / (words + grams)), reader: newReader()}, nil
}

// Model is [BuiltinModel].
func (b *Builtin) Model() string { return BuiltinModel }

// Local says that asking costs no more than the processor's time.
func (b *Builtin) Local() bool { return true }

// Floor is the cosine that half of all pairs of unrelated turns stay below, measured on
// the conversations of bench/retrievalbench.
func (b *Builtin) Floor() float64 { return 0.1 }

// Dimension is the length of every vector.
func (b *Builtin) Dimension() int { return builtinDimension }

// Embed gives a vector of length 1 for each text. It fails only with [ErrNoText], for a text that is empty or white
// space, and when the context ends.
func (b *Builtin) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if strings.TrimSpace(text) == "" {
			return nil, &Error{Kind: ErrNoText, Index: i}
		}
		vectors[i] = b.vector(text)
	}
	return vectors, nil
}

func (b *Builtin) vector(text string) []float32 {
	language := terms.Detect(text)
	read := content(terms.ReadAs(text, language))
	whole := make([]float64, builtinDimension)
	meant, lettered := whole[:wordDimension], whole[wordDimension:]
	for _, term := range read {
		weight := addMeaning(meant, language, term)
		addLetters(lettered, term.Stem, weight)
	}
	if len(read) == 0 { // only marks or pictures: what there is to compare
		addLetters(lettered, strings.Join(strings.Fields(text), " "), 1)
	}
	scaleTo(meant, b.words)
	scaleTo(lettered, b.grams)
	scaleTo(whole, 1)
	vector := make([]float32, len(whole))
	for i, x := range whole {
		vector[i] = float32(x)
	}
	return vector
}

// content drops the stop words, unless there is nothing else.
func content(read []terms.Term) []terms.Term {
	kept := make([]terms.Term, 0, len(read))
	for _, term := range read {
		if !term.Stop {
			kept = append(kept, term)
		}
	}
	if len(kept) == 0 {
		return read
	}
	return kept
}

// addMeaning adds the vector of a term's word and gives the weight it had,
// which is also that of a word without a vector.
func addMeaning(sum []float64, language terms.Language, term terms.Term) float64 {
	const unknown = 1.0
	if term.English != "" {
		term.Word = term.English
		language = terms.English
	}
	if translations := terms.Translations(language, term.Stem); len(translations) > 0 {
		weight := 0.0
		for _, english := range translations {
			share := 1 / float64(len(translations))
			for _, word := range english {
				if row, ok := words.find(word); ok {
					w := rarity(words.rank(row))
					words.addTo(sum, row, w*share/float64(len(english)))
					weight += w * share / float64(len(english))
				}
			}
		}
		return weight
	}
	row, ok := row(term.Word)
	if !ok {
		return unknown
	}
	weight := rarity(words.rank(row))
	words.addTo(sum, row, weight)
	return weight
}

// row finds a word as it is written, without accents, or without its ending.
func row(word string) (int, bool) {
	word = terms.Fold(word)
	if row, ok := words.find(word); ok {
		return row, true
	}
	for _, ending := range []string{"s", "es", "ed", "d", "ing", "ly"} {
		if base, cut := strings.CutSuffix(word, ending); cut && len(base) > 3 {
			if row, ok := words.find(base); ok {
				return row, true
			}
		}
	}
	return 0, false
}

// rarity weighs a word by its rank: smooth inverse frequency (Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline
// for Sentence Embeddings", ICLR 2017) with the frequency that Zipf's law gives the rank.
func rarity(rank int) float64 {
	const smoothing = 1e-3
	frequency := 0.1 / (float64(rank) + 2.7)
	return smoothing / (smoothing + frequency)
}

// addLetters adds a stem's random direction and those of its runs of three to five letters.
func addLetters(sum []float64, stem string, weight float64) {
	addFeature(sum, hash(stem), weight)
	letters := []rune("<" + stem + ">")
	if len(letters) < 5 || !unicode.IsLetter(letters[1]) {
		return
	}
	count := 0
	for size := 3; size <= 5; size++ {
		count += max(0, len(letters)-size+1)
	}
	each := 0.7 * weight / math.Sqrt(float64(count))
	for size := 3; size <= 5; size++ {
		for from := 0; from+size <= len(letters); from++ {
			addFeature(sum, hash(string(letters[from:from+size]))^uint64(size), each)
		}
	}
}

// addFeature adds a feature's sparse random direction: four places of its own, each with a sign (Achlioptas).
func addFeature(sum []float64, feature uint64, weight float64) {
	for range 4 {
		feature = mix(feature)
		place := feature % uint64(len(sum))
		if feature>>63 == 0 {
			sum[place] += weight / 2
		} else {
			sum[place] -= weight / 2
		}
	}
}

// hash is FNV-1a, written out because its values are part of the model.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// scaleTo gives a vector the length wanted; one without a direction stays as it is.
func scaleTo(vector []float64, length float64) {
	squares := 0.0
	for _, x := range vector {
		squares += x * x
	}
	if squares == 0 {
		return
	}
	factor := length / math.Sqrt(squares)
	for i := range vector {
		vector[i] *= factor
	}
}
