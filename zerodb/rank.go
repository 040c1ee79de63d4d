package zerodb

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Mode says which signals a search uses.
type Mode string

// The modes. The zero Mode is ModeHybrid.
const (
	ModeHybrid Mode = "hybrid"
	ModeText   Mode = "text"
	ModeDense  Mode = "dense"
)

// rrfK damps the difference between the first ranks; 60 is the value of the
// paper that introduced reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009).
const rrfK = 60

// Weights of what lowers a score: how much of it an old, an unimportant, a
// doubtful memory loses at most.
const (
	recencyWeight    = 0.15
	importanceWeight = 0.10
	confidenceWeight = 0.15
)

// Explanation says how a score came about. Every number of it can be worked out
// again from the others:
//
//	Score     = Relevance · Quality
//	Relevance = Evidence · (1 + Fusion) / 2; with a Match: 0.9·(1 - (1-Match)·(1-0.3·Beside)) + 0.1·(that)
//	Evidence  = 1 - (1 - Dense.Evidence) · (1 - Text.Coverage)
//	Fusion    = Σ 1/(60 + rank) over the signals used, as a share of what ranking first in each gives
//	Quality   = 1 - 0.15·(1-Recency) - 0.10·(1-Importance) - 0.15·(1-Confidence)
//
// Evidence is absolute: it does not depend on what else was found. Fusion is
// reciprocal rank fusion: it favours what several signals put in front. Quality
// lies between 0.6 and 1, so that it orders what is alike, and an irrelevant
// memory stays one however new and important it is. Match is absolute too: the embedder
// read the text. Beside is the Match of the best of the events right before and after an event.
type Explanation struct {
	Dense *DenseSignal `json:"dense,omitempty"` // nil: not compared (no embedder, no vector yet, or not asked for)
	Text  *TextMatch   `json:"text,omitempty"`  // nil: no term in common, or not asked for

	// Match is what the embedder says who read the text beside the query; nil when it doesn't ([Matcher]).
	Match *float64 `json:"match,omitempty"`
	// Beside is how far the best of the events around this one answers, in their Match; nil for none.
	Beside *float64 `json:"beside,omitempty"`

	Fusion     float64 `json:"fusion"`
	Evidence   float64 `json:"evidence"`
	Relevance  float64 `json:"relevance"`
	Recency    float64 `json:"recency"`
	Importance float64 `json:"importance"`
	Confidence float64 `json:"confidence"`
	Quality    float64 `json:"quality"`
}

// DenseSignal is what the vectors say.
type DenseSignal struct {
	Cosine float64 `json:"cosine"`
	// Evidence is how far the cosine lies above the embedder's floor, 0 to 1.
	Evidence float64 `json:"evidence"`
	Rank     int     `json:"rank"` // 1 is the nearest
}

// TextMatch is what the words say.
type TextMatch struct {
	Score    float64  `json:"score"`    // BM25, for the rank only
	Coverage float64  `json:"coverage"` // share of the query's term weight found, 0 to 1
	Rank     int      `json:"rank"`     // 1 is the best
	Terms    []string `json:"terms"`    // found, as [Terms] cuts them
}

// String is one line for people.
func (e Explanation) String() string {
	var parts []string
	if e.Dense != nil {
		parts = append(parts, fmt.Sprintf("meaning %.2f (rank %d)", e.Dense.Evidence, e.Dense.Rank))
	}
	if e.Text != nil {
		parts = append(parts, fmt.Sprintf("words %.2f (rank %d: %s)", e.Text.Coverage, e.Text.Rank, strings.Join(e.Text.Terms, " ")))
	}
	if e.Match != nil {
		parts = append(parts, fmt.Sprintf("match %.2f", *e.Match))
	}
	if e.Beside != nil {
		parts = append(parts, fmt.Sprintf("beside %.2f", *e.Beside))
	}
	parts = append(parts, fmt.Sprintf("relevance %.2f, recency %.2f, importance %.2f, confidence %.2f", e.Relevance, e.Recency, e.Importance, e.Confidence))
	return strings.Join(parts, ", ")
}

