package zerodb

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Matcher is an Embedder that can also read texts beside the query. A hybrid
// search lets it order what the vectors and the words found.
type Matcher interface {
	// Match says how far each text answers the query, from 0 to 1: absolute, whatever the
	// other texts are. Nil says that it cannot tell.
	Match(query string, texts []string) []float64
}

// matchShare is the matcher's say in Relevance; the rest keeps the order of
// texts it finds equal. Measured in bench/retrievalbench.
const matchShare = 0.9

// matcher returns who reads the best candidates of a search, nil for nobody, and how many are needed, the best first.
func (c *Client) matcher(q Query) (matcher Matcher, needed int) {
	matcher, ok := c.embedder.(Matcher)
	if !ok || q.Mode != ModeHybrid {
		return nil, q.Limit
	}
	return matcher, max(60, 2*q.Limit)
}

// match lets the matcher read the candidates and orders them again.
func match(ctx context.Context, r Reader, matcher Matcher, q Query, list []ranked) ([]ranked, error) {
	if matcher == nil || len(list) == 0 {
		return list, nil
	}
	if err := fetch(ctx, r, list); err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(b ranked) bool { return b.candidate.Memory == nil })
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = list[i].candidate.Memory.Content
	}
	matches := matcher.Match(q.Text, texts)
	if len(matches) != len(list) {
		return list, nil
	}
	around := beside(list, matches)
	for i := range list {
		list[i].matched(matches[i], around[i])
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), compareIDs(a.candidate, b.candidate))
	})
	return list, nil
}

// fetch gets the memories of the candidates that came without. One that was deleted since stays nil.
func fetch(ctx context.Context, r Reader, list []ranked) error {
	var missing []uuid.UUID
	for _, b := range list {
		if b.candidate.Memory == nil {
			missing = append(missing, b.candidate.ID)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	memories, err := r.Get(ctx, missing)
	if err != nil {
		return err
	}
	fetched := make(map[uuid.UUID]*Memory, len(memories))
	for i := range memories {
		fetched[memories[i].ID] = &memories[i]
	}
	for _, b := range list {
		if b.candidate.Memory == nil {
			b.candidate.Memory = fetched[b.candidate.ID]
		}
	}
	return nil
}

// What is said right before or after something often says what it is about: the answer
// stands beside the question, in other words. So an event counts some of the best match among the events
// of its scope within besideWithin. Chosen on the tuning conversations of bench/retrievalbench,
// whose turns are a minute apart, so that two on each side count. Shares from 0.2 to 0.5 are alike there;
// what it gains, and what it loses, is told by decision 56.
const (
	besideShare  = 0.3
	besideWithin = 150 * time.Second
)

// beside says, for each candidate that is an event, how far the best of those around it answers.
func beside(list []ranked, matches []float64) []float64 {
	around := make([]float64, len(list))
	var events []int
	for i := range list {
		if list[i].candidate.Memory.Type == Episodic {
			events = append(events, i)
		}
	}
	at := func(i int) *Memory { return list[i].candidate.Memory }
	slices.SortFunc(events, func(i, j int) int { return at(i).ValidFrom.Compare(at(j).ValidFrom) })
	for n, i := range events {
		for _, j := range events[n+1:] {
			if at(j).ValidFrom.Sub(at(i).ValidFrom) > besideWithin {
				break
			}
			if at(i).Scope == at(j).Scope && at(i).Lineage != at(j).Lineage {
				around[i], around[j] = max(around[i], matches[j]), max(around[j], matches[i])
			}
		}
	}
	return around
}

func (r *ranked) matched(match, beside float64) {
	match, beside = min(max(match, 0), 1), min(max(beside, 0), 1)
	r.why.Match = &match
	if beside > 0 {
		r.why.Beside = &beside
	}
	whole := 1 - (1-match)*(1-besideShare*beside)
	r.why.Relevance = matchShare*whole + (1-matchShare)*r.why.Relevance
	r.score = r.why.Relevance * r.why.Quality
}
