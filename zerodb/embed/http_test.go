package embed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb/embed"
)

// openAI is a server that holds a client to OpenAI's published reference of
// POST /v1/embeddings, and refuses what the reference leaves open: unknown fields,
// more than one way to write a thing. It answers vectors out of order, as the reference allows.
type openAI struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	batches  [][]string
	answers  []http.HandlerFunc // each answers one request, before the ordinary ones
	model    string
	vector   func(text string) string // JSON
	requests atomic.Int64
}

func newOpenAI(t *testing.T) *openAI {
	t.Helper()
	s := &openAI{t: t, model: "text-embedding-3-small", vector: func(text string) string { return fmt.Sprintf("[%d, 0.5, -1e-3]", len(text)) }}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *openAI) client(change func(*embed.HTTPConfig)) *embed.HTTP {
	s.t.Helper()
	config := embed.HTTPConfig{URL: s.URL + "/v1/embeddings", Model: "text-embedding-3-small", APIKey: "sk-test"}
	if change != nil {
		change(&config)
	}
	client, err := embed.NewHTTP(config)
	require.NoError(s.t, err)
	return client
}

func (s *openAI) serve(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) > 0 {
		answer := s.answers[0]
		s.answers = s.answers[1:]
		answer(w, r)
		return
	}
	inputs, problem := s.check(r)
	if problem != "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": {"message": %q, "type": "invalid_request_error", "param": null, "code": null}}`, problem)
		return
	}
	s.batches = append(s.batches, inputs)
	var data []string
	for i, input := range slices.Backward(inputs) {
		data = append(data, fmt.Sprintf(`{"object": "embedding", "embedding": %s, "index": %d}`, s.vector(input), i))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"object": "list", "data": [%s], "model": %q, "usage": {"prompt_tokens": 8, "total_tokens": 8}}`, strings.Join(data, ","), s.model)
}

func (s *openAI) check(r *http.Request) (inputs []string, problem string) {
	var body struct {
		Model          string   `json:"model"`
		Input          []string `json:"input"`
		EncodingFormat string   `json:"encoding_format"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		return nil, err.Error()
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, "something follows the JSON"
	}
	length := 0
	for _, input := range body.Input {
		if input == "" || len(input)/4 > 8192 {
			return nil, "an input is empty or longer than 8192 tokens"
		}
		length += len(input)
	}
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v1/embeddings" || r.URL.RawQuery != "":
		return nil, "POST /v1/embeddings"
	case r.Header.Get("Authorization") != "Bearer sk-test":
		return nil, "no bearer key"
	case r.Header.Get("Content-Type") != "application/json":
		return nil, "no JSON"
	case body.Model != "text-embedding-3-small" || body.EncodingFormat != "float":
		return nil, "model or encoding_format"
	case len(body.Input) == 0 || len(body.Input) > 2048 || length/4 > 300_000:
		return nil, "no inputs, more than 2048, or more than 300,000 tokens"
	}
	return body.Input, ""
}

// status answers a request with an error as the provider writes it.
func status(code int, header, value, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

const (
	rateLimited = `{"error": {"message": "Rate limit reached", "type": "requests", "param": null, "code": "rate_limit_exceeded"}}`
	outOfQuota  = `{"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}}`
)

func TestOpenAIFormInBatches(t *testing.T) {
	t.Parallel()
	server := newOpenAI(t)
	client := server.client(func(c *embed.HTTPConfig) { c.Batch, c.Concurrency = 3, 1 })
	require.Zero(t, client.Dimension(), "nothing is known before the first answer")
	vectors, err := client.Embed(t.Context(), []string{"a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"})
	require.NoError(t, err)
	for i, vector := range vectors {
		require.Equal(t, []float32{float32(i + 1), 0.5, -1e-3}, vector)
	}
	require.Equal(t, [][]string{{"a", "bb", "ccc"}, {"dddd", "eeeee", "ffffff"}, {"ggggggg"}}, server.batches)
	require.Equal(t, 3, client.Dimension())
	require.Equal(t, "text-embedding-3-small", client.Model())
}

func TestALongTextIsCutAndABatchBoundedInBytes(t *testing.T) {
	t.Parallel()
	server := newOpenAI(t)
	long := strings.Repeat("é", 700_000)
	texts := make([]string, 40)
	for i := range texts {
		texts[i] = long
	}
	_, err := server.client(nil).Embed(t.Context(), texts)
	require.NoError(t, err)
	require.Greater(t, len(server.batches), 1)
	for _, batch := range server.batches {
		for _, input := range batch {
			require.Equal(t, strings.Repeat("é", 12_000), input, "cut between characters")
		}
	}
}

func TestSimpleForm(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/embed" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		var request map[string]string
		if json.Unmarshal(body, &request) != nil || len(request) != 1 {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		fmt.Fprintf(w, `{"embedding": [%d, 1]}`, len(request["text"]))
	}))
	defer server.Close()
	client, err := embed.NewHTTP(embed.HTTPConfig{URL: server.URL + "/embed"})
	require.NoError(t, err)
	vectors, err := client.Embed(t.Context(), []string{"one", "three", "seven"})
	require.NoError(t, err)
	require.Equal(t, [][]float32{{3, 1}, {5, 1}, {5, 1}}, vectors)
}

