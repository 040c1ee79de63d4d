// Package idempotency lets a caller repeat a request without repeating what it
// does: requests with the same Idempotency-Key are handled once, and the
// repetitions get the first one's answer.
//
// # What it promises
//
// While one request with a key runs, another gets 409 with Retry-After. After it
// has answered, others get the same status, headers of interest and body, marked
// Idempotent-Replayed: true, as long as the store keeps them. The same key with another method,
// path, query or body is a mistake of the caller and gets 422. An answer of 5xx, 408, 425
// or 429 is not kept: the request may be tried again.
//
// # What it does not
//
// The answer is stored after the handler has done its work, not in the same
// transaction. A process that dies in between leaves a claim that ends after
// [Config.Lease], and a repetition then runs again. A handler whose effect must
// happen exactly once writes the key (see [Key]) in the transaction of the effect.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

// Header is the request's header with the key.
const Header = signature.HeaderIdempotencyKey

// Replayed is the header of an answer that was given before.
const Replayed = "Idempotent-Replayed"

// MaxKey is the longest key, in bytes.
const MaxKey = 255

// ID names one operation: keys of different callers and tenants do not meet.
type ID struct {
	Source string // the calling service, "" when unknown
	Tenant string // "" for none
	Key    string
}

// Fingerprint is a digest of what was asked.
type Fingerprint [sha256.Size]byte

// Answer is what the first request was answered.
type Answer struct {
	Status int
	Header http.Header // Content-Type, Location, ETag and Retry-After
	Body   []byte
	// Truncated says that the body was too large to be kept.
	Truncated bool
}

// Claim is the state of an operation as a [Store] finds it.
type Claim struct {
	Fresh       bool        // the operation is now the caller's, until the lease ends
	Fingerprint Fingerprint // of the first request, unless fresh
	Answer      *Answer     // nil: still running, or fresh
}

// Store keeps operations. Implementations are safe for concurrent use: of two
// simultaneous claims of one operation, one is fresh.
type Store interface {
	// Claim takes the operation when it is new or its lease has ended without an answer.
	Claim(ctx context.Context, id ID, fingerprint Fingerprint, lease time.Duration) (Claim, error)
	// Complete keeps the operation's answer for a time.
	Complete(ctx context.Context, id ID, answer Answer, keep time.Duration) error
	// Release gives the operation up, so that it may be claimed again.
	Release(ctx context.Context, id ID) error
}

// Config configures [Middleware]. Store is needed.
type Config struct {
	Store     Store
	Required  bool          // POST and PATCH without a key are refused with 400
	Lease     time.Duration // how long a request may run before another may; 0: 1 min
	Keep      time.Duration // how long an answer is kept; 0: 24 h
	MaxAnswer int           // bytes of a body that are kept; 0: 256 KiB
	MaxBody   int64         // bytes of a request with a key; 0: 4 MiB
	Logger    *slog.Logger  // nil: slog.Default()
}

type keyOf struct{}

// Key returns the operation that ctx's request carries out, for a handler that
// records it together with its effect.
func Key(ctx context.Context) (id ID, ok bool) {
	id, ok = ctx.Value(keyOf{}).(ID)
	return id, ok
}

