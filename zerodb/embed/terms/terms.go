package terms

import (
	"cmp"
	"strings"
	"unicode"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/spanish"
)

// Term is one word of a text.
type Term struct {
	// Word is the word in lower case, with its accents, without an elided
	// article before it or a possessive ending.
	Word string
	// Stem is what a search compares: ASCII where the word's script allows.
	Stem string
	// English is the word in English when every language has it under one stem: "five", "july"; else "".
	English string
	// Stop says that the word is among those that say little by themselves.
	Stop bool
}

// Longest is the number of bytes of a text that are read; the rest is passed
// over. A megabyte of text has no one meaning, and reading it would only take time.
const Longest = 64 << 10

// Read gives the words of a text in their order, in the language it is in.
func Read(text string) []Term {
	return ReadAs(text, Detect(text))
}

// ReadAs is [Read] when the language is known.
func ReadAs(text string, language Language) []Term {
	words := split(text)
	read := make([]Term, 0, len(words))
	for _, word := range words {
		for _, part := range language.parts(word) {
			read = append(read, language.term(part))
		}
	}
	return read
}

// Stems gives the stems of a text's words that are not stop words, in their
// order. A text of nothing but stop words gives those: "who are you" can still be found.
func Stems(text string) []string {
	read := Read(text)
	stems := make([]string, 0, len(read))
	for _, term := range read {
		if !term.Stop {
			stems = append(stems, term.Stem)
		}
	}
	if len(stems) == 0 {
		for _, term := range read {
			stems = append(stems, term.Stem)
		}
	}
	return stems
}

func (l Language) term(word string) Term {
	folded := Fold(word)
	if stem, known := sameEverywhere(l, folded); known {
		return Term{Word: word, Stem: stem, English: cmp.Or(numberNames[stem], stem)}
	}
	if name := numberNames[word]; name != "" {
		return Term{Word: word, Stem: word, English: name}
	}
	return Term{Word: word, Stem: l.Stem(word), Stop: l.isStop(folded)}
}

// Stem cuts a word's ending. The word is in lower case.
func (l Language) Stem(word string) string {
	if len(word) > longestWord || !hasLetter(word) {
		return Fold(word)
	}
	if l == Creole { // its words do not change
		return Fold(word)
	}
	env := snowballstem.NewEnv(word)
	switch l {
	case French:
		french.Stem(env)
	case Spanish:
		spanish.Stem(env)
	case Portuguese:
		portuguese.Stem(env)
	default:
		english.Stem(env)
	}
	stem := Fold(env.Current())
	if l == French { // the stemmer keeps é, which many people write without its accent
		stem = strings.TrimSuffix(stem, "e")
	}
	return stem
}

// longestWord is the length in bytes past which something is no word: a key, a
// hash, an address. It is kept as it is.
const longestWord = 48

// split finds the words: letters and digits, with what may stand inside a
// word (an apostrophe, the point of a number). Addresses fall into their parts.
func split(text string) []string {
	if len(text) > Longest {
		text = text[:Longest]
	}
	text = strings.ToLower(text)
	var words []string
	runes := []rune(text)
	for at := 0; at < len(runes); {
		if !isWordRune(runes[at]) {
			at++
			continue
		}
		from := at
		if isWide(runes[at]) { // written without spaces: every pair of characters
			if at++; at < len(runes) && isWide(runes[at]) {
				words = append(words, string(runes[from:at+1]))
			} else if from == 0 || !isWide(runes[from-1]) {
				words = append(words, string(runes[from:at]))
			}
			continue
		}
		for at < len(runes) && !isWide(runes[at]) && (isWordRune(runes[at]) || joins(runes, at)) {
			at++
		}
		word := strings.ReplaceAll(string(runes[from:at]), "’", "'")
		words = append(words, number(word))
	}
	return words
}

func isWordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r)
}

func isWide(r rune) bool {
	return r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

// joins says whether the rune holds its two neighbours together.
func joins(runes []rune, at int) bool {
	if at == 0 || at+1 >= len(runes) {
		return false
	}
	before, after := runes[at-1], runes[at+1]
	switch runes[at] {
	case '\'', '’':
		return unicode.IsLetter(before) && unicode.IsLetter(after)
	case ',', '.':
		return unicode.IsDigit(before) && unicode.IsDigit(after)
	default:
		return false
	}
}

var withoutMarks = strings.NewReplacer(",", "", ".", "")

// number writes a number one way: no marks between thousands, no ordinal ending, no empty cents.
func number(word string) string {
	if word[0] < '0' || word[0] > '9' {
		return word
	}
	digits := strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyzèéª°")
	switch ending := word[len(digits):]; ending {
	case "", "st", "nd", "rd", "th", "e", "er", "ere", "ère", "eme", "ème", "yem", "k":
		if ending == "k" {
			digits += "000"
		}
	default:
		return word // 7pm, 2x4: as it stands
	}
	whole := digits
	if mark := strings.LastIndexAny(digits, ",."); mark >= 0 && len(digits)-mark-1 != 3 {
		if whole = digits[:mark]; strings.Trim(digits[mark+1:], "0") != "" {
			return withoutMarks.Replace(whole) + "." + digits[mark+1:]
		}
	}
	whole = withoutMarks.Replace(whole)
	if trimmed := strings.TrimLeft(whole, "0"); trimmed != "" {
		return trimmed
	}
	return "0"
}

func hasLetter(word string) bool {
	return strings.IndexFunc(word, unicode.IsLetter) >= 0
}
