// Package terms reads text as people write it in chats: it finds the words, says
// in which language they are, and reduces each to what a search compares.
//
//	for _, term := range terms.Read("Ma cliente n'achète plus de mangues") {
//		fmt.Println(term.Word, term.Stem, term.Stop)
//	}
//
// Languages are English, French, Spanish, Portuguese and Haitian Creole. A text is taken
// to be in one of them, the one most of its small words belong to; a text
// without any is read as English.
//
// Two texts about the same thing should share stems: accents and case are dropped,
// elisions are split (l'argent), endings are cut by the language's Snowball
// stemmer, numbers are written one way (1,200 and 1200, 3rd and three), and months
// and weekdays have one stem in every language.
//
// A small lexicon ([Translations]) says which English words mean what a word of
// another language means.
//
// Full-text search has its own, simpler cut of a text, zerodb.Terms, which says why.
//
// Everything here is a pure function of its arguments and safe for concurrent use.
package terms
