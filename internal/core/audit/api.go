package audit

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/engardehq/madansara/internal/httpkit"
)

type listInput struct {
	Actor      string    `query:"actor" maxLength:"200" doc:"Only what this user, key or service did" example:"service madan-sara"`
	Action     string    `query:"action" maxLength:"100" doc:"Only this action" example:"key.created"`
	ObjectType string    `query:"object_type" maxLength:"100" doc:"Only what was done to things of this type" example:"integration"`
	Object     string    `query:"object" maxLength:"200" doc:"Only what was done to this thing"`
	From       time.Time `query:"from" doc:"Only what was done at or after this time"`
	To         time.Time `query:"to" doc:"Only what was done before this time"`
	Limit      int       `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many at most"`
	Cursor     string    `query:"cursor" maxLength:"500" doc:"The next_cursor of the answer before"`
}

type listOutput struct {
	Body struct {
		Entries []Entry `json:"entries"`
		Next    string  `json:"next_cursor,omitempty" doc:"The cursor of the next, older page; absent after the last"`
	}
}

// Register adds the operation on the log.
func (s *Service) Register(api huma.API) {
	httpkit.Register(api, huma.Operation{
		OperationID: "list-audit-log", Method: http.MethodGet, Path: "/api/v1/audit", Summary: "Who did what, the newest first",
		Description: "Every change of the tenant, its users, keys and integrations, every log-in, and every time a service was given a credential.",
		Tags:        []string{"audit"}, Security: httpkit.Scoped("audit:read"),
	}, func(ctx context.Context, in *listInput) (*listOutput, error) {
		filter := Filter{Actor: in.Actor, Action: in.Action, ObjectType: in.ObjectType, Object: in.Object, From: in.From, To: in.To}
		entries, next, err := s.List(ctx, httpkit.Tenant(ctx), filter, in.Cursor, in.Limit)
		if err != nil {
			return nil, err
		}
		out := &listOutput{}
		out.Body.Entries, out.Body.Next = entries, next
		return out, nil
	})
}
