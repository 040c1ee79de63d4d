package embed

import (
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/embed/terms"
)

// Match says how far each text answers the query, word by word: for each word of the query it
// takes the nearest word of the text, and gives the mean of those nearnesses, weighted by
// how rare the query's words are. From 0, nothing alike, to 1, every word is
// there. A mean vector blurs a text of two subjects; here each word of the query finds its own.
//
// It costs some microseconds a text once the text was read, and some tens before; what was read is
// remembered within a bound. Of a long text the first [longestMatch] different words count.
func (b *Builtin) Match(query string, texts []string) []float64 {
	asked := b.reader.read(query)
	total := 0.0
	for _, word := range asked {
		total += word.weight
	}
	scores := make([]float64, len(texts))
	if total == 0 {
		return scores
	}
	for i, text := range texts {
		has := b.reader.read(text)
		for _, word := range asked {
			scores[i] += word.weight * nearest(word, has) / total
		}
	}
	return scores
}

// longestMatch bounds the work for one text.
const longestMatch = 400

// readWord is a word as the matching compares it.
type readWord struct {
	stem   string
	weight float64
	vector *[wordDimension]float32 // of length 1, or zeros for a word without one
}

// nearest is the nearness of the word's nearest among others. The same stem is 1. Other words count by their cosine
// above what unrelated words reach, squared, so that one near word is worth more than several that are vaguely so.
func nearest(word readWord, others []readWord) float64 {
	const unrelated = float32(0.1)
	best := unrelated
	for i := range others {
		if others[i].stem == word.stem {
			return 1
		}
		best = max(best, zerodb.Dot(word.vector[:], others[i].vector[:]))
	}
	above := float64((best - unrelated) / (1 - unrelated))
	return above * above
}

// reader reads texts into words, and remembers both.
type reader struct {
	texts generations[key, []readWord]
	words generations[wordKey, readWord]
}

type wordKey struct {
	language terms.Language
	word     string
}

func newReader() *reader {
	return &reader{
		texts: generations[key, []readWord]{limit: 4096},   // some hundreds of bytes each
		words: generations[wordKey, readWord]{limit: 8192}, // some 500 bytes each
	}
}

func (r *reader) read(text string) []readWord {
	return r.texts.get(keyOf(text), func() []readWord {
		language := terms.Detect(text)
		read := content(terms.ReadAs(text, language))
		different := make([]readWord, 0, min(len(read), longestMatch))
		seen := make(map[string]bool, len(read))
		for _, term := range read {
			if seen[term.Stem] || len(different) == longestMatch {
				continue
			}
			seen[term.Stem] = true
			different = append(different, r.word(language, term))
		}
		return different
	})
}

func (r *reader) word(language terms.Language, term terms.Term) readWord {
	return r.words.get(wordKey{language, term.Word}, func() readWord {
		sum := make([]float64, wordDimension)
		word := readWord{stem: term.Stem, weight: addMeaning(sum, language, term), vector: new([wordDimension]float32)}
		scaleTo(sum, 1)
		for i, x := range sum {
			word.vector[i] = float32(x)
		}
		return word
	})
}
