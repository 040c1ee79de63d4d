package embed_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb/embed"
)

// counted counts how often it embeds each text, and can be held up.
type counted struct {
	mu    sync.Mutex
	times map[string]int
	fail  error
	began chan struct{} // if not nil, told when a call began
	gate  chan struct{} // if not nil, a call waits for it
}

func (c *counted) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if c.began != nil {
		c.began <- struct{}{}
	}
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return nil, c.fail
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		c.times[text]++
		vectors[i] = []float32{float32(len(text)), 1}
	}
	return vectors, nil
}
func (c *counted) Model() string  { return "counted" }
func (c *counted) Dimension() int { return 2 }

func TestCachedEmbedsOnce(t *testing.T) {
	t.Parallel()
	source := &counted{times: map[string]int{}}
	cached := embed.NewCached(source, 0)
	for range 3 {
		vectors, err := cached.Embed(t.Context(), []string{"a", "bb", "a", "ccc"})
		require.NoError(t, err)
		require.Equal(t, [][]float32{{1, 1}, {2, 1}, {1, 1}, {3, 1}}, vectors)
		vectors[0][0] = 99 // the caller's own copy
	}
	require.Equal(t, map[string]int{"a": 1, "bb": 1, "ccc": 1}, source.times)
}

func TestCachedForgetsTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	source := &counted{times: map[string]int{}}
	cached := embed.NewCached(source, 3*208) // three vectors of two numbers
	ask := func(texts ...string) {
		for _, text := range texts {
			_, err := cached.Embed(t.Context(), []string{text})
			require.NoError(t, err)
		}
	}
	ask("a", "b", "c", "a", "d", "a", "b") // d put out b, not a
	require.Equal(t, map[string]int{"a": 1, "b": 2, "c": 1, "d": 1}, source.times)
}

func TestCachedJoinsCallsUnderWay(t *testing.T) {
	t.Parallel()
	source := &counted{times: map[string]int{}, began: make(chan struct{}, 100), gate: make(chan struct{})}
	cached := embed.NewCached(source, 0)
	var wait sync.WaitGroup
	call := func(texts ...string) {
		wait.Go(func() {
			vectors, err := cached.Embed(t.Context(), texts)
			if err != nil || len(vectors) != len(texts) {
				t.Errorf("%v %v", vectors, err)
			}
		})
	}
	call("shared", "first")
	<-source.began
	for i := range 20 {
		call("shared", "own "+strconv.Itoa(i))
	}
	for range 20 {
		<-source.began
	}
	close(source.gate)
	wait.Wait()
	require.Equal(t, 1, source.times["shared"])
	require.Len(t, source.times, 22)
}

func TestOneWhoHangsUpTakesNobodyWithHim(t *testing.T) {
	t.Parallel()
	source := &counted{times: map[string]int{}, began: make(chan struct{}, 2), gate: make(chan struct{})}
	cached := embed.NewCached(source, 0)
	ctx, hangUp := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := cached.Embed(ctx, []string{"shared"}); first <- err }()
	<-source.began
	go func() { _, err := cached.Embed(t.Context(), []string{"shared"}); second <- err }()
	hangUp()
	require.ErrorIs(t, <-first, context.Canceled)
	<-source.began // the second asks for itself
	close(source.gate)
	require.NoError(t, <-second)
}

func TestAFailureIsNotRemembered(t *testing.T) {
	t.Parallel()
	source := &counted{times: map[string]int{}, fail: errors.New("down")}
	cached := embed.NewCached(source, 0)
	_, err := cached.Embed(t.Context(), []string{"a"})
	require.ErrorIs(t, err, source.fail)
	source.fail = nil
	_, err = cached.Embed(t.Context(), []string{"a"})
	require.NoError(t, err)
}
