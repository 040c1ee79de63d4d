package outreach

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// rateWindow is what a campaign's present speed is measured over.
const rateWindow = 30 * time.Second

// Report is how far a campaign has come.
type Report struct {
	Campaign     Campaign        `json:"campaign"`
	SegmentName  string          `json:"segment_name"`
	TemplateName string          `json:"template_name"`
	Text         *FixedText      `json:"text" doc:"What it sends, fixed at its first start; null for a draft"`
	Messages     map[Status]int  `json:"messages" doc:"Messages by status; every status is named"`
	Opened       int             `json:"opened" doc:"Messages opened at least once"`
	Clicked      int             `json:"clicked" doc:"Messages clicked at least once"`
	Unsubscribed int             `json:"unsubscribed" doc:"Messages whose recipient unsubscribed with them"`
	Decisions    []DecisionCount `json:"decisions" doc:"Contacts by what decided about them"`
	Decided      int             `json:"decided" doc:"Contacts decided about so far"`
	Progress     float64         `json:"progress" doc:"Share of the messages that are done with, from 0 to 1"`
	PerSecond    float64         `json:"per_second" doc:"Messages sent a second over the last 30 seconds"`
	SecondsLeft  *float64        `json:"seconds_left" doc:"Until the queued messages are sent at this speed; null when that is not known"`
}

// FixedText is what a campaign sends: its template as it was at the first start.
type FixedText struct {
	Subject         string    `json:"subject" doc:"Liquid, as in the template"`
	FixedAt         time.Time `json:"fixed_at"`
	TemplateChanged bool      `json:"template_changed" doc:"The template was changed since, which changes no message of this campaign"`
}

func fixedText(ctx context.Context, queries *outreachdb.Queries, campaign uuid.UUID) (*FixedText, error) {
	row, err := queries.CampaignTextState(ctx, campaign)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // nil is a draft's
	}
	if err != nil {
		return nil, fmt.Errorf("read the campaign's text: %w", err)
	}
	return &FixedText{Subject: row.Subject, FixedAt: row.FixedAt, TemplateChanged: row.TemplateChanged}, nil
}

// DecisionCount is how many contacts one reason decided about.
type DecisionCount struct {
	Outcome  Outcome `json:"outcome" enum:"send,skip"`
	Code     string  `json:"code" doc:"The reason that decided"`
	Contacts int     `json:"contacts"`
}

// Report returns how far a campaign has come; NotFound when there is none.
func (s *Service) Report(ctx context.Context, tenant, id uuid.UUID) (report Report, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := outreachdb.New(tx)
		campaign, err := readCampaign(ctx, queries, id)
		if err != nil {
			return err
		}
		reports, err := s.reports(ctx, queries, []Campaign{campaign})
		if err != nil {
			return err
		}
		report = reports[0]
		report.Text, err = fixedText(ctx, queries, id)
		return err
	})
	return report, err
}

// Reports returns how far up to limit campaigns have come, newest first, older
// than before (uuid.Nil: from the newest), in as many queries as one takes.
func (s *Service) Reports(ctx context.Context, tenant, before uuid.UUID, limit int) (reports []Report, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := outreachdb.New(tx)
		campaigns, err := listCampaigns(ctx, queries, before, "", limit)
		if err != nil {
			return err
		}
		reports, err = s.reports(ctx, queries, campaigns)
		return err
	})
	return reports, err
}

// reports returns the reports of campaigns, in their order.
func (s *Service) reports(ctx context.Context, queries *outreachdb.Queries, campaigns []Campaign) ([]Report, error) {
	now := s.now()
	ids := make([]uuid.UUID, len(campaigns))
	for i, c := range campaigns {
		ids[i] = c.UUID
	}
	names, err := queries.CampaignNames(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read the campaigns' names: %w", err)
	}
	counts, err := queries.MessageCounts(ctx, outreachdb.MessageCountsParams{Campaigns: ids, Since: now.Add(-rateWindow)})
	if err != nil {
		return nil, fmt.Errorf("count messages: %w", err)
	}
	decisions, err := queries.DecisionCounts(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("count decisions: %w", err)
	}
	out := make([]Report, len(campaigns))
	for i, c := range campaigns {
		out[i].Campaign = c
		for _, n := range names {
			if n.CampaignUUID == c.UUID {
				out[i].SegmentName, out[i].TemplateName = n.SegmentName, n.TemplateName
			}
		}
		out[i].fill(counts, decisions, now)
	}
	return out, nil
}

