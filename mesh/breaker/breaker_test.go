package breaker_test

import (
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/mesh/breaker"
)

type bundle struct {
	*breaker.Breaker

	clock   *clockwork.FakeClock
	changes []string
}

func setup(config breaker.Config) *bundle {
	b := &bundle{clock: clockwork.NewFakeClock()}
	config.Clock = b.clock
	config.OnChange = func(c breaker.Change) { b.changes = append(b.changes, c.From.String()+">"+c.To.String()) }
	b.Breaker = breaker.New(config)
	return b
}

func (b *bundle) call(t *testing.T, verdict breaker.Verdict) {
	t.Helper()
	permit, ok := b.Allow()
	require.True(t, ok)
	permit.Done(verdict, time.Millisecond)
}

func TestFailuresInARowOpen(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 3})
	b.call(t, breaker.Failure)
	b.call(t, breaker.Failure)
	b.call(t, breaker.Success)
	b.call(t, breaker.Failure)
	b.call(t, breaker.Failure)
	b.call(t, breaker.Unknown)
	require.Equal(t, breaker.Closed, b.Snapshot().State)
	b.call(t, breaker.Failure)
	require.Equal(t, breaker.Snapshot{State: breaker.Open, Consecutive: 3, Calls: 6, Failures: 5, RetryIn: 5 * time.Second}, b.Snapshot())
	_, ok := b.Allow()
	require.False(t, ok)
	require.Equal(t, []string{"closed>open"}, b.changes)
}

func TestAFailureRateOpensOverItsWindow(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 100, FailureRate: 0.5, MinCalls: 10, Window: 10 * time.Second})
	for range 4 {
		b.call(t, breaker.Failure)
		b.call(t, breaker.Success)
	}
	b.call(t, breaker.Success)
	require.Equal(t, breaker.Closed, b.Snapshot().State, "nine calls are too few")
	b.clock.Advance(11 * time.Second)
	for range 5 {
		b.call(t, breaker.Success)
		b.call(t, breaker.Failure)
	}
	require.Equal(t, breaker.Open, b.Snapshot().State)
}

func TestOldFailuresLeaveTheWindow(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 100, MinCalls: 10, Window: 10 * time.Second})
	for range 9 {
		b.call(t, breaker.Failure)
	}
	b.clock.Advance(11 * time.Second)
	b.call(t, breaker.Failure)
	require.Equal(t, breaker.Closed, b.Snapshot().State)
	require.Equal(t, 1, b.Snapshot().Calls)
}

func TestSlowCallsAreFailuresWhenAsked(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 1, SlowAfter: time.Second})
	permit, _ := b.Allow()
	permit.Done(breaker.Success, time.Second)
	require.Equal(t, breaker.Closed, b.Snapshot().State)
	permit, _ = b.Allow()
	permit.Done(breaker.Success, time.Second+1)
	require.Equal(t, breaker.Open, b.Snapshot().State)
}

func TestProbesAreLimitedAndClose(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 1, OpenFor: 5 * time.Second, Probes: 2})
	b.call(t, breaker.Failure)
	b.clock.Advance(5*time.Second - 1)
	require.False(t, b.Ready())
	b.clock.Advance(1)
	require.True(t, b.Ready())
	first, ok := b.Allow()
	require.True(t, ok)
	second, ok := b.Allow()
	require.True(t, ok)
	_, ok = b.Allow()
	require.False(t, ok, "two probes at a time")
	first.Done(breaker.Unknown, 0)
	third, ok := b.Allow()
	require.True(t, ok, "a probe that says nothing gives its permit back")
	second.Done(breaker.Success, 0)
	third.Done(breaker.Success, 0)
	require.Equal(t, []string{"closed>open", "open>half_open", "half_open>closed"}, b.changes)
}

