package memory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/zerodb"
)

type retrieveInput struct {
	Body struct {
		Agent     string      `json:"agent,omitempty" maxLength:"200" doc:"Who asks: its own memories and the tenant's are searched. Required unless everyone" example:"walker_seo_001"`
		Groups    []string    `json:"groups,omitempty" maxItems:"20" doc:"The agent's groups, whose memories are searched too"`
		Everyone  bool        `json:"everyone,omitempty" doc:"Search every agent's memories; for operators"`
		Query     string      `json:"query" doc:"What is looked for, in words; up to 8 KiB" example:"how does Marie want to be reached?"`
		Type      string      `json:"type,omitempty" enum:"working,short_term,episodic,semantic,procedural,long_term" doc:"Of this type only"`
		Types     []string    `json:"types,omitempty" maxItems:"6" doc:"Of one of these types"`
		Limit     int         `json:"limit,omitempty" minimum:"0" maximum:"200" doc:"Hits at most; without it 10"`
		Threshold float64     `json:"threshold,omitempty" minimum:"0" maximum:"1" doc:"The lowest score returned"`
		Mode      string      `json:"mode,omitempty" enum:"hybrid,text,dense" doc:"Which signals are used; without it hybrid"`
		Subject   string      `json:"subject,omitempty" maxLength:"200" doc:"About this subject only"`
		StoredBy  []string    `json:"stored_by,omitempty" maxItems:"20" doc:"Stored by one of these agents"`
		From      *time.Time  `json:"from,omitempty" doc:"valid_from is not before"`
		Before    *time.Time  `json:"before,omitempty" doc:"valid_from is before"`
		AsOf      *time.Time  `json:"as_of,omitempty" doc:"What held at that time, by what is known now. The past of working and short_term memories is not kept"`
		Where     []Condition `json:"where,omitempty" maxItems:"20" doc:"All of these conditions on the metadata hold"`
	}
}

type retrieveOutput struct {
	Body struct {
		Hits     []Hit  `json:"hits" doc:"The best first"`
		Degraded string `json:"degraded,omitempty" doc:"Why fewer signals were used than asked for: the embedder did not answer, for instance"`
	}
}

func (s *Service) retrieve(ctx context.Context, in *retrieveInput) (*retrieveOutput, error) {
	b := &in.Body
	q := zerodb.Query{
		Agent: b.Agent, Groups: b.Groups, Everyone: b.Everyone, Text: b.Query, Limit: b.Limit, Threshold: b.Threshold, Mode: zerodb.Mode(b.Mode),
		Filter: zerodb.Filter{
			Subject: b.Subject, Agents: b.StoredBy, From: orZero(b.From), Before: orZero(b.Before), AsOf: orZero(b.AsOf), Where: conditionsOf(b.Where),
		},
	}
	if b.Type != "" {
		b.Types = append(b.Types, b.Type)
	}
	for _, t := range b.Types {
		q.Filter.Types = append(q.Filter.Types, zerodb.Type(t))
	}
	result, err := s.client.Tenant(httpkit.Tenant(ctx)).Search(ctx, q)
	if err != nil {
		return nil, faultOf("body.", err)
	}
	out := &retrieveOutput{}
	out.Body.Hits, out.Body.Degraded = hitsOf(result.Hits, s.clock.Now()), result.Degraded
	return out, nil
}

type contextInput struct {
	Body struct {
		Agent  string   `json:"agent" minLength:"1" maxLength:"200" example:"walker_seo_001"`
		Groups []string `json:"groups,omitempty" maxItems:"20"`
		Task   string   `json:"task,omitempty" doc:"What the agent is about to do: facts and procedures are chosen for it. Without it, what its working memories say" example:"write to Marie about her order"`
		Tokens int      `json:"tokens,omitempty" doc:"The budget of the text, 100 to 100,000; without it 2000"`
	}
}

type contextOutput struct {
	Body struct {
		Text     string    `json:"text" doc:"Goes into a prompt as it is"`
		Tokens   int       `json:"tokens" doc:"Of the text, estimated"`
		Sections []Section `json:"sections"`
		Omitted  int       `json:"omitted" doc:"Memories chosen that the budget had no room for"`
		Degraded string    `json:"degraded,omitempty"`
	}
}

// Section is one part of a context.
type Section struct {
	Title string `json:"title"`
	Hits  []Hit  `json:"hits" doc:"Score is 0 for what was chosen by time"`
}

