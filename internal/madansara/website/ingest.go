package website

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

// scope is what a key needs to send events.
const scope = "ingest:write"

// retryAfter is how many seconds a sender that was turned away waits.
const retryAfter = 2

// Keys tells whom a write key belongs to, for senders that put it in the body
// because they can't set a header (sendBeacon).
type Keys interface {
	Key(ctx context.Context, token string) (httpkit.Principal, error)
}

// Ingest takes events over HTTP.
type Ingest struct {
	keys   Keys
	clock  clockwork.Clock
	logger *slog.Logger
	queue  *queue
	bodies sync.Pool
	// reading is how many bytes of bodies have arrived of requests that are not
	// in the queue yet; the queue counts those that are.
	reading      atomic.Int64
	readingLimit int64
}

// Config is what Ingest is made of.
type Config struct {
	DB          *engardedb.DB
	Keys        Keys
	Conversions ConversionRecorder // nil records none
	Followers   contact.Followers  // told of consents and merged contacts
	Clock       clockwork.Clock
	Logger      *slog.Logger // nil is slog.Default()
	Limits      Limits
}

// NewIngest starts the committers; Close ends them.
func NewIngest(cfg Config) *Ingest {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	in := &Ingest{keys: cfg.Keys, clock: cfg.Clock, logger: cfg.Logger, readingLimit: int64(cfg.Limits.QueueBytes)}
	in.queue = newQueue(cfg.Limits, &store{db: cfg.DB, conversions: cfg.Conversions, followers: cfg.Followers, clock: cfg.Clock}, cfg.Clock, cfg.Logger)
	in.bodies.New = func() any { return new(bytes.Buffer) }
	return in
}

// Close takes no more events, commits those that wait, and returns when that
// is done or ctx ends. Call it after the HTTP server has stopped taking requests.
func (in *Ingest) Close(ctx context.Context) error { return in.queue.close(ctx) }

// Collector publishes what became of the events this process was sent.
func (in *Ingest) Collector() prometheus.Collector { return in.queue.written }

// Reading returns how many bytes have arrived of bodies that are still being read, for metrics.
func (in *Ingest) Reading() int { return int(in.reading.Load()) }

// Waiting returns how many events wait for a transaction, for metrics.
func (in *Ingest) Waiting() int { return in.queue.waitingEvents() }

// calls are the paths of the Segment API.
var calls = map[string]segment.Type{
	"/v1/track": segment.Track, "/v1/identify": segment.Identify, "/v1/page": segment.Page,
	"/v1/screen": segment.Screen, "/v1/group": segment.Group, "/v1/alias": segment.Alias,
}

const (
	batchPath = "/v1/batch"
	trackPath = "/api/v1/website/track"
)

// OpenPaths are those that pages of any origin may call.
func OpenPaths() []string {
	paths := []string{batchPath, trackPath}
	for path := range calls {
		paths = append(paths, path)
	}
	return paths
}

// Handle adds the ingest endpoints to mux.
func (in *Ingest) Handle(mux *http.ServeMux) {
	for path, typ := range calls {
		mux.Handle("POST "+path, in.handler(typ, false))
	}
	mux.Handle("POST "+batchPath, in.handler("", true))
	mux.Handle("POST "+trackPath, in.handler("", false))
}

func (in *Ingest) handler(typ segment.Type, batch bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := in.serve(w, r, typ, batch); err != nil {
			var f *fault.Error
			if errors.As(err, &f) && (f.Code == fault.Unavailable || f.Code == fault.RateLimited) || errors.Is(err, engardedb.ErrPoolTimeout) {
				w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
			}
			if fault.CodeOf(err) == fault.TooLarge {
				w.Header().Set("Connection", "close") // the rest of the body is not read
			}
			httpkit.WriteProblem(w, err)
		}
	})
}

// receipt is the answer to events that were taken.
type receipt struct {
	Success  bool               `json:"success"`
	Rejected []segment.Rejected `json:"rejected,omitempty"`
}

var taken = []byte(`{"success":true}` + "\n")

func (in *Ingest) serve(w http.ResponseWriter, r *http.Request, typ segment.Type, batch bool) error {
	body, ok := in.bodies.Get().(*bytes.Buffer)
	if !ok {
		body = new(bytes.Buffer)
	}
	recycle := sync.OnceFunc(func() { in.bodies.Put(body) })
	principal, parsed, err := in.receive(w, r, body, typ, batch)
	if err != nil {
		recycle()
		return err
	}
	refuseBadOrders(&parsed)
	setUserAgent(parsed.Events, r.UserAgent())
	if len(parsed.Events) > 0 {
		result, err := in.queue.submit(r.Context(), principal.Tenant, parsed.Events, body.Len(), recycle)
		if err != nil {
			return err
		}
		for _, refused := range result.refused {
			parsed.Rejected = append(parsed.Rejected, segment.Rejected{
				Index: parsed.Indexes[refused.index], MessageID: parsed.Events[refused.index].MessageID,
				Location: location(parsed.Batch, parsed.Indexes[refused.index]), Message: refused.message,
			})
		}
	} else {
		recycle()
	}
	return answerReceipt(w, &parsed)
}

