package website

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

// newestOf bounds the sessions of a visitor and the events of a session that
// one answer shows.
const newestOf = 100

// Service answers questions about visitors and their sessions.
type Service struct{ db *engardedb.DB }

// New returns a service on db.
func New(db *engardedb.DB) *Service { return &Service{db: db} }

// Visitor is a browser, or whatever else an anonymous id stands for.
type Visitor struct {
	UUID        uuid.UUID  `json:"visitor_uuid" db:"visitor_uuid" format:"uuid"`
	AnonymousID string     `json:"anonymous_id" db:"anonymous_id"`
	ContactUUID *uuid.UUID `json:"contact_uuid,omitempty" db:"contact_uuid" format:"uuid" doc:"The person, once known"`
	FirstSeenAt time.Time  `json:"first_seen_at" db:"first_seen_at"`
	LastSeenAt  time.Time  `json:"last_seen_at" db:"last_seen_at"`
	Sessions    []Session  `json:"sessions" db:"-" doc:"The newest 100"`
}

// Session is one visit.
type Session struct {
	UUID        uuid.UUID `json:"session_uuid" db:"session_uuid" format:"uuid"`
	VisitorUUID uuid.UUID `json:"visitor_uuid" db:"visitor_uuid" format:"uuid"`
	StartedAt   time.Time `json:"started_at" db:"started_at"`
	EndedAt     time.Time `json:"ended_at" db:"ended_at"`
	LandingURL  string    `json:"landing_url" db:"landing_url"`
	Referrer    string    `json:"referrer" db:"referrer"`
	UTMSource   string    `json:"utm_source" db:"utm_source"`
	UTMMedium   string    `json:"utm_medium" db:"utm_medium"`
	UTMCampaign string    `json:"utm_campaign" db:"utm_campaign"`
	UTMTerm     string    `json:"utm_term" db:"utm_term"`
	UTMContent  string    `json:"utm_content" db:"utm_content"`
	Channel     string    `json:"channel" db:"channel" doc:"Where the visit came from: instagram, email, paid_search, direct, ..."`
	Device      string    `json:"device" db:"device" doc:"desktop, mobile, tablet, bot, or empty"`
	PageViews   int       `json:"page_view_count" db:"page_view_count"`
	Events      int       `json:"event_count" db:"event_count"`
	Timeline    []Moment  `json:"timeline,omitempty" db:"-" doc:"The newest 100 page views and events, oldest first"`
}

// Moment is one page view or event of a session.
type Moment struct {
	MessageID  string    `json:"message_id" db:"message_id"`
	Type       string    `json:"type" db:"type"`
	Name       string    `json:"name" db:"name" doc:"The event's name, a page view's title"`
	URL        string    `json:"url" db:"url"`
	OccurredAt time.Time `json:"occurred_at" db:"occurred_at"`
}

// Visitor returns a visitor with its sessions.
func (s *Service) Visitor(ctx context.Context, tenant, id uuid.UUID) (v Visitor, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		v, err = one[Visitor](ctx, tx, "visitor", `SELECT visitor_uuid, anonymous_id, contact_uuid, first_seen_at, last_seen_at
			FROM website_visitors WHERE tenant_uuid = $1 AND visitor_uuid = $2`, tenant, id)
		if err != nil {
			return err
		}
		v.Sessions, err = many[Session](ctx, tx, selectSession+`WHERE tenant_uuid = $1 AND visitor_uuid = $2
			ORDER BY started_at DESC LIMIT $3`, tenant, id, newestOf)
		return err
	})
	return v, err //nolint:wrapcheck // a fault, or engardedb says what it was
}

const selectSession = `SELECT session_uuid, visitor_uuid, started_at, ended_at, landing_url, referrer, utm_source, utm_medium, utm_campaign,
	utm_term, utm_content, channel, device, page_view_count, event_count FROM website_sessions `

// Session returns a session with what happened in it.
func (s *Service) Session(ctx context.Context, tenant, id uuid.UUID) (v Session, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		v, err = one[Session](ctx, tx, "session", selectSession+`WHERE tenant_uuid = $1 AND session_uuid = $2`, tenant, id)
		if err != nil {
			return err
		}
		// The index is by visitor and time; a session is a short stretch of that.
		v.Timeline, err = many[Moment](ctx, tx, `SELECT * FROM (
				SELECT message_id, 'page' AS type, title AS name, url, occurred_at FROM page_views
				WHERE tenant_uuid = $1 AND visitor_uuid = $2 AND session_uuid = $3 AND occurred_at BETWEEN $4 AND $5
				UNION ALL
				SELECT message_id, type, name, url, occurred_at FROM website_events
				WHERE tenant_uuid = $1 AND visitor_uuid = $2 AND session_uuid = $3 AND occurred_at BETWEEN $4 AND $5
				ORDER BY occurred_at DESC, message_id LIMIT $6) newest
			ORDER BY occurred_at, message_id`, tenant, v.VisitorUUID, id, v.StartedAt, v.EndedAt, newestOf)
		return err
	})
	return v, err //nolint:wrapcheck // a fault, or engardedb says what it was
}

func one[T any](ctx context.Context, tx engardedb.Tx, what, sql string, args ...any) (T, error) {
	rows, err := many[T](ctx, tx, sql, args...)
	if err == nil && len(rows) == 0 {
		err = pgx.ErrNoRows
	}
	if errors.Is(err, pgx.ErrNoRows) {
		var none T
		return none, fault.New(fault.NotFound, "There is no such %s.", what)
	}
	if err != nil {
		var none T
		return none, err
	}
	return rows[0], nil
}

