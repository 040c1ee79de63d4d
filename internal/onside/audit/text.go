package audit

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/engardehq/madansara/internal/onside/keyword"
)

// Lengths in characters that search results show whole, or that say enough.
const (
	shortestTitle, longestTitle             = 30, 60
	shortestDescription, longestDescription = 70, 160
	longestH1                               = 70
	fewestWords                             = 200
	leastTextShare                          = 5 // percent of the HTML
	mostLinks                               = 300
)

func between(text string, low, high int) verdict {
	if text == "" {
		return notApplicable
	}
	n := utf8.RuneCountInString(text)
	return judge(n >= low && n <= high, fmt.Sprintf("%d characters: %s", n, text))
}

var titleRules = []rule{
	{
		id: "title", category: "title", severity: Error, title: "The page has a title",
		advice: "Give the page a <title> that says what it is about: it is the headline of its search result.",
		judge:  func(s *Subject) verdict { return judge(s.Page.Title != "", s.Page.Title) },
	},
	{
		id: "title-length", category: "title", severity: Warning, title: "The title has 30 to 60 characters",
		advice: "Shorten the title to what search results show, or say more in it.",
		judge:  func(s *Subject) verdict { return between(s.Page.Title, shortestTitle, longestTitle) },
	},
	{
		id: "title-single", category: "title", severity: Warning, title: "The page has one title only",
		advice: "Keep one <title> in the head.",
		judge: func(s *Subject) verdict {
			if s.Page.Titles == 0 {
				return notApplicable
			}
			return judge(s.Page.Titles == 1, fmt.Sprintf("%d title elements", s.Page.Titles))
		},
	},
	{
		id: "title-keyword", category: "title", severity: Info, title: "The title holds what the text is about",
		advice: "Put one of the page's main terms into the title, or write more about what the title promises.",
		judge: func(s *Subject) verdict {
			if s.Page.Title == "" || len(s.Page.Keywords) == 0 || s.Page.WordCount < fewestWords/4 {
				return notApplicable
			}
			return judge(sharesWord(s.Page.Title, frequent(s)), "most frequent: "+strings.Join(frequent(s), ", "))
		},
	},
	{
		id: "description", category: "description", severity: Warning, title: "The page has a meta description",
		advice: "Describe the page in a sentence or two in <meta name=\"description\">: search results show it.",
		judge:  func(s *Subject) verdict { return judge(s.Page.Description != "", "") },
	},
	{
		id: "description-length", category: "description", severity: Info, title: "The meta description has 70 to 160 characters",
		advice: "Shorten the description to what search results show, or say more in it.",
		judge:  func(s *Subject) verdict { return between(s.Page.Description, shortestDescription, longestDescription) },
	},
	{
		id: "description-single", category: "description", severity: Warning, title: "The page has one meta description only",
		advice: "Keep one meta description in the head.",
		judge: func(s *Subject) verdict {
			if s.Page.Descriptions == 0 {
				return notApplicable
			}
			return judge(s.Page.Descriptions == 1, fmt.Sprintf("%d descriptions", s.Page.Descriptions))
		},
	},
}

// frequent returns the terms that the page's text uses most, of those listed.
func frequent(s *Subject) []string {
	most := 0
	for _, k := range s.Page.Keywords {
		most = max(most, k.Count)
	}
	var terms []string
	for _, k := range s.Page.Keywords {
		if 2*k.Count >= most && len(terms) < 5 {
			terms = append(terms, k.Term)
		}
	}
	return terms
}

func sharesWord(text string, terms []string) bool {
	words := map[string]bool{}
	for _, word := range keyword.Words(text) {
		words[word] = true
	}
	for _, term := range terms {
		for word := range strings.FieldsSeq(term) {
			if words[word] {
				return true
			}
		}
	}
	return false
}

var headingRules = []rule{
	{
		id: "h1", category: "headings", severity: Warning, title: "The page has a first-level heading",
		advice: "Put the page's subject into an <h1>.",
		judge: func(s *Subject) verdict {
			return judge(len(h1(s)) > 0, some(h1(s)))
		},
	},
	{
		id: "h1-single", category: "headings", severity: Info, title: "The page has one first-level heading only",
		advice: "Make the other <h1> headings <h2>, so that the page's subject is clear.",
		judge: func(s *Subject) verdict {
			if len(h1(s)) == 0 {
				return notApplicable
			}
			return judge(len(h1(s)) == 1, some(h1(s)))
		},
	},
	{
		id: "h1-length", category: "headings", severity: Info, title: "The first-level heading has at most 70 characters",
		advice: "Shorten the heading to the page's subject.",
		judge: func(s *Subject) verdict {
			if len(h1(s)) == 0 {
				return notApplicable
			}
			return between(h1(s)[0], 1, longestH1)
		},
	},
	{
		id: "headings-filled", category: "headings", severity: Warning, title: "No heading is empty",
		advice: "Remove empty headings, or give them text: people who listen to the page hear nothing.",
		judge: func(s *Subject) verdict {
			if len(s.Page.Headings) == 0 {
				return notApplicable
			}
			empty := 0
			for _, heading := range s.Page.Headings {
				if heading.Text == "" {
					empty++
				}
			}
			return judge(empty == 0, fmt.Sprintf("%d empty of %d", empty, len(s.Page.Headings)))
		},
	},
	{
		id: "heading-order", category: "headings", severity: Info, title: "Headings do not skip a level",
		advice: "Let each heading be at most one level deeper than the one before.",
		judge: func(s *Subject) verdict {
			if len(s.Page.Headings) == 0 {
				return notApplicable
			}
			level := 0
			for _, heading := range s.Page.Headings {
				if heading.Level > level+1 && level > 0 {
					return judge(false, fmt.Sprintf("h%d after h%d: %s", heading.Level, level, heading.Text))
				}
				level = heading.Level
			}
			return judge(true, "")
		},
	},
}

