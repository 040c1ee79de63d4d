package terms

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold drops the accents of a word in lower case: "réglé" and "regle" are one.
func Fold(word string) string {
	ascii := true
	for i := range len(word) {
		if word[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return word
	}
	var folded strings.Builder
	for _, r := range norm.NFD.String(word) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == 'œ':
			folded.WriteString("oe")
		case r == 'æ':
			folded.WriteString("ae")
		case r == 'ß':
			folded.WriteString("ss")
		default:
			folded.WriteRune(r)
		}
	}
	return folded.String()
}
