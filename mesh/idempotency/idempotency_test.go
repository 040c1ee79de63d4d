package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/mesh/idempotency"
	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

type bundle struct {
	clock  *clockwork.FakeClock
	server *httptest.Server
	ran    atomic.Int64
}

func setup(t *testing.T, handler http.HandlerFunc, change func(*idempotency.Config)) *bundle {
	t.Helper()
	b := &bundle{clock: clockwork.NewFakeClock()}
	config := idempotency.Config{Store: idempotency.NewMemory(100, b.clock), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&config)
	}
	b.server = httptest.NewServer(idempotency.Middleware(config)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.ran.Add(1)
		handler(w, r)
	})))
	t.Cleanup(b.server.Close)
	return b
}

// created answers 201 with how often the handler ran.
func (b *bundle) created(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Location", "/things/1")
	w.Header().Set("X-Secret", "not replayed")
	w.WriteHeader(http.StatusCreated)
	if _, err := w.Write([]byte(string(body) + strconv.FormatInt(b.ran.Load(), 10))); err != nil {
		panic(http.ErrAbortHandler)
	}
}

type reply struct {
	status   int
	header   http.Header
	body     string
	code     string
	replayed bool
}

func (b *bundle) send(t *testing.T, method, path, key, body string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := b.server.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	got := reply{status: response.StatusCode, header: response.Header, replayed: response.Header.Get(idempotency.Replayed) == "true"}
	if response.Header.Get("Content-Type") == problem.ContentType {
		got.code = problem.Read(response).Code
		return got
	}
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	got.body = string(text)
	return got
}

func TestARepetitionGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	var b *bundle
	b = setup(t, func(w http.ResponseWriter, r *http.Request) { b.created(w, r) }, nil)
	first := b.send(t, http.MethodPost, "/things?a=1", "key", "body ")
	require.Equal(t, http.StatusCreated, first.status)
	require.Equal(t, "body 1", first.body)
	require.False(t, first.replayed)
	again := b.send(t, http.MethodPost, "/things?a=1", "key", "body ")
	require.Equal(t, http.StatusCreated, again.status)
	require.Equal(t, "body 1", again.body)
	require.Equal(t, "/things/1", again.header.Get("Location"))
	require.Empty(t, again.header.Get("X-Secret"))
	require.True(t, again.replayed)
	require.EqualValues(t, 1, b.ran.Load())

	b.clock.Advance(24 * time.Hour)
	require.Equal(t, "body 2", b.send(t, http.MethodPost, "/things?a=1", "key", "body ").body, "answers are kept a day")
}

func TestAKeyBelongsToOneRequest(t *testing.T) {
	t.Parallel()
	var b *bundle
	b = setup(t, func(w http.ResponseWriter, r *http.Request) { b.created(w, r) }, nil)
	b.send(t, http.MethodPost, "/things?a=1", "key", "body")
	for name, got := range map[string]reply{
		"body":   b.send(t, http.MethodPost, "/things?a=1", "key", "other"),
		"query":  b.send(t, http.MethodPost, "/things?a=2", "key", "body"),
		"path":   b.send(t, http.MethodPost, "/other?a=1", "key", "body"),
		"method": b.send(t, http.MethodPatch, "/things?a=1", "key", "body"),
	} {
		require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
		require.Equal(t, "idempotency_key_reused", got.code, name)
	}
	require.EqualValues(t, 1, b.ran.Load())
}

func TestSimultaneousRequestsRunOnce(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	var b *bundle
	b = setup(t, func(w http.ResponseWriter, r *http.Request) { close(entered); <-leave; b.created(w, r) }, nil)
	done := make(chan reply, 1)
	go func() { done <- b.send(t, http.MethodPost, "/", "key", "") }() //nolint:testifylint // the test waits for it below
	<-entered
	got := b.send(t, http.MethodPost, "/", "key", "")
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "idempotency_in_progress", got.code)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	close(leave)
	require.Equal(t, http.StatusCreated, (<-done).status)
	require.True(t, b.send(t, http.MethodPost, "/", "key", "").replayed)
	require.EqualValues(t, 1, b.ran.Load())
}

func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	for _, code := range []int{500, 503, 429, 408} {
		b := setup(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }, nil)
		for range 2 {
			require.Equal(t, code, b.send(t, http.MethodPost, "/", "key", "").status)
		}
		require.EqualValues(t, 2, b.ran.Load())
	}
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) }, nil)
	b.send(t, http.MethodPost, "/", "key", "")
	require.True(t, b.send(t, http.MethodPost, "/", "key", "").replayed, "a refusal is an answer")
}

