package outreach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// expandPage is how many contacts are decided in one commit: few enough to keep
// the tenant's decision lock short, many enough to make the commit cheap.
const expandPage = 1000

type expander struct {
	river.WorkerDefaults[expandArgs]
	*Sender
}

// NextRetry takes over at once what a killed process left.
func (e *expander) NextRetry(job *river.Job[expandArgs]) time.Time {
	return e.clock.Now().Add(retryDelay(job.Attempt))
}

// Work decides page by page. What it has done is in the decisions themselves,
// so a run that follows a killed one goes on after the last of them.
func (e *expander) Work(ctx context.Context, job *river.Job[expandArgs]) error {
	end := e.clock.Now().Add(e.cfg.Slice)
	for e.clock.Now().Before(end) && !jobs.Stopping(ctx) {
		done := false
		err := e.db.Tenant(ctx, job.Args.Tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
			done, err = e.page(ctx, tx, job)
			return err
		})
		if err != nil || done {
			return err
		}
	}
	return river.JobSnooze(0)
}

// page decides about the next contacts; done says that the job has ended with tx.
func (e *expander) page(ctx context.Context, tx engardedb.Tx, job *river.Job[expandArgs]) (done bool, err error) {
	queries := outreachdb.New(tx)
	if err := lockDecisions(ctx, tx); err != nil {
		return false, err
	}
	// The lock keeps a pause from being undone by a start in between.
	campaign, err := queries.LockCampaign(ctx, job.Args.Campaign)
	if err != nil {
		return false, fmt.Errorf("read the campaign: %w", err)
	}
	if campaign.Status != string(Running) || campaign.ExpandedAt != nil {
		return true, jobs.Complete(ctx, tx, job)
	}
	contacts, err := e.nextContacts(ctx, tx, campaign)
	if err != nil {
		return false, err
	}
	if len(contacts) == 0 {
		now := e.clock.Now().UTC()
		if err := queries.SetCampaignExpanded(ctx, outreachdb.SetCampaignExpandedParams{CampaignUUID: campaign.CampaignUUID, Now: now}); err != nil {
			return false, fmt.Errorf("end the expansion: %w", err)
		}
		return true, jobs.Complete(ctx, tx, job)
	}
	return false, e.decide(ctx, tx, campaign, contacts)
}

func (e *expander) nextContacts(ctx context.Context, tx engardedb.Tx, campaign outreachdb.OutreachCampaign) ([]uuid.UUID, error) {
	last, err := outreachdb.New(tx).LastDecided(ctx, &campaign.CampaignUUID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("find where the expansion stands: %w", err)
	}
	target, err := segment.Load(ctx, tx, campaign.SegmentUUID)
	if err != nil {
		return nil, err
	}
	return segment.Page(ctx, tx, target.Rules, e.clock.Now().UTC(), last, expandPage)
}

// insertDecided stores a page of decisions and the messages of those to send. A
// decision that exists already, and its message, stay as they are.
const insertDecided = `
WITH page AS (
	SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::text[])
		AS p (decision_uuid, contact_uuid, outcome, reasons, address)
), decided AS (
	INSERT INTO outreach_decisions (tenant_uuid, decision_uuid, campaign_uuid, contact_uuid, outcome, channel, reasons, decided_at)
	SELECT $6, decision_uuid, $7, contact_uuid, outcome, $8, reasons, $9 FROM page
	ON CONFLICT (tenant_uuid, campaign_uuid, contact_uuid) DO NOTHING
	RETURNING decision_uuid
)
INSERT INTO outreach_messages (tenant_uuid, message_uuid, campaign_uuid, contact_uuid, template_uuid, channel, address, status, not_before, created_at)
SELECT $6, decision_uuid, $7, contact_uuid, $10, $8, address, 'queued', $9, $9
FROM page JOIN decided USING (decision_uuid) WHERE outcome = 'send'
ON CONFLICT (tenant_uuid, campaign_uuid, contact_uuid) DO NOTHING`

func (e *expander) decide(ctx context.Context, tx engardedb.Tx, campaign outreachdb.OutreachCampaign, contacts []uuid.UUID) error {
	now := e.clock.Now().UTC()
	text, err := outreachdb.New(tx).CampaignText(ctx, campaign.CampaignUUID)
	if err != nil {
		return fmt.Errorf("read the campaign's text: %w", err)
	}
	what := content{template: campaign.TemplateUUID, subject: text.Subject, html: text.BodyHtml, plain: text.BodyText}
	facts, err := gatherFacts(ctx, tx, campaign.Channel, campaign.CampaignUUID, what, contacts, now, e.cfg.Policy)
	if err != nil {
		return err
	}
	var (
		decisions = make([]uuid.UUID, len(facts))
		ids       = make([]uuid.UUID, len(facts))
		outcomes  = make([]string, len(facts))
		reasons   = make([]string, len(facts))
		addresses = make([]string, len(facts))
	)
	for i, f := range facts {
		decision := Decide(campaign.Channel, f, e.cfg.Policy)
		encoded, err := json.Marshal(decision.Reasons)
		if err != nil {
			return fmt.Errorf("encode the reasons: %w", err)
		}
		if decisions[i], err = uuid.NewV7(); err != nil {
			return fmt.Errorf("make an id: %w", err)
		}
		ids[i], outcomes[i], reasons[i], addresses[i] = f.Contact, string(decision.Outcome), string(encoded), f.Address
	}
	_, err = tx.Exec(ctx, insertDecided, decisions, ids, outcomes, reasons, addresses,
		tx.Tenant(), campaign.CampaignUUID, campaign.Channel, now, campaign.TemplateUUID)
	if err != nil {
		return fmt.Errorf("store the decisions: %w", err)
	}
	return nil
}