// receive reads and parses a request's body, and checks who sent it.
func (in *Ingest) receive(w http.ResponseWriter, r *http.Request, body *bytes.Buffer, typ segment.Type, batch bool) (
	principal httpkit.Principal, parsed segment.Parsed, err error,
) {
	counted := countedReader{total: &in.reading, limit: in.readingLimit}
	defer counted.release()
	if err := readBody(w, r, &counted, body); err != nil {
		return principal, parsed, err
	}
	parsed, refusal := segment.Parse(body.Bytes(), typ, batch, in.clock.Now())
	if refusal != nil {
		return principal, parsed, malformed(refusal.Location, refusal.Message)
	}
	principal, err = in.sender(r.Context(), parsed.WriteKey)
	return principal, parsed, err
}

// answerReceipt answers 200 when something was taken, and a problem when all
// that was sent is bad.
func answerReceipt(w http.ResponseWriter, parsed *segment.Parsed) error {
	if n := len(parsed.Rejected); n > 0 && n >= len(parsed.Events) && allRefused(parsed) {
		err := malformed(parsed.Rejected[0].Location, parsed.Rejected[0].Message)
		for _, r := range parsed.Rejected[1:] {
			err.Fields = append(err.Fields, fault.Field{Location: r.Location, Message: r.Message})
		}
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if len(parsed.Rejected) == 0 {
		_, _ = w.Write(taken) // the client is gone if this fails; it will repeat the events
		return nil
	}
	_ = json.NewEncoder(w).Encode(receipt{Success: true, Rejected: parsed.Rejected}) // as above
	return nil
}

func allRefused(parsed *segment.Parsed) bool {
	refused := make(map[int]bool, len(parsed.Rejected))
	for _, r := range parsed.Rejected {
		refused[r.Index] = true
	}
	for _, index := range parsed.Indexes {
		if !refused[index] {
			return false
		}
	}
	return true
}

func malformed(location, message string) *fault.Error {
	err := fault.At(location, nil, "%s", message)
	err.Code = fault.Malformed
	return err
}

func location(batch bool, index int) string {
	if batch {
		return fmt.Sprintf("body.batch[%d]", index)
	}
	return "body"
}

// sender is the principal of the request's header, or of the body's write key.
func (in *Ingest) sender(ctx context.Context, writeKey string) (httpkit.Principal, error) {
	principal, ok := httpkit.PrincipalFrom(ctx)
	if !ok || !principal.Allows(scope) && writeKey != "" {
		if writeKey == "" {
			return principal, fault.New(fault.Unauthenticated,
				"Send a write key: as the user name of basic authentication, or as writeKey in the body.")
		}
		var err error
		if principal, err = in.keys.Key(ctx, writeKey); err != nil {
			return principal, err //nolint:wrapcheck // a fault for the sender
		}
	}
	if !principal.Allows(scope) {
		return principal, fault.New(fault.Forbidden, "This needs the scope %q, which %s does not have.", scope, principal.Name)
	}
	return principal, nil
}

// refuseBadOrders moves orders that can't be conversions to the rejected.
func refuseBadOrders(parsed *segment.Parsed) {
	kept := 0
	for i := range parsed.Events {
		e := &parsed.Events[i]
		if isConversion(e) {
			if _, err := newConversion(e, anyCurrency); err != nil {
				at, message := location(parsed.Batch, parsed.Indexes[i]), poisonReason(err)
				var f *fault.Error
				if errors.As(err, &f) && len(f.Fields) > 0 {
					at, message = at+"."+f.Fields[0].Location, f.Fields[0].Message
				}
				parsed.Rejected = append(parsed.Rejected, segment.Rejected{
					Index: parsed.Indexes[i], MessageID: e.MessageID, Location: at, Message: message,
				})
				continue
			}
		}
		if kept != i {
			parsed.Events[kept], parsed.Indexes[kept] = parsed.Events[i], parsed.Indexes[i]
		}
		kept++
	}
	parsed.Events, parsed.Indexes = parsed.Events[:kept], parsed.Indexes[:kept]
}

// setUserAgent takes the request's for events that say none; a library's own
// name ("analytics-node") is no visitor's device, so only browsers' are taken.
func setUserAgent(events []segment.Event, header string) {
	if !strings.HasPrefix(header, "Mozilla/") {
		return
	}
	header = strings.Clone(storableText(header))
	for i := range events {
		if events[i].Source.UserAgent == "" {
			events[i].Source.UserAgent = header
		}
	}
}