func TestAPanicGivesTheKeyBack(t *testing.T) {
	t.Parallel()
	var b *bundle
	b = setup(t, func(w http.ResponseWriter, r *http.Request) {
		if b.ran.Load() == 1 {
			panic(http.ErrAbortHandler)
		}
		b.created(w, r)
	}, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL, http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Idempotency-Key", "key")
	_, err = (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	require.Error(t, err)
	require.Equal(t, http.StatusCreated, b.send(t, http.MethodPost, "/", "key", "").status)
}

func TestALeaseEnds(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	store := idempotency.NewMemory(0, clock)
	id := idempotency.ID{Key: "key"}
	claim, err := store.Claim(t.Context(), id, idempotency.Fingerprint{1}, time.Minute)
	require.NoError(t, err)
	require.True(t, claim.Fresh)
	clock.Advance(time.Minute - 1)
	claim, err = store.Claim(t.Context(), id, idempotency.Fingerprint{1}, time.Minute)
	require.NoError(t, err)
	require.Equal(t, idempotency.Claim{Fingerprint: idempotency.Fingerprint{1}}, claim)
	clock.Advance(1)
	claim, err = store.Claim(t.Context(), id, idempotency.Fingerprint{2}, time.Minute)
	require.NoError(t, err)
	require.True(t, claim.Fresh, "the process that held it is taken for dead")
}

func TestWhatHasNoKeyOrNeedsNone(t *testing.T) {
	t.Parallel()
	ok := func(http.ResponseWriter, *http.Request) {}
	b := setup(t, ok, func(c *idempotency.Config) { c.Required = true; c.MaxBody = 10 })
	require.Equal(t, "idempotency_key_missing", b.send(t, http.MethodPost, "/", "", "").code)
	require.Equal(t, "idempotency_key_malformed", b.send(t, http.MethodPost, "/", strings.Repeat("k", 256), "").code)
	require.Equal(t, "body_too_large", b.send(t, http.MethodPost, "/", "key", "01234567890").code)
	require.Zero(t, b.ran.Load())
	for range 2 {
		require.Equal(t, http.StatusOK, b.send(t, http.MethodPut, "/", "key", "").status)
	}
	require.EqualValues(t, 2, b.ran.Load(), "PUT is idempotent by definition")
	free := setup(t, ok, nil)
	require.Equal(t, http.StatusOK, free.send(t, http.MethodPost, "/", "", "").status)
}

func TestALargeAnswerIsNotKeptAndSaidSo(t *testing.T) {
	t.Parallel()
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, strings.Repeat("x", 11)); err != nil {
			panic(http.ErrAbortHandler)
		}
	}, func(c *idempotency.Config) { c.MaxAnswer = 10 })
	require.Len(t, b.send(t, http.MethodPost, "/", "key", "").body, 11)
	require.Equal(t, "idempotency_answer_not_kept", b.send(t, http.MethodPost, "/", "key", "").code)
	require.EqualValues(t, 1, b.ran.Load())
}

func TestKeysOfDifferentTenantsDoNotMeet(t *testing.T) {
	t.Parallel()
	keys, err := signature.NewKeys("a secret of the mesh, long enough")
	require.NoError(t, err)
	verifier, err := signature.NewVerifier(signature.VerifierConfig{Keys: keys, Service: "core"})
	require.NoError(t, err)
	var seen []idempotency.ID
	server := httptest.NewServer(verifier.Middleware(idempotency.Middleware(idempotency.Config{Store: idempotency.NewMemory(0, nil)})(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id, _ := idempotency.Key(r.Context())
			seen = append(seen, id)
		}))))
	t.Cleanup(server.Close)
	for _, c := range []struct{ service, tenant string }{{"a", "1"}, {"a", "2"}, {"b", "1"}, {"a", "1"}} {
		signer, err := signature.NewSigner(signature.SignerConfig{Keys: keys, Service: c.service})
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Idempotency-Key", "key")
		r.Header.Set(signature.HeaderTenant, c.tenant)
		response, err := (&http.Client{Transport: signer.RoundTripper("core", nil)}).Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	require.Equal(t, []idempotency.ID{{"a", "1", "key"}, {"a", "2", "key"}, {"b", "1", "key"}}, seen)
}

type away struct{ idempotency.Store }

func (away) Claim(context.Context, idempotency.ID, idempotency.Fingerprint, time.Duration) (idempotency.Claim, error) {
	return idempotency.Claim{}, errors.New("the store is away")
}

func TestAStoreThatIsAwayRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, func(http.ResponseWriter, *http.Request) {}, func(c *idempotency.Config) { c.Store = away{} })
	got := b.send(t, http.MethodPost, "/", "key", "")
	require.Equal(t, "idempotency_unavailable", got.code)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Zero(t, b.ran.Load())
}

// A caller who leaves is no failure of the store, and nobody's to be woken for.
func TestACallerWhoLeavesIsNoError(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]bool{"left": true, "there": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			handler := idempotency.Middleware(idempotency.Config{Store: away{}, Logger: slog.New(slog.NewTextHandler(&logged, nil))})(http.NotFoundHandler())
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if left {
				leave()
			}
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody)
			r.Header.Set("Idempotency-Key", "key")
			handler.ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, left, logged.Len() == 0, "%s", &logged)
		})
	}
}

// TestMemoryGrantsEachOperationOnce runs random histories of simultaneous claims.
func TestMemoryGrantsEachOperationOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := clockwork.NewFakeClock()
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		store := idempotency.NewMemory(limit, clock)
		live := map[string]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := idempotency.ID{Key: rapid.StringMatching("[a-f]").Draw(t, "key")}
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				var fresh, full atomic.Int64
				var group sync.WaitGroup
				for range 4 {
					group.Go(func() {
						claim, err := store.Claim(context.Background(), id, idempotency.Fingerprint{}, time.Hour)
						if errors.Is(err, idempotency.ErrFull) {
							full.Add(1)
						} else if claim.Fresh {
							fresh.Add(1)
						}
					})
				}
				group.Wait()
				switch {
				case live[id.Key]:
					require.Zero(t, fresh.Load()+full.Load())
				case len(live) == limit:
					require.EqualValues(t, 4, full.Load())
				default:
					require.EqualValues(t, 1, fresh.Load())
					live[id.Key] = true
				}
			case 1:
				if live[id.Key] {
					require.NoError(t, store.Complete(context.Background(), id, idempotency.Answer{Status: 200}, time.Hour))
				}
			case 2:
				clock.Advance(2 * time.Hour)
				live = map[string]bool{}
			}
		}
	})
}
