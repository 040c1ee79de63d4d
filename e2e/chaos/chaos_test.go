// Package chaos_test kills Core while Madan Sara tells it facts.
package chaos_test

import (
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/bench/outagebench"
	"github.com/engardehq/madansara/internal/dbtest"
)

// Core is killed, restarted, slowed and cut off at random while conversions are
// recorded over HTTP. Each is in Core once, a customer's in their order, and the
// outages have not multiplied the requests. How fast it is, bench measures.
func TestConversionsSurviveTheLossOfCore(t *testing.T) {
	t.Parallel()
	conversions := 2_000
	if os.Getenv("MADANSARA_CHAOS_FULL") != "" {
		conversions = 10_000
	}
	rig, err := outagebench.Start(t.Context(), dbtest.URL(t), t.TempDir(), 5)
	require.NoError(t, err)
	t.Cleanup(rig.Close)

	var recorded atomic.Int64
	var load sync.WaitGroup
	const clients = 8
	for client := range clients {
		load.Go(func() {
			for n := client; n < conversions; n += clients {
				if err := rig.Track(t.Context(), n); err != nil {
					t.Error(err) // Madan Sara itself is not to fail
				}
				recorded.Add(1)
			}
		})
	}
	faults := []struct {
		name        string
		cause, heal func()
	}{
		{"killed", rig.Core.Kill, func() { require.NoError(t, rig.Core.Start(t.Context())) }},
		{"cut off", rig.Proxy.Cut, rig.Proxy.Heal},
		{"slow", func() { rig.Proxy.Slow(50 * time.Millisecond) }, rig.Proxy.Heal},
	}
	rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for i, fault := range faults { // each somewhere in its own part of the load, for a quarter of a part
		part := int64(conversions / len(faults))
		begin := int64(i)*part + rand.Int64N(part/2)
		until(t, func() bool { return recorded.Load() >= begin })
		fault.cause()
		until(t, func() bool { return recorded.Load() >= begin+part/4 })
		fault.heal()
		t.Logf("Core was %s from conversion %d to %d", fault.name, begin, recorded.Load())
	}
	load.Wait()

	var last outagebench.Sample
	until(t, func() bool {
		last, err = rig.Sample(t.Context())
		require.NoError(t, err)
		return last.Pending == 0
	})
	require.Zero(t, last.Failed)
	arrived, err := rig.Arrived(t.Context())
	require.NoError(t, err)
	require.Equal(t, outagebench.Arrived{Facts: conversions, Orders: conversions}, arrived)
	amplification := last.Attempts / float64(conversions)
	t.Logf("%.0f requests sent or tried for %d facts: %.3f for each", last.Attempts, conversions, amplification)
	require.Less(t, amplification, 1.2)
}

// until returns when the condition holds; the bound is for a machine with much else to do.
func until(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 4*time.Minute, 20*time.Millisecond)
}
