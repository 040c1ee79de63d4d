package fact

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

// maxBody bounds a fact on the wire.
const maxBody = 256 << 10

// services are the sources that only signed requests may speak for.
var services = []string{mesh.Core, mesh.Onside, mesh.MadanSara, mesh.Sankore}

// object is a JSON object kept as it was written, with numbers of any length.
type object struct{ raw json.RawMessage }

func (o *object) UnmarshalJSON(raw []byte) error {
	o.raw = bytes.Clone(raw)
	return nil
}

// Schema describes an object of anything.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "The fact itself; the whole body is at most 256 KiB."}
}

type receiveInput struct {
	DataType string `path:"data_type" pattern:"^[a-z][a-z0-9_.-]{0,62}$" doc:"What kind of fact" example:"conversion"`
	Key      string `header:"Idempotency-Key" maxLength:"255" doc:"Names the fact: the same for each attempt to send it. A UUID becomes the fact's id. Without it a fact is known by its content"`
	Body     struct {
		TenantUUID string    `json:"tenant_uuid" format:"uuid" doc:"The tenant that the request is authenticated for"`
		Source     string    `json:"source" pattern:"^[a-z][a-z0-9_.-]{0,62}$" doc:"Who tells it; a signed request's must be the service that signed it" example:"crm-export"`
		Data       object    `json:"data"`
		Timestamp  time.Time `json:"timestamp" doc:"When it became true, from 2000 to a day from now"`
		CustomerID string    `json:"customer_id,omitempty" maxLength:"320" doc:"The customer it is about"`
		Sequence   int64     `json:"sequence,omitempty" minimum:"0" doc:"Orders the facts that the source tells of the customer; the greater is the newer"`
	}
}

type receiveOutput struct {
	Status int
	Body   struct {
		ID        uuid.UUID `json:"id" doc:"The fact's id"`
		Duplicate bool      `json:"duplicate" doc:"Whether it was there already"`
	}
}

type listInput struct {
	DataType   string    `path:"data_type" pattern:"^[a-z][a-z0-9_.-]{0,62}$" doc:"What kind of fact" example:"conversion"`
	Source     string    `query:"source" maxLength:"63" doc:"Only facts that this service told"`
	CustomerID string    `query:"customer_id" maxLength:"320" doc:"Only facts about this customer"`
	From       time.Time `query:"from" doc:"Only what became true at or after this time"`
	To         time.Time `query:"to" doc:"Only what became true before this time"`
	Limit      int       `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most; a page ends earlier after 4 MiB"`
	Cursor     string    `query:"cursor" maxLength:"500" doc:"The next_cursor of the answer before"`
}

type listOutput struct {
	Body struct {
		Facts []Stored `json:"facts"`
		Next  string   `json:"next_cursor,omitempty" doc:"The cursor of the next, older page; absent after the last"`
	}
}

type getInput struct {
	DataType string    `path:"data_type" pattern:"^[a-z][a-z0-9_.-]{0,62}$"`
	ID       uuid.UUID `path:"id" format:"uuid"`
	Source   string    `query:"source" maxLength:"63" doc:"Needed only when several sources have a fact of this id"`
}

type getOutput struct{ Body Stored }

type countsInput struct {
	From time.Time `query:"from" doc:"Only what became true at or after this time"`
	To   time.Time `query:"to" doc:"Only what became true before this time"`
}

type countsOutput struct {
	Body struct {
		Counts []Count `json:"counts"`
	}
}

type customerInput struct {
	CustomerID string `path:"customer_id" minLength:"1" maxLength:"320"`
}

type customerOutput struct {
	Body struct {
		CustomerID string   `json:"customer_id"`
		Facts      []Stored `json:"facts" doc:"The newest of each type and source"`
	}
}

