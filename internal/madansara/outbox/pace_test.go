package outbox

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// simulate pushes n facts, as many at once as the pace allows, and returns how long
// that lasted and how many were allowed in the mean. took says how long a push lasts that begins
// as the k-th under way.
func simulate(p *pace, n int, took func(k int) time.Duration) (elapsed time.Duration, mean float64) {
	var now time.Duration
	var under []end
	sum := 0
	for begun := 0; begun < n || len(under) > 0; {
		for begun < n && p.busy < p.allowed {
			p.busy++
			lasts := took(p.busy)
			under = append(under, end{now + lasts, lasts})
			begun++
			sum += p.allowed
		}
		slices.SortFunc(under, func(a, b end) int { return cmp.Compare(a.at, b.at) })
		done := under[0]
		under, now = under[1:], done.at
		p.queue = make([]chan struct{}, min(1, n-begun)) // somebody waits as long as there are facts
		p.mu.Lock()
		if p.busy == p.allowed {
			p.learn(done.lasted)
		}
		p.busy--
		p.queue = nil
		p.mu.Unlock()
	}
	return now, float64(sum) / float64(n)
}

type end struct{ at, lasted time.Duration }

func TestPaceGrowsWhereTheWayTakesTheTime(t *testing.T) {
	t.Parallel()
	p := newPace(16)
	elapsed, _ := simulate(p, 5000, func(int) time.Duration { return 20 * time.Millisecond })
	require.Equal(t, 16, p.limit())
	// 16 at a time for 5,000 of 20 ms are 6.25 s; what it takes to find that out is beside it.
	require.Less(t, elapsed, 9*time.Second)
}

func TestPaceStaysAloneWherePushesWaitForEachOther(t *testing.T) {
	t.Parallel()
	_, mean := simulate(newPace(16), 5000, func(k int) time.Duration { return time.Duration(k) * 5 * time.Millisecond })
	require.Less(t, mean, 1.05)
}

// Two processors, of which somebody else uses a part: a second push brings less than it costs the other.
func TestPaceLeavesRoomOnBusyProcessors(t *testing.T) {
	t.Parallel()
	_, mean := simulate(newPace(16), 5000, func(k int) time.Duration {
		return time.Duration(max(1, float64(k)*0.7) * float64(5*time.Millisecond))
	})
	require.Less(t, mean, 1.1)
}

func TestPaceFollowsAPeerThatBecomesSlow(t *testing.T) {
	t.Parallel()
	p := newPace(16)
	simulate(p, 2000, func(int) time.Duration { return 5 * time.Millisecond })
	_, mean := simulate(p, 2000, func(int) time.Duration { return 105 * time.Millisecond })
	require.Equal(t, 16, p.limit())
	require.Greater(t, mean, 8.0)
}

func TestPaceBeginsAnewAfterAnOutage(t *testing.T) {
	t.Parallel()
	p := newPace(16)
	simulate(p, 2000, func(int) time.Duration { return 5 * time.Millisecond })
	require.Equal(t, 16, p.limit())
	p.slow()
	require.Equal(t, 1, p.limit())
}

// However pushes come, last and are given up: never more than allowed are under way, nobody waits
// beside a free place, and turns come in the order of asking.
func TestPaceKeepsItsPlaces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "most")
		p := newPace(most)
		entered := 0
		type waiter struct {
			stop context.CancelFunc
			got  chan error
		}
		var waiting []waiter
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				ctx, stop := context.WithCancel(context.Background())
				before := p.waiting()
				w := waiter{stop, make(chan error, 1)}
				free := entered < p.limit() && len(waiting) == 0
				go func() { w.got <- p.enter(ctx) }()
				if free {
					require.NoError(t, <-w.got)
					entered++
					stop()
					break
				}
				for p.waiting() == before {
					runtime.Gosched() // until it stands in the queue
				}
				waiting = append(waiting, w)
			case 2:
				if entered > 0 {
					before := p.waiting()
					p.leave(time.Duration(rapid.IntRange(0, 20).Draw(t, "took")))
					entered--
					for range before - p.waiting() {
						require.NoError(t, <-waiting[0].got)
						waiting[0].stop()
						waiting = waiting[1:]
						entered++
					}
				}
			default:
				if len(waiting) > 0 {
					at := rapid.IntRange(0, len(waiting)-1).Draw(t, "who")
					waiting[at].stop()
					require.ErrorIs(t, <-waiting[at].got, context.Canceled)
					waiting = append(waiting[:at:at], waiting[at+1:]...)
				}
			}
			require.Equal(t, entered, p.under())
			require.Len(t, waiting, p.waiting())
			require.False(t, entered < p.limit() && len(waiting) > 0, "a place is free and somebody waits")
		}
		for _, w := range waiting {
			w.stop()
			<-w.got
		}
	})
}

func (p *pace) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

func (p *pace) under() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}
