package mesh_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/breaker"
	"github.com/engardehq/madansara/mesh/faultinject"
)

// failTimes answers with a status so many times, then well.
func failTimes(n int64, code int) http.HandlerFunc {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) <= n {
			w.WriteHeader(code)
			return
		}
		ok(w, r)
	}
}

func TestOnlyWhatMayBeRepeatedIsRetried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code int
		call func(*bundle) error
		hits int64
		kind mesh.Kind // "": no error
	}{
		"a read":                         {503, func(b *bundle) error { return b.get(t) }, 2, ""},
		"a write with a key":             {502, func(b *bundle) error { return b.post(t, "key") }, 2, ""},
		"a write without one":            {503, func(b *bundle) error { return b.post(t, "") }, 1, mesh.ErrRefused},
		"too many requests":              {429, func(b *bundle) error { return b.get(t) }, 2, ""},
		"an error that stays":            {500, func(b *bundle) error { return b.get(t) }, 1, mesh.ErrRejected},
		"a mistake of the caller":        {400, func(b *bundle) error { return b.get(t) }, 1, mesh.ErrRejected},
		"a conflict is not a repetition": {409, func(b *bundle) error { return b.post(t, "key") }, 1, mesh.ErrRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1, failTimes(1, c.code), nil)
			err := c.call(b)
			if c.kind == "" {
				require.NoError(t, err)
			} else {
				require.Equal(t, c.kind, failure(t, err).Kind)
			}
			require.Equal(t, c.hits, b.cluster.Total())
		})
	}
}

func TestAttemptsAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, status(http.StatusServiceUnavailable), func(c *mesh.Config) { c.Retry.Attempts = 4 })
	got := failure(t, b.get(t))
	require.Equal(t, mesh.ErrRefused, got.Kind)
	require.Equal(t, 4, got.Attempts)
	require.EqualValues(t, 4, b.cluster.Total())
	require.Equal(t, 3, b.count(t, "mesh_attempts_total", map[string]string{"kind": "retry"}))
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	var seen atomic.Int64
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 1 {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		ok(w, r)
	}, func(c *mesh.Config) { c.Clock = clock; c.Timeout = time.Minute; c.Random = func() float64 { return 0 } })
	ended := make(chan error, 1)
	go func() { ended <- b.get(t) }()
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, clock.BlockUntilContext(soon, 2), "the look-up's ticker and the wait")
	clock.Advance(3*time.Second - 1)
	require.NoError(t, clock.BlockUntilContext(soon, 2), "it still waits")
	clock.Advance(1)
	require.NoError(t, <-ended)
	require.EqualValues(t, 2, seen.Load())
}

func TestAWaitLongerThanTheCallIsNotBegun(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}, nil)
	began := time.Now()
	got := failure(t, b.get(t))
	require.Equal(t, mesh.ErrRefused, got.Kind)
	require.Equal(t, time.Minute, got.RetryAfter)
	require.Less(t, time.Since(began), 3*time.Second)
}

func TestABrokenAnswerIsRetried(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]faultinject.Rule{
		"reset":    {Reset: true},
		"cut body": {CutBody: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := faultinject.New(faultinject.Config{Seed: 1, Rules: []faultinject.Rule{rule}})
			b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
				faults.SetRules() // the next attempt is left alone
				ok(w, r)
			}, func(c *mesh.Config) { c.Wrap = faults.Wrap })
			// The rule is drawn before the handler ends it, so the first attempt meets it.
			require.NoError(t, b.get(t))
			require.EqualValues(t, 2, b.cluster.Total())
		})
	}
}

