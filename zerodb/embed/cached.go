package embed

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
)

// Source is what [Cached] stands before: any embedder.
type Source interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
	Model() string
	Dimension() int
}

// Cached remembers vectors by the hash of their text, the least recently
// used making way. Texts asked for by several callers at one time are embedded once.
// It is safe for concurrent use.
type Cached struct {
	source Source
	limit  int // bytes

	mu      sync.Mutex
	used    int
	recent  *list.List // of *entry, the most recently used in front
	entries map[key]*list.Element
	flights map[key]*flight
}

type (
	key   [sha256.Size]byte
	entry struct {
		key    key
		vector []float32
	}
	// flight is a text being embedded. Its result may be read once done is closed.
	flight struct {
		done   chan struct{}
		vector []float32
		err    error
	}
)

func keyOf(text string) key { return sha256.Sum256([]byte(text)) }

// NewCached remembers at most so many bytes of vectors; 16 MiB when limit is 0.
func NewCached(source Source, limit int) *Cached {
	or(&limit, 16<<20)
	return &Cached{source: source, limit: limit, recent: list.New(), entries: map[key]*list.Element{}, flights: map[key]*flight{}}
}

// Model is the source's.
func (c *Cached) Model() string { return c.source.Model() }

// Dimension is the source's.
func (c *Cached) Dimension() int { return c.source.Dimension() }

// Local is the source's, when it says so.
func (c *Cached) Local() bool {
	local, ok := c.source.(interface{ Local() bool })
	return ok && local.Local()
}

// Match is the source's; nil when it does not compare words.
func (c *Cached) Match(query string, texts []string) []float64 {
	if matcher, ok := c.source.(interface {
		Match(query string, texts []string) []float64
	}); ok {
		return matcher.Match(query, texts)
	}
	return nil
}

// Floor is the source's, 0 when it has none.
func (c *Cached) Floor() float64 {
	if calibrated, ok := c.source.(interface{ Floor() float64 }); ok {
		return calibrated.Floor()
	}
	return 0
}

// Embed gives a vector for each text, which is the caller's to change.
func (c *Cached) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	keys := make([]key, len(texts))
	for i, text := range texts {
		keys[i] = keyOf(text)
	}
	for {
		vectors, waiting, mine := c.claim(keys)
		if len(mine) > 0 {
			if err := c.embed(ctx, texts, keys, vectors, mine); err != nil {
				return nil, err
			}
		}
		again, err := collect(ctx, vectors, waiting)
		if err != nil {
			return nil, err
		}
		if !again {
			return vectors, nil
		}
	}
}

// claim takes what is remembered, notes which texts others are embedding, and puts the rest down as this caller's.
func (c *Cached) claim(keys []key) (vectors [][]float32, waiting map[int]*flight, mine []int) {
	vectors, waiting = make([][]float32, len(keys)), map[int]*flight{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, k := range keys {
		if element, ok := c.entries[k]; ok {
			c.recent.MoveToFront(element)
			vectors[i] = slices.Clone(element.Value.(*entry).vector) //nolint:forcetypeassert // the list holds nothing else
			continue
		}
		if under, ok := c.flights[k]; ok {
			waiting[i] = under
			continue
		}
		c.flights[k] = &flight{done: make(chan struct{})}
		mine = append(mine, i)
	}
	return vectors, waiting, mine
}

// embed asks the source for what this caller claimed, and always ends those flights, even when the source panics.
func (c *Cached) embed(ctx context.Context, texts []string, keys []key, vectors [][]float32, mine []int) (err error) {
	var answer [][]float32
	err = errors.New("embed: the source ended without an answer")
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for place, i := range mine {
			under := c.flights[keys[i]]
			delete(c.flights, keys[i])
			if under.err = err; err == nil {
				under.vector = answer[place]
				c.remember(keys[i], answer[place])
			}
			close(under.done)
		}
	}()
	asked := make([]string, len(mine))
	for place, i := range mine {
		asked[place] = texts[i]
	}
	answer, err = c.source.Embed(ctx, asked)
	if err == nil && len(answer) != len(asked) {
		err = &Error{Kind: ErrBadAnswer, Detail: "as many vectors as texts are expected"}
	}
	if err != nil {
		var failed *Error
		if errors.As(err, &failed) && failed.Index < len(mine) {
			failed.Index = mine[failed.Index]
		}
		return err
	}
	for place, i := range mine {
		vectors[i] = slices.Clone(answer[place])
	}
	return nil
}

// remember is called with the lock held.
func (c *Cached) remember(k key, vector []float32) {
	const overhead = 200 // the entry, its place in list and map
	if size := len(vector)*4 + overhead; size <= c.limit {
		c.entries[k] = c.recent.PushFront(&entry{key: k, vector: vector})
		c.used += size
	}
	for c.used > c.limit {
		oldest := c.recent.Remove(c.recent.Back()).(*entry) //nolint:forcetypeassert // the list holds nothing else
		delete(c.entries, oldest.key)
		c.used -= len(oldest.vector)*4 + overhead
	}
}

// collect waits for what others embed. When one of them hung up, its text is asked for again.
func collect(ctx context.Context, vectors [][]float32, waiting map[int]*flight) (again bool, err error) {
	for i, under := range waiting {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-under.done:
		}
		switch {
		case under.err == nil:
			vectors[i] = slices.Clone(under.vector)
		case errors.Is(under.err, context.Canceled) || errors.Is(under.err, context.DeadlineExceeded):
			again = true
		default:
			return false, under.err
		}
	}
	return again, nil
}