func many[T any](ctx context.Context, tx engardedb.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read visits: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[T])
	if err != nil {
		return nil, fmt.Errorf("read visits: %w", err)
	}
	return found, nil
}

type (
	visitorInput struct {
		ID uuid.UUID `path:"visitor_uuid" format:"uuid"`
	}
	visitorOutput struct{ Body Visitor }
	sessionInput  struct {
		ID uuid.UUID `path:"session_uuid" format:"uuid"`
	}
	sessionOutput struct{ Body Session }
)

// Register adds the operations to api, and documents the ingest endpoints,
// which Ingest.Handle serves.
func (s *Service) Register(api huma.API) {
	httpkit.Register(api, huma.Operation{
		OperationID: "get-visitor", Method: http.MethodGet, Path: "/api/v1/website/visitors/{visitor_uuid}",
		Summary: "Get a visitor with its sessions", Tags: []string{"website"}, Security: httpkit.Scoped("website:read"),
	}, func(ctx context.Context, in *visitorInput) (*visitorOutput, error) {
		v, err := s.Visitor(ctx, httpkit.Tenant(ctx), in.ID)
		return &visitorOutput{Body: v}, err
	})
	httpkit.Register(api, huma.Operation{
		OperationID: "get-session", Method: http.MethodGet, Path: "/api/v1/website/sessions/{session_uuid}",
		Summary: "Get a session with what happened in it", Tags: []string{"website"}, Security: httpkit.Scoped("website:read"),
	}, func(ctx context.Context, in *sessionInput) (*sessionOutput, error) {
		v, err := s.Session(ctx, httpkit.Tenant(ctx), in.ID)
		return &sessionOutput{Body: v}, err
	})
	document(api.OpenAPI())
}

// document describes the endpoints whose bodies huma does not read.
func document(doc *huma.OpenAPI) {
	registry := doc.Components.Schemas
	event := huma.SchemaFromType(registry, reflect.TypeFor[eventBody]())
	batch := huma.SchemaFromType(registry, reflect.TypeFor[batchBody]())
	event.AdditionalProperties, batch.AdditionalProperties = true, true
	receiptSchema := huma.SchemaFromType(registry, reflect.TypeFor[receipt]())
	problem := huma.SchemaFromType(registry, reflect.TypeFor[httpkit.Problem]())
	add := func(id, path, summary string, body *huma.Schema) {
		responses := map[string]*huma.Response{
			"200": {Description: "Committed. Events of a batch that were refused are listed, the others are kept.", Content: map[string]*huma.MediaType{"application/json": {Schema: receiptSchema}}},
		}
		for status, text := range map[string]string{
			"400": "Nothing was taken: the body, or every event, is bad", "401": "No or unknown write key", "403": "The key may not send events",
			"413": "More than 500 KB", "429": "Too many of the tenant's events wait; see Retry-After", "503": "The database can't take more; see Retry-After",
		} {
			responses[status] = &huma.Response{Description: text, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}
		}
		doc.AddOperation(&huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: path, Summary: summary, Tags: []string{"ingest"},
			Description: "The Segment HTTP API: a write key by basic authentication, or as writeKey in the body. JSON, gzip accepted; " +
				"32 KB an event, 500 KB a request. An event is stored once for its messageId.",
			Security:    []map[string][]string{{httpkit.WriteKeyScheme: {}}, {httpkit.BearerScheme: {scope}}},
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}, "text/plain": {Schema: body}}},
			Responses:   responses,
		})
	}
	for path, typ := range calls {
		add("ingest-"+string(typ), path, "Send a "+string(typ)+" event", event)
	}
	add("ingest-batch", batchPath, "Send many events", batch)
	add("track", trackPath, "Send an event of any type, or a batch", &huma.Schema{OneOf: []*huma.Schema{event, batch}})
}

type eventBody struct {
	Type        segment.Type   `json:"type,omitempty" enum:"track,identify,page,screen,group,alias" doc:"Needed in a batch; elsewhere the path says it"`
	MessageID   string         `json:"messageId,omitempty" maxLength:"255" doc:"Makes a repeated delivery a no-op"`
	AnonymousID string         `json:"anonymousId,omitempty" maxLength:"255" doc:"This or userId is required"`
	UserID      string         `json:"userId,omitempty" maxLength:"255"`
	PreviousID  string         `json:"previousId,omitempty" maxLength:"255" doc:"Of an alias"`
	GroupID     string         `json:"groupId,omitempty" maxLength:"255" doc:"Of a group"`
	Event       string         `json:"event,omitempty" maxLength:"500" doc:"Of a track"`
	Name        string         `json:"name,omitempty" maxLength:"500" doc:"Of a page or screen"`
	Properties  map[string]any `json:"properties,omitempty"`
	Traits      map[string]any `json:"traits,omitempty" doc:"Of an identify or group: email, first_name, last_name, time_zone, marketing_consent, and your own"`
	Context     map[string]any `json:"context,omitempty" doc:"sessionId, page, campaign, userAgent, timezone, traits, and your own"`
	Timestamp   *time.Time     `json:"timestamp,omitempty" doc:"When it happened, by the sender's clock; from the year 2000 to a day from now"`
	SentAt      *time.Time     `json:"sentAt,omitempty" doc:"When it was sent, by the sender's clock; corrects timestamp"`
	WriteKey    string         `json:"writeKey,omitempty" doc:"For senders that can't set a header"`
}

type batchBody struct {
	Batch    []eventBody    `json:"batch"`
	Context  map[string]any `json:"context,omitempty" doc:"Of the events that have none"`
	SentAt   *time.Time     `json:"sentAt,omitempty"`
	WriteKey string         `json:"writeKey,omitempty"`
}
