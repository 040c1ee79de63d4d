package zerodb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Query is a search.
type Query struct {
	Agent  string   // who asks; required unless Everyone
	Groups []string // the agent's groups
	// Everyone searches every scope of the tenant: for operators.
	Everyone bool
	Text     string // what is looked for; required
	// Filter narrows the search. Its Audience, IDs, NotModel and Expired are not used.
	Filter Filter
	Limit  int // hits at most: 1 to 200; 0 is 10
	// Threshold is the lowest score returned, 0 to 1. See [Explanation] for what a score means.
	Threshold float64
	Mode      Mode
	// Unseen keeps the search out of the recall counts: a person looking at
	// memories does not make them worth keeping.
	Unseen bool
}

// Hit is a memory found.
type Hit struct {
	Memory      Memory      `json:"memory"`
	Score       float64     `json:"score"` // 0 to 1
	Explanation Explanation `json:"explanation"`
}

// Result is what a search found, the best first.
type Result struct {
	Hits []Hit `json:"hits"`
	// Degraded says why the search used fewer signals than asked for; "" for all.
	Degraded string `json:"degraded,omitempty"`
}

// Retrieve finds up to limit (0: 10) memories that agent may see and that score at least
// threshold for query. typ "" is every type. [Tenant.Search] takes filters,
// groups, past times and more, and also says when it had to do without vectors.
func (t Tenant) Retrieve(ctx context.Context, agent, query string, typ Type, limit int, threshold float64) ([]Hit, error) {
	q := Query{Agent: agent, Text: query, Limit: limit, Threshold: threshold}
	if typ != "" {
		q.Filter.Types = []Type{typ}
	}
	result, err := t.Search(ctx, q)
	return result.Hits, err
}

// candidatesOf is how many candidates of each signal a search ranks.
func candidatesOf(limit int) int { return max(50, 3*limit) }

// Search finds memories.
func (t Tenant) Search(ctx context.Context, q Query) (Result, error) {
	if err := q.check(t); err != nil {
		return Result{}, err
	}
	c := t.client
	now := c.now()
	search := Search{Filter: q.Filter, Limit: candidatesOf(q.Limit)}
	if q.Mode != ModeDense {
		search.Terms = uniqueTerms(q.Text)
	}
	var result Result
	if q.Mode != ModeText {
		search.Vector, result.Degraded = c.queryVector(ctx, q)
		search.Model = c.model()
	}
	if search.Vector == nil && len(search.Terms) == 0 {
		result.Degraded = cmp.Or(result.Degraded, "the query has no word that could be looked for")
		return result, nil
	}
	at := now
	if !q.Filter.AsOf.IsZero() {
		at = q.Filter.AsOf
	}
	err := c.backend.View(ctx, t.id, func(ctx context.Context, r Reader) error {
		found, err := r.Search(ctx, now, []Search{search})
		if err != nil {
			return err
		}
		matcher, needed := c.matcher(q)
		best, err := match(ctx, r, matcher, q, rank(found[0].List, c.floor(), at, needed))
		if err != nil {
			return err
		}
		best = best[:min(len(best), q.Limit)]
		for i := range best {
			if best[i].score < q.Threshold || best[i].score == 0 {
				best = best[:i]
				break
			}
		}
		result.Hits, err = hits(ctx, r, best, search.Terms, &q.Filter, now)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	if !q.Unseen {
		c.recalls.add(t.id, result.Hits, now)
	}
	return result, nil
}

// queryVector embeds the query. When that fails the search goes on with the words.
func (c *Client) queryVector(ctx context.Context, q Query) (vector []float32, degraded string) {
	if c.embedder == nil {
		if q.Mode == ModeDense {
			return nil, "no embedder is configured"
		}
		return nil, ""
	}
	vector, err := embedQuery(ctx, c.embedder, q.Text)
	if err != nil {
		c.logger.WarnContext(ctx, "a memory search goes on without vectors", "error", err)
		return nil, "the embedder did not answer: found by words alone"
	}
	return vector, ""
}

func (c *Client) floor() float64 {
	if c.embedder == nil {
		return 0
	}
	return floorOf(c.embedder)
}

// hits fetches the memories ranked. One that was deleted since is left out.
func hits(ctx context.Context, r Reader, best []ranked, terms []string, filter *Filter, now time.Time) ([]Hit, error) {
	if err := fetch(ctx, r, best); err != nil {
		return nil, err
	}
	list := make([]Hit, 0, len(best))
	for _, b := range best {
		m := b.candidate.Memory
		if m == nil || !filter.Match(m, now) {
			continue
		}
		if b.why.Text != nil {
			b.why.Text.Terms = common(terms, b.candidate.Found, m.Content)
		}
		list = append(list, Hit{Memory: *m, Score: b.score, Explanation: b.why})
	}
	return list, nil
}

// common returns the terms found, which cutting the content into words again tells when the back end did not.
func common(terms []string, found uint64, content string) []string {
	has := func(i int) bool { return found&(1<<i) != 0 }
	if found == 0 {
		words := Terms(content)
		has = func(i int) bool { return slices.Contains(words, terms[i]) }
	}
	list := make([]string, 0, len(terms))
	for i, term := range terms {
		if has(i) {
			list = append(list, term)
		}
	}
	return list
}

func uniqueTerms(text string) []string {
	const most = 64 // a longer query is a document: its first words must do; Candidate.Found has 64 bits
	var unique []string
	seen := map[string]bool{}
	for _, term := range Terms(text) {
		if !seen[term] && len(unique) < most {
			seen[term] = true
			unique = append(unique, term)
		}
	}
	return unique
}

func (q *Query) check(t Tenant) error {
	if err := t.check(); err != nil {
		return err
	}
	if strings.TrimSpace(q.Text) == "" {
		return invalid("query", "is empty: say what to look for, or list memories instead")
	}
	if len(q.Text) > MaxQuery {
		return tooLarge("query", fmt.Sprintf("has %d bytes, at most %d are taken", len(q.Text), MaxQuery))
	}
	if err := checkText("query", q.Text); err != nil {
		return err
	}
	switch {
	case q.Limit == 0:
		q.Limit = 10
	case q.Limit < 0 || q.Limit > MaxLimit:
		return invalid("limit", fmt.Sprintf("%d: give 1 to %d, or 0 for 10", q.Limit, MaxLimit))
	}
	if !(q.Threshold >= 0 && q.Threshold <= 1) {
		return invalid("threshold", "must be from 0 to 1")
	}
	switch q.Mode {
	case "":
		q.Mode = ModeHybrid
	case ModeHybrid, ModeText, ModeDense:
	default:
		return invalid("mode", fmt.Sprintf("unknown mode %.40q: use hybrid, text or dense", q.Mode))
	}
	var err error
	if q.Filter.Audience, err = audience(q.Agent, q.Groups, q.Everyone); err != nil {
		return err
	}
	q.Filter.IDs, q.Filter.NotModel, q.Filter.Expired = nil, "", false
	return q.Filter.check()
}

func audience(agent string, groups []string, everyone bool) (Audience, error) {
	if everyone {
		return Audience{Everyone: true}, nil
	}
	if err := checkName("agent", agent, true); err != nil {
		return Audience{}, err
	}
	if len(groups) > 20 {
		return Audience{}, invalid("groups", "give at most 20")
	}
	for i, group := range groups {
		if err := checkName(fmt.Sprintf("groups[%d]", i), group, true); err != nil {
			return Audience{}, err
		}
	}
	return Audience{Agent: agent, Groups: groups}, nil
}
