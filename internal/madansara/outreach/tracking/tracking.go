package tracking

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/contact"
)

// Service answers the links. An open is whatever fetched the image: mail
// programs that protect privacy (Apple's) and scanners fetch it unasked, so
// opens overstate reading; clicks are what attribution counts.
type Service struct {
	db     *engardedb.DB
	signer *Signer
	facts  contact.Facts
	clock  clockwork.Clock
}

// New returns the service of signer's links. facts is told of consents that
// people withdraw; nil tells nobody.
func New(db *engardedb.DB, signer *Signer, facts contact.Facts, clock clockwork.Clock) *Service {
	return &Service{db: db, signer: signer, facts: facts, clock: clock}
}

// open records that the message's image was fetched.
func (s *Service) open(ctx context.Context, c claims) error {
	return s.db.Tenant(ctx, c.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE outreach_messages
			SET open_count = open_count + 1, first_opened_at = coalesce(first_opened_at, $3)
			WHERE tenant_uuid = $1 AND message_uuid = $2`, c.tenant, c.message, s.clock.Now())
		if err != nil {
			return fmt.Errorf("record an open: %w", err)
		}
		return nil
	})
}

// click records a click and its touchpoint, and returns the campaign's name. A
// message's first click is one touchpoint; more clicks only count.
func (s *Service) click(ctx context.Context, c claims) (campaign string, err error) {
	err = s.db.Tenant(ctx, c.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		var person uuid.UUID
		var campaignID *uuid.UUID
		var channel string
		var first time.Time
		err := tx.QueryRow(ctx, `
			WITH clicked AS (
				UPDATE outreach_messages
				SET click_count = click_count + 1, first_clicked_at = coalesce(first_clicked_at, $3)
				WHERE tenant_uuid = $1 AND message_uuid = $2
				RETURNING tenant_uuid, contact_uuid, campaign_uuid, channel, first_clicked_at)
			SELECT m.contact_uuid, m.campaign_uuid, m.channel, m.first_clicked_at, coalesce(c.name, '')
			FROM clicked m LEFT JOIN outreach_campaigns c USING (tenant_uuid, campaign_uuid)`,
			c.tenant, c.message, s.clock.Now()).Scan(&person, &campaignID, &channel, &first, &campaign)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // the message was erased with its contact; the link still leads on
		}
		if err != nil {
			return fmt.Errorf("record a click: %w", err)
		}
		touch, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an id: %w", err)
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, source, medium, campaign,
				contact_uuid, message_uuid, campaign_uuid, occurred_at)
			VALUES ($1, $2, $3, 'message_click', $4, $5, $4, $6, $7, $8, $9, $10)
			ON CONFLICT (tenant_uuid, source_key) DO NOTHING`,
			c.tenant, touch, "message:"+c.message.String(), channel, utmSource, slug(campaign), person, c.message, campaignID, first)
		if err != nil {
			return fmt.Errorf("record a click's touchpoint: %w", err)
		}
		return nil
	})
	return campaign, err
}

// unsubscribe keeps the message's address from being written to again on its
// channel. It is idempotent: the first time stays.
func (s *Service) unsubscribe(ctx context.Context, c claims) (known bool, err error) {
	err = s.db.Tenant(ctx, c.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		var person uuid.UUID
		var channel, address string
		now := s.clock.Now()
		err := tx.QueryRow(ctx, `
			UPDATE outreach_messages SET unsubscribed_at = coalesce(unsubscribed_at, $3)
			WHERE tenant_uuid = $1 AND message_uuid = $2
			RETURNING contact_uuid, channel, address`, c.tenant, c.message, now).Scan(&person, &channel, &address)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record an unsubscription: %w", err)
		}
		known = true
		if _, err := tx.Exec(ctx, `
			INSERT INTO suppressions (tenant_uuid, channel, address, reason, created_at)
			VALUES ($1, $2, $3, 'unsubscribed', $4) ON CONFLICT DO NOTHING`, c.tenant, channel, contact.NormalEmail(address), now); err != nil {
			return fmt.Errorf("suppress the address: %w", err)
		}
		withdrawn := contact.ConsentFact{ContactUUID: person, Channel: channel, Status: "withdrawn", Source: "unsubscribe link", RecordedAt: now}
		tag, err := tx.Exec(ctx, `
			INSERT INTO consents (tenant_uuid, contact_uuid, channel, status, source, recorded_at)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant_uuid, contact_uuid, channel) DO UPDATE
			SET status = excluded.status, source = excluded.source, recorded_at = excluded.recorded_at
			WHERE consents.status <> 'withdrawn'`, c.tenant, person, channel, withdrawn.Status, withdrawn.Source, now)
		if err != nil {
			return fmt.Errorf("withdraw the consent: %w", err)
		}
		if tag.RowsAffected() == 0 || s.facts == nil {
			return nil
		}
		return s.facts.AddTx(ctx, tx, withdrawn.Fact())
	})
	return known, err
}

// subject is what an unsubscribe page says.
type subject struct {
	address      string
	unsubscribed bool
}

func (s *Service) subject(ctx context.Context, c claims) (found subject, known bool, err error) {
	err = s.db.TenantRead(ctx, c.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		var at *time.Time
		err := tx.QueryRow(ctx, `
			SELECT address, unsubscribed_at FROM outreach_messages
			WHERE tenant_uuid = $1 AND message_uuid = $2`, c.tenant, c.message).Scan(&found.address, &at)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read whom a link is for: %w", err)
		}
		known, found.unsubscribed = true, at != nil
		return nil
	})
	return found, known, err
}

const utmSource = "madansara"

// destination is where a click leads: its target, with what tells the site
// where the visitor comes from. What the author wrote there himself stays.
func destination(target string, message uuid.UUID, campaign string) string {
	u, err := url.Parse(target)
	if err != nil {
		return target // it was parsed when it was signed
	}
	given := u.Query()
	added := url.Values{}
	for name, value := range map[string]string{
		"ms_message": message.String(), "utm_source": utmSource, "utm_medium": "email", "utm_campaign": slug(campaign),
	} {
		if value != "" && !given.Has(name) {
			added.Set(name, value)
		}
	}
	if len(added) == 0 {
		return target
	}
	// Appended, not re-encoded: some sites sign their query or care for its order.
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += added.Encode()
	return u.String()
}

const maxSlug = 100

// slug is a campaign's name as a URL shows it.
func slug(name string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			out.WriteRune(r)
		case out.Len() > 0 && !strings.HasSuffix(out.String(), "-"):
			out.WriteByte('-')
		}
		if out.Len() >= maxSlug {
			break
		}
	}
	return strings.Trim(out.String(), "-")
}
