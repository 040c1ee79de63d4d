package qdrant

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// Search asks each collection for the nearest vectors and the best texts, and scores what it
// answers once more itself: so the scores are those that every back end gives, and the answer
// depends on Qdrant's arithmetic only where two memories compete for the last place.
func (r reader) Search(ctx context.Context, now time.Time, searches []zerodb.Search) ([]zerodb.Candidates, error) {
	return r.search(ctx, now, searches, nil)
}

// search searches among what is stored, with pending changes in place of it.
func (r reader) search(ctx context.Context, now time.Time, searches []zerodb.Search, pending overlay) ([]zerodb.Candidates, error) {
	counts, err := r.frequencies(ctx, searches)
	if err != nil {
		return nil, err
	}
	asked := map[zerodb.Type][]*asking{}
	asks := make([]asking, len(searches))
	for i := range searches {
		s := &searches[i]
		asks[i] = asking{search: s, counts: counts[domainOf(s)], where: where(r.t, &s.Filter, now), found: map[uuid.UUID]*zerodb.Memory{}}
		for _, typ := range typesOf(&s.Filter) {
			asked[typ] = append(asked[typ], &asks[i])
		}
	}
	types := slices.DeleteFunc(zerodb.Types(), func(typ zerodb.Type) bool { return len(asked[typ]) == 0 })
	lists, err := each(ctx, types, func(ctx context.Context, typ zerodb.Type) ([]match, error) {
		return r.ask(ctx, now, typ, asked[typ], len(pending))
	})
	if err != nil {
		return nil, err
	}
	for _, m := range slices.Concat(lists...) {
		if _, replaced := pending[m.memory.ID]; !replaced {
			m.asking.found[m.memory.ID] = &m.memory
		}
	}
	answers := make([]zerodb.Candidates, len(searches))
	for i := range asks {
		for _, m := range pending {
			if m != nil && searches[i].Filter.Match(m, now) {
				asks[i].found[m.ID] = m
			}
		}
		answers[i] = asks[i].candidates()
	}
	return answers, nil
}

// asking is a search under way.
type asking struct {
	search *zerodb.Search
	counts *frequency
	where  wire.Where
	found  map[uuid.UUID]*zerodb.Memory
}

type match struct {
	asking *asking
	memory zerodb.Memory
}

// docsAtOnce bounds how many memories one answer holds.
const docsAtOnce = 400

// ask runs searches in one collection. spare more than the limit are asked for, because as many may be replaced.
func (r reader) ask(ctx context.Context, now time.Time, typ zerodb.Type, asks []*asking, spare int) ([]match, error) {
	dimension, err := r.b.dimension(ctx, typ)
	if err != nil {
		return nil, err
	}
	var found []match
	var open []request
	for _, a := range asks {
		if a.search.Vector != nil {
			// Vectors of different models are not compared, whatever their lengths.
			of := a.where.And(pb.NewMatchKeyword(keyModel, a.search.Model))
			if len(a.search.Vector) == dimension {
				open = append(open, request{a, wire.Nearest{Where: of, Dense: a.search.Vector, Limit: a.search.Limit + spare}})
			} else {
				list, err := r.nearestByHand(ctx, now, typ, of, a, spare)
				if err != nil {
					return nil, err
				}
				found = append(found, list...)
			}
		}
		if len(a.search.Terms) > 0 && a.counts.totals[typ] > 0 {
			index, weight := sparse(ones(a.search.Terms), a.counts.idf)
			open = append(open, request{a, wire.Nearest{Where: a.where, Index: index, Weight: weight, Limit: a.search.Limit + spare}})
		}
	}
	for len(open) > 0 {
		n := 1
		for docs := open[0].Limit; n < len(open) && docs+open[n].Limit <= docsAtOnce; n++ {
			docs += open[n].Limit
		}
		list, again, err := r.query(ctx, now, typ, open[:n])
		if err != nil {
			return nil, err
		}
		found, open = append(found, list...), append(again, open[n:]...)
	}
	return found, nil
}

type request struct {
	asking *asking
	wire.Nearest
}

// query runs requests. Those to be asked again with a greater limit lost so many of their
// answers to a second look that others may have been left out.
func (r reader) query(ctx context.Context, now time.Time, typ zerodb.Type, requests []request) (found []match, again []request, err error) {
	searches := make([]wire.Nearest, len(requests))
	for i := range requests {
		searches[i] = requests[i].Nearest
	}
	answers, err := r.t.Query(ctx, CollectionName(typ), searches)
	if err != nil {
		return nil, nil, err
	}
	for i, points := range answers {
		a := requests[i].asking
		kept := 0
		for _, point := range points {
			s, err := decode(point)
			if err != nil {
				return nil, nil, err
			}
			if r.seen != nil {
				r.seen(&s)
			}
			if a.search.Filter.Match(&s.memory, now) {
				kept++
				found = append(found, match{a, s.memory})
			}
		}
		if limit := requests[i].Limit; len(points) == limit && kept < a.search.Limit {
			more := requests[i]
			more.Limit = 4 * limit
			again = append(again, more)
		}
	}
	return found, again, nil
}

