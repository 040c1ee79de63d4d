package keyword

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// longestWord in bytes; longer runs of letters are data, not words.
const longestWord = 60

// CountWords returns how many words text has. In scripts that are written
// without spaces (Chinese, Japanese, Thai) every character counts as one.
func CountWords(text string) int {
	count := 0
	scan(text, func(word string) {
		count += max(1, ideographs(word))
	}, func() {})
	return count
}

func ideographs(word string) int {
	n := 0
	for _, r := range word {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) {
			n++
		}
	}
	return n
}

// Words returns the words of text as they are compared: in lower case, composed
// (NFC), without an elided article ("l'huile" is "huile") or a possessive 's.
func Words(text string) []string {
	var words []string
	scan(text, func(word string) { words = append(words, fold(word)) }, func() {})
	return words
}

// scan calls word for each word of text and pause where a phrase ends: at
// punctuation, but not at an apostrophe or a hyphen inside a word.
func scan(text string, word func(string), pause func()) {
	start := -1
	flush := func(end int) {
		if start >= 0 {
			word(text[start:end])
			start = -1
		}
	}
	for i, r := range text {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			if start < 0 {
				start = i
			}
		case start >= 0 && joins(r) && nextIsWord(text[i+utf8.RuneLen(r):]):
		case unicode.IsSpace(r) || r == '\u00ad' || r == '&':
			flush(i)
		default:
			flush(i)
			pause()
		}
	}
	flush(len(text))
}

func joins(r rune) bool { return r == '\'' || r == '’' || r == '-' || r == '‑' || r == '·' }

func nextIsWord(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// elisions are what French (and, with m' and l', Haitian Creole) puts before a vowel.
var elisions = []string{"lorsqu'", "puisqu'", "jusqu'", "quelqu'", "qu'", "l'", "d'", "j'", "n'", "s'", "c'", "m'", "t'"}

func fold(word string) string {
	word = strings.ReplaceAll(strings.ToLower(norm.NFC.String(word)), "’", "'")
	if strings.Contains(word, "'") {
		word = strings.TrimSuffix(word, "'s")
		for _, elision := range elisions {
			if rest, is := strings.CutPrefix(word, elision); is && rest != "" {
				return rest
			}
		}
	}
	return word
}
