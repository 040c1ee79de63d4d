package faultinject_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh/faultinject"
)

type bundle struct {
	faults *faultinject.Faults
	client *http.Client
	url    string
	clock  *clockwork.FakeClock
}

func setup(t *testing.T, seed uint64, rules ...faultinject.Rule) *bundle {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	b := &bundle{clock: clockwork.NewFakeClock(), url: server.URL}
	b.faults = faultinject.New(faultinject.Config{Seed: seed, Rules: rules, Clock: b.clock})
	address := netip.MustParseAddrPort(server.Listener.Addr().String())
	b.client = &http.Client{Transport: b.faults.Wrap("onside", address, server.Client().Transport)}
	return b
}

func (b *bundle) get(ctx context.Context) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/path", http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := b.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), errors.Join(err, response.Body.Close())
}

func TestEachFaultIsWhatItSays(t *testing.T) {
	t.Parallel()
	_, _, err := setup(t, 1, faultinject.Rule{Refuse: true}).get(t.Context())
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "dial", op.Op)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	_, _, err = setup(t, 1, faultinject.Rule{Reset: true}).get(t.Context())
	require.ErrorIs(t, err, syscall.ECONNRESET)

	status, body, err := setup(t, 1, faultinject.Rule{Status: 503}).get(t.Context())
	require.NoError(t, err)
	require.Equal(t, 503, status)
	require.Contains(t, body, "fault_injected")

	_, body, err = setup(t, 1, faultinject.Rule{CutBody: 300}).get(t.Context())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, body, 300)
}

func TestLatencyAndSlowBodiesTakeTime(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, faultinject.Rule{Latency: time.Minute, SlowBody: time.Second})
	done := make(chan error, 1)
	go func() { _, _, err := b.get(t.Context()); done <- err }()
	require.NoError(t, b.clock.BlockUntilContext(t.Context(), 1))
	b.clock.Advance(time.Minute)
	for range 3 { // 1000 bytes in parts of 512, and the end
		require.NoError(t, b.clock.BlockUntilContext(t.Context(), 1))
		select {
		case <-done:
			t.Fatal("too early")
		default:
		}
		b.clock.Advance(time.Second)
	}
	require.NoError(t, <-done)
}

func TestAPartitionLastsUntilTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.faults.Partition("onside")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err := b.get(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	b.faults.Heal("onside")
	_, body, err := b.get(t.Context())
	require.NoError(t, err)
	require.Len(t, body, 1000)
	require.Equal(t, 1, b.faults.Injected())
}

func TestRulesFitPeerAddressAndPath(t *testing.T) {
	t.Parallel()
	for _, rule := range []faultinject.Rule{
		{Peer: "sankore", Refuse: true}, {Address: netip.MustParseAddrPort("10.0.0.1:1"), Refuse: true}, {Path: "/other", Refuse: true},
	} {
		_, _, err := setup(t, 1, rule).get(t.Context())
		require.NoError(t, err)
	}
	_, _, err := setup(t, 1, faultinject.Rule{Peer: "onside", Path: "/pa", Refuse: true}).get(t.Context())
	require.Error(t, err)
}

func TestASeedDecidesEverything(t *testing.T) {
	t.Parallel()
	history := func(seed uint64) (text string) {
		b := setup(t, seed, faultinject.Rule{Share: 0.3, Status: 503}, faultinject.Rule{Share: 0.3, Refuse: true})
		for range 100 {
			status, _, err := b.get(t.Context())
			switch {
			case err != nil:
				text += "r"
			case status == 503:
				text += "5"
			default:
				text += "."
			}
		}
		return text
	}
	first := history(1)
	require.Equal(t, first, history(1))
	require.NotEqual(t, first, history(2))
	require.InDelta(t, 30, strings.Count(first, "5"), 15)
	require.InDelta(t, 21, strings.Count(first, "r"), 13)
}