// Register adds the sync operations to api.
func (s *Service) Register(api huma.API) {
	read, write := httpkit.Scoped("sync:read"), httpkit.Scoped("sync:write")
	tags := []string{"sync"}
	httpkit.Register(api, huma.Operation{
		OperationID: "sync-fact", Method: http.MethodPost, Path: "/api/v1/sync/{data_type}", Tags: tags, Security: write,
		Summary: "Tell Core a fact",
		Description: "The fact is stored when this answers. Sent again with the same Idempotency-Key it changes nothing and is " +
			"acknowledged as a duplicate, for ever; another fact under the same key is refused with 422.",
		MaxBodyBytes: maxBody, DefaultStatus: http.StatusCreated,
	}, s.receive)
	httpkit.Register(api, huma.Operation{
		OperationID: "count-facts", Method: http.MethodGet, Path: "/api/v1/sync", Tags: tags, Security: read,
		Summary: "Count the facts of each type and source",
	}, s.counts)
	httpkit.Register(api, huma.Operation{
		OperationID: "list-facts", Method: http.MethodGet, Path: "/api/v1/sync/{data_type}", Tags: tags, Security: read,
		Summary: "List facts of a type, those that became true last first",
	}, s.list)
	httpkit.Register(api, huma.Operation{
		OperationID: "get-fact", Method: http.MethodGet, Path: "/api/v1/sync/{data_type}/{id}", Tags: tags, Security: read,
		Summary: "Get a fact",
	}, s.get)
	httpkit.Register(api, huma.Operation{
		OperationID: "customer-facts", Method: http.MethodGet, Path: "/api/v1/customers/{customer_id}/facts", Tags: tags, Security: read,
		Summary: "The newest fact of each type and source about a customer",
		Description: "The newest is the one with the greatest sequence; of equal ones, the one that became true last. " +
			"A fact that arrives late does not replace a newer one.",
	}, s.customer)
}

func (s *Service) receive(ctx context.Context, in *receiveInput) (*receiveOutput, error) {
	tenant := httpkit.Tenant(ctx)
	if named, err := uuid.Parse(in.Body.TenantUUID); err != nil || named != tenant {
		return nil, fault.New(fault.Forbidden, "body.tenant_uuid is not the tenant that this request is authenticated for.")
	}
	if err := maySpeakFor(ctx, in.Body.Source); err != nil {
		return nil, err
	}
	f := Fact{
		DataType: in.DataType, Source: in.Body.Source, CustomerID: in.Body.CustomerID, Sequence: in.Body.Sequence,
		Data: in.Body.Data.raw, OccurredAt: in.Body.Timestamp,
	}
	f.ID = idOf(in.Key, f)
	duplicate, err := s.Receive(ctx, tenant, f)
	if err != nil {
		return nil, err
	}
	out := &receiveOutput{Status: http.StatusCreated}
	if duplicate {
		out.Status = http.StatusOK
	}
	out.Body.ID, out.Body.Duplicate = f.ID, duplicate
	return out, nil
}

// maySpeakFor keeps a caller from telling facts in another's name.
func maySpeakFor(ctx context.Context, source string) error {
	identity, signed := signature.From(ctx)
	switch {
	case signed && source != identity.Source:
		return fault.New(fault.Forbidden, "body.source is %q, and the request comes from %q.", source, identity.Source)
	case !signed && slices.Contains(services, source):
		return fault.New(fault.Forbidden, "body.source is %q, which only that service itself may use; give your system a name of its own.", source)
	}
	return nil
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	filter := Filter{Source: in.Source, CustomerID: in.CustomerID, From: in.From, To: in.To}
	facts, next, err := s.List(ctx, httpkit.Tenant(ctx), in.DataType, filter, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Facts, out.Body.Next = facts, next
	return out, nil
}

func (s *Service) get(ctx context.Context, in *getInput) (*getOutput, error) {
	f, err := s.Get(ctx, httpkit.Tenant(ctx), in.DataType, in.ID, in.Source)
	if err != nil {
		return nil, err
	}
	return &getOutput{Body: f}, nil
}

func (s *Service) counts(ctx context.Context, in *countsInput) (*countsOutput, error) {
	counts, err := s.Counts(ctx, httpkit.Tenant(ctx), in.From, in.To)
	if err != nil {
		return nil, err
	}
	out := &countsOutput{}
	out.Body.Counts = counts
	return out, nil
}

func (s *Service) customer(ctx context.Context, in *customerInput) (*customerOutput, error) {
	facts, err := s.Customer(ctx, httpkit.Tenant(ctx), in.CustomerID)
	if err != nil {
		return nil, err
	}
	out := &customerOutput{}
	out.Body.CustomerID, out.Body.Facts = in.CustomerID, facts
	return out, nil
}
