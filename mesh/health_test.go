package mesh_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/faultinject"
)

var update = flag.Bool("update", false, "write golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
}

func TestStatusHasItsShapeAndNoURL(t *testing.T) {
	t.Parallel()
	b := setup(t, 2, ok, func(c *mesh.Config) { c.HealthEvery = time.Hour })
	require.NoError(t, b.get(t))
	require.Eventually(t, func() bool { return b.Status().Services[mesh.Onside].Reported != "" }, time.Minute, time.Millisecond)
	text, err := json.MarshalIndent(b.Status(), "", "  ")
	require.NoError(t, err)
	text = regexp.MustCompile(`"latency": [0-9.e-]+`).ReplaceAll(text, []byte(`"latency": 1`))
	text = regexp.MustCompile(`"checked_at": "[^"]+"`).ReplaceAll(text, []byte(`"checked_at": "2026-01-02T03:04:05Z"`))
	golden(t, "status.json", text)
	require.NotContains(t, string(text), "127.0.0")
}

func TestDetailTellsOfEveryAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, 2, status(http.StatusInternalServerError), func(c *mesh.Config) {
		c.HealthEvery = time.Hour
		c.Breaker.Consecutive = 1
	})
	require.Eventually(t, func() bool { return b.Status().Services[mesh.Onside].Reported != "" }, time.Minute, time.Millisecond)
	require.Error(t, b.get(t))
	detail := b.Detail()[mesh.Onside]
	require.Len(t, detail.Endpoints, 2)
	require.Equal(t, 1, detail.Ejected)
	open := 0
	for i, e := range detail.Endpoints {
		require.Equal(t, b.cluster.Address(i).String(), e.Address)
		require.Zero(t, e.Pending)
		if e.Circuit == "open" {
			open++
			require.Equal(t, 1, e.Failures)
			require.Positive(t, e.RetryInMS)
			require.Positive(t, e.Latency)
		}
	}
	require.Equal(t, 1, open)
}

func TestHealthAnswersForEveryPeerInTime(t *testing.T) {
	t.Parallel()
	faults := faultinject.New(faultinject.Config{Seed: 1})
	b := setup(t, 1, ok, func(c *mesh.Config) { c.HealthTimeout = 2 * time.Second; c.Wrap = faults.Wrap })
	h := b.Health().All(t.Context())[mesh.Onside]
	require.Equal(t, "degraded", h.Status)
	require.Equal(t, "1.2.3", h.Version)
	require.JSONEq(t, `{"status":"healthy"}`, string(h.Components["database"]))
	require.Positive(t, h.Latency)

	faults.Partition(mesh.Onside)
	began := time.Now()
	require.Equal(t, mesh.PeerHealth{Status: "unreachable", Error: "it did not answer: too slow"}, b.Health().All(t.Context())[mesh.Onside])
	require.Less(t, time.Since(began), 30*time.Second)

	faults.Heal(mesh.Onside)
	b.cluster.Stop(0)
	require.Equal(t, mesh.PeerHealth{Status: "unreachable", Error: "it did not answer: no connection"}, b.Health().All(t.Context())[mesh.Onside])
}

func TestAPeerThatSaysItIsUnhealthyIsNot(t *testing.T) {
	t.Parallel()
	server := newPlain(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "unhealthy"})
	})
	m, err := mesh.New(mesh.Config{Service: mesh.MadanSara, Secrets: []string{secret}, Peers: map[string]string{mesh.Core: server.URL}})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	require.Eventually(t, func() bool { return m.Status().Services[mesh.Core].Reported == "unhealthy" }, time.Minute, time.Millisecond)
	require.Equal(t, "degraded", m.Status().Status)
	require.Equal(t, "closed", m.Status().Services[mesh.Core].Circuit, "it answers: calls may be tried")
}
