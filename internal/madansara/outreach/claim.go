package outreach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// claimed is a message that this run is sending.
type claimed struct {
	message   uuid.UUID
	template  uuid.UUID
	channel   string
	address   string
	attempts  int // this one included
	data      json.RawMessage
	recipient Recipient
	// Consent and suppression as of the claim: somebody may have unsubscribed
	// since the decision.
	consent, suppressed string
}

// claimNext takes the next due message of a running campaign, or of the single
// sends, past those that other senders hold.
var (
	claimCampaign = claimNext(`q.campaign_uuid = $1 AND EXISTS (
		SELECT FROM outreach_campaigns r WHERE r.campaign_uuid = $1 AND r.status = 'running')`)
	claimSingle = claimNext(`q.campaign_uuid IS NULL AND $1::uuid IS NOT NULL`)
)

func claimNext(where string) string {
	return strings.Replace(`
WITH next AS (
	SELECT q.message_uuid FROM outreach_messages q
	WHERE `+"{where}"+` AND q.status = 'queued' AND q.not_before <= $2
	ORDER BY q.not_before LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE outreach_messages m SET status = 'sending', sending_job_id = $3, attempts = m.attempts + 1
FROM next, contacts c
WHERE m.message_uuid = next.message_uuid AND c.contact_uuid = m.contact_uuid
RETURNING m.message_uuid, m.template_uuid, m.channel, m.address, m.attempts, m.data,
	c.contact_uuid, COALESCE(c.email, ''), c.first_name, c.last_name, c.time_zone, c.traits,
	COALESCE((SELECT k.status FROM consents k WHERE k.contact_uuid = m.contact_uuid AND k.channel = m.channel), ''),
	COALESCE((SELECT s.reason FROM suppressions s WHERE s.channel = m.channel AND s.address = m.address), '')`, "{where}", where, 1)
}

// maxCancelled bounds how many messages one commit takes back before it claims one.
const maxCancelled = 100

// claim marks the next message as being sent by this job, past those whose
// recipients have changed their mind; nil when nothing is due.
func (r *run) claim(ctx context.Context, tx engardedb.Tx) (*claimed, error) {
	m, err := r.claimOne(ctx, tx)
	if err != nil || m == nil {
		return nil, err
	}
	return r.orNext(ctx, tx, m)
}

// orNext returns m, or, while recipients have changed their mind, takes their
// messages back and returns the next that is to be sent.
func (r *run) orNext(ctx context.Context, tx engardedb.Tx, m *claimed) (*claimed, error) {
	for range maxCancelled {
		why := m.changedMind()
		if why == "" {
			return m, nil
		}
		_, err := outreachdb.New(tx).RecordUnsent(ctx, outreachdb.RecordUnsentParams{
			MessageUUID: m.message, Job: r.job.ID, Status: string(Cancelled), Error: why, NotBefore: r.clock.Now().UTC(), Uncounted: 1,
		})
		if err != nil {
			return nil, fmt.Errorf("cancel a message: %w", err)
		}
		if m, err = r.claimOne(ctx, tx); err != nil || m == nil {
			return nil, err
		}
	}
	return nil, r.release(ctx, tx, m)
}

// release puts a message back that was claimed and not looked at.
func (r *run) release(ctx context.Context, tx engardedb.Tx, m *claimed) error {
	_, err := outreachdb.New(tx).RecordUnsent(ctx, outreachdb.RecordUnsentParams{
		MessageUUID: m.message, Job: r.job.ID, Status: string(Queued), NotBefore: r.clock.Now().UTC(), Uncounted: 1,
	})
	if err != nil {
		return fmt.Errorf("put a message back: %w", err)
	}
	return nil
}

func (m *claimed) changedMind() string {
	switch {
	case m.consent != "granted":
		return fmt.Sprintf("The contact withdrew the agreement to %s before the message left.", m.channel)
	case m.suppressed != "":
		return fmt.Sprintf("The address was suppressed before the message left: %s.", m.suppressed)
	}
	return ""
}

func (r *run) claimOne(ctx context.Context, tx engardedb.Tx) (*claimed, error) {
	query, args := r.claimQuery()
	return scanClaimed(tx.QueryRow(ctx, query, args...))
}

func (r *run) claimQuery() (query string, args []any) {
	query = claimCampaign
	if r.job.Args.Campaign == uuid.Nil {
		query = claimSingle
	}
	return query, []any{r.job.Args.Campaign, r.clock.Now().UTC(), r.job.ID}
}

func scanClaimed(row pgx.Row) (*claimed, error) {
	m := &claimed{}
	to := &m.recipient
	err := row.Scan(&m.message, &m.template, &m.channel, &m.address, &m.attempts, &m.data,
		&to.UUID, &to.Email, &to.FirstName, &to.LastName, &to.TimeZone, &to.Traits, &m.consent, &m.suppressed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing is due
	}
	if err != nil {
		return nil, fmt.Errorf("claim a message: %w", err)
	}
	return m, nil
}