func TestAFailedProbeWaitsTwiceAsLong(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 1, OpenFor: 5 * time.Second, MaxOpenFor: 15 * time.Second, Probes: 1})
	b.call(t, breaker.Failure)
	for _, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 15 * time.Second} {
		require.Equal(t, wait, b.Snapshot().RetryIn)
		b.clock.Advance(wait)
		b.call(t, breaker.Failure)
	}
	b.clock.Advance(15 * time.Second)
	b.call(t, breaker.Success)
	b.call(t, breaker.Failure)
	require.Equal(t, 5*time.Second, b.Snapshot().RetryIn, "closing forgets the doubling")
}

func TestALostProbeDoesNotKeepItHalfOpen(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 1, Probes: 1, ProbeTimeout: 30 * time.Second})
	b.call(t, breaker.Failure)
	b.clock.Advance(5 * time.Second)
	lost, ok := b.Allow()
	require.True(t, ok)
	require.False(t, b.Ready())
	b.clock.Advance(30 * time.Second)
	b.call(t, breaker.Success)
	require.Equal(t, breaker.Closed, b.Snapshot().State)
	lost.Done(breaker.Failure, 0)
	require.Equal(t, breaker.Closed, b.Snapshot().State)
	require.Zero(t, b.Snapshot().Consecutive)
}

func TestACallThatOutlivesItsStateIsNotCounted(t *testing.T) {
	t.Parallel()
	b := setup(breaker.Config{Consecutive: 1, Probes: 1})
	old, _ := b.Allow()
	b.call(t, breaker.Failure)
	b.clock.Advance(5 * time.Second)
	_, ok := b.Allow()
	require.True(t, ok)
	old.Done(breaker.Success, 0)
	require.Equal(t, breaker.HalfOpen, b.Snapshot().State, "a call from before the outage is no probe")
}

// TestAnyHistoryKeepsThePromises drives a breaker through random histories and
// checks what must hold whatever happens.
func TestAnyHistoryKeepsThePromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		config := breaker.Config{
			Consecutive:  rapid.IntRange(1, 5).Draw(t, "consecutive"),
			MinCalls:     rapid.IntRange(2, 10).Draw(t, "min"),
			FailureRate:  rapid.Float64Range(0.1, 1).Draw(t, "rate"),
			Probes:       rapid.IntRange(1, 3).Draw(t, "probes"),
			Window:       10 * time.Second,
			ProbeTimeout: 24 * time.Hour,
		}
		b := setup(config)
		type call struct {
			permit breaker.Permit
			epoch  int // how many changes there were when it began
		}
		var under []call
		var opened time.Time
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			before := b.Snapshot()
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				b.clock.Advance(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			case 1, 2:
				ready := b.Ready()
				permit, ok := b.Allow()
				require.Equal(t, ready, ok, "Ready foretells Allow")
				require.False(t, before.State == breaker.Closed && !ok, "closed permits everything")
				require.False(t, before.State == breaker.Open && ok && b.clock.Since(opened) < 5*time.Second, "open permits nothing")
				if ok {
					under = append(under, call{permit, len(b.changes)})
				}
			case 3:
				if len(under) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(under)-1).Draw(t, "which")
				ended := under[i]
				under = append(under[:i:i], under[i+1:]...)
				stale := ended.epoch != len(b.changes)
				verdict := rapid.SampledFrom([]breaker.Verdict{breaker.Unknown, breaker.Success, breaker.Failure}).Draw(t, "verdict")
				ended.permit.Done(verdict, 0)
				after := b.Snapshot()
				if stale || verdict == breaker.Unknown {
					require.Equal(t, before, after, "what says nothing, or says it of an earlier state, changes nothing")
				}
				if verdict == breaker.Success {
					require.NotEqual(t, "closed>open", before.State.String()+">"+after.State.String())
				}
				if after.State == breaker.Open && before.State != breaker.Open {
					opened = b.clock.Now()
				}
			}
			now := b.Snapshot()
			if now.State == breaker.Closed {
				require.Less(t, now.Consecutive, config.Consecutive, "closed means few failures in a row")
			}
			probing := 0
			for _, c := range under {
				if c.epoch == len(b.changes) {
					probing++
				}
			}
			if now.State == breaker.HalfOpen {
				require.LessOrEqual(t, probing, config.Probes, "probes are limited")
			}
		}
	})
}
