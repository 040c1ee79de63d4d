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

// rank scores the candidates and returns up to most of them, the best first. floor is the
// embedder's; now is the time that ages count to.
func rank(candidates []Candidate, floor float64, now time.Time, most int) []ranked {
	// Only the best are explained: explaining is what takes space.
	list := make([]standing, len(candidates))
	places := make([]place, 0, 3*len(candidates))
	for i := range candidates {
		list[i].candidate = &candidates[i]
		if candidates[i].HasCosine {
			places = append(places, place{candidates[i].Cosine, &list[i]})
		}
	}
	order(places)
	for i, p := range places {
		p.of.dense, p.of.evidence = i+1, min(max((p.value-floor)/(1-floor), 0), 1)
	}
	dense := len(places)
	for i := range candidates {
		if candidates[i].Text > 0 {
			places = append(places, place{candidates[i].Text, &list[i]})
		}
	}
	text := places[dense:]
	order(text)
	for i, p := range text {
		p.of.text = i + 1
	}
	signals := 0
	for _, n := range []int{dense, len(text)} {
		if n > 0 {
			signals++
		}
	}
	scores := places[len(places):]
	for i := range list {
		why := list[i].weigh(signals, now)
		scores = append(scores, place{why.Relevance * why.Quality, &list[i]})
	}
	order(scores)
	best := make([]ranked, min(len(scores), most))
	for i := range best {
		of := scores[i].of
		best[i] = ranked{of.candidate, scores[i].value, of.weigh(signals, now)}
		of.explain(&best[i].why)
	}
	return best
}

// standing is where a candidate stands.
type standing struct {
	candidate   *Candidate
	dense, text int     // its ranks, from 1; 0: not in that order
	evidence    float64 // of the vectors
}

// place is a candidate in an order by some value, small so that sorting moves little.
type place struct {
	value float64
	of    *standing
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

// weigh says what a candidate's score consists of; explain adds the signals.
func (s *standing) weigh(signals int, now time.Time) (w Explanation) {
	without := 1.0
	if s.dense > 0 {
		w.Fusion += 1 / float64(rrfK+s.dense)
		without *= 1 - s.evidence
	}
	if s.text > 0 {
		w.Fusion += 1 / float64(rrfK+s.text)
		without *= 1 - s.candidate.Coverage
	}
	if signals > 0 {
		w.Fusion *= float64(rrfK+1) / float64(signals)
	}
	w.Evidence = 1 - without
	w.Relevance = w.Evidence * (1 + w.Fusion) / 2
	f := &s.candidate.Facts
	w.Recency, w.Importance, w.Confidence = Recency(*f, now), f.Importance, f.Confidence
	w.Quality = 1 - recencyWeight*(1-w.Recency) - importanceWeight*(1-w.Importance) - confidenceWeight*(1-w.Confidence)
	return w
}

func (s *standing) explain(w *Explanation) {
	c := s.candidate
	if s.dense > 0 {
		w.Dense = &DenseSignal{Cosine: c.Cosine, Evidence: s.evidence, Rank: s.dense}
	}
	if s.text > 0 {
		w.Text = &TextMatch{Score: c.Text, Coverage: c.Coverage, Rank: s.text}
	}
}