func TestFormIsToldByThePath(t *testing.T) {
	t.Parallel()
	for path, wanted := range map[string]string{
		"/v1": "/v1/embeddings", "/v1/": "/v1/embeddings", "/api/v1/embeddings": "/api/v1/embeddings", "/openai/embeddings?api-version=2": "/openai/embeddings",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, wanted, r.URL.Path)
			_, _ = io.WriteString(w, `{"data": [{"index": 0, "embedding": [1]}]}`)
		}))
		client, err := embed.NewHTTP(embed.HTTPConfig{URL: server.URL + path})
		require.NoError(t, err)
		_, err = client.Embed(t.Context(), []string{"text"})
		require.NoError(t, err, path)
		server.Close()
	}
	for _, bad := range []embed.HTTPConfig{{}, {URL: "embedder:8080"}, {URL: "ftp://embedder/x"}, {URL: "http://"}, {URL: "http://e", Form: "grpc"}, {URL: "http://e", Batch: 4096}} {
		_, err := embed.NewHTTP(bad)
		require.Error(t, err, bad)
	}
}

// TestWaitsAsTold counts on the fake clock: no attempt is made before Retry-After has passed.
func TestWaitsAsTold(t *testing.T) {
	t.Parallel()
	server := newOpenAI(t)
	clock := clockwork.NewFakeClock()
	server.answers = []http.HandlerFunc{
		status(http.StatusTooManyRequests, "Retry-After", "7", rateLimited),
		status(http.StatusServiceUnavailable, "Retry-After", clock.Now().Add(27*time.Second).UTC().Format(http.TimeFormat), ""),
	}
	client := server.client(func(c *embed.HTTPConfig) { c.Clock = clock })
	done := make(chan error, 1)
	go func() {
		_, err := client.Embed(t.Context(), []string{"text"})
		done <- err
	}()
	require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
	require.EqualValues(t, 1, server.requests.Load())
	clock.Advance(7 * time.Second)
	require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
	require.EqualValues(t, 2, server.requests.Load())
	clock.Advance(21 * time.Second)
	require.NoError(t, <-done)
	require.EqualValues(t, 3, server.requests.Load())
}

func TestDoesNotWaitPastTheCallersTime(t *testing.T) {
	t.Parallel()
	server := newOpenAI(t)
	server.answers = []http.HandlerFunc{status(http.StatusTooManyRequests, "Retry-After", "3600", rateLimited)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := server.client(nil).Embed(ctx, []string{"text"})
	require.ErrorIs(t, err, embed.ErrUnavailable)
	var failed *embed.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, time.Hour, failed.RetryAfter)
	require.True(t, failed.Temporary())
}