// nearestByHand compares vectors that are not indexed because their length is not the
// collection's: all there are, in the process. It is exact, and as slow as it sounds, until
// Init has made the collection anew.
func (r reader) nearestByHand(ctx context.Context, now time.Time, typ zerodb.Type, w wire.Where, a *asking, spare int) ([]match, error) {
	type near struct {
		memory zerodb.Memory
		cosine float32
	}
	var best []near
	limit := a.search.Limit + spare
	err := r.scan(ctx, typ, w, uuid.Nil, pagePoints, func(page []zerodb.Memory) bool {
		for _, m := range page {
			if len(m.Vector) == len(a.search.Vector) && a.search.Filter.Match(&m, now) {
				best = append(best, near{m, zerodb.Dot(m.Vector, a.search.Vector)})
			}
		}
		slices.SortFunc(best, func(x, y near) int {
			return cmp.Or(cmp.Compare(y.cosine, x.cosine), bytes.Compare(x.memory.ID[:], y.memory.ID[:]))
		})
		best = best[:min(len(best), limit)]
		return true
	})
	found := make([]match, len(best))
	for i := range best {
		found[i] = match{a, best[i].memory}
	}
	return found, err
}

// candidates scores what was found.
func (a *asking) candidates() zerodb.Candidates {
	s := a.search
	list := make([]zerodb.Candidate, 0, len(a.found))
	for id, m := range a.found {
		c := zerodb.Candidate{ID: id, Memory: m, Facts: zerodb.FactsOf(m)}
		if s.Vector != nil && m.Model == s.Model && len(m.Vector) == len(s.Vector) {
			c.Cosine, c.HasCosine = float64(zerodb.Dot(m.Vector, s.Vector)), true
		}
		if len(s.Terms) > 0 {
			c.Text, c.Coverage = zerodb.TextSignal(zerodb.Weights(m.Content), s.Terms, a.counts.documents, a.counts.total)
		}
		list = append(list, c)
	}
	dense := best(list, s.Limit, func(c *zerodb.Candidate) (float64, bool) { return c.Cosine, c.HasCosine })
	texts := best(list, s.Limit, func(c *zerodb.Candidate) (float64, bool) { return c.Text, c.Text > 0 })
	seen := map[uuid.UUID]bool{}
	union := slices.DeleteFunc(append(dense, texts...), func(c zerodb.Candidate) bool {
		twice := seen[c.ID]
		seen[c.ID] = true
		return twice
	})
	return zerodb.Candidates{List: union}
}

func best(list []zerodb.Candidate, limit int, signal func(*zerodb.Candidate) (float64, bool)) []zerodb.Candidate {
	var having []zerodb.Candidate
	for _, c := range list {
		if _, has := signal(&c); has {
			having = append(having, c)
		}
	}
	slices.SortFunc(having, func(a, b zerodb.Candidate) int {
		x, _ := signal(&a)
		y, _ := signal(&b)
		return cmp.Or(cmp.Compare(y, x), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return having[:min(len(having), limit)]
}

func ones(terms []string) map[string]float32 {
	weights := make(map[string]float32, len(terms))
	for _, term := range terms {
		weights[term] = 1
	}
	return weights
}

// frequency is how many memories of an audience and some types have each term.
type frequency struct {
	audience  wire.Where
	types     []zerodb.Type
	totals    map[zerodb.Type]int
	total     int
	documents map[string]int
}

func (f *frequency) idf(term string) float64 { return zerodb.IDF(f.documents[term], f.total) }

// domainOf names the memories that a search's frequencies are of.
func domainOf(s *zerodb.Search) string {
	parts := []string{"*"}
	for _, scope := range s.Filter.Audience.Scopes() {
		parts = append(parts, scope.String())
	}
	for _, typ := range typesOf(&s.Filter) {
		parts = append(parts, "\x01"+string(typ))
	}
	return strings.Join(parts, "\x00")
}

// countTerms terms of one domain are counted one by one; more by one question for the
// most frequent terms, of which those that are not among the answers are taken to be rare.
const (
	countTerms = 64
	facetTerms = 10_000
)

// frequencies counts for all searches.
func (r reader) frequencies(ctx context.Context, searches []zerodb.Search) (map[string]*frequency, error) {
	domains := map[string]*frequency{}
	for i := range searches {
		s := &searches[i]
		name := domainOf(s)
		if domains[name] == nil {
			domains[name] = &frequency{audience: audience(s.Filter.Audience), types: typesOf(&s.Filter), totals: map[zerodb.Type]int{}, documents: map[string]int{}}
		}
		for _, term := range s.Terms {
			domains[name].documents[term] = 0
		}
	}
	for _, f := range domains {
		if len(f.documents) > 0 {
			if err := r.count(ctx, f); err != nil {
				return nil, err
			}
		}
	}
	return domains, nil
}

func (r reader) count(ctx context.Context, f *frequency) error {
	totals, err := each(ctx, f.types, func(ctx context.Context, typ zerodb.Type) (int, error) {
		return r.t.Count(ctx, CollectionName(typ), f.audience)
	})
	if err != nil {
		return err
	}
	var types []zerodb.Type
	for i, typ := range f.types {
		f.totals[typ] = totals[i]
		f.total += totals[i]
		if totals[i] > 0 {
			types = append(types, typ)
		}
	}
	if len(f.documents) > countTerms {
		facets, err := each(ctx, types, func(ctx context.Context, typ zerodb.Type) (map[string]int, error) {
			return r.t.Facet(ctx, CollectionName(typ), keyTerms, f.audience, facetTerms)
		})
		for term := range f.documents {
			for _, facet := range facets {
				f.documents[term] += facet[term]
			}
		}
		return err
	}
	terms := make([]string, 0, len(f.documents))
	for term := range f.documents {
		terms = append(terms, term)
	}
	counts := make([]int, len(terms)*len(types))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * parallel)
	for i := range counts {
		group.Go(func() (err error) {
			term, typ := terms[i/len(types)], types[i%len(types)]
			counts[i], err = r.t.Count(ctx, CollectionName(typ), f.audience.And(pb.NewMatchKeyword(keyTerms, term)))
			return err
		})
	}
	err = group.Wait()
	for i, n := range counts {
		f.documents[terms[i/len(types)]] += n
	}
	return err
}
