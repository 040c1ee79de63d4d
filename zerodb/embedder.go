package zerodb

import (
	"context"
	"fmt"
	"math"
)

// Embedder turns texts into vectors whose cosine says how alike the texts are.
// It must be safe for concurrent use.
type Embedder interface {
	// Embed returns one vector a text, in their order, each of Dimension numbers.
	// A vector of zeros says that the embedder knows nothing about the text.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
	// Model names the embedder so that two vectors are comparable exactly when
	// their models' names are equal: a new version needs a new name.
	Model() string
	// Dimension is the length of every vector, at least 1.
	Dimension() int
}

// QueryEmbedder is an Embedder that embeds questions differently from what they
// are to find.
type QueryEmbedder interface {
	EmbedQuery(ctx context.Context, query string) ([]float32, error)
}

// LocalEmbedder is an Embedder that works in the process. A local one is asked
// inside a transaction too, a remote one never is.
type LocalEmbedder interface {
	Local() bool
}

// CalibratedEmbedder is an Embedder that knows the cosine which texts that have
// nothing to do with each other reach: from 0 to below 1. What lies above it is evidence.
type CalibratedEmbedder interface {
	Floor() float64
}

func isLocal(e Embedder) bool {
	l, ok := e.(LocalEmbedder)
	return ok && l.Local()
}

func floorOf(e Embedder) float64 {
	if c, ok := e.(CalibratedEmbedder); ok {
		return min(max(c.Floor(), 0), 0.99)
	}
	return 0
}

// embedTexts returns unit vectors, nil for a text without one.
func embedTexts(ctx context.Context, e Embedder, texts []string) ([][]float32, error) {
	vectors, err := e.Embed(ctx, texts)
	if err != nil {
		return nil, Unavailable(err, "embed with "+e.Model())
	}
	if len(vectors) != len(texts) {
		return nil, Unavailable(nil, fmt.Sprintf("embedder %s answered %d vectors for %d texts", e.Model(), len(vectors), len(texts)))
	}
	for i, v := range vectors {
		if vectors[i], err = unit(v, e); err != nil {
			return nil, err
		}
	}
	return vectors, nil
}

func embedQuery(ctx context.Context, e Embedder, query string) ([]float32, error) {
	if q, ok := e.(QueryEmbedder); ok {
		v, err := q.EmbedQuery(ctx, query)
		if err != nil {
			return nil, Unavailable(err, "embed with "+e.Model())
		}
		return unit(v, e)
	}
	vectors, err := embedTexts(ctx, e, []string{query})
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

// unit returns v scaled to length 1, nil for zeros. It refuses what can't be
// compared: another length than announced, and numbers that are none.
func unit(v []float32, e Embedder) ([]float32, error) {
	if len(v) != e.Dimension() {
		return nil, Unavailable(nil, fmt.Sprintf("embedder %s answered a vector of %d numbers instead of %d", e.Model(), len(v), e.Dimension()))
	}
	return Normalize(v)
}

// Normalize returns v scaled to length 1, nil for a vector of zeros. An error
// says that v has a component that is no finite number.
func Normalize(v []float32) ([]float32, error) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return nil, invalid("vector", "has components that are no finite numbers")
	}
	if sum == 0 {
		return nil, nil
	}
	scale := 1 / math.Sqrt(sum)
	scaled := make([]float32, len(v))
	for i, x := range v {
		scaled[i] = float32(float64(x) * scale)
	}
	return scaled, nil
}
