package mesh_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

func TestACallIsSignedAndCarriesTenantTraceAndTime(t *testing.T) {
	t.Parallel()
	var identity signature.Identity
	var span trace.SpanContext
	var left time.Duration
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		identity, _ = signature.From(r.Context())
		span = trace.SpanContextFromContext(r.Context())
		deadline, _ := r.Context().Deadline()
		left = time.Until(deadline)
		ok(w, r)
	}, nil)

	want := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx, cancel := context.WithTimeout(trace.ContextWithSpanContext(t.Context(), want), 2*time.Second)
	defer cancel()
	var out struct {
		Says string `json:"says"`
	}
	require.NoError(t, b.Peer(mesh.Onside).Call(ctx, mesh.Call{Name: "test", Path: "/a", Tenant: tenant}, &out))
	require.Equal(t, "hello", out.Says)
	require.Equal(t, signature.Identity{Source: mesh.MadanSara, Tenant: tenant, KeyID: signature.KeyID(secret)}, identity)
	require.Equal(t, want.TraceID(), span.TraceID())
	require.True(t, span.IsRemote())
	require.LessOrEqual(t, left, 2*time.Second, "the caller's time, not the mesh's or the server's")
	require.Greater(t, left, time.Second)
	require.Equal(t, 1, b.count(t, "mesh_calls_total", map[string]string{"peer": "onside", "call": "test", "outcome": "ok"}))
	require.Equal(t, 1, b.count(t, "mesh_call_seconds", map[string]string{"peer": "onside", "call": "test"}))
}

func TestAnErrorAnswerIsRejectedWithThePeersWords(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, err := io.WriteString(w, `{"title":"Unprocessable Entity","status":200,"detail":"The page is private.","code":"invalid","errors":[{"location":"body.url","message":"private address"}]}`)
		if err != nil {
			t.Log(err)
		}
	}, nil)
	err := b.post(t, "")
	got := failure(t, err)
	require.Equal(t, mesh.ErrRejected, got.Kind)
	require.Equal(t, http.StatusUnprocessableEntity, got.Status)
	require.Equal(t, http.StatusUnprocessableEntity, got.Problem.Status, "the status line wins")
	require.Equal(t, "body.url", got.Problem.Errors[0].Location)
	require.Equal(t, "mesh: onside test.post: rejected: 422 invalid: The page is private.", err.Error())
	require.False(t, got.Temporary())
	require.Equal(t, 1, got.Attempts)
}

func TestAnErrorAnswerWithoutAProblemIsStillTyped(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		_, err := io.WriteString(w, "<html>not here")
		if err != nil {
			t.Log(err)
		}
	}, nil)
	got := failure(t, b.get(t))
	require.Equal(t, mesh.ErrRejected, got.Kind)
	require.Equal(t, "Not Found", got.Problem.Title)
}

func TestNoCallOutlivesTheTimeout(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, hang(t), func(c *mesh.Config) { c.Timeout = 400 * time.Millisecond })
	began := time.Now()
	got := failure(t, b.get(t))
	require.Equal(t, mesh.ErrTimeout, got.Kind)
	require.ErrorIs(t, got, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 10*time.Second)
	require.Equal(t, 1, b.Status().Services[mesh.Onside].FailureCount, "the mesh's own timeout is the peer's failure")
}

func TestABodyThatStallsCannotHoldACall(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, err := io.WriteString(w, `{"says":`)
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		if err != nil {
			t.Log(err)
		}
		<-t.Context().Done() // it does not even mind the deadline
	}, func(c *mesh.Config) { c.Timeout = 80 * time.Millisecond })
	require.Equal(t, mesh.ErrTimeout, failure(t, b.get(t)).Kind)
}

func TestACallersOwnHurryIsNotThePeersFailure(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, hang(t), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	peer := b.Peer(mesh.Onside)
	require.Equal(t, mesh.ErrTimeout, failure(t, peer.Call(ctx, mesh.Call{Name: "test", Path: "/"}, nil)).Kind)

	canceled, giveUp := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, giveUp)
	err := peer.Call(canceled, mesh.Call{Name: "test", Path: "/"}, nil)
	require.Equal(t, mesh.ErrCanceled, failure(t, err).Kind)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, b.Status().Services[mesh.Onside].FailureCount)
}

func TestThatACallersTimeRanOutAtThePeerIsNotThePeersFailure(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, status(http.StatusGatewayTimeout), func(c *mesh.Config) { c.Retry.Attempts = 1 })
	hurried, cancel := context.WithTimeout(t.Context(), 4*time.Second) // less than the mesh gives
	defer cancel()
	got := failure(t, b.Peer(mesh.Onside).Call(hurried, mesh.Call{Name: "test", Path: "/"}, nil))
	require.Equal(t, mesh.ErrTimeout, got.Kind)
	require.Equal(t, http.StatusGatewayTimeout, got.Status)
	require.Zero(t, b.Status().Services[mesh.Onside].FailureCount)
	require.Equal(t, mesh.ErrTimeout, failure(t, b.get(t)).Kind)
	require.Equal(t, 1, b.Status().Services[mesh.Onside].FailureCount)
}

func TestCallsBeyondTheLimitAreShed(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	leave := make(chan struct{})
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		ok(w, r)
	}, func(c *mesh.Config) { c.Concurrency = 2 })
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- b.get(t) }()
		<-entered
	}
	require.EqualValues(t, 2, b.Status().Services[mesh.Onside].InFlight)
	got := failure(t, b.get(t))
	require.Equal(t, mesh.ErrRefused, got.Kind)
	require.Zero(t, got.Attempts)
	require.True(t, got.Temporary())
	close(leave)
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
	require.Zero(t, b.Status().Services[mesh.Onside].InFlight)
	require.EqualValues(t, 2, b.cluster.Total())
}

