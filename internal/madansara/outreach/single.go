package outreach

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// maxData bounds the variables of a single send, in bytes of JSON.
const maxData = 16 << 10

// SingleSend is a message to one contact outside any campaign.
type SingleSend struct {
	Contact  uuid.UUID      `json:"contact_uuid" format:"uuid"`
	Template uuid.UUID      `json:"template_uuid" format:"uuid"`
	Channel  string         `json:"channel,omitempty" enum:"email" default:"email"`
	Data     map[string]any `json:"data,omitempty" doc:"What the template finds under data; at most 16 KB"`
}

// SendBatch decides about and queues each of sends, all in one commit, and
// returns the decisions in their order. With a key, a repeated call returns the
// first one's decisions; the same key with other content is a Conflict.
func (s *Service) SendBatch(ctx context.Context, tenant uuid.UUID, key string, sends []SingleSend) (out []DecisionRecord, err error) {
	if !clean(key) {
		return nil, fault.At("header.Idempotency-Key", nil, "must be UTF-8 text without NUL")
	}
	if s.cfg.FromEmail == "" && !s.mayHaveOwn(ctx, tenant, "email", time.Time{}) {
		return nil, fault.New(fault.Conflict, "The service has no sender address: set one up first.")
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		out = make([]DecisionRecord, len(sends))
		if err := lockDecisions(ctx, tx); err != nil {
			return err
		}
		queued := false
		for i, send := range sends {
			itemKey := key
			if key != "" && len(sends) > 1 {
				itemKey = key + "#" + strconv.Itoa(i)
			}
			decision, isNew, err := s.sendOne(ctx, tx, itemKey, send)
			if err != nil {
				return inItem(err, i, len(sends))
			}
			out[i] = decision
			queued = queued || isNew && decision.Outcome == Send
		}
		if !queued {
			return nil
		}
		return s.wakeSingleSends(ctx, tx)
	})
	return out, err
}

func inItem(err error, i, of int) error {
	var f *fault.Error
	if of > 1 && errors.As(err, &f) && f.Code != fault.Internal {
		return fault.Wrap(err, f.Code, "messages[%d]: %s", i, f.Message)
	}
	return err
}

// sendOne decides about one message under the decision lock; isNew is false for
// what an earlier call with the key decided.
func (s *Service) sendOne(ctx context.Context, tx engardedb.Tx, key string, send SingleSend) (d DecisionRecord, isNew bool, err error) {
	if send.Channel == "" {
		send.Channel = "email"
	}
	if send.Data == nil {
		send.Data = map[string]any{}
	}
	if !cleanValue(send.Data) {
		return d, false, fault.At("body.data", nil, "must be UTF-8 text without NUL")
	}
	data, err := json.Marshal(send.Data)
	if err != nil {
		return d, false, fault.At("body.data", nil, "can't be encoded")
	}
	if len(data) > maxData {
		return d, false, fault.At("body.data", nil, "is %d bytes of JSON; at most %d are allowed", len(data), maxData)
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", send.Contact, send.Template, send.Channel, data))
	queries := outreachdb.New(tx)
	if key != "" {
		if d, found, err := decidedBefore(ctx, queries, key, hash); found || err != nil {
			return d, false, err
		}
	}
	template, err := queries.GetTemplate(ctx, send.Template)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return d, false, fault.New(fault.NotFound, "There is no template %s.", send.Template)
	case err != nil:
		return d, false, fmt.Errorf("read the template: %w", err)
	case template.Channel != send.Channel:
		return d, false, fault.At("body.template_uuid", send.Template, "the template is for %s, the message for %s", template.Channel, send.Channel)
	}
	d, err = s.decideOne(ctx, tx, key, hash[:], send, template, data)
	return d, true, err
}

func decidedBefore(ctx context.Context, queries *outreachdb.Queries, key string, hash [sha256.Size]byte) (d DecisionRecord, found bool, err error) {
	row, err := queries.DecisionByKey(ctx, &key)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, false, nil
	}
	if err != nil {
		return d, false, fmt.Errorf("look for the idempotency key: %w", err)
	}
	if string(row.RequestHash) != string(hash[:]) {
		return d, false, fault.New(fault.Conflict, "The Idempotency-Key was used before for a different message.")
	}
	reasons, err := reasonsOf(row.Reasons)
	return DecisionRecord{
		Decision: row.DecisionUUID, Contact: row.ContactUUID, Outcome: Outcome(row.Outcome),
		Channel: row.Channel, Reasons: reasons, DecidedAt: row.DecidedAt,
	}, true, err
}

func (s *Service) decideOne(ctx context.Context, tx engardedb.Tx, key string, hash []byte, send SingleSend, template outreachdb.ChannelTemplate, data []byte) (d DecisionRecord, err error) {
	now := s.now()
	what := content{template: template.TemplateUUID, subject: template.Subject, html: template.BodyHtml, plain: template.BodyText}
	facts, err := gatherFacts(ctx, tx, send.Channel, uuid.Nil, what, []uuid.UUID{send.Contact}, now, s.cfg.Policy)
	if err != nil {
		return d, err
	}
	if len(facts) == 0 {
		return d, fault.New(fault.NotFound, "There is no contact %s.", send.Contact)
	}
	decision := Decide(send.Channel, facts[0], s.cfg.Policy)
	reasons, err := json.Marshal(decision.Reasons)
	if err != nil {
		return d, fmt.Errorf("encode the reasons: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return d, fmt.Errorf("make an id: %w", err)
	}
	insert := outreachdb.InsertDecisionParams{
		TenantUUID: tx.Tenant(), DecisionUUID: id, ContactUUID: send.Contact, Outcome: string(decision.Outcome),
		Channel: send.Channel, Reasons: reasons, DecidedAt: now,
	}
	if key != "" {
		insert.IdempotencyKey, insert.RequestHash = &key, hash
	}
	queries := outreachdb.New(tx)
	if _, err := queries.InsertDecision(ctx, insert); err != nil {
		return d, fmt.Errorf("store a decision: %w", err)
	}
	if decision.Outcome == Send {
		err := queries.InsertMessage(ctx, outreachdb.InsertMessageParams{
			TenantUUID: tx.Tenant(), MessageUUID: id, ContactUUID: send.Contact, TemplateUUID: send.Template, Data: data,
			Channel: send.Channel, Address: facts[0].Address, NotBefore: now,
		})
		if err != nil {
			return d, fmt.Errorf("queue a message: %w", err)
		}
	}
	return DecisionRecord{
		Decision: id, Contact: send.Contact, Outcome: decision.Outcome, Channel: send.Channel, Reasons: decision.Reasons, DecidedAt: now,
	}, nil
}

// cleanValue reports whether PostgreSQL can store every text in a JSON value.
func cleanValue(value any) bool {
	switch v := value.(type) {
	case string:
		return clean(v)
	case []any:
		for _, item := range v {
			if !cleanValue(item) {
				return false
			}
		}
	case map[string]any:
		for key, item := range v {
			if !clean(key) || !cleanValue(item) {
				return false
			}
		}
	}
	return true
}
