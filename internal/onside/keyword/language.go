package keyword

import (
	"embed"
	"strings"
)

// Languages whose stop words are known, by their BCP 47 primary subtag.
var Languages = []string{"en", "fr", "es", "pt", "ht"}

// stopWordLists hold the function words of each language: articles, pronouns,
// prepositions, conjunctions, auxiliary verbs and the commonest adverbs, which
// say how a sentence is built and not what it is about.
//
//go:embed stopwords/*.txt
var stopWordLists embed.FS

var stopWords = func() map[string]map[string]bool {
	sets := make(map[string]map[string]bool, len(Languages))
	for _, language := range Languages {
		list, err := stopWordLists.ReadFile("stopwords/" + language + ".txt")
		if err != nil {
			panic(err) // it is embedded: each of Languages has its list
		}
		set := map[string]bool{}
		for word := range strings.FieldsSeq(string(list)) {
			set[word] = true
			// What stands after an elision was cut, and contracted forms whole.
			set[fold(word)] = true
		}
		sets[language] = set
	}
	return sets
}()

// everyStopWord serves pages in a language that is not known.
var everyStopWord = func() map[string]bool {
	all := map[string]bool{}
	for _, set := range stopWords {
		for word := range set {
			all[word] = true
		}
	}
	return all
}()

func stopWordsOf(language string) map[string]bool {
	if set, known := stopWords[language]; known {
		return set
	}
	return everyStopWord
}

// Primary returns the primary subtag of a BCP 47 tag in lower case, "fr" of "fr-HT".
func Primary(tag string) string {
	tag, _, _ = strings.Cut(strings.ReplaceAll(strings.TrimSpace(tag), "_", "-"), "-")
	return strings.ToLower(tag)
}

// detectFrom is how many words Detect reads at most, and detectLeast how many
// function words it must have seen to say anything.
const (
	detectFrom  = 3000
	detectLeast = 8
)

// Detect says in which of [Languages] words, as [Words] gives them, are written,
// by the share of function words; "" when it cannot tell. A function word that
// several languages have counts for each.
func Detect(words []string) string {
	words = words[:min(len(words), detectFrom)]
	best, most, second := "", 0, 0
	for _, language := range Languages {
		hits := 0
		for _, word := range words {
			if stopWords[language][word] {
				hits++
			}
		}
		switch {
		case hits > most:
			best, most, second = language, hits, most
		case hits > second:
			second = hits
		}
	}
	// One in eight words, and clearly more than the next language's.
	if most < detectLeast || most*8 < len(words) || most*10 < second*11 {
		return ""
	}
	return best
}