// recordSent says that the server accepted a message. One that was given up as
// unknown while its sender lived after all becomes sent too: the server said so.
// What a person resolved belongs to no job any more.
const recordSent = `
UPDATE outreach_messages SET status = 'sent', sent_at = $3, provider_reply = $4, subject = $5, error = ''
WHERE message_uuid = $1 AND sending_job_id = $2 AND status IN ('sending', 'unknown')`

// recordAndClaim records a sent message and, when more is wanted, claims the
// next, in one round trip.
func (r *run) recordAndClaim(ctx context.Context, tx engardedb.Tx, sent *sentMessage, more bool) (*claimed, error) {
	batch := &pgx.Batch{}
	batch.Queue(recordSent, sent.message, r.job.ID, sent.at, sent.reply, sent.subject)
	if more {
		query, args := r.claimQuery()
		batch.Queue(query, args...)
	}
	results := tx.SendBatch(ctx, batch)
	next, err := r.readRecordAndClaim(ctx, results, sent, more)
	if closeErr := results.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("record a sent message: %w", closeErr)
	}
	if err != nil || next == nil {
		return nil, err
	}
	return r.orNext(ctx, tx, next)
}

func (r *run) readRecordAndClaim(ctx context.Context, results pgx.BatchResults, sent *sentMessage, more bool) (*claimed, error) {
	tag, err := results.Exec()
	if err != nil {
		return nil, fmt.Errorf("record a sent message: %w", err)
	}
	if tag.RowsAffected() == 0 {
		r.log.WarnContext(ctx, "a person decided about a message before its sender was heard", slog.String("message", sent.message.String()))
	}
	if !more {
		return nil, nil //nolint:nilnil // nothing was to be claimed
	}
	return scanClaimed(results.QueryRow())
}

// left is what remains to be done for a campaign or the single sends.
type left struct {
	nextDue *time.Time // when the next queued message is due; nil when none is queued
	sending bool       // some message is being sent
}

func workLeft(ctx context.Context, tx engardedb.Tx, campaign uuid.UUID) (l left, err error) {
	of := "campaign_uuid = $1"
	if campaign == uuid.Nil {
		of = "campaign_uuid IS NULL AND $1::uuid IS NOT NULL"
	}
	err = tx.QueryRow(ctx, `SELECT
		(SELECT min(not_before) FROM outreach_messages WHERE `+of+` AND status = 'queued'),
		EXISTS (SELECT FROM outreach_messages WHERE `+of+` AND status = 'sending')`, campaign).Scan(&l.nextDue, &l.sending)
	if err != nil {
		return left{}, fmt.Errorf("see what is left: %w", err)
	}
	return l, nil
}

// render fills the message's template for its recipient.
func (r *run) render(ctx context.Context, m *claimed) (Content, error) {
	template, err := r.template(ctx, m.template)
	if err != nil {
		return Content{}, err
	}
	return r.renderer.Render(ctx, Letter{
		Tenant: r.job.Args.Tenant, Campaign: r.job.Args.Campaign, Message: m.message,
		TenantName: r.tenantName, CampaignName: r.campaign.Name,
		Template: template, Recipient: m.recipient, Data: m.data,
	})
}

func (r *run) template(ctx context.Context, id uuid.UUID) (Template, error) {
	if r.job.Args.Campaign != uuid.Nil {
		return r.text, nil
	}
	if template, known := r.templates[id]; known {
		return template, nil
	}
	err := r.db.TenantRead(ctx, r.job.Args.Tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := outreachdb.New(tx).GetTemplate(ctx, id)
		r.templates[id] = templateOf(row)
		return err
	})
	if err != nil {
		delete(r.templates, id)
		return Template{}, fmt.Errorf("read the template: %w", err)
	}
	return r.templates[id], nil
}

// readText reads what the campaign sends, fixed when it was started.
func (r *run) readText(ctx context.Context, queries *outreachdb.Queries) error {
	text, err := queries.CampaignText(ctx, r.campaign.CampaignUUID)
	if err != nil {
		return fmt.Errorf("read the campaign's text: %w", err)
	}
	r.text = Template{
		UUID: r.campaign.TemplateUUID, Channel: r.campaign.Channel,
		Subject: text.Subject, HTML: text.BodyHtml, Text: text.BodyText, UpdatedAt: text.Version,
	}
	return nil
}

func templateOf(t outreachdb.ChannelTemplate) Template {
	return Template{UUID: t.TemplateUUID, Channel: t.Channel, Subject: t.Subject, HTML: t.BodyHtml, Text: t.BodyText, UpdatedAt: t.UpdatedAt}
}

func (r Recipient) displayName() string { return strings.TrimSpace(r.FirstName + " " + r.LastName) }
