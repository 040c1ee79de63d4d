package memory

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
)

// Service answers for the memory of every tenant. Its methods return faults,
// whose fields are the request's own ("content"); the operations say where they stand.
type Service struct {
	client *zerodb.Client
	jobs   *memoryjobs.Jobs
	clock  clockwork.Clock
	logger *slog.Logger
}

// New returns a service on client, which the caller closes. jobs keeps the erasures.
func New(client *zerodb.Client, jobs *memoryjobs.Jobs, clock clockwork.Clock, logger *slog.Logger) *Service {
	return &Service{client: client, jobs: jobs, clock: clock, logger: logger}
}

// Search finds memories.
func (s *Service) Search(ctx context.Context, tenant uuid.UUID, q zerodb.Query) (zerodb.Result, error) {
	result, err := s.client.Tenant(tenant).Search(ctx, q)
	return result, faultOf("", err)
}

// List returns up to limit (1 to 1000) memories that the filter matches.
func (s *Service) List(ctx context.Context, tenant uuid.UUID, f zerodb.Filter, order zerodb.Order, limit int) ([]zerodb.Memory, error) {
	list, err := s.client.Tenant(tenant).List(ctx, f, order, limit)
	return list, faultOf("", err)
}

// Get returns a memory in whatever state.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (zerodb.Memory, error) {
	m, err := s.client.Tenant(tenant).Get(ctx, id)
	return m, faultOf("", err)
}

// History returns every version of a memory, the latest first.
func (s *Service) History(ctx context.Context, tenant, id uuid.UUID) ([]zerodb.Memory, error) {
	versions, err := s.client.Tenant(tenant).History(ctx, id)
	return versions, faultOf("", err)
}

// Correct gives a memory another content, as a new version of it. by is who corrects.
func (s *Service) Correct(ctx context.Context, tenant uuid.UUID, by string, id uuid.UUID, content string, metadata zerodb.Metadata) (zerodb.Memory, error) {
	m, err := s.client.Tenant(tenant).Correct(ctx, by, id, content, metadata)
	return m, faultOf("", err)
}

// Forget deletes a memory and its other versions, and returns how many there were.
func (s *Service) Forget(ctx context.Context, tenant, id uuid.UUID) (int, error) {
	n, err := s.client.Tenant(tenant).Forget(ctx, id)
	return n, faultOf("", err)
}

// Stats counts the tenant's memories.
func (s *Service) Stats(ctx context.Context, tenant uuid.UUID) (zerodb.Stats, error) {
	stats, err := s.client.Tenant(tenant).Stats(ctx)
	return stats, faultOf("", err)
}

// Backend names where memories are kept.
func (s *Service) Backend() string { return s.client.Backend().Name() }

// EmbedderModel names the embedder, "" for none.
func (s *Service) EmbedderModel() string {
	if e := s.client.Embedder(); e != nil {
		return e.Model()
	}
	return ""
}

var codes = map[zerodb.Kind]fault.Code{
	zerodb.ErrInvalid: fault.Invalid, zerodb.ErrTooLarge: fault.TooLarge, zerodb.ErrNotFound: fault.NotFound,
	zerodb.ErrConflict: fault.Conflict, zerodb.ErrUnavailable: fault.Unavailable,
}

const longestPlace = 200 // bytes

// faultOf turns an error of zerodb into a fault whose place stands under prefix
// ("body."). Any other error stays what it is.
func faultOf(prefix string, err error) error {
	var e *zerodb.Error
	if !errors.As(err, &e) {
		return err
	}
	code, known := codes[e.Kind]
	if !known {
		return err
	}
	if code == fault.Unavailable {
		// What it was doing, and with whom, is for the log.
		return fault.Wrap(err, code, "The memory does not answer at the moment; try again.")
	}
	f := fault.Wrap(e.Err, code, "%s", sentence(e.Message))
	if e.Field != "" {
		location := prefix + strings.ToValidUTF8(e.Field[:min(len(e.Field), longestPlace)], "") // a metadata key may be as long as the metadata
		f.Message = location + ": " + e.Message
		f.Fields = []fault.Field{{Location: location, Message: e.Message}}
	}
	return f
}

// inBatch is faultOf for an item of a batch.
func inBatch(err error) error {
	var e *zerodb.Error
	if errors.As(err, &e) && e.Field != "" && e.Field != "items" {
		return faultOf("body.items["+strconv.Itoa(e.Item)+"].", err)
	}
	return faultOf("body.", err)
}

func sentence(text string) string {
	if text == "" {
		return "The memory refused the request."
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
