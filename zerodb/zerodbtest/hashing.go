package zerodbtest

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/engardehq/madansara/zerodb"
)

// Hashing is an embedder that gives texts with common words a high cosine: each
// word adds one or takes one at a place that its hash says. It needs nothing and is
// the same everywhere; it knows no synonyms.
type Hashing struct {
	// Dimensions is the length of the vectors; 0 is 64.
	Dimensions int
	// Name distinguishes embedders; "" is "hashing".
	Name string
	down atomic.Bool
	// refuses is a word whose texts it rejects for good; "" for none.
	refuses atomic.Pointer[string]
}

// Refuse makes every Embed that has a text with the word fail for good, as a service does that
// finds a text too long.
func (h *Hashing) Refuse(word string) { h.refuses.Store(&word) }

// refusal is an error that the same call would have again.
type refusal struct{}

func (refusal) Error() string      { return "the embedder rejects a text" }
func (refusal) RejectsTexts() bool { return true }

// SetDown makes every Embed fail, until it is called with false.
func (h *Hashing) SetDown(down bool) { h.down.Store(down) }

// Embed embeds.
func (h *Hashing) Embed(_ context.Context, texts []string) ([][]float32, error) {
	if h.down.Load() {
		return nil, errors.New("the embedder is down")
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if word := h.refuses.Load(); word != nil && strings.Contains(text, *word) {
			return nil, refusal{}
		}
		vectors[i] = make([]float32, h.Dimension())
		for _, term := range zerodb.Terms(text) {
			hash := fnv.New64a()
			_, _ = hash.Write([]byte(term)) // never fails
			sum := hash.Sum64()
			vectors[i][sum%uint64(h.Dimension())] += float32(int(sum>>62&1)*2 - 1)
		}
	}
	return vectors, nil
}

// Model names the dimension too.
func (h *Hashing) Model() string {
	name := h.Name
	if name == "" {
		name = "hashing"
	}
	return name + "/" + strconv.Itoa(h.Dimension())
}

// Dimension is the length of the vectors.
func (h *Hashing) Dimension() int {
	if h.Dimensions == 0 {
		return 64
	}
	return h.Dimensions
}