func TestFailures(t *testing.T) {
	t.Parallel()
	one := func(vector string) string { return `{"data": [{"index": 0, "embedding": ` + vector + `}]}` }
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		tries  int64
	}{
		"wrong key":              {status(401, "", "", `{"error": {"type": "invalid_request_error", "code": "invalid_api_key"}}`), embed.ErrRejected, 1},
		"out of quota":           {status(429, "Retry-After", "1", outOfQuota), embed.ErrRejected, 1},
		"redirect":               {status(307, "Location", "http://127.0.0.1:1/", ""), embed.ErrRejected, 1},
		"broken for good":        {status(500, "", "", "<html>"), embed.ErrUnavailable, 3},
		"not JSON":               {status(200, "", "", "hello"), embed.ErrBadAnswer, 1},
		"NaN":                    {status(200, "", "", one("[1, NaN]")), embed.ErrBadAnswer, 1},
		"null":                   {status(200, "", "", one("[1, null]")), embed.ErrBadAnswer, 1},
		"nested":                 {status(200, "", "", one("[[1], 2]")), embed.ErrBadAnswer, 1},
		"text":                   {status(200, "", "", one(`["1"]`)), embed.ErrBadAnswer, 1},
		"infinite in 32 bits":    {status(200, "", "", one("[1, 1e39]")), embed.ErrBadAnswer, 1},
		"zeros":                  {status(200, "", "", one("[0, 0, -0.0]")), embed.ErrBadAnswer, 1},
		"empty":                  {status(200, "", "", one("[]")), embed.ErrBadAnswer, 1},
		"no vector":              {status(200, "", "", `{"data": [{"index": 0}]}`), embed.ErrBadAnswer, 1},
		"two for one":            {status(200, "", "", `{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}`), embed.ErrBadAnswer, 1},
		"index of another":       {status(200, "", "", `{"data": [{"index": 1, "embedding": [1]}]}`), embed.ErrBadAnswer, 1},
		"no index":               {status(200, "", "", `{"data": [{"embedding": [1]}]}`), embed.ErrBadAnswer, 1},
		"longer than is allowed": {status(200, "", "", one("["+strings.Repeat("1,", 4000)+"1]")), embed.ErrBadAnswer, 1},
		"another dimension":      {status(200, "", "", one("[1, 2]")), embed.ErrDimension, 1},
		"another model":          {status(200, "", "", `{"model": "other", "data": [{"index": 0, "embedding": [1, 2, 3]}]}`), embed.ErrModel, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newOpenAI(t)
			client := server.client(func(c *embed.HTTPConfig) {
				c.Attempts, c.MaxAnswer, c.Client = 3, 4000, nil
			})
			_, err := client.Embed(t.Context(), []string{"what came before"})
			require.NoError(t, err)
			server.requests.Store(0)
			server.answers = []http.HandlerFunc{test.answer, test.answer, test.answer}
			vectors, err := client.Embed(t.Context(), []string{"a secret text"})
			require.ErrorIs(t, err, test.kind)
			require.Nil(t, vectors)
			require.Equal(t, test.tries, server.requests.Load())
			require.NotContains(t, err.Error(), "secret")
			require.NotContains(t, err.Error(), "sk-test")
			require.NotContains(t, err.Error(), server.URL)
		})
	}
}

func TestASlowOrAbsentServiceIsUnavailable(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer slow.Close()
	defer close(stop)
	absent := httptest.NewServer(http.NotFoundHandler())
	absent.Close()
	for _, url := range []string{slow.URL, absent.URL} {
		client, err := embed.NewHTTP(embed.HTTPConfig{URL: url, Timeout: 20 * time.Millisecond, Attempts: 1})
		require.NoError(t, err)
		_, err = client.Embed(t.Context(), []string{"text"})
		require.ErrorIs(t, err, embed.ErrUnavailable)
		require.NotContains(t, err.Error(), "127.0.0.1")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client, err := embed.NewHTTP(embed.HTTPConfig{URL: slow.URL})
	require.NoError(t, err)
	_, err = client.Embed(ctx, []string{"text"})
	require.ErrorIs(t, err, context.Canceled, "the caller's own end is no failure of the service")
}

func TestAnEmptyTextIsNamed(t *testing.T) {
	t.Parallel()
	server := newOpenAI(t)
	for name, source := range map[string]embed.Source{"http": server.client(nil), "builtin": newBuiltin(t), "cached": embed.NewCached(newBuiltin(t), 0)} {
		_, err := source.Embed(t.Context(), []string{"text", " \n"})
		var failed *embed.Error
		require.ErrorAs(t, err, &failed, name)
		require.ErrorIs(t, err, embed.ErrNoText)
		require.Equal(t, 1, failed.Index)
	}
	require.Zero(t, server.requests.Load())
}

func TestATextThatIsRejectedIsToldFromAService(t *testing.T) {
	t.Parallel()
	for status, texts := range map[int]bool{400: true, 413: true, 422: true, 401: false, 403: false, 404: false} {
		require.Equal(t, texts, (&embed.Error{Kind: embed.ErrRejected, Status: status}).RejectsTexts(), status)
	}
	require.True(t, (&embed.Error{Kind: embed.ErrNoText}).RejectsTexts())
	for _, kind := range []error{embed.ErrUnavailable, embed.ErrBadAnswer, embed.ErrDimension, embed.ErrModel} {
		require.False(t, (&embed.Error{Kind: kind, Status: 400}).RejectsTexts(), kind)
	}
}
