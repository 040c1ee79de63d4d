package competitor

import (
	"cmp"
	"slices"
)

// Ad is a competitor's ad.
type Ad struct {
	// Key tells it from the competitor's others: the platform's id or, where there
	// is none, what the ad says, so that one that says something else is another.
	Key       string `json:"key"`
	Headline  string `json:"headline,omitempty"`
	Body      string `json:"body,omitempty"`
	URL       string `json:"url,omitempty" doc:"Where it leads"`
	Format    string `json:"format,omitempty" doc:"image, video, text, or where it is shown"`
	StartedOn string `json:"started_on,omitempty" doc:"When it first ran, as the platform says" example:"2026-03-01"`
}

// Change is what became of an ad from one observation to the next.
type Change struct {
	Ad     Ad      `json:"ad" doc:"As it is now; of one that is gone, as it was"`
	Fields []Field `json:"fields,omitempty" doc:"What changed"`
}

// Field is one thing about an ad that changed.
type Field struct {
	Name   string `json:"name" enum:"headline,body,url,format,started_on"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Changes are what differs between two observations, each in order of the keys.
type Changes struct {
	New     []Change `json:"new"`
	Gone    []Change `json:"gone"`
	Changed []Change `json:"changed"`
}

// Any reports whether anything differs.
func (c Changes) Any() bool { return len(c.New)+len(c.Gone)+len(c.Changed) > 0 }

// Diff compares two observations of one competitor's ads, whose keys are different.
func Diff(before, after []Ad) Changes {
	c := Changes{New: []Change{}, Gone: []Change{}, Changed: []Change{}}
	old := make(map[string]Ad, len(before))
	for _, ad := range before {
		old[ad.Key] = ad
	}
	for _, ad := range after {
		was, known := old[ad.Key]
		delete(old, ad.Key)
		switch {
		case !known:
			c.New = append(c.New, Change{Ad: ad})
		case was != ad:
			c.Changed = append(c.Changed, Change{Ad: ad, Fields: fieldsOf(was, ad)})
		}
	}
	for _, ad := range old {
		c.Gone = append(c.Gone, Change{Ad: ad})
	}
	for _, list := range [][]Change{c.New, c.Gone, c.Changed} {
		slices.SortFunc(list, func(a, b Change) int { return cmp.Compare(a.Ad.Key, b.Ad.Key) })
	}
	return c
}

func fieldsOf(before, after Ad) (changed []Field) {
	for _, f := range []Field{
		{"headline", before.Headline, after.Headline},
		{"body", before.Body, after.Body},
		{"url", before.URL, after.URL},
		{"format", before.Format, after.Format},
		{"started_on", before.StartedOn, after.StartedOn},
	} {
		if f.Before != f.After {
			changed = append(changed, f)
		}
	}
	return changed
}

// Range is a part of something in [0,1], which platforms tell roughly at the ends:
// "< 10 %" is from 0 to 0.1. Low and High are the same when it is exact.
type Range struct {
	Low  float64 `json:"low" minimum:"0" maximum:"1"`
	High float64 `json:"high" minimum:"0" maximum:"1"`
}

// Movement is how much a share rose, in parts of all auctions; below 0 it fell. A
// share that is told roughly moved by some amount from Low to High.
type Movement struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Move returns the movement from one share to another.
func Move(from, to Range) Movement {
	if from == to && from.Low != from.High {
		return Movement{Low: from.Low - from.High, High: from.High - from.Low} // anywhere inside
	}
	return Movement{Low: to.Low - from.High, High: to.High - from.Low}
}