// fill takes what is its campaign's from the counts of several.
func (r *Report) fill(counts []outreachdb.MessageCountsRow, decisions []outreachdb.DecisionCountsRow, now time.Time) {
	r.Messages = map[Status]int{Queued: 0, Sending: 0, Sent: 0, Failed: 0, Unknown: 0, Cancelled: 0}
	total, lately := 0, 0
	for _, c := range counts {
		if c.CampaignUUID != r.Campaign.UUID {
			continue
		}
		r.Messages[Status(c.Status)] = int(c.Messages)
		r.Opened += int(c.Opened)
		r.Clicked += int(c.Clicked)
		r.Unsubscribed += int(c.Unsubscribed)
		total += int(c.Messages)
		lately += int(c.SentLately)
	}
	r.Decisions = []DecisionCount{}
	for _, d := range decisions {
		if d.CampaignUUID != r.Campaign.UUID {
			continue
		}
		r.Decisions = append(r.Decisions, DecisionCount{Outcome: Outcome(d.Outcome), Code: d.Code, Contacts: int(d.Contacts)})
		r.Decided += int(d.Contacts)
	}
	waiting := r.Messages[Queued] + r.Messages[Sending]
	switch {
	case r.Campaign.Status == Finished:
		r.Progress = 1
	case total > 0:
		r.Progress = float64(total-waiting) / float64(total)
	}
	if r.Campaign.Status != Running || r.Campaign.StartedAt == nil {
		return
	}
	window := min(rateWindow, max(now.Sub(*r.Campaign.StartedAt), time.Second))
	r.PerSecond = float64(lately) / window.Seconds()
	if r.PerSecond > 0 && r.Campaign.ExpandedAt != nil {
		left := float64(waiting) / r.PerSecond
		r.SecondsLeft = &left
	}
}

// DecisionRecord is a stored decision.
type DecisionRecord struct {
	Decision  uuid.UUID `json:"decision_uuid" format:"uuid" doc:"Also the message's id when the outcome is send"`
	Contact   uuid.UUID `json:"contact_uuid" format:"uuid"`
	Outcome   Outcome   `json:"outcome" enum:"send,skip"`
	Channel   string    `json:"channel"`
	Reasons   []Reason  `json:"reasons" doc:"The checks in their order; the last one decided"`
	DecidedAt time.Time `json:"decided_at"`
}

// DecisionFilter selects decisions; a zero field selects all.
type DecisionFilter struct {
	Outcome Outcome
	Code    string // of the reason that decided
}

// Decisions returns up to limit decisions of a campaign by contact id, after the given one.
func (s *Service) Decisions(ctx context.Context, tenant, campaign uuid.UUID, f DecisionFilter, after uuid.UUID, limit int) (out []DecisionRecord, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := outreachdb.New(tx)
		if _, err := readCampaign(ctx, queries, campaign); err != nil {
			return err
		}
		rows, err := queries.ListDecisions(ctx, outreachdb.ListDecisionsParams{
			CampaignUUID: &campaign, After: after, Outcome: string(f.Outcome), Code: f.Code, PageSize: int32(limit),
		})
		if err != nil {
			return fmt.Errorf("list decisions: %w", err)
		}
		out = make([]DecisionRecord, len(rows))
		for i, row := range rows {
			reasons, err := reasonsOf(row.Reasons)
			if err != nil {
				return err
			}
			out[i] = DecisionRecord{
				Decision: row.DecisionUUID, Contact: row.ContactUUID, Outcome: Outcome(row.Outcome),
				Channel: row.Channel, Reasons: reasons, DecidedAt: row.DecidedAt,
			}
		}
		return nil
	})
	return out, err
}
