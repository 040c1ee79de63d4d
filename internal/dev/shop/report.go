package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

const (
	maxPending   = 1000 // orders that wait to be reported
	firstWait    = time.Second
	longestWait  = time.Minute
	giveUpAfter  = 24 * time.Hour // an order that nobody took for a day is only logged
	callDeadline = 10 * time.Second
)

// report is a "track" of the Segment HTTP API. messageId makes a repetition
// harmless.
type report struct {
	MessageID   string         `json:"messageId"`
	AnonymousID string         `json:"anonymousId"`
	Event       string         `json:"event"`
	Timestamp   time.Time      `json:"timestamp"`
	Properties  map[string]any `json:"properties"`
	Context     map[string]any `json:"context"`
}

// reporter delivers reports in their order, each until it is accepted. One
// goroutine does it, which close ends.
type reporter struct {
	client   *http.Client
	url, key string
	clock    clockwork.Clock
	logger   *slog.Logger
	stop     chan struct{}      // closed: no more waiting
	abort    context.CancelFunc // gives up what is being sent
	ended    chan struct{}
	wake     chan struct{}

	stopOnce sync.Once
	mu       sync.Mutex
	pending  []report
}

func startReporter(config Config, ingest string) *reporter {
	client := &http.Client{Timeout: callDeadline}
	if config.HTTPClient != nil {
		copied := *config.HTTPClient
		client = &copied
		if client.Timeout == 0 {
			client.Timeout = callDeadline
		}
	}
	ctx, abort := context.WithCancel(context.Background())
	r := &reporter{
		client: client, url: ingest + "/v1/track", key: config.WriteKey, clock: config.Clock, logger: config.Logger,
		stop: make(chan struct{}), abort: abort, ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	go r.run(ctx)
	return r
}

// add never waits: the buyer sees the thank-you page at once.
func (r *reporter) add(event report) {
	r.mu.Lock()
	full := len(r.pending) == maxPending
	if !full {
		r.pending = append(r.pending, event)
	}
	r.mu.Unlock()
	if full {
		r.logger.Error("shop: too many orders wait to be reported; this one is not", "message_id", event.MessageID)
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // awake already
	}
}

func (r *reporter) run(ctx context.Context) {
	defer close(r.ended)
	wait := firstWait
	for {
		event, some := r.next()
		if !some {
			select {
			case <-r.wake:
				continue
			case <-r.stop:
				return
			}
		}
		asked, err := r.send(ctx, event)
		if err == nil {
			r.drop()
			wait = firstWait
			continue
		}
		if r.clock.Since(event.Timestamp) > giveUpAfter {
			r.logger.ErrorContext(ctx, "shop: an order was not taken for a day", "message_id", event.MessageID, "error", err)
			r.drop()
			continue
		}
		r.logger.WarnContext(ctx, "shop: an order is not reported yet", "message_id", event.MessageID, "error", err)
		select {
		case <-r.stop:
			return
		default:
		}
		pause := max(asked, wait/2+rand.N(wait/2)) //nolint:gosec // jitter is no secret
		wait = min(2*wait, longestWait)
		select {
		case <-r.clock.After(pause):
		case <-r.stop:
			return
		}
	}
}

func (r *reporter) next() (report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) == 0 {
		return report{}, false
	}
	return r.pending[0], true
}

func (r *reporter) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = r.pending[1:]
}

// send returns nil when the report needs no further attempt: it was accepted,
// or refused for good, which is logged. Else it returns how long the server asked
// to wait.
func (r *reporter) send(ctx context.Context, event report) (asked time.Duration, err error) {
	body, err := json.Marshal(event)
	if err != nil {
		return 0, fmt.Errorf("write the report: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("report to %s: %w", r.url, err)
	}
	request.SetBasicAuth(r.key, "")
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("report to %s: %w", r.url, err)
	}
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 2048)) // for the log; the status decides
	_ = response.Body.Close()                                    // read as far as it matters
	switch code := response.StatusCode; {
	case code < 300:
		return 0, nil
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil || seconds < 0 {
			seconds = 0
		}
		return min(time.Duration(seconds)*time.Second, time.Hour), fmt.Errorf("report to %s: %s", r.url, response.Status)
	default:
		r.logger.ErrorContext(ctx, "shop: an order was refused", "message_id", event.MessageID, "status", code, "answer", string(answer))
		return 0, nil
	}
}

// close ends the goroutine, then tries what is left once.
func (r *reporter) close(ctx context.Context) error {
	r.stopOnce.Do(func() { close(r.stop) })
	defer r.abort()
	defer context.AfterFunc(ctx, r.abort)()
	<-r.ended // soon: it waits for nothing any more, and ctx aborts what it sends
	for {
		event, some := r.next()
		if !some {
			return nil
		}
		if _, err := r.send(ctx, event); err != nil {
			r.mu.Lock()
			left := len(r.pending)
			r.mu.Unlock()
			return fmt.Errorf("shop: %d orders were not reported: %w", left, err)
		}
		r.drop()
	}
}