func h1(s *Subject) []string {
	var texts []string
	for _, heading := range s.Page.Headings {
		if heading.Level == 1 && heading.Text != "" {
			texts = append(texts, heading.Text)
		}
	}
	return texts
}

// skeleton are the elements that every HTML document has, written or not: html, head, body.
const skeleton = 3

var contentRules = []rule{
	{
		id: "content", category: "content", severity: Error, title: "The page has content",
		advice: "Find out why the server answers with an empty page: there is nothing to find in it, and search engines take it for an error.",
		judge: func(s *Subject) verdict {
			return judge(s.Page.Elements > skeleton || s.Page.TextBytes > 0, fmt.Sprintf("%d bytes of HTML, %d bytes of text", s.Page.HTMLBytes, s.Page.TextBytes))
		},
	},
	{
		id: "word-count", category: "content", severity: Warning, title: "The page has at least 200 words",
		advice: "Say more about the page's subject, or join it with another: thin pages are seldom found. Text that only a script adds is not counted.",
		judge: func(s *Subject) verdict {
			return judge(s.Page.WordCount >= fewestWords, fmt.Sprintf("%d words", s.Page.WordCount))
		},
	},
	{
		id: "text-share", category: "content", severity: Info, title: "At least 5 % of the HTML is text",
		advice: "Move scripts, styles and data into files of their own.",
		judge: func(s *Subject) verdict {
			if s.Page.HTMLBytes == 0 {
				return notApplicable
			}
			share := 100 * s.Page.TextBytes / s.Page.HTMLBytes
			return judge(share >= leastTextShare, fmt.Sprintf("%d %%", share))
		},
	},
	{
		id: "filler", category: "content", severity: Error, title: "No placeholder text is left",
		advice: "Replace the placeholder by the page's own text.",
		judge:  func(s *Subject) verdict { return judge(s.Page.Filler == "", s.Page.Filler) },
	},
	{
		id: "viewport", category: "content", severity: Error, title: "The page fits the width of a phone",
		advice: "Put <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"> into the head: search engines index the mobile page.",
		judge: func(s *Subject) verdict {
			return judge(strings.Contains(strings.ReplaceAll(s.Page.Viewport, " ", ""), "width=device-width"), s.Page.Viewport)
		},
	},
	{
		id: "zoom", category: "content", severity: Info, title: "Visitors may zoom in",
		advice: "Remove user-scalable=no and maximum-scale from the viewport: people with weak eyes need to zoom.",
		judge: func(s *Subject) verdict {
			if s.Page.Viewport == "" {
				return notApplicable
			}
			compact := strings.ReplaceAll(s.Page.Viewport, " ", "")
			blocked := strings.Contains(compact, "user-scalable=no") || strings.Contains(compact, "user-scalable=0") || strings.Contains(compact+",", "maximum-scale=1,") || strings.Contains(compact, "maximum-scale=1.0")
			return judge(!blocked, s.Page.Viewport)
		},
	},
	{
		id: "image-alt", category: "images", severity: Warning, title: "Every image has an alternative text",
		advice: "Describe each image in its alt attribute; alt=\"\" for one that only decorates.",
		judge: func(s *Subject) verdict {
			if s.Page.ImageCount == 0 {
				return notApplicable
			}
			var missing []string
			for _, image := range s.Page.Images {
				if image.Alt == nil && image.URL != "" {
					missing = append(missing, image.URL)
				}
			}
			return judge(s.Page.WithoutAlt == 0, fmt.Sprintf("%d of %d without: %s", s.Page.WithoutAlt, s.Page.ImageCount, some(missing)))
		},
	},
	{
		id: "image-size", category: "images", severity: Info, title: "Every image says how large it is",
		advice: "Give images width and height attributes, so that the page does not jump while they load.",
		judge: func(s *Subject) verdict {
			if s.Page.ImageCount == 0 {
				return notApplicable
			}
			return judge(s.Page.Unsized == 0, fmt.Sprintf("%d of %d without", s.Page.Unsized, s.Page.ImageCount))
		},
	},
}
