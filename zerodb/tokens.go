package zerodb

import (
	"strings"
	"unicode/utf8"
)

// What a character costs at most, in quarters of a token, by what byte-pair tokenisers
// make of such texts.
const (
	costLetter   = 1  // in a word: a token is some four letters
	costOther    = 2  // ASCII that is no letter; Latin with accents, Greek, Cyrillic; letters of a word that is none
	costCode     = 3  // digits, and letters in one word with them: identifiers and hashes
	costScript   = 6  // most other alphabets
	costEastAsia = 5  // Chinese, Japanese, Korean
	costAstral   = 12 // emoji
	longestWord  = 20 // letters; what is longer is base64 or the like
)

// EstimateTokens estimates how many tokens a language model makes of a text: by its characters,
// of which one in Chinese or an emoji costs more than a whole English word, and at least
// four for every three words. It errs towards more.
func EstimateTokens(text string) int {
	quarters, words, spaces := 0, 0, len(text)
	for field := range strings.FieldsSeq(text) {
		words++
		spaces -= len(field)
		quarters += fieldCost(field)
	}
	return max((quarters+spaces*costLetter+3)/4, (4*words+2)/3)
}

func fieldCost(field string) int {
	quarters, letters, digits := 0, 0, 0
	word := func() {
		switch {
		case digits > 0:
			quarters += (letters + digits) * costCode
		case letters > longestWord:
			quarters += letters * costOther
		default:
			quarters += letters * costLetter
		}
		letters, digits = 0, 0
	}
	for _, r := range field {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			letters++
			continue
		case r >= '0' && r <= '9':
			digits++
			continue
		}
		word()
		switch {
		case r == utf8.RuneError || r > 0xFFFF:
			quarters += costAstral
		case r >= firstWide:
			quarters += costEastAsia
		case r >= 0x500:
			quarters += costScript
		default:
			quarters += costOther
		}
	}
	word()
	return quarters
}
