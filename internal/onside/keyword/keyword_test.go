package keyword_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/onside/keyword"
)

func terms(list []keyword.Keyword) []string {
	var out []string
	for _, k := range list {
		out = append(out, k.Term)
	}
	return out
}

func TestPlacesDecide(t *testing.T) {
	t.Parallel()
	list := keyword.Extract([]keyword.Text{
		{Place: keyword.Title, Text: "Haitian Coffee | Ti Machann"},
		{Place: keyword.H1, Text: "Haitian coffee from the mountains"},
		{Place: keyword.Body, Text: "We roast the coffee weekly. Our coffee is grown in the shade. Delivery takes two days, delivery is free."},
		{Place: keyword.Anchor, Text: "roast coffee at home"},
		{Place: keyword.Boilerplate, Text: strings.Repeat("newsletter ", 50)},
	}, "en", 10)
	require.Equal(t, "haitian coffee", list[0].Term)
	require.InDelta(t, 1, list[0].Weight, 0)
	require.Equal(t, 2, list[0].Count)
	require.Contains(t, terms(list), "coffee", "it stands alone too")
	require.NotContains(t, terms(list), "haitian", "it never stands without coffee")
	require.NotContains(t, terms(list), "newsletter", "every page of the site has it")
	require.NotContains(t, terms(list), "the")
	require.NotContains(t, terms(list), "coffee ti", "no phrase goes across punctuation")
	for i := 1; i < len(list); i++ {
		require.LessOrEqual(t, list[i].Weight, list[i-1].Weight)
	}
}

func TestPhrasesMayHoldStopWordsInside(t *testing.T) {
	t.Parallel()
	list := keyword.Extract([]keyword.Text{
		{Place: keyword.Title, Text: "Huile de coco pour les cheveux"},
		{Place: keyword.Body, Text: "L’huile de coco nourrit. D'où vient l'huile de coco ?"},
	}, "fr", 5)
	require.Equal(t, "huile de coco", list[0].Term)
	require.Equal(t, 3, list[0].Count)
}

func TestEachLanguageKnowsItsStopWords(t *testing.T) {
	t.Parallel()
	for language, text := range map[string]string{
		"en": "The coffee that we roast is the best of the island and it is ours because we have grown it for many years",
		"fr": "Le café que nous torréfions est le meilleur de l'île et il est à nous parce que nous l'avons cultivé depuis des années",
		"es": "El café que tostamos es el mejor de la isla y es nuestro porque lo hemos cultivado durante muchos años con los nuestros",
		"pt": "O café que torramos é o melhor da ilha e é nosso porque nós não o compramos: foi cultivado por muitos anos com os nossos",
		"ht": "Kafe nou griye a se pi bon nan zile a epi se pou nou li ye paske nou plante li pandan anpil ane ak fanmi nou yo",
	} {
		require.Equal(t, language, keyword.Detect(keyword.Words(text)), text)
	}
	require.Empty(t, keyword.Detect(keyword.Words("Kaffee von der Insel, den wir selbst rösten und seit vielen Jahren anbauen")))
	require.Empty(t, keyword.Detect(nil))
	require.Equal(t, "fr", keyword.Primary("fr_HT"))
}

func TestWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"huile", "coco", "aujourd'hui", "t-shirt", "maker", "don't", "café"},
		keyword.Words("L'huile coco, aujourd’hui: T-shirt (maker's) don't cafe\u0301"))
	require.Equal(t, 5, keyword.CountWords("one two-three, four - five 'six'"))
	require.Equal(t, 4, keyword.CountWords("\u6d77\u5730\u5496\u5561"), "Haitian coffee in Chinese")
	require.Zero(t, keyword.CountWords(" … — \n"))
}

func TestLargePagesStayBounded(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 300_000 {
		text.WriteString(strings.Repeat(string(rune('a'+i%26)), 3+i%7))
		text.WriteByte(' ')
	}
	require.NotEmpty(t, keyword.Extract([]keyword.Text{{Place: keyword.Body, Text: text.String()}, {Place: keyword.Title, Text: "subject"}}, "en", 20))
}

func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.Custom(func(t *rapid.T) keyword.Text {
			return keyword.Text{
				Place: keyword.Place(rapid.IntRange(0, int(keyword.Boilerplate)).Draw(t, "place")),
				Text:  rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-d]{1,3}[ ,.'-]){0,30}`)).Draw(t, "text"),
			}
		})).Draw(t, "texts")
		limit := rapid.IntRange(0, 30).Draw(t, "limit")
		list := keyword.Extract(texts, rapid.SampledFrom([]string{"", "en", "fr", "xx"}).Draw(t, "language"), limit)
		require.LessOrEqual(t, len(list), limit)
		seen := map[string]bool{}
		for i, k := range list {
			require.False(t, seen[k.Term])
			seen[k.Term] = true
			require.NotEmpty(t, k.Term)
			require.Positive(t, k.Count)
			require.LessOrEqual(t, len(strings.Fields(k.Term)), 3)
			require.True(t, k.Weight >= 0 && k.Weight <= 1)
			require.True(t, i > 0 || k.Weight == 1)
		}
	})
}