func TestAnAnswerThatIsNotExpectedIsSaidSo(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		body := "not JSON"
		if r.URL.Path == "/large" {
			body = strings.Repeat(" ", 2000)
		}
		_, err := io.WriteString(w, body)
		if err != nil {
			t.Log(err)
		}
	}, func(c *mesh.Config) { c.MaxAnswer = 1000 })
	var out any
	for _, path := range []string{"/", "/large"} {
		err := b.Peer(mesh.Onside).Call(t.Context(), mesh.Call{Name: "test", Path: path}, &out)
		require.Equal(t, mesh.ErrBadAnswer, failure(t, err).Kind, path)
	}
	require.EqualValues(t, 2, b.cluster.Total(), "what the peer cannot say better is not asked again")
}

func TestAnyHTTPClientCanStandOverAPeer(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.RawQuery != "a=1" || r.URL.Path != "/x y" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, err = w.Write([]byte("echo " + string(body)))
		closed.Store(err == nil)
	}, nil)
	client := &http.Client{Transport: b.Peer(mesh.Onside)}
	response, err := client.Post("http://any.host/x%20y?a=1", "text/plain", strings.NewReader("hello"))
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Status().Services[mesh.Onside].InFlight, "a call lasts until its body is closed")
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "echo hello", string(body))
	require.Zero(t, b.Status().Services[mesh.Onside].InFlight)

	// A body that cannot be read twice is buffered to be signed.
	request, err := http.NewRequestWithContext(mesh.WithCall(t.Context(), "upload"), http.MethodPost, "http://onside/x%20y?a=1", io.NopCloser(strings.NewReader("stream")))
	require.NoError(t, err)
	response, err = client.Do(request)
	require.NoError(t, err)
	body, err = io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "echo stream", string(body))
	require.Equal(t, 1, b.count(t, "mesh_calls_total", map[string]string{"call": "upload", "outcome": "ok"}))
}

func TestAStreamedBodyThatBreaksIsTypedAndCounted(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, err := io.WriteString(w, "half")
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		if err != nil {
			t.Log(err)
		}
		panic(http.ErrAbortHandler)
	}, nil)
	response, err := (&http.Client{Transport: b.Peer(mesh.Onside)}).Get("http://onside/")
	require.NoError(t, err)
	_, err = io.ReadAll(response.Body)
	require.Equal(t, mesh.ErrUnreachable, failure(t, err).Kind)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 1, b.Status().Services[mesh.Onside].FailureCount)
	require.Zero(t, b.Status().Services[mesh.Onside].InFlight)
	require.Equal(t, 1, b.count(t, "mesh_calls_total", map[string]string{"outcome": "unreachable"}))
}

func TestAPeerThatIsNotConfiguredIsUnreachable(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, ok, nil)
	_, err := b.AdIntelligence().Campaign(t.Context(), tenant, "c")
	require.Equal(t, mesh.ErrUnreachable, failure(t, err).Kind)
	_, err = b.SEO().Analyze(t.Context(), mesh.SEORequest{})
	require.NoError(t, err)
}

func TestAPathSegmentCannotLeaveItsPlace(t *testing.T) {
	t.Parallel()
	require.Equal(t, "/a%2Fb/%2E%2E/c%3Fd", mesh.Path("a/b", "..", "c?d"))
}

func TestAHeadHasALengthAndNoBody(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100") }, nil)
	require.NoError(t, b.Peer(mesh.Onside).Call(t.Context(), mesh.Call{Name: "test", Method: http.MethodHead, Path: "/"}, nil))
}

func TestAMeshWithoutSignatures(t *testing.T) {
	t.Parallel()
	var seen http.Header
	server := newPlain(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Log(err)
		}
	})
	config := mesh.Config{Service: "test", Unsigned: true, HealthEvery: -1, Peers: map[string]string{mesh.Core: server.URL + "/base"}}
	m, err := mesh.New(config)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	require.NoError(t, m.Peer(mesh.Core).Call(t.Context(), mesh.Call{Name: "test", Method: http.MethodPost, Path: "/", In: 1}, nil))
	require.Empty(t, seen.Get("Signature"))
	require.NotEmpty(t, seen.Get(signature.HeaderTimeout))
	client := &http.Client{Transport: m.Peer(mesh.Core)}
	response, err := client.Post("http://core/", "text/plain", io.NopCloser(strings.NewReader("streamed")))
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "streamed", string(body))

	config.Secrets = []string{secret}
	_, err = mesh.New(config)
	require.ErrorContains(t, err, "contradict")
}

func TestASpanIsMadeAndItsContextSent(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	var received trace.SpanContext
	b := setup(t, 1, func(w http.ResponseWriter, r *http.Request) {
		received = trace.SpanContextFromContext(r.Context())
		w.WriteHeader(http.StatusTeapot)
	}, func(c *mesh.Config) { c.Tracer = provider })
	failure(t, b.get(t))
	ended := spans.Ended()
	require.Len(t, ended, 1)
	require.Equal(t, "onside test.get", ended[0].Name())
	require.Equal(t, trace.SpanKindClient, ended[0].SpanKind())
	require.Equal(t, ended[0].SpanContext().SpanID(), received.SpanID())
	require.Contains(t, ended[0].Attributes(), attribute.Int("http.response.status_code", http.StatusTeapot))
	require.Equal(t, codes.Error, ended[0].Status().Code)
}