// Recency is 2^(-age / half-life of the type), from 1 (now or in the future) towards 0.
// An event's age counts from when it happened, any other memory's from its last change.
// Being recalled makes nothing younger: what was found once would be found forever.
func Recency(f Facts, now time.Time) float64 {
	since := f.UpdatedAt
	if f.Type == Episodic {
		since = f.ValidFrom
	}
	age := now.Sub(since)
	halfLife := lives[f.Type].halfLife
	if age <= 0 || halfLife == 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(halfLife))
}

// ranked is a candidate with its score.
type ranked struct {
	candidate *Candidate
	score     float64
	why       Explanation
}

// rank scores the candidates and orders them, the best first. floor is the
// embedder's; now is the time that ages count to.
func rank(candidates []Candidate, floor float64, now time.Time) []ranked {
	list := make([]ranked, len(candidates))
	dense, text := make([]place, 0, len(candidates)), make([]place, 0, len(candidates))
	for i := range candidates {
		r := &list[i]
		r.candidate = &candidates[i]
		if candidates[i].HasCosine {
			dense = append(dense, place{candidates[i].Cosine, r})
		}
		if candidates[i].Text > 0 {
			text = append(text, place{candidates[i].Text, r})
		}
	}
	order(dense)
	denseSignals := make([]DenseSignal, len(dense))
	for i, d := range dense {
		evidence := min(max((d.value-floor)/(1-floor), 0), 1)
		denseSignals[i] = DenseSignal{Cosine: d.value, Evidence: evidence, Rank: i + 1}
		d.of.why.Dense = &denseSignals[i]
	}
	order(text)
	textMatches := make([]TextMatch, len(text))
	for i, t := range text {
		textMatches[i] = TextMatch{Score: t.value, Coverage: t.of.candidate.Coverage, Rank: i + 1}
		t.of.why.Text = &textMatches[i]
	}
	signals := 0
	for _, places := range [][]place{dense, text} {
		if len(places) > 0 {
			signals++
		}
	}
	scores := make([]place, len(list))
	for i := range list {
		list[i].weigh(signals, now)
		scores[i] = place{list[i].score, &list[i]}
	}
	order(scores)
	ordered := make([]ranked, len(list))
	for i, s := range scores {
		ordered[i] = *s.of
	}
	return ordered
}

// place is a candidate in an order by some value, small so that sorting moves little.
type place struct {
	value float64
	of    *ranked
}

// order puts the highest first; IDs break ties.
func order(places []place) {
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.value > b.value:
			return -1
		case a.value < b.value:
			return 1
		default:
			return compareIDs(a.of.candidate, b.of.candidate)
		}
	})
}

func compareIDs(a, b *Candidate) int { return slices.Compare(a.ID[:], b.ID[:]) }

func (r *ranked) weigh(signals int, now time.Time) {
	w := &r.why
	without := 1.0
	if w.Dense != nil {
		w.Fusion += 1 / float64(rrfK+w.Dense.Rank)
		without *= 1 - w.Dense.Evidence
	}
	if w.Text != nil {
		w.Fusion += 1 / float64(rrfK+w.Text.Rank)
		without *= 1 - w.Text.Coverage
	}
	if signals > 0 {
		w.Fusion *= float64(rrfK+1) / float64(signals)
	}
	w.Evidence = 1 - without
	w.Relevance = w.Evidence * (1 + w.Fusion) / 2
	f := r.candidate.Facts
	w.Recency, w.Importance, w.Confidence = Recency(f, now), f.Importance, f.Confidence
	w.Quality = 1 - recencyWeight*(1-w.Recency) - importanceWeight*(1-w.Importance) - confidenceWeight*(1-w.Confidence)
	r.score = w.Relevance * w.Quality
}
