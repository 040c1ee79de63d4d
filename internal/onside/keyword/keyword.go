package keyword

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Place is where on a page a text stands.
type Place int

// The places, the heaviest first.
const (
	Title Place = iota
	H1
	Heading     // h2 to h6
	Description // the meta description
	Anchor      // a link's text, in the content
	Alt         // an image's text
	Body        // the rest of the content
	Boilerplate // navigation, header, footer: what every page of a site has
	places
)

// Weights of the places. They order the places as search engines are known to
// and as SEO tools do (title before h1 before headings before text); their size
// is ours, set so that a title's phrase which the text repeats comes before a
// word that the text alone repeats ten times.
var Weights = [places]float64{Title: 8, H1: 6, Heading: 3, Description: 3, Anchor: 1.5, Alt: 1.5, Body: 1, Boilerplate: 0.3}

// longer raises a phrase over its words: it says more.
var longer = [4]float64{0, 1, 1.25, 1.4}

const (
	maxPhrase = 3
	// maxWords of a page are looked at, which bounds the memory: a page's
	// subject shows in its first pages.
	maxWords = 50_000
	// absorbed is the share of a term's occurrences within one longer phrase
	// from which on the phrase alone is listed.
	absorbed = 0.8
)

// Text is a piece of a page: a sentence or a block, across whose ends no phrase goes.
type Text struct {
	Place Place
	Text  string
}

// Keyword is a word or phrase and its weight.
type Keyword struct {
	Term  string `json:"term"`
	Count int    `json:"count" doc:"Occurrences on the page, in all places"`
	// Weight relative to the page's heaviest term.
	Weight float64 `json:"weight" minimum:"0" maximum:"1"`
}

type tally struct {
	places [places]int
	count  int
	words  int
	inside int // occurrences of the longest-counting phrase that contains it
}

// score is the sum over the places of weight times 1+ln(count): the tenth
// occurrence says less than the first.
func (t *tally) score() float64 {
	sum := 0.0
	for place, count := range t.places {
		if count > 0 {
			sum += Weights[place] * (1 + math.Log(float64(count)))
		}
	}
	return sum * longer[t.words]
}

// qualifies leaves out phrases seen once in running text, which are accidents,
// and what only stands in navigation.
func (t *tally) qualifies() bool {
	if t.count == t.places[Boilerplate] {
		return false
	}
	return t.words == 1 || t.count >= 2 || t.places[Title]+t.places[H1] > 0
}

// Extract returns up to limit terms of texts in language (a primary subtag; ""
// for unknown), the heaviest first. A phrase has up to three words, neither
// begins nor ends with a stop word, and stands for its words where they hardly
// occur without it.
func Extract(texts []Text, language string, limit int) []Keyword {
	c := counter{stop: stopWordsOf(language), terms: map[string]*tally{}}
	texts = slices.Clone(texts)
	slices.SortStableFunc(texts, func(a, b Text) int { return cmp.Compare(a.Place, b.Place) }) // what counts most is read first
	for _, text := range texts {
		c.add(text)
	}
	return c.heaviest(limit)
}

type counter struct {
	stop  map[string]bool
	terms map[string]*tally
	seen  int
}

func (c *counter) add(text Text) {
	var run []string
	flush := func() {
		c.phrases(run, text.Place)
		run = run[:0]
	}
	scan(text.Text, func(word string) {
		if c.seen++; c.seen > maxWords || len(word) > longestWord {
			flush()
			return
		}
		run = append(run, fold(word))
	}, flush)
	flush()
}

func (c *counter) phrases(run []string, place Place) {
	for from := range run {
		if c.empty(run[from]) {
			continue
		}
		for n := 1; n <= maxPhrase && from+n <= len(run); n++ {
			last := run[from+n-1]
			if !c.empty(last) || n > 1 && isNumber(last) {
				c.count(strings.Join(run[from:from+n], " "), n, place)
			}
		}
	}
}

// empty reports whether a word says nothing by itself.
func (c *counter) empty(word string) bool {
	return c.stop[word] || isNumber(word) || len([]rune(word)) < 2
}

func isNumber(word string) bool {
	return strings.IndexFunc(word, func(r rune) bool { return !unicode.IsDigit(r) && r != '-' }) < 0
}

func (c *counter) count(term string, words int, place Place) {
	t := c.terms[term]
	if t == nil {
		t = &tally{words: words}
		c.terms[term] = t
	}
	t.places[place]++
	t.count++
}

func (c *counter) heaviest(limit int) []Keyword {
	for term, t := range c.terms {
		if t.words > 1 && t.qualifies() {
			c.absorb(term, t)
		}
	}
	type scored struct {
		Keyword
		score float64
	}
	var list []scored
	for term, t := range c.terms {
		if t.qualifies() && float64(t.inside) < absorbed*float64(t.count) {
			list = append(list, scored{Keyword{Term: term, Count: t.count}, t.score()})
		}
	}
	slices.SortFunc(list, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Term, b.Term))
	})
	list = list[:min(len(list), limit)]
	keywords := make([]Keyword, 0, len(list))
	for _, s := range list {
		s.Weight = math.Round(1000*s.score/list[0].score) / 1000
		keywords = append(keywords, s.Keyword)
	}
	return keywords
}

// absorb tells the terms inside a phrase that it contains them.
func (c *counter) absorb(phrase string, t *tally) {
	words := strings.Split(phrase, " ")
	for from := range words {
		for to := from + 1; to <= len(words); to++ {
			if to-from == len(words) {
				continue
			}
			if part := c.terms[strings.Join(words[from:to], " ")]; part != nil {
				part.inside = max(part.inside, t.count)
			}
		}
	}
}
