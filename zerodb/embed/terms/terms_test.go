package terms_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb/embed/terms"
)

func TestDetect(t *testing.T) {
	t.Parallel()
	for text, language := range map[string]terms.Language{
		"When will my parcel arrive?":    terms.English,
		"refund":                         terms.English,
		"":                               terms.English,
		"Où est mon colis ?":             terms.French,
		"remboursement commande":         terms.French,
		"¿Cuándo llega mi pedido?":       terms.Spanish,
		"El cliente quiere un descuento": terms.Spanish,
		"Quando chega a minha encomenda? Não recebi nada":      terms.Portuguese,
		"Kilè koli mwen an ap rive?":                           terms.Creole,
		"Mwen pa gen kòb":                                      terms.Creole,
		"Ma fille dort, elle a de la fièvre depuis hier":       terms.French,
		"She said the pain in her chest was gone":              terms.English,
		"Pitit fi a kite travay li nan faktori pou l ede m":    terms.Creole,
		"La señora de la tienda dice que ya no hay mangos":     terms.Spanish,
		"Note: Lydia responds within minutes on WhatsApp only": terms.English,
	} {
		require.Equal(t, language, terms.Detect(text), text)
	}
}

// TestStemsMeet lists pairs that must be found by each other's words.
func TestStemsMeet(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"Does she buy shoes?", "buying shoe"},
		{"Vous achetez des chaussures", "acheter chaussure"},
		{"elle a acheté la chaussure", "acheter chaussures"},
		{"compramos los zapatos para ella", "comprar zapato de"},
		{"L'argent de l'école", "argent pour les ecoles"},
		{"at 1,200 dollars", "1200 dollar"},
		{"le 3ème jour de mars à 12,50", "3 jours du mars 12.50"},
		{"three on Monday", "3 monday"},
		{"deux le lundi en août", "2 les lundis d'août"},
		{"réglé par la dame", "regle par les dames"},
	} {
		require.Equal(t, terms.Stems(pair[1]), terms.Stems(pair[0]), pair[0])
	}
	require.Equal(t, terms.Stems("on Friday in June"), terms.Stems("le vendredi en juin"))
	require.Equal(t, terms.Stems("on Friday in June"), terms.Stems("el viernes en junio"))
}

func TestStopWordsAreDroppedUnlessTheyAreAll(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"parcel"}, terms.Stems("Where is the parcel?"))
	require.Equal(t, []string{"who", "are", "you"}, terms.Stems("Who are you?"))
	require.Empty(t, terms.Stems(" !? "))
}

func TestTranslations(t *testing.T) {
	t.Parallel()
	for language, word := range map[terms.Language]string{terms.French: "achetée", terms.Spanish: "comprando", terms.Creole: "achte"} {
		require.Contains(t, terms.Translations(language, language.Stem(word)), []string{"buy", "purchase"}, word)
	}
	require.Nil(t, terms.Translations(terms.English, "buy"))
	require.Empty(t, terms.Translations(terms.French, "xyzzy"))
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"L'été, c'est 1,200.50€", "don't", "¿Qué?", "a'b'c'", "12th 3,4.5,6 k", "\xff\xfe", "İ ſ ŉ", "\u6771\u4eac\u306b\u884c\u304f", strings.Repeat("9", 400)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, language := range terms.Languages {
			for _, term := range terms.ReadAs(text, language) {
				if utf8.ValidString(text) && (!utf8.ValidString(term.Word) || !utf8.ValidString(term.Stem)) {
					t.Fatalf("%q gives %q", text, term.Word+" "+term.Stem)
				}
				if strings.ContainsAny(term.Stem, " \t\n") {
					t.Fatalf("%q gives a stem with white space: %q", text, term.Stem)
				}
			}
		}
		terms.Detect(text)
	})
}