// Middleware handles each operation once. It stands behind the signature's
// middleware, which says whose key it is.
func Middleware(config Config) func(http.Handler) http.Handler {
	if config.Lease <= 0 {
		config.Lease = time.Minute
	}
	if config.Keep <= 0 {
		config.Keep = 24 * time.Hour
	}
	if config.MaxAnswer <= 0 {
		config.MaxAnswer = 256 << 10
	}
	if config.MaxBody <= 0 {
		config.MaxBody = signature.DefaultMaxBody
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return func(next http.Handler) http.Handler { return &middleware{config, next} }
}

type middleware struct {
	config Config
	next   http.Handler
}

func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && r.Method != http.MethodPatch { // the others are idempotent by definition
		m.next.ServeHTTP(w, r)
		return
	}
	keys := r.Header[Header]
	if len(keys) == 0 {
		if m.config.Required {
			problem.Write(w, problem.New(http.StatusBadRequest, "idempotency_key_missing", "This operation needs an Idempotency-Key."))
			return
		}
		m.next.ServeHTTP(w, r)
		return
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > MaxKey {
		problem.Write(w, problem.New(http.StatusBadRequest, "idempotency_key_malformed", "There must be one Idempotency-Key of 1 to 255 characters."))
		return
	}
	body, refusal := m.readBody(w, r)
	if refusal != nil {
		problem.Write(w, refusal)
		return
	}
	identity, _ := signature.From(r.Context())
	id := ID{Source: identity.Source, Tenant: identity.Tenant, Key: keys[0]}
	fingerprint := fingerprintOf(r, body)
	claim, err := m.config.Store.Claim(r.Context(), id, fingerprint, m.config.Lease)
	switch {
	case err != nil:
		if r.Context().Err() == nil { // else it is the caller who has gone
			m.note(r.Context(), "claim", err)
		}
		problem.SetRetryAfter(w.Header(), time.Second)
		problem.Write(w, problem.New(http.StatusServiceUnavailable, "idempotency_unavailable", "Whether this request was made before cannot be told now; try again."))
	case claim.Fresh:
		m.run(w, r, id)
	case claim.Fingerprint != fingerprint:
		problem.Write(w, problem.New(http.StatusUnprocessableEntity, "idempotency_key_reused", "This Idempotency-Key was used for a different request."))
	case claim.Answer == nil:
		problem.SetRetryAfter(w.Header(), time.Second)
		problem.Write(w, problem.New(http.StatusConflict, "idempotency_in_progress", "The first request with this Idempotency-Key is still running."))
	default:
		replay(w, claim.Answer)
	}
}

func (m *middleware) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *problem.Problem) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, m.config.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem.New(http.StatusRequestEntityTooLarge, "body_too_large", "The request's body is too large.")
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, "body_incomplete", "The request's body broke off.")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

func fingerprintOf(r *http.Request, body []byte) Fingerprint {
	hash := sha256.New()
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery} {
		hash.Write([]byte(part))
		hash.Write([]byte{0})
	}
	hash.Write(body)
	return Fingerprint(hash.Sum(nil))
}

// run handles the request and keeps its answer. The caller may hang up
// meanwhile; what was done must be recorded all the same.
func (m *middleware) run(w http.ResponseWriter, r *http.Request, id ID) {
	ctx := context.WithoutCancel(r.Context())
	recorded := &recorder{ResponseWriter: w, limit: m.config.MaxAnswer}
	finished := false
	defer func() {
		if !finished { // the handler panicked, which the server reports
			m.note(ctx, "release", m.config.Store.Release(ctx, id))
		}
	}()
	m.next.ServeHTTP(recorded, r.WithContext(context.WithValue(r.Context(), keyOf{}, id)))
	finished = true
	answer := recorded.answer()
	if !kept(answer.Status) || (recorded.status == 0 && r.Context().Err() != nil) {
		m.note(ctx, "release", m.config.Store.Release(ctx, id))
		return
	}
	m.note(ctx, "complete", m.config.Store.Complete(ctx, id, answer, m.config.Keep))
}

func kept(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status < http.StatusInternalServerError
}

func (m *middleware) note(ctx context.Context, step string, err error) {
	if err != nil {
		m.config.Logger.ErrorContext(ctx, "idempotency store failed", "step", step, "error", err)
	}
}

func replay(w http.ResponseWriter, answer *Answer) {
	if answer.Truncated {
		problem.Write(w, problem.New(http.StatusConflict, "idempotency_answer_not_kept", "The request was carried out; its answer was too large to be kept."))
		return
	}
	maps.Copy(w.Header(), answer.Header)
	w.Header().Set(Replayed, "true")
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body) // the caller is gone when this fails
}

// recorder passes an answer on and keeps a copy of it, within a limit.
type recorder struct {
	http.ResponseWriter

	limit     int
	status    int
	body      bytes.Buffer
	truncated bool
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.body.Len()+len(data) > r.limit {
		r.truncated = true
		r.body.Reset()
	}
	if !r.truncated {
		r.body.Write(data)
	}
	return r.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController find the writer's other abilities.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) answer() Answer {
	answer := Answer{Status: r.status, Header: http.Header{}, Body: bytes.Clone(r.body.Bytes()), Truncated: r.truncated}
	if answer.Status == 0 {
		answer.Status = http.StatusOK
	}
	for _, name := range []string{"Content-Type", "Location", "Etag", "Retry-After"} {
		if values := r.Header().Values(name); len(values) > 0 {
			answer.Header[name] = append([]string(nil), values...)
		}
	}
	return answer
}
