package tracker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/web/tracker"
)

// event is one event on the wire: Segment's shape, and nothing beside it.
type event struct {
	Type        string         `json:"type"`
	MessageID   string         `json:"messageId"`
	AnonymousID string         `json:"anonymousId"`
	UserID      string         `json:"userId"`
	Timestamp   time.Time      `json:"timestamp"`
	Event       string         `json:"event"`
	Name        string         `json:"name"`
	Properties  map[string]any `json:"properties"`
	Traits      map[string]any `json:"traits"`
	Context     struct {
		Page      map[string]any    `json:"page"`
		UserAgent string            `json:"userAgent"`
		Locale    string            `json:"locale"`
		Timezone  string            `json:"timezone"`
		Screen    map[string]any    `json:"screen"`
		SessionID string            `json:"sessionId"`
		Campaign  map[string]string `json:"campaign"`
		Message   string            `json:"ms_message"`
		Consent   map[string]any    `json:"consent"`
		Library   map[string]string `json:"library"`
	} `json:"context"`
}

// label says what the event is, as "page" or "track Element Clicked".
func (e event) label() string { return strings.TrimSpace(e.Type + " " + e.Event) }

// recorder is a strict ingest server on an origin of its own: it takes only
// what Segment's HTTP API takes, and keeps it as the real one does, once.
type recorder struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request) bool // says whether it answered itself

	mu       sync.Mutex
	events   []event
	seen     map[string]bool
	requests []time.Time
	raw      strings.Builder
	faults   []string
}

const writeKey = "wk_test"

var (
	uuidForm  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	knownType = map[string]bool{"page": true, "track": true, "identify": true}
)

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	rec := &recorder{seen: map[string]bool{}}
	mux := http.NewServeMux()
	mux.Handle("/tracker.js", tracker.Handler())
	mux.HandleFunc("POST /v1/batch", rec.batch)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		rec.faultf("unexpected request %s %s", r.Method, r.URL)
		http.NotFound(w, r)
	})
	rec.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		rec.CloseClientConnections()
		rec.Close()
		rec.mu.Lock()
		defer rec.mu.Unlock()
		require.Empty(t, rec.faults)
	})
	return rec
}

func (rec *recorder) faultf(format string, args ...any) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.faults = append(rec.faults, fmt.Sprintf(format, args...))
}

func (rec *recorder) batch(w http.ResponseWriter, r *http.Request) {
	rec.mu.Lock()
	rec.requests = append(rec.requests, time.Now())
	answer := rec.answer
	rec.mu.Unlock()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
	if answer != nil && answer(w, r) {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 500<<10))
	if err != nil {
		rec.faultf("read a batch: %v", err)
		return
	}
	var batch struct {
		WriteKey string    `json:"writeKey"`
		SentAt   time.Time `json:"sentAt"`
		Batch    []event   `json:"batch"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&batch); err != nil {
		rec.faultf("%v in %s", err, body)
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") || batch.WriteKey != writeKey || batch.SentAt.IsZero() || len(batch.Batch) == 0 {
		rec.faultf("a batch with content type %q, key %q, sent at %s: %s", r.Header.Get("Content-Type"), batch.WriteKey, batch.SentAt, body)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.raw.Write(body)
	for _, e := range batch.Batch {
		if !knownType[e.Type] || !uuidForm.MatchString(e.MessageID) || !uuidForm.MatchString(e.AnonymousID) || !uuidForm.MatchString(e.Context.SessionID) ||
			e.Timestamp.IsZero() || e.Context.Page["url"] == "" || e.Context.Library["name"] != "madansara.js" || e.Context.UserAgent == "" {
			rec.faults = append(rec.faults, fmt.Sprintf("an event is not whole: %+v", e))
		}
		if !rec.seen[e.MessageID] {
			rec.seen[e.MessageID] = true
			rec.events = append(rec.events, e)
		}
	}
	w.WriteHeader(http.StatusOK)
}

// answerWith makes the recorder answer so, until answer says it did not; nil
// takes everything.
func (rec *recorder) answerWith(answer func(w http.ResponseWriter, r *http.Request) bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.answer = answer
}

// all returns the events so far, in the order they happened.
func (rec *recorder) all() []event {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]event(nil), rec.events...)
}

func (rec *recorder) received() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.raw.String()
}

func (rec *recorder) attempts() []time.Time {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]time.Time(nil), rec.requests...)
}

// wait returns the events once those with the labels have come, in any order
// and however often delivered; it fails on any other.
func (rec *recorder) wait(t *testing.T, labels ...string) []event {
	t.Helper()
	var got []string
	require.Eventually(t, func() bool {
		got = got[:0]
		for _, e := range rec.all() {
			got = append(got, e.label())
		}
		return len(got) >= len(labels)
	}, time.Minute, 20*time.Millisecond, "want %v, got %v", labels, &got)
	require.ElementsMatch(t, labels, got)
	return rec.all()
}
