package terms

import "strings"

// Language is an ISO 639-1 code.
type Language string

// The languages that are read. Any other text is read as English, whose stemmer does it little harm.
const (
	English    Language = "en"
	French     Language = "fr"
	Spanish    Language = "es"
	Portuguese Language = "pt"
	Creole     Language = "ht"
)

// Languages lists them all.
var Languages = []Language{English, French, Spanish, Portuguese, Creole}

// stopLanguages are the languages that a small word belongs to.
var stopLanguages = func() map[string][]Language {
	all := map[string][]Language{}
	for _, language := range Languages {
		for word := range stopWords[language] {
			all[word] = append(all[word], language)
		}
	}
	return all
}()

// elisions is how much an elided word (l'argent, m'ap) speaks for a language.
var elisions = map[Language]float64{French: 2, Creole: 1}

// Detect says which language a text is in, by its small words, the letters only
// some languages have, and the words of the lexicon. Ties go to the
// language that stands first in [Languages].
func Detect(text string) Language {
	const sample = 4 << 10 // enough to tell, and bounded
	if len(text) > sample {
		text = text[:sample]
	}
	votes := make(map[Language]float64, len(Languages))
	for _, word := range split(text) {
		folded := Fold(word)
		for _, language := range stopLanguages[folded] {
			votes[language] += 2
		}
		if before, after, elided := strings.Cut(folded, "'"); elided {
			for _, language := range Languages[1:] { // in English the word is whole
				if len(before) <= 2 && len(after) > 2 {
					votes[language] += elisions[language]
				}
			}
			folded = after
		}
		for _, language := range lexicon().languagesOf(folded) {
			votes[language]++
		}
	}
	for _, r := range strings.ToLower(text) {
		switch r {
		case 'ñ', '¿', '¡':
			votes[Spanish] += 2
		case 'í', 'ú', 'á':
			votes[Spanish] += 0.5
			votes[Portuguese] += 0.5
		case 'ã', 'õ':
			votes[Portuguese] += 2
		case 'ç', 'ê', 'û', 'î', 'œ', 'ù':
			votes[French]++
		case 'ò':
			votes[Creole] += 2
		}
	}
	best := English
	for _, language := range Languages {
		if votes[language] > votes[best] {
			best = language
		}
	}
	return best
}

// parts splits off what is written together with a word: an elided article, an English possessive, a Creole pronoun.
func (l Language) parts(word string) []string {
	before, after, found := strings.Cut(word, "'")
	if !found {
		return []string{word}
	}
	switch l {
	case English:
		if after == "s" {
			return []string{before}
		}
		return []string{word}
	default:
		return []string{before + "'", after}
	}
}

func (l Language) isStop(folded string) bool {
	if len(folded) > 1 && folded[len(folded)-1] == '\'' {
		return true // an elided article or pronoun
	}
	_, stop := stopWords[l][folded]
	return stop
}