func TestAStreamedCallIsRetriedOnTheSameConnection(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var from []string
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if from = append(from, r.RemoteAddr); len(from) == 1 {
			answer(w, http.StatusServiceUnavailable, "not now")
			return
		}
		ok(w, r)
	}, nil)
	status, body := b.stream(t)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"says":"hello"}`, body)
	require.Len(t, from, 2)
	require.Equal(t, from[0], from[1])
	require.Zero(t, b.Status().Services[mesh.Onside].InFlight)
}

func TestAnErrorAnswerThatStallsDoesNotHoldTheRetry(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) > 1 {
			ok(w, r)
			return
		}
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusServiceUnavailable)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Log(err)
		}
		<-r.Context().Done()
	}, func(c *mesh.Config) { c.Timeout = time.Minute })
	began := time.Now()
	status, _ := b.stream(t)
	require.Equal(t, http.StatusOK, status)
	require.Less(t, time.Since(began), 30*time.Second)
}

// stream makes a call through an ordinary HTTP client.
func (b *bundle) stream(t *testing.T) (status int, body string) {
	t.Helper()
	response, err := (&http.Client{Transport: b.Peer(mesh.Onside)}).Get("http://onside/")
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(text)
}

// TestADeadPeerSeesNoStorm measures the amplification of an outage that the breaker does not see.
func TestADeadPeerSeesNoStorm(t *testing.T) {
	t.Parallel()
	const calls = 400
	b := setup(t, 1, status(http.StatusServiceUnavailable), func(c *mesh.Config) {
		c.Breaker = breaker.Config{Consecutive: 1 << 30, MinCalls: 1 << 30}
		c.Retry = mesh.Retry{Attempts: 10, Base: time.Microsecond, Max: time.Microsecond}
		c.Clock = clockwork.NewFakeClock() // all within one window; waits of nothing end at once
		c.Random = func() float64 { return 0 }
	})
	for range calls {
		require.Error(t, b.get(t))
	}
	amplification := float64(b.cluster.Total()) / calls
	require.LessOrEqual(t, amplification, 1.2+3.0/calls)
	require.Greater(t, amplification, 1.15, "the budget is there to be used")
	require.Positive(t, b.count(t, "mesh_attempts_total", map[string]string{"kind": "over_budget"}))
}

func TestTheBudgetHoldsOverAnyWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := clockwork.NewFakeClock()
		ratio := rapid.Float64Range(0, 1).Draw(t, "ratio")
		floor := rapid.IntRange(0, 5).Draw(t, "floor")
		budget := mesh.NewBudget(ratio, floor, clock)
		var calls, retries []time.Time
		recent := func(times []time.Time) int { // a slot's edge may be up to a second older or younger
			n := 0
			for _, at := range times {
				if clock.Since(at) < 10*time.Second {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				clock.Advance(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			case 1:
				budget.Call()
				calls = append(calls, clock.Now())
			default:
				allowed := budget.Retry()
				if allowed {
					retries = append(retries, clock.Now())
				}
				// Retries counted in the last nine seconds are in the window for
				// certain; calls of the last ten are all it can have seen.
				inNine := 0
				for _, at := range retries {
					if clock.Since(at) < 9*time.Second {
						inNine++
					}
				}
				if allowed {
					require.LessOrEqual(t, float64(inNine), ratio*float64(recent(calls))+float64(floor)+1e-9)
				}
			}
		}
	})
}

func TestACircuitOpensTellsAndCloses(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	var broken atomic.Bool
	broken.Store(true)
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		ok(w, r)
	}, func(c *mesh.Config) { c.Clock = clock; c.Breaker.Consecutive = 3 })
	for range 3 {
		require.Equal(t, mesh.ErrRejected, failure(t, b.get(t)).Kind)
	}
	got := failure(t, b.get(t))
	require.Equal(t, mesh.ErrCircuitOpen, got.Kind)
	require.Equal(t, 5*time.Second, got.RetryAfter)
	require.Zero(t, got.Attempts)
	require.EqualValues(t, 3, b.cluster.Total(), "an open circuit sends nothing")
	state := b.Status()
	require.Equal(t, "degraded", state.Status)
	require.Equal(t, "open", state.Services[mesh.Onside].Circuit)
	require.False(t, state.Services[mesh.Onside].Healthy)
	require.Equal(t, 3, state.Services[mesh.Onside].FailureCount)
	require.Contains(t, b.log.String(), `msg="mesh circuit open" peer=onside`)
	require.Equal(t, 1, b.count(t, "mesh_circuit_changes_total", map[string]string{"peer": "onside", "to": "open"}))
	require.Equal(t, 1, b.count(t, "mesh_addresses", map[string]string{"circuit": "open"}))

	broken.Store(false)
	clock.Advance(5 * time.Second)
	require.NoError(t, b.get(t))
	require.Equal(t, "half_open", b.Status().Services[mesh.Onside].Circuit)
	require.NoError(t, b.get(t))
	require.Equal(t, "closed", b.Status().Services[mesh.Onside].Circuit)
	require.Equal(t, "healthy", b.Status().Status)
}

func TestMistakesOfTheCallerNeverOpenACircuit(t *testing.T) {
	t.Parallel()
	for _, code := range []int{400, 401, 403, 404, 409, 422, 429} {
		b := setup(t, 1, status(code), func(c *mesh.Config) {
			c.Breaker = breaker.Config{Consecutive: 1, MinCalls: 1}
			c.Retry.Attempts = 1
		})
		for range 3 {
			require.Equal(t, code, failure(t, b.get(t)).Status)
		}
		require.Equal(t, "closed", b.Status().Services[mesh.Onside].Circuit)
	}
}

func TestAHedgeAnswersWhenTheFirstAddressStalls(t *testing.T) {
	t.Parallel()
	var first atomic.Int64
	first.Store(-1)
	b := setupEach(t, 2, func(replica int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if first.CompareAndSwap(-1, int64(replica)) {
				hang(t)(w, r)
				return
			}
			ok(w, r)
		})
	}, func(c *mesh.Config) { c.HedgeAfter = 20 * time.Millisecond; c.Timeout = 10 * time.Second })
	began := time.Now()
	require.NoError(t, b.get(t))
	require.Less(t, time.Since(began), 5*time.Second)
	require.EqualValues(t, 1, b.cluster.Hits[0].Load())
	require.EqualValues(t, 1, b.cluster.Hits[1].Load())
	require.Equal(t, 1, b.count(t, "mesh_attempts_total", map[string]string{"kind": "hedge"}))
	require.Zero(t, b.Status().Services[mesh.Onside].FailureCount, "losing a race is no failure")

	first.Store(-1)
	err := b.Peer(mesh.Onside).Call(shortly(t), mesh.Call{Name: "write", Method: http.MethodPost, Path: "/"}, nil)
	require.Equal(t, mesh.ErrTimeout, failure(t, err).Kind, "writes are not hedged")
}

func TestAnAddressThatHangsTakesNotAllOfTheTime(t *testing.T) {
	t.Parallel()
	var hung atomic.Bool
	b := setup(t, 2, func(w http.ResponseWriter, r *http.Request) {
		if hung.CompareAndSwap(false, true) {
			<-r.Context().Done()
			return
		}
		ok(w, r)
	}, func(c *mesh.Config) { c.Retry.AttemptTimeout = 2 * time.Second; c.Timeout = time.Minute })
	began := time.Now()
	require.NoError(t, b.get(t))
	require.Less(t, time.Since(began), 30*time.Second)
	require.EqualValues(t, 1, b.cluster.Hits[0].Load())
	require.EqualValues(t, 1, b.cluster.Hits[1].Load())
	require.Equal(t, 1, b.Status().Services[mesh.Onside].FailureCount)

	hung.Store(false)
	require.Equal(t, mesh.ErrTimeout, failure(t, b.Peer(mesh.Onside).Call(shortly(t), mesh.Call{Name: "write", Method: http.MethodPost, Path: "/"}, nil)).Kind)
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestAConnectionThatDiesAfterDelivery: net/http repeats a request by itself when
// a reused connection dies; its nonce is then used up, and only a fresh signature helps.
func TestAConnectionThatDiesAfterDelivery(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 2 {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				err = connection.Close()
			}
			if err != nil {
				t.Log(err)
			}
			return
		}
		ok(w, r)
	}, nil)
	require.NoError(t, b.get(t)) // so that the next request reuses the connection
	require.NoError(t, b.get(t))
	require.EqualValues(t, 3, seen.Load())
	require.EqualValues(t, 4, b.cluster.Total(), "one of them was refused as a replay")
}

func TestAPartitionEndsByTheCallersDeadlineAndHeals(t *testing.T) {
	t.Parallel()
	faults := faultinject.New(faultinject.Config{Seed: 1})
	b := setup(t, 1, ok, func(c *mesh.Config) { c.Wrap = faults.Wrap; c.Timeout = 2 * time.Second })
	faults.Partition(mesh.Onside)
	require.Equal(t, mesh.ErrTimeout, failure(t, b.get(t)).Kind)
	faults.Heal(mesh.Onside)
	require.NoError(t, b.get(t))
	require.EqualValues(t, 1, b.cluster.Total())
}

func TestManyCallersOfAPeerThatFailsInEveryWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hedge time.Duration
		call  func(b *bundle) error
	}{
		"plain":    {0, func(b *bundle) error { return b.get(t) }},
		"hedged":   {time.Millisecond, func(b *bundle) error { return b.get(t) }},
		"streamed": {time.Millisecond, streamed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := faultinject.New(faultinject.Config{Seed: 7, Rules: []faultinject.Rule{
				{Share: 0.05, Reset: true},
				{Share: 0.05, Status: http.StatusServiceUnavailable},
				{Share: 0.05, Refuse: true},
				{Share: 0.05, CutBody: 2},
				{Share: 0.05, Latency: 5 * time.Millisecond},
			}})
			b := setup(t, 3, ok, func(config *mesh.Config) {
				config.Wrap = faults.Wrap
				config.HedgeAfter = c.hedge
				config.Breaker.OpenFor = 10 * time.Millisecond
			})
			var group sync.WaitGroup
			var good, untyped atomic.Int64
			for range 8 {
				group.Go(func() {
					for range 100 {
						err := c.call(b)
						if err == nil {
							good.Add(1)
						} else if _, typed := errors.AsType[*mesh.Error](err); !typed {
							untyped.Add(1)
						}
					}
				})
			}
			group.Wait()
			require.Greater(t, good.Load(), int64(650))
			require.Zero(t, untyped.Load())
			require.Zero(t, b.Status().Services[mesh.Onside].InFlight)
			again := b.count(t, "mesh_attempts_total", map[string]string{"kind": "retry"}) + b.count(t, "mesh_attempts_total", map[string]string{"kind": "hedge"})
			require.LessOrEqual(t, again, 800/5+15)
			require.Positive(t, again)
		})
	}
}

// streamed is a call through an ordinary HTTP client, whose answers may also break while they are read.
func streamed(b *bundle) error {
	response, err := (&http.Client{Transport: b.Peer(mesh.Onside)}).Get("http://onside/")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}
