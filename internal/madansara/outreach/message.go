package outreach

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// Message is one message to one contact.
type Message struct {
	UUID           uuid.UUID  `json:"message_uuid" format:"uuid"`
	Campaign       *uuid.UUID `json:"campaign_uuid" format:"uuid" doc:"Null for a single send"`
	Contact        uuid.UUID  `json:"contact_uuid" format:"uuid"`
	Template       uuid.UUID  `json:"template_uuid" format:"uuid"`
	Channel        string     `json:"channel"`
	Address        string     `json:"address"`
	Status         Status     `json:"status" enum:"queued,sending,sent,failed,unknown,cancelled"`
	Attempts       int        `json:"attempts"`
	NotBefore      time.Time  `json:"not_before" doc:"A queued message is not sent earlier"`
	Subject        string     `json:"subject"`
	ProviderReply  string     `json:"provider_reply" doc:"What the provider said when it accepted the message"`
	Error          string     `json:"error" doc:"What went wrong last"`
	CreatedAt      time.Time  `json:"created_at"`
	SentAt         *time.Time `json:"sent_at"`
	FirstOpenedAt  *time.Time `json:"first_opened_at"`
	OpenCount      int        `json:"open_count"`
	FirstClickedAt *time.Time `json:"first_clicked_at"`
	ClickCount     int        `json:"click_count"`
	UnsubscribedAt *time.Time `json:"unsubscribed_at"`
	ResolvedBy     string     `json:"resolved_by" doc:"Who decided what an unknown message counts as"`
	ResolvedAt     *time.Time `json:"resolved_at"`
}

// MessageFilter selects messages; a zero field selects all.
type MessageFilter struct {
	Campaign, Contact uuid.UUID
	Status            Status
}

// Messages returns up to limit messages, newest first, older than before (uuid.Nil: from the newest).
func (s *Service) Messages(ctx context.Context, tenant uuid.UUID, f MessageFilter, before uuid.UUID, limit int) (messages []Message, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := outreachdb.New(tx).ListMessages(ctx, outreachdb.ListMessagesParams{
			Before: orNewest(before), Campaign: orAny(f.Campaign), Contact: orAny(f.Contact), Status: string(f.Status), PageSize: int32(limit),
		})
		if err != nil {
			return fmt.Errorf("list messages: %w", err)
		}
		messages = make([]Message, len(rows))
		for i, row := range rows {
			messages[i] = messageOf(row)
		}
		return nil
	})
	return messages, err
}

func orAny(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// Message returns one message; NotFound when there is none.
func (s *Service) Message(ctx context.Context, tenant, id uuid.UUID) (message Message, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		message, err = readMessage(ctx, tx, id)
		return err
	})
	return message, err
}

func readMessage(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (Message, error) {
	row, err := outreachdb.New(tx).GetMessage(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Message{}, fault.New(fault.NotFound, "There is no message %s.", id)
	}
	if err != nil {
		return Message{}, fmt.Errorf("read a message: %w", err)
	}
	return messageOf(row), nil
}

// Resolution is a person's word on a message whose fate is unknown.
type Resolution string

// The resolutions.
const (
	CountsAsSent Resolution = "sent"
	SendAgain    Resolution = "resend"
	GivenUp      Resolution = "failed"
)

// Resolve decides about an unknown message; by says who decided. A Conflict
// when the message is not unknown.
func (s *Service) Resolve(ctx context.Context, tenant, id uuid.UUID, outcome Resolution, by string) (message Message, err error) {
	status, known := map[Resolution]Status{CountsAsSent: Sent, SendAgain: Queued, GivenUp: Failed}[outcome]
	if !known {
		return Message{}, fault.At("body.outcome", outcome, "is sent, resend or failed")
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		message, err = s.resolve(ctx, tx, id, status, by)
		return err
	})
	return message, err
}

func (s *Service) resolve(ctx context.Context, tx engardedb.Tx, id uuid.UUID, status Status, by string) (Message, error) {
	before, err := readMessage(ctx, tx, id)
	if err != nil {
		return Message{}, err
	}
	queries := outreachdb.New(tx)
	// The lock comes first, so that the campaign cannot finish in between.
	var campaign Campaign
	if status == Queued && before.Campaign != nil {
		row, err := queries.LockCampaign(ctx, *before.Campaign)
		if err != nil {
			return Message{}, noCampaign(err, *before.Campaign)
		}
		campaign = campaignOf(row)
	}
	row, err := queries.ResolveMessage(ctx, outreachdb.ResolveMessageParams{
		MessageUUID: id, Status: string(status), ResolvedBy: clip(by, 300), Now: s.now(),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Message{}, fault.New(fault.Conflict, "The message is %s: only one whose fate is unknown can be resolved.", before.Status)
	}
	if err != nil {
		return Message{}, fmt.Errorf("resolve a message: %w", err)
	}
	switch {
	case status != Queued || campaign.Status == Paused: // a paused campaign sends it when it goes on
	case before.Campaign == nil:
		err = s.wakeSingleSends(ctx, tx)
	default:
		err = s.run(ctx, tx, campaign)
	}
	return messageOf(row), err
}

// wakeSingleSends makes sure that a sender of single messages runs.
func (s *Service) wakeSingleSends(ctx context.Context, tx engardedb.Tx) error {
	if err := lockSingleSends(ctx, tx); err != nil {
		return err
	}
	return enqueueSenders(ctx, s.queue, tx, uuid.Nil, 1)
}

func messageOf(m outreachdb.OutreachMessage) Message {
	return Message{
		UUID: m.MessageUUID, Campaign: m.CampaignUUID, Contact: m.ContactUUID, Template: m.TemplateUUID, Channel: m.Channel,
		Address: m.Address, Status: Status(m.Status), Attempts: int(m.Attempts), NotBefore: m.NotBefore, Subject: m.Subject,
		ProviderReply: m.ProviderReply, Error: m.Error, CreatedAt: m.CreatedAt, SentAt: m.SentAt,
		FirstOpenedAt: m.FirstOpenedAt, OpenCount: int(m.OpenCount), FirstClickedAt: m.FirstClickedAt, ClickCount: int(m.ClickCount),
		UnsubscribedAt: m.UnsubscribedAt, ResolvedBy: m.ResolvedBy, ResolvedAt: m.ResolvedAt,
	}
}
