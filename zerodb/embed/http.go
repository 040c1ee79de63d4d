package embed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"
)

// Form is the language an embedding service speaks.
type Form string

// The forms; the package's documentation shows them. FormAuto takes the one that the URL's path tells.
const (
	FormAuto   Form = ""
	FormSimple Form = "simple"
	FormOpenAI Form = "openai"
)

// HTTPConfig says how to reach a service. Only URL is needed; in OpenAI's form most services need Model too.
type HTTPConfig struct {
	URL    string
	Form   Form
	APIKey string // sent as a bearer token, if any
	// Model is asked for in OpenAI's form, and names the vectors in both. Default "embedding-service".
	Model string
	// Dimension is that of the vectors kept before. 0: the first answer's is taken.
	Dimension int

	Timeout     time.Duration // of one attempt; default 10 s
	Attempts    int           // default 4
	Batch       int           // texts a request in OpenAI's form, at most 2048 (OpenAI's limit); default 128
	Concurrency int           // requests under way for one call; default 4
	MaxText     int           // bytes; of a longer text only the beginning is embedded. Default 24,000, some 6,000 tokens of English
	MaxAnswer   int64         // bytes; a longer answer is an error. Default 32 MiB

	Client *http.Client    // default: one of its own, which follows no redirects
	Clock  clockwork.Clock // default: the real one
}

// HTTP asks an embedding service. Failures that may pass (no answer, 408, 425, 429, 5xx)
// are tried again after a random wait whose bound doubles, never sooner than the
// service's Retry-After. It is safe for concurrent use.
type HTTP struct {
	config HTTPConfig
	url    string

	mu        sync.Mutex
	dimension int
	answered  string // the model that the service says it used
}

// NewHTTP checks the configuration; it does not ask the service anything.
func NewHTTP(config HTTPConfig) (*HTTP, error) {
	target, err := url.Parse(config.URL)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return nil, errors.New("embed: the service's URL must be like http://embedder:8080/embed or https://api.openai.com/v1/embeddings")
	}
	path := strings.TrimRight(target.Path, "/")
	switch config.Form {
	case FormAuto:
		config.Form = FormSimple
		if strings.HasSuffix(path, "/embeddings") || strings.HasSuffix(path, "/v1") {
			config.Form = FormOpenAI
		}
	case FormSimple, FormOpenAI:
	default:
		return nil, fmt.Errorf("embed: no form %q; there are %q and %q", config.Form, FormSimple, FormOpenAI)
	}
	if config.Form == FormOpenAI && strings.HasSuffix(path, "/v1") {
		target.Path = path + "/embeddings"
	}
	if config.Batch > 2048 || config.Dimension < 0 {
		return nil, errors.New("embed: a batch is at most 2048 texts, and a dimension is not negative")
	}
	setDefaults(&config)
	return &HTTP{config: config, url: target.String(), dimension: config.Dimension}, nil
}

func setDefaults(config *HTTPConfig) {
	or(&config.Model, "embedding-service")
	or(&config.Timeout, 10*time.Second)
	or(&config.Attempts, 4)
	or(&config.Batch, 128)
	or(&config.Concurrency, 4)
	or(&config.MaxText, 24_000)
	or(&config.MaxAnswer, 32<<20)
	if config.Clock == nil {
		config.Clock = clockwork.NewRealClock()
	}
	if config.Client == nil {
		config.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
}

func or[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// Model is the configured name.
func (h *HTTP) Model() string { return h.config.Model }

// Dimension is the configured one or the first answer's; 0 before that.
func (h *HTTP) Dimension() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dimension
}

// Embed gives a vector for each text, or an [*Error] and none: a call is all or nothing.
func (h *HTTP) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	inputs := make([]string, len(texts))
	for i, text := range texts {
		if strings.TrimSpace(text) == "" {
			return nil, &Error{Kind: ErrNoText, Index: i}
		}
		inputs[i] = beginning(text, h.config.MaxText)
	}
	size := 1
	if h.config.Form == FormOpenAI {
		size = h.config.Batch
	}
	vectors := make([][]float32, len(texts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(h.config.Concurrency)
	for from, to := range batches(inputs, size) {
		group.Go(func() error {
			answer, err := h.ask(ctx, inputs[from:to])
			if err != nil {
				if failed, ok := errors.AsType[*Error](err); ok {
					failed.Index += from
				}
				return err
			}
			copy(vectors[from:to], answer)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return vectors, nil
}

// batches cuts inputs into runs of at most size texts and 256 KiB, which is
// safely inside OpenAI's 300,000 tokens a request.
func batches(inputs []string, size int) func(yield func(from, to int) bool) {
	const most = 256 << 10
	return func(yield func(from, to int) bool) {
		from, bytes := 0, 0
		for i, input := range inputs {
			if i > from && (i-from == size || bytes+len(input) > most) {
				if !yield(from, i) {
					return
				}
				from, bytes = i, 0
			}
			bytes += len(input)
		}
		if from < len(inputs) {
			yield(from, len(inputs))
		}
	}
}

// beginning is at most so many bytes of a text, in whole characters; bytes that are no UTF-8 are replaced.
func beginning(text string, most int) string {
	if len(text) > most {
		for most > 0 && !utf8.RuneStart(text[most]) {
			most--
		}
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// agree holds an answer to the dimension and the model of those before it.
func (h *HTTP) agree(vectors [][]float32, model string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	dimension := h.dimension
	for i, vector := range vectors {
		if dimension == 0 {
			dimension = len(vector)
		}
		if len(vector) != dimension {
			return &Error{Kind: ErrDimension, Index: i, Detail: fmt.Sprintf("%d instead of %d", len(vector), dimension)}
		}
	}
	if model != "" && h.answered != "" && model != h.answered {
		return &Error{Kind: ErrModel, Detail: fmt.Sprintf("%q instead of %q", model, h.answered)}
	}
	h.dimension = dimension
	or(&h.answered, model)
	return nil
}
