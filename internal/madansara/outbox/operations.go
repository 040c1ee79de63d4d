package outbox

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

type summaryOutput struct{ Body Summary }

type listInput struct {
	Status   string    `query:"status" enum:"pending,failed,delivered,discarded" default:"failed" doc:"Which facts; delivered and discarded ones are kept for a week"`
	Type     string    `query:"data_type" maxLength:"63" doc:"Only facts of this type"`
	Customer uuid.UUID `query:"customer_uuid" format:"uuid" doc:"Only facts about this customer"`
	Cursor   string    `query:"cursor" maxLength:"20" doc:"next_cursor of the page before"`
	Limit    int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type listOutput struct {
	Body struct {
		Facts []Stored `json:"facts"`
		Next  string   `json:"next_cursor,omitempty" doc:"The cursor of the next, older page; absent after the last"`
	}
}

type factInput struct {
	ID uuid.UUID `path:"fact_uuid" format:"uuid"`
}

type factOutput struct{ Body Stored }

type discardInput struct {
	ID   uuid.UUID `path:"fact_uuid" format:"uuid"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why Core is not to be told; kept with the fact"`
	}
}

type replayAllInput struct {
	Body struct {
		Type string `json:"data_type,omitempty" maxLength:"63" doc:"Only facts of this type"`
	}
}

type replayAllOutput struct {
	Body struct {
		Replayed int64 `json:"replayed"`
	}
}

// Register adds the outbox's operations to api.
func (o *Outbox) Register(api huma.API) {
	read, write := httpkit.Scoped("sync:read"), httpkit.Scoped("sync:write")
	tags := []string{"sync"}
	httpkit.Register(api, huma.Operation{
		OperationID: "outbox-summary", Method: http.MethodGet, Path: "/api/v1/sync/outbox", Tags: tags, Security: read,
		Summary: "Count the facts that Core does not have yet",
	}, o.getSummary)
	httpkit.Register(api, huma.Operation{
		OperationID: "list-outbox-facts", Method: http.MethodGet, Path: "/api/v1/sync/outbox/facts", Tags: tags, Security: read,
		Summary: "List the outbox's facts of a status, the latest recorded first",
	}, o.list)
	httpkit.Register(api, huma.Operation{
		OperationID: "get-outbox-fact", Method: http.MethodGet, Path: "/api/v1/sync/outbox/facts/{fact_uuid}", Tags: tags, Security: read,
		Summary: "Get a fact of the outbox",
	}, o.get)
	httpkit.Register(api, huma.Operation{
		OperationID: "replay-outbox-fact", Method: http.MethodPost, Path: "/api/v1/sync/outbox/facts/{fact_uuid}/replay", Tags: tags, Security: write,
		Summary: "Try a fact again, now",
	}, o.replay)
	httpkit.Register(api, huma.Operation{
		OperationID: "discard-outbox-fact", Method: http.MethodPost, Path: "/api/v1/sync/outbox/facts/{fact_uuid}/discard", Tags: tags, Security: write,
		Summary:     "Give a fact up",
		Description: "Core is not told; the customer's later facts go on. A push that is under way may reach Core all the same.",
	}, o.discard)
	httpkit.Register(api, huma.Operation{
		OperationID: "replay-outbox", Method: http.MethodPost, Path: "/api/v1/sync/outbox/replay", Tags: tags, Security: write,
		Summary: "Try all failed facts again",
	}, o.replayAll)
}

func (o *Outbox) getSummary(ctx context.Context, _ *struct{}) (*summaryOutput, error) {
	summary, err := o.Summary(ctx, httpkit.Tenant(ctx))
	if err != nil {
		return nil, err
	}
	return &summaryOutput{Body: summary}, nil
}

func (o *Outbox) list(ctx context.Context, in *listInput) (*listOutput, error) {
	var cursor int64
	if in.Cursor != "" {
		var err error
		if cursor, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil || cursor < 1 {
			return nil, fault.At("query.cursor", in.Cursor, "must be the next_cursor of an earlier answer")
		}
	}
	if strings.ContainsRune(in.Type, 0) {
		return nil, fault.At("query.data_type", nil, "must be UTF-8 text without NUL")
	}
	facts, err := o.List(ctx, httpkit.Tenant(ctx), Filter{Status: in.Status, Type: in.Type, Customer: in.Customer}, cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	if len(facts) > in.Limit {
		facts = facts[:in.Limit]
		out.Body.Next = strconv.FormatInt(facts[in.Limit-1].Sequence, 10)
	}
	out.Body.Facts = facts
	return out, nil
}

func (o *Outbox) get(ctx context.Context, in *factInput) (*factOutput, error) {
	fact, err := o.Get(ctx, httpkit.Tenant(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &factOutput{Body: fact}, nil
}

func (o *Outbox) replay(ctx context.Context, in *factInput) (*factOutput, error) {
	fact, err := o.Replay(ctx, httpkit.Tenant(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &factOutput{Body: fact}, nil
}

func (o *Outbox) discard(ctx context.Context, in *discardInput) (*factOutput, error) {
	reason := strings.TrimSpace(in.Body.Reason)
	if reason == "" || strings.ContainsRune(reason, 0) {
		return nil, fault.At("body.reason", nil, "must say why, in text without NUL")
	}
	principal, _ := httpkit.PrincipalFrom(ctx)
	fact, err := o.Discard(ctx, principal.Tenant, in.ID, principal.Name, reason)
	if err != nil {
		return nil, err
	}
	return &factOutput{Body: fact}, nil
}

func (o *Outbox) replayAll(ctx context.Context, in *replayAllInput) (*replayAllOutput, error) {
	if strings.ContainsRune(in.Body.Type, 0) {
		return nil, fault.At("body.data_type", nil, "must be UTF-8 text without NUL")
	}
	replayed, err := o.ReplayAll(ctx, httpkit.Tenant(ctx), in.Body.Type)
	if err != nil {
		return nil, err
	}
	out := &replayAllOutput{}
	out.Body.Replayed = replayed
	return out, nil
}