func (s *Service) context(ctx context.Context, in *contextInput) (*contextOutput, error) {
	packed, err := s.client.Tenant(httpkit.Tenant(ctx)).Context(ctx, zerodb.ContextRequest{
		Agent: in.Body.Agent, Groups: in.Body.Groups, Task: in.Body.Task, Tokens: in.Body.Tokens,
	})
	if err != nil {
		return nil, faultOf("body.", err)
	}
	now := s.clock.Now()
	out := &contextOutput{}
	out.Body.Text, out.Body.Tokens, out.Body.Omitted, out.Body.Degraded = packed.Text, packed.Tokens, packed.Omitted, packed.Degraded
	out.Body.Sections = make([]Section, len(packed.Sections))
	for i, section := range packed.Sections {
		out.Body.Sections[i] = Section{Title: section.Title, Hits: hitsOf(section.Hits, now)}
	}
	return out, nil
}

type listInput struct {
	Agent    string    `query:"agent" maxLength:"200" doc:"As this agent sees them; without it, every memory of the tenant"`
	Groups   []string  `query:"groups" maxItems:"20" doc:"The agent's groups"`
	Types    []string  `query:"types" maxItems:"6" doc:"Of one of these types"`
	Subject  string    `query:"subject" maxLength:"200"`
	StoredBy []string  `query:"stored_by" maxItems:"20"`
	From     time.Time `query:"from" doc:"valid_from is not before"`
	Before   time.Time `query:"before" doc:"valid_from is before"`
	AsOf     time.Time `query:"as_of" doc:"What held at that time; without it, now"`
	History  bool      `query:"history" doc:"Every version, whenever it held"`
	Recent   bool      `query:"recent" doc:"The latest valid_from first, without a cursor; otherwise by id"`
	Cursor   uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
	Limit    int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type listOutput struct {
	Body struct {
		Memories   []Memory   `json:"memories"`
		NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
	}
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := zerodb.Filter{
		Audience: zerodb.Audience{Agent: in.Agent, Groups: in.Groups, Everyone: in.Agent == ""},
		Subject:  in.Subject, Agents: in.StoredBy, From: in.From, Before: in.Before, AsOf: in.AsOf, History: in.History,
	}
	for _, t := range in.Types {
		f.Types = append(f.Types, zerodb.Type(t))
	}
	if in.Recent && in.Cursor != uuid.Nil {
		return nil, fault.At("query.cursor", in.Cursor, "does not go with recent: give before instead")
	}
	list, err := s.client.Tenant(httpkit.Tenant(ctx)).List(ctx, f, zerodb.Order{Recent: in.Recent, After: in.Cursor}, in.Limit)
	if err != nil {
		return nil, faultOf("query.", err)
	}
	out := &listOutput{}
	out.Body.Memories = wiresOf(list, s.clock.Now())
	if len(list) == in.Limit && !in.Recent {
		out.Body.NextCursor = &list[len(list)-1].ID
	}
	return out, nil
}

type statsOutput struct {
	Body struct {
		Memories int            `json:"memories" doc:"Stored, whatever their state"`
		ByType   map[string]int `json:"by_type"`
		Agents   int            `json:"agents" doc:"That stored one"`
		Pending  int            `json:"pending" doc:"Found by their words alone until they are embedded"`
		Backend  string         `json:"backend"`
		Embedder string         `json:"embedder,omitempty" doc:"The model that compares meanings; none: memories are found by their words alone"`
	}
}

func (s *Service) stats(ctx context.Context, _ *struct{}) (*statsOutput, error) {
	stats, err := s.Stats(ctx, httpkit.Tenant(ctx))
	if err != nil {
		return nil, err
	}
	out := &statsOutput{}
	out.Body.Memories, out.Body.Agents, out.Body.Pending = stats.Memories, stats.Agents, stats.Pending
	out.Body.Backend, out.Body.Embedder = s.Backend(), s.EmbedderModel()
	out.Body.ByType = map[string]int{}
	for _, t := range zerodb.Types() {
		out.Body.ByType[string(t)] = stats.ByType[t]
	}
	return out, nil
}

// AgentCount is how much an agent stored.
type AgentCount struct {
	Agent    string `json:"agent"`
	Memories int    `json:"memories" doc:"That it stored, whatever their state"`
}

type agentsOutput struct {
	Body struct {
		Agents []AgentCount `json:"agents" doc:"Up to 1000, those with the most memories first"`
		Total  int          `json:"total" doc:"Agents that stored one"`
	}
}

func (s *Service) agents(ctx context.Context, _ *struct{}) (*agentsOutput, error) {
	stats, err := s.Stats(ctx, httpkit.Tenant(ctx))
	if err != nil {
		return nil, err
	}
	out := &agentsOutput{}
	out.Body.Total, out.Body.Agents = stats.Agents, AgentCounts(stats)
	return out, nil
}
