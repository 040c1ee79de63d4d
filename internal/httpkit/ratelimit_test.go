package httpkit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/httpkit"
)

func TestALimiterNeverGrantsMoreThanItsRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := clockwork.NewFakeClock()
		rate := rapid.IntRange(1, 20).Draw(t, "rate")
		burst := rapid.IntRange(1, 20).Draw(t, "burst")
		limiter := httpkit.NewLimiter(clock, float64(rate), burst, 10)
		started, granted := clock.Now(), 0
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			clock.Advance(time.Duration(rapid.IntRange(0, 200).Draw(t, "pause")) * time.Millisecond)
			wait, ok := limiter.Take("caller")
			if ok {
				granted++
			} else if wait <= 0 {
				t.Fatal("refused without a time to come back")
			}
		}
		elapsed := clock.Now().Sub(started).Seconds()
		if float64(granted) > float64(burst)+elapsed*float64(rate)+1e-6 {
			t.Fatalf("%d granted in %.3f s at %d/s, burst %d", granted, elapsed, rate, burst)
		}
	})
}

func TestARefusalSpendsNothing(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	limiter := httpkit.NewLimiter(clock, 1, 1, 10)
	_, ok := limiter.Take("a")
	require.True(t, ok)
	for range 100 {
		_, ok = limiter.Take("a")
		require.False(t, ok)
	}
	clock.Advance(time.Second)
	_, ok = limiter.Take("a")
	require.True(t, ok, "refused requests must not push the next one away")
}

func TestALimiterForgetsTheLeastRecentCaller(t *testing.T) {
	t.Parallel()
	limiter := httpkit.NewLimiter(clockwork.NewFakeClock(), 0.001, 1, 100)
	_, ok := limiter.Take("regular")
	require.True(t, ok)
	for i := range 10_000 {
		_, ok = limiter.Take("visitor " + strconv.Itoa(i))
		require.True(t, ok)
		_, ok = limiter.Take("regular")
		require.False(t, ok, "a flood of callers must not renew somebody's allowance")
	}
	_, ok = limiter.Take("visitor 0")
	require.True(t, ok, "only the latest 100 are remembered")
}
