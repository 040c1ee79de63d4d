package terms

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed lexicon.txt
var lexiconText string

// lexiconColumns are the languages of the lexicon, in the order of its columns.
var lexiconColumns = []Language{English, French, Spanish, Creole}

// meanings is the lexicon, read.
type meanings struct {
	english [][]string                    // a meaning's English words
	byStem  map[Language]map[string][]int // the meanings of a stem
	byWord  map[string][]Language         // the languages that have a word, without accents
}

var lexicon = sync.OnceValue(func() *meanings {
	m := &meanings{byStem: map[Language]map[string][]int{}, byWord: map[string][]Language{}}
	for _, language := range lexiconColumns {
		m.byStem[language] = map[string][]int{}
	}
	for line := range strings.Lines(lexiconText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		for column, words := range strings.Split(line, "|") {
			m.add(lexiconColumns[column], strings.Fields(words))
		}
	}
	return m
})

// add reads a meaning's words in one language. English, which comes first, begins the meaning.
func (m *meanings) add(language Language, words []string) {
	if language == English {
		m.english = append(m.english, words)
	}
	meaning := len(m.english) - 1
	for _, word := range words {
		stem := language.term(word).Stem
		if !slices.Contains(m.byStem[language][stem], meaning) {
			m.byStem[language][stem] = append(m.byStem[language][stem], meaning)
		}
		folded := Fold(word)
		if !slices.Contains(m.byWord[folded], language) {
			m.byWord[folded] = append(m.byWord[folded], language)
		}
	}
}

func (m *meanings) languagesOf(folded string) []Language {
	return m.byWord[folded]
}

// Translations gives the English words that mean what a stem of another
// language means, a list a meaning; none when the lexicon lacks it. The lists are shared: they
// must not be changed.
func Translations(language Language, stem string) [][]string {
	if language == English {
		return nil
	}
	m := lexicon()
	found := m.byStem[language][stem]
	english := make([][]string, len(found))
	for i, meaning := range found {
		english[i] = m.english[meaning]
	}
	return english
}
