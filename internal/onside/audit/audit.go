// Package audit judges a page by the technical rules that search engines
// publish and that SEO tools agree on. Each check says what it saw and what to
// do about it; a check that does not apply to a page is not in its audit.
//
// The score is the share of weight passed, from 0 to 100: an error weighs 10, a
// warning 4, an info 1. A page that no search engine can index (an error
// status, noindex, nothing on it) scores at most 40, whatever else is right with it.
package audit

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/page"
)

// Severity of a failed check.
type Severity string

// The severities: what keeps a page from being found, what holds it back, and
// what could be better.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Weights of the severities in the score.
var Weights = map[Severity]int{Error: 10, Warning: 4, Info: 1}

// unindexable is the most a page scores that cannot be indexed, as a failure of one of
// the checks in indexing says.
const unindexable = 40

var indexing = []string{"status", "indexable", "content"}

// Subject is a page with how it was fetched.
type Subject struct {
	Page      *page.Page
	Asked     *url.URL // what was asked for
	URL       *url.URL // where it was found
	Hops      []fetch.Hop
	Status    int
	Header    http.Header
	FirstByte time.Duration
	Truncated bool
	// Compressed is whether the body travelled compressed.
	Compressed bool
	Robots     fetch.RobotsFile
}

// Of returns the subject that a fetched and analysed page is.
func Of(response *fetch.Response, p *page.Page) Subject {
	return Subject{
		Page: p, Asked: response.URL, URL: response.Final, Hops: response.Hops, Status: response.Status, Header: response.Header,
		FirstByte: response.FirstByte, Truncated: response.Truncated, Compressed: response.Compressed, Robots: response.Robots,
	}
}

// Check is one rule's verdict on a page.
type Check struct {
	ID       string   `json:"id" example:"title-length"`
	Category string   `json:"category" enum:"response,indexing,title,description,headings,content,images,links,international,sharing,security,site"`
	Title    string   `json:"title" doc:"The rule, as a sentence that is true of a page that passes"`
	Severity Severity `json:"severity" enum:"error,warning,info"`
	Passed   bool     `json:"passed"`
	Evidence string   `json:"evidence,omitempty" doc:"What was seen on the page"`
	Advice   string   `json:"advice,omitempty" doc:"What to do about it"`
}

// Audit is every check that applies to a page, in a fixed order.
type Audit struct {
	Score  int     `json:"score" minimum:"0" maximum:"100"`
	Checks []Check `json:"checks"`
}

// verdict is what a rule found: it does not apply, or it passed or not.
type verdict struct {
	applies, passed bool
	evidence        string
}

var notApplicable = verdict{}

func judge(passed bool, evidence string) verdict {
	return verdict{applies: true, passed: passed, evidence: evidence}
}

type rule struct {
	id       string
	category string
	severity Severity
	title    string
	advice   string
	judge    func(*Subject) verdict
}

// rules in the order in which they are reported.
func rules() []rule {
	var all []rule
	for _, group := range [][]rule{responseRules, indexingRules, titleRules, headingRules, contentRules, linkRules, internationalRules, sharingRules, securityRules} {
		all = append(all, group...)
	}
	return all
}

// Run judges a page.
func Run(s Subject) Audit {
	audit := Audit{Checks: []Check{}}
	for _, rule := range rules() {
		v := rule.judge(&s)
		if !v.applies {
			continue
		}
		check := Check{
			ID: rule.id, Category: rule.category, Title: rule.title, Severity: rule.severity,
			Passed: v.passed, Evidence: v.evidence,
		}
		if !v.passed {
			check.Advice = rule.advice
		}
		audit.Checks = append(audit.Checks, check)
	}
	audit.Score = Score(audit.Checks)
	return audit
}

// Failed returns how many errors and warnings an audit found.
func (a Audit) Failed() (errors, warnings int) {
	for _, check := range a.Checks {
		switch {
		case check.Passed:
		case check.Severity == Error:
			errors++
		case check.Severity == Warning:
			warnings++
		}
	}
	return errors, warnings
}

// Score computes the score of checks, as the package comment says.
func Score(checks []Check) int {
	passed, all, indexable := 0, 0, true
	for _, check := range checks {
		weight := Weights[check.Severity]
		all += weight
		if check.Passed {
			passed += weight
		} else if slices.Contains(indexing, check.ID) {
			indexable = false
		}
	}
	if all == 0 {
		return 0
	}
	score := 100 * passed / all // rounded down: 100 is for a page that passes all
	if !indexable {
		return min(score, unindexable)
	}
	return score
}
