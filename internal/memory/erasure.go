package memory

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
)

type (
	eraseInput struct {
		Body struct {
			Subject    string   `json:"subject" minLength:"1" maxLength:"200" doc:"Whose memories go" example:"customer:42"`
			Aliases    []string `json:"aliases,omitempty" maxItems:"100" doc:"Other subjects that are the same person or thing"`
			Mentioning []string `json:"mentioning,omitempty" maxItems:"20" doc:"Words that name the subject wherever they stand, such as an e-mail address: memories that contain one (without regard to case) go too. At least 5 characters each"`
		}
	}
	eraseOutput  struct{ Body Erased }
	erasureInput struct {
		ID uuid.UUID `path:"erasure_uuid" format:"uuid"`
	}
	erasuresInput struct {
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	erasuresOutput struct {
		Body struct {
			Erasures   []Erased   `json:"erasures"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
)

// Erased is an erasure, and its receipt once it is finished.
type Erased struct {
	ID          uuid.UUID      `json:"id" format:"uuid" doc:"Of the receipt"`
	Status      string         `json:"status" enum:"pending,finished" doc:"pending: it is under way, or waits for the memory to answer"`
	Cause       string         `json:"cause" enum:"request,contact_erased" doc:"contact_erased: the contact was erased"`
	RequestedBy string         `json:"requested_by" doc:"The key or user that asked, by id"`
	RequestedAt time.Time      `json:"requested_at"`
	Subject     string         `json:"subject_sha256" doc:"SHA-256 of the subject, in hexadecimal"`
	Erased      int            `json:"erased" doc:"Memories, every version counted"`
	ByType      map[string]int `json:"by_type"`
	Agents      []string       `json:"agents" doc:"Whose memories were erased"`
	Digest      string         `json:"digest" doc:"SHA-256 over the ids, sorted, of the memories that the last pass erased which found any"`
	Remaining   int            `json:"remaining" doc:"What was stored meanwhile and is still there; 0 when all is gone"`
	Backend     string         `json:"backend"`
	StartedAt   *time.Time     `json:"started_at,omitempty"`
	FinishedAt  *time.Time     `json:"finished_at,omitempty"`
}

func erasedOf(e memoryjobs.Erasure) Erased {
	wire := Erased{
		ID: e.ID, Status: "pending", Cause: e.Cause, RequestedBy: e.RequestedBy, RequestedAt: e.RequestedAt.UTC(), Subject: e.Subject,
		Erased: e.Erased, ByType: map[string]int{}, Agents: e.Agents, Digest: e.Digest, Remaining: e.Remaining, Backend: e.Backend,
		StartedAt: timeOf(e.StartedAt), FinishedAt: timeOf(e.FinishedAt),
	}
	if wire.FinishedAt != nil {
		wire.Status = "finished"
	}
	for t, n := range e.ByType {
		wire.ByType[string(t)] = n
	}
	if wire.Agents == nil {
		wire.Agents = []string{}
	}
	return wire
}

// Erase deletes what is remembered of a subject. The receipt, which does not repeat what
// was erased, is kept, and stands in the log.
func (s *Service) Erase(ctx context.Context, tenant uuid.UUID, e zerodb.Erasure) (Erased, error) {
	principal, _ := httpkit.PrincipalFrom(ctx)
	receipt, err := s.jobs.Erase(ctx, s.client, tenant, principal.ID, e)
	if err = faultOf("", err); fault.CodeOf(err) == fault.Unavailable {
		return Erased{}, fault.Wrap(err, fault.Unavailable, "The memory does not answer at the moment. The erasure is kept, and is carried out as soon as it does.")
	}
	if err != nil {
		return Erased{}, err
	}
	s.logger.InfoContext(ctx, "memories of a subject were erased",
		slog.String("tenant_uuid", tenant.String()), slog.String("by", principal.ID), slog.String("receipt", receipt.ID.String()),
		slog.String("subject_sha256", receipt.Subject), slog.Int("erased", receipt.Erased), slog.Int("remaining", receipt.Remaining),
		slog.String("digest", receipt.Digest))
	return erasedOf(receipt), nil
}

// Erasures returns up to limit erasures, the newest first, older than the one named by
// cursor (Nil begins).
func (s *Service) Erasures(ctx context.Context, tenant, cursor uuid.UUID, limit int) ([]Erased, error) {
	found, err := s.jobs.Erasures(ctx, tenant, cursor, limit)
	if err != nil {
		return nil, err
	}
	wires := make([]Erased, len(found))
	for i := range found {
		wires[i] = erasedOf(found[i])
	}
	return wires, nil
}

func (s *Service) erase(ctx context.Context, in *eraseInput) (*eraseOutput, error) {
	erased, err := s.Erase(ctx, httpkit.Tenant(ctx), zerodb.Erasure{Subject: in.Body.Subject, Aliases: in.Body.Aliases, Mentioning: in.Body.Mentioning})
	return &eraseOutput{Body: erased}, err
}

func (s *Service) erasure(ctx context.Context, in *erasureInput) (*eraseOutput, error) {
	found, err := s.jobs.Erasure(ctx, httpkit.Tenant(ctx), in.ID)
	return &eraseOutput{Body: erasedOf(found)}, err
}

func (s *Service) erasures(ctx context.Context, in *erasuresInput) (*erasuresOutput, error) {
	found, err := s.Erasures(ctx, httpkit.Tenant(ctx), in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &erasuresOutput{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.NextCursor = &found[in.Limit-1].ID
	}
	out.Body.Erasures = found
	return out, nil
}
