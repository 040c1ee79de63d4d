package segment

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
)

const path = "/api/v1/segments"

type segmentBody struct {
	Name  string `json:"name" minLength:"1" maxLength:"200" example:"Signed up, did not buy"`
	Rules Rule   `json:"rules"`
}

type (
	createInput struct{ Body segmentBody }
	updateInput struct {
		ID   uuid.UUID `path:"segment_uuid" format:"uuid"`
		Body segmentBody
	}
	oneInput struct {
		ID uuid.UUID `path:"segment_uuid" format:"uuid"`
	}
	listInput struct {
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	membersInput struct {
		ID     uuid.UUID `path:"segment_uuid" format:"uuid"`
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"20"`
	}
	previewInput struct {
		Body struct {
			Rules Rule `json:"rules"`
			Limit int  `json:"limit,omitempty" minimum:"1" maximum:"200" default:"20"`
		}
	}
	segmentOutput struct{ Body Segment }
	listOutput    struct {
		Body struct {
			Segments   []Segment  `json:"segments"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	membersOutput struct {
		Body struct {
			Count      int64      `json:"count" doc:"Contacts selected at this moment"`
			Members    []Member   `json:"members"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	startersOutput struct {
		Body struct {
			Starters []Starter `json:"starters"`
		}
	}
)

// Register adds the segment operations to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary,
			Tags: []string{"segments"}, Security: httpkit.Scoped(scope),
		}
	}
	const read, write = "contacts:read", "contacts:write"
	create := op("create-segment", http.MethodPost, path, "Create a segment", write)
	create.DefaultStatus = http.StatusCreated
	httpkit.Register(api, create, s.create)
	httpkit.Register(api, op("list-segments", http.MethodGet, path, "List segments, newest first", read), s.list)
	httpkit.Register(api, op("list-segment-starters", http.MethodGet, path+"/starters", "Rules to start from", read), s.starters)
	httpkit.Register(api, op("preview-segment", http.MethodPost, path+"/preview", "Count and show whom unsaved rules select", read), s.preview)
	httpkit.Register(api, op("get-segment", http.MethodGet, path+"/{segment_uuid}", "Get a segment", read), s.get)
	httpkit.Register(api, op("update-segment", http.MethodPut, path+"/{segment_uuid}", "Replace a segment's name and rules", write), s.update)
	httpkit.Register(api, op("delete-segment", http.MethodDelete, path+"/{segment_uuid}", "Delete a segment that no campaign uses", write), s.delete)
	httpkit.Register(api, op("count-segment", http.MethodGet, path+"/{segment_uuid}/count", "Count a segment and show its members", read), s.count)
}

func (s *Service) create(ctx context.Context, in *createInput) (*segmentOutput, error) {
	segment, err := s.Create(ctx, httpkit.Tenant(ctx), in.Body.Name, in.Body.Rules)
	return &segmentOutput{Body: segment}, err
}

func (s *Service) get(ctx context.Context, in *oneInput) (*segmentOutput, error) {
	segment, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return &segmentOutput{Body: segment}, err
}

func (s *Service) update(ctx context.Context, in *updateInput) (*segmentOutput, error) {
	segment, err := s.Update(ctx, httpkit.Tenant(ctx), in.ID, in.Body.Name, in.Body.Rules)
	return &segmentOutput{Body: segment}, err
}

func (s *Service) delete(ctx context.Context, in *oneInput) (*struct{}, error) {
	return nil, s.Delete(ctx, httpkit.Tenant(ctx), in.ID)
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	segments, err := s.List(ctx, httpkit.Tenant(ctx), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Segments = segments
	out.Body.NextCursor = httpkit.NextCursor(segments, in.Limit, func(s *Segment) uuid.UUID { return s.UUID })
	return out, nil
}

func (s *Service) starters(context.Context, *struct{}) (*startersOutput, error) {
	out := &startersOutput{}
	out.Body.Starters = Starters()
	return out, nil
}

func (s *Service) preview(ctx context.Context, in *previewInput) (*membersOutput, error) {
	return s.members(ctx, in.Body.Rules, uuid.Nil, in.Body.Limit)
}

func (s *Service) count(ctx context.Context, in *membersInput) (*membersOutput, error) {
	segment, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return s.members(ctx, segment.Rules, in.Cursor, in.Limit)
}

func (s *Service) members(ctx context.Context, rules Rule, after uuid.UUID, limit int) (*membersOutput, error) {
	count, members, err := s.Preview(ctx, httpkit.Tenant(ctx), rules, after, limit)
	if err != nil {
		return nil, err
	}
	out := &membersOutput{}
	out.Body.Count, out.Body.Members = count, members
	out.Body.NextCursor = httpkit.NextCursor(members, limit, func(m *Member) uuid.UUID { return m.ContactUUID })
	return out, nil
}
