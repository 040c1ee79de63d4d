package seo

import (
	"github.com/engardehq/madansara/mesh"
)

// Wire is the analysis as peers get it.
func (a *Analysis) Wire() mesh.SEOAnalysis {
	p := a.Page
	wire := mesh.SEOAnalysis{
		ID: a.UUID.String(), URL: a.URL, FinalURL: a.FinalURL, Status: a.Status, FetchedAt: a.FetchedAt,
		Title: p.Title, Description: p.Description, Canonical: p.Canonical, Language: p.Language, WordCount: p.WordCount,
		Headings: make([]mesh.SEOHeading, 0, len(p.Headings)), PrimaryKeywords: make([]mesh.SEOKeyword, 0, len(p.Keywords)),
		InternalLinks: p.Internal, ExternalLinks: p.External, ImagesWithoutAlt: p.WithoutAlt,
		OpenGraph: p.OpenGraph, JSONLD: p.JSONLD,
		Audit: mesh.SEOAudit{Score: a.Audit.Score, Checks: make([]mesh.SEOCheck, 0, len(a.Audit.Checks))},
	}
	for _, heading := range p.Headings {
		wire.Headings = append(wire.Headings, mesh.SEOHeading{Level: heading.Level, Text: heading.Text})
	}
	for _, keyword := range p.Keywords {
		wire.PrimaryKeywords = append(wire.PrimaryKeywords, mesh.SEOKeyword{Term: keyword.Term, Count: keyword.Count, Weight: keyword.Weight})
	}
	if len(p.Hreflang) > 0 {
		wire.Hreflang = map[string]string{}
		for _, alternate := range p.Hreflang {
			if _, has := wire.Hreflang[alternate.Language]; !has { // the first counts, as for search engines
				wire.Hreflang[alternate.Language] = alternate.URL
			}
		}
	}
	for _, check := range a.Audit.Checks {
		wire.Audit.Checks = append(wire.Audit.Checks, mesh.SEOCheck{
			ID: check.ID, Severity: string(check.Severity), Passed: check.Passed, Evidence: check.Evidence, Advice: check.Advice,
		})
	}
	return wire
}
