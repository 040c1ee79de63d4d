package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/zerodb"
)

type (
	oneInput struct {
		ID uuid.UUID `path:"memory_id" format:"uuid"`
	}
	memoryOutput  struct{ Body Memory }
	historyOutput struct {
		Body struct {
			Versions []Memory `json:"versions" doc:"The latest valid_from first"`
		}
	}
	correctInput struct {
		ID   uuid.UUID `path:"memory_id" format:"uuid" doc:"The version that holds"`
		Body struct {
			Agent    string         `json:"agent" minLength:"1" maxLength:"200" doc:"Who corrects" example:"walker_seo_001"`
			Content  string         `json:"content" doc:"What is right; up to 64 KiB"`
			Metadata map[string]any `json:"metadata,omitempty" doc:"Without it, the wrong version's"`
		}
	}
	feedbackInput struct {
		ID   uuid.UUID `path:"memory_id" format:"uuid"`
		Body struct {
			Useful    *bool `json:"useful,omitempty" doc:"Whether it helped: moves the importance"`
			Succeeded *bool `json:"succeeded,omitempty" doc:"Whether acting on it succeeded: moves the confidence. Meant for procedural memories"`
		}
	}
	forgetOutput struct {
		Body struct {
			Forgotten int `json:"forgotten" doc:"Versions that are gone"`
		}
	}
)

func (s *Service) get(ctx context.Context, in *oneInput) (*memoryOutput, error) {
	m, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return s.answer(&m, err)
}

func (s *Service) answer(m *zerodb.Memory, err error) (*memoryOutput, error) {
	if err != nil {
		return nil, err
	}
	return &memoryOutput{Body: wireOf(m, s.clock.Now())}, nil
}

func (s *Service) history(ctx context.Context, in *oneInput) (*historyOutput, error) {
	versions, err := s.History(ctx, httpkit.Tenant(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := &historyOutput{}
	out.Body.Versions = wiresOf(versions, s.clock.Now())
	return out, nil
}

func (s *Service) correct(ctx context.Context, in *correctInput) (*memoryOutput, error) {
	m, err := s.client.Tenant(httpkit.Tenant(ctx)).Correct(ctx, in.Body.Agent, in.ID, in.Body.Content, in.Body.Metadata)
	return s.answer(&m, faultOf("body.", err))
}

func (s *Service) feedback(ctx context.Context, in *feedbackInput) (*memoryOutput, error) {
	m, err := s.client.Tenant(httpkit.Tenant(ctx)).Feedback(ctx, in.ID, zerodb.Feedback{Useful: in.Body.Useful, Succeeded: in.Body.Succeeded})
	return s.answer(&m, faultOf("body.", err))
}

func (s *Service) forget(ctx context.Context, in *oneInput) (*forgetOutput, error) {
	n, err := s.Forget(ctx, httpkit.Tenant(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := &forgetOutput{}
	out.Body.Forgotten = n
	return out, nil
}

// AgentCounts are the agents of stats, those with the most memories first.
func AgentCounts(stats zerodb.Stats) []AgentCount {
	counts := make([]AgentCount, 0, len(stats.ByAgent))
	for agent, n := range stats.ByAgent {
		counts = append(counts, AgentCount{Agent: agent, Memories: n})
	}
	slices.SortFunc(counts, func(a, b AgentCount) int {
		return cmp.Or(cmp.Compare(b.Memories, a.Memories), cmp.Compare(a.Agent, b.Agent))
	})
	return counts
}
