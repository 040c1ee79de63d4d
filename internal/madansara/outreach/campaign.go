package outreach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// CampaignStatus is where a campaign stands.
type CampaignStatus string

// A campaign is a draft until it is started; running and paused alternate until
// nothing is left to send.
const (
	Draft    CampaignStatus = "draft"
	Running  CampaignStatus = "running"
	Paused   CampaignStatus = "paused"
	Finished CampaignStatus = "finished"
)

// Status is where a message stands.
type Status string

// queued -> sending -> sent, failed or unknown; cancelled when the recipient
// changed their mind before it left.
const (
	Queued    Status = "queued"
	Sending   Status = "sending"
	Sent      Status = "sent"
	Failed    Status = "failed"
	Unknown   Status = "unknown"
	Cancelled Status = "cancelled"
)

// Campaign writes one template, as it is at the first start, to one segment over
// one channel.
type Campaign struct {
	UUID          uuid.UUID      `json:"campaign_uuid" format:"uuid"`
	Name          string         `json:"name"`
	Channel       string         `json:"channel"`
	Segment       uuid.UUID      `json:"segment_uuid" format:"uuid"`
	Template      uuid.UUID      `json:"template_uuid" format:"uuid"`
	FromName      string         `json:"from_name"`
	FromEmail     string         `json:"from_email"`
	RatePerSecond int            `json:"rate_per_second" doc:"Messages a second at most; 0 for as fast as it goes"`
	Status        CampaignStatus `json:"status" enum:"draft,running,paused,finished"`
	PauseReason   string         `json:"pause_reason" doc:"Why it stands still, when it stopped by itself or a reason was given"`
	CreatedAt     time.Time      `json:"created_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
	StartedAt     *time.Time     `json:"started_at"`
	ExpandedAt    *time.Time     `json:"expanded_at" doc:"When every contact of the segment was decided about"`
	FinishedAt    *time.Time     `json:"finished_at"`
}

// CampaignDraft is what a person says about a campaign.
type CampaignDraft struct {
	Name          string    `json:"name" minLength:"1" maxLength:"200"`
	Channel       string    `json:"channel,omitempty" enum:"email" default:"email"`
	Segment       uuid.UUID `json:"segment_uuid" format:"uuid"`
	Template      uuid.UUID `json:"template_uuid" format:"uuid"`
	FromName      string    `json:"from_name,omitempty" maxLength:"200"`
	FromEmail     string    `json:"from_email,omitempty" maxLength:"254" doc:"Of the service's own domain, or any that the company's own SMTP integration may send for; empty: the account's own sender"`
	RatePerSecond int       `json:"rate_per_second,omitempty" minimum:"0" maximum:"10000" doc:"Messages a second at most; 0 for as fast as it goes"`
}

// Service keeps campaigns and answers about them; [Sender] does the work.
type Service struct {
	db    *engardedb.DB
	queue Enqueuer
	clock clockwork.Clock
	cfg   Config
}

// New returns a Service that starts its jobs on queue.
func New(db *engardedb.DB, queue Enqueuer, clock clockwork.Clock, cfg Config) *Service {
	return &Service{db: db, queue: queue, clock: clock, cfg: cfg.withDefaults()}
}

// now is as fine as the database keeps it, so that an answer is the same twice.
func (s *Service) now() time.Time { return s.clock.Now().UTC().Truncate(time.Microsecond) }

func (d CampaignDraft) validate() error {
	for _, text := range []struct{ at, value string }{
		{"body.name", d.Name}, {"body.from_name", d.FromName}, {"body.from_email", d.FromEmail},
	} {
		if !clean(text.value) || strings.ContainsAny(text.value, "\r\n") {
			return fault.At(text.at, nil, "must be one line of UTF-8 text without NUL")
		}
	}
	if _, known := addressColumns[d.Channel]; !known {
		return fault.At("body.channel", d.Channel, "campaigns run over email")
	}
	if d.FromEmail != "" && !looksLikeAddress(d.FromEmail) {
		return fault.At("body.from_email", d.FromEmail, "is not an e-mail address")
	}
	return nil
}

func (s *Service) check(ctx context.Context, tenant uuid.UUID, d CampaignDraft) error {
	if err := d.validate(); err != nil {
		return err
	}
	return s.checkSender(ctx, tenant, d.FromEmail)
}

// looksLikeAddress catches what is plainly no address; the mail server has the last word.
func looksLikeAddress(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && local != "" && domain != "" && !strings.ContainsAny(s, " <>,;\"") && !strings.Contains(domain, "@")
}

// checkSender keeps a campaign of a tenant without an account of its own to the domain
// of the installation's. Sending holds to it whatever is said here.
func (s *Service) checkSender(ctx context.Context, tenant uuid.UUID, address string) error {
	shared := s.cfg.installations(nil)
	if address == "" || shared.MaySend(address) || s.mayHaveOwn(ctx, tenant, "email", s.now()) {
		return nil
	}
	return fault.At("body.from_email", address, "must end in @%s, the domain this service sends for, unless the company has an SMTP integration of its own", shared.Domain)
}

// mayHaveOwn reports whether the tenant has an account of its own, or whether that is
// not known now: then it is settled when a message is to leave.
func (s *Service) mayHaveOwn(ctx context.Context, tenant uuid.UUID, channelName string, since time.Time) bool {
	own, err := s.cfg.Accounts.Own(ctx, tenant, channelName, since)
	return own != nil || err != nil
}

// Create keeps a new draft.
func (s *Service) Create(ctx context.Context, tenant uuid.UUID, d CampaignDraft) (campaign Campaign, err error) {
	if d.Channel == "" {
		d.Channel = "email"
	}
	if err := s.check(ctx, tenant, d); err != nil {
		return Campaign{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Campaign{}, fmt.Errorf("make an id: %w", err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := outreachdb.New(tx)
		if err := checkTemplate(ctx, queries, d); err != nil {
			return err
		}
		err := queries.CreateCampaign(ctx, outreachdb.CreateCampaignParams{
			TenantUUID: tenant, CampaignUUID: id, Name: d.Name, Channel: d.Channel, SegmentUUID: d.Segment, TemplateUUID: d.Template,
			FromName: d.FromName, FromEmail: d.FromEmail, RatePerSecond: int32(d.RatePerSecond), CreatedAt: s.now(),
		})
		if err != nil {
			return explainReference(err, d)
		}
		campaign, err = readCampaign(ctx, queries, id)
		return err
	})
	return campaign, err
}

func checkTemplate(ctx context.Context, queries *outreachdb.Queries, d CampaignDraft) error {
	template, err := queries.GetTemplate(ctx, d.Template)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fault.At("body.template_uuid", d.Template, "there is no such template")
	case err != nil:
		return fmt.Errorf("read the template: %w", err)
	case template.Channel != d.Channel:
		return fault.At("body.template_uuid", d.Template, "the template is for %s, the campaign for %s", template.Channel, d.Channel)
	}
	return nil
}

// explainReference names the field behind a foreign key that does not hold.
func explainReference(err error, d CampaignDraft) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "23503" && strings.Contains(pgErr.ConstraintName, "segment") {
		return fault.At("body.segment_uuid", d.Segment, "there is no such segment")
	}
	return fmt.Errorf("keep the campaign: %w", err)
}

// Update changes a draft; a Conflict when the campaign was started.
func (s *Service) Update(ctx context.Context, tenant, id uuid.UUID, d CampaignDraft) (campaign Campaign, err error) {
	if d.Channel == "" {
		d.Channel = "email"
	}
	if err := s.check(ctx, tenant, d); err != nil {
		return Campaign{}, err
	}
	err = s.locked(ctx, tenant, id, func(ctx context.Context, tx engardedb.Tx, now Campaign) error {
		if now.Status != Draft {
			return fault.New(fault.Conflict, "The campaign is %s: only a draft can be changed.", now.Status)
		}
		queries := outreachdb.New(tx)
		if err := checkTemplate(ctx, queries, d); err != nil {
			return err
		}
		err := queries.UpdateCampaign(ctx, outreachdb.UpdateCampaignParams{
			CampaignUUID: id, Name: d.Name, SegmentUUID: d.Segment, TemplateUUID: d.Template, FromName: d.FromName,
			FromEmail: d.FromEmail, RatePerSecond: int32(d.RatePerSecond), UpdatedAt: s.now(),
		})
		if err != nil {
			return explainReference(err, d)
		}
		campaign, err = readCampaign(ctx, queries, id)
		return err
	})
	return campaign, err
}

// startable says why nobody could send a campaign. It may ask for the tenant's account,
// so it is not for a transaction.
func (s *Service) startable(ctx context.Context, tenant uuid.UUID, c Campaign) error {
	shared := s.cfg.installations(nil)
	switch {
	case c.FromEmail != "" && shared.MaySend(c.FromEmail), c.FromEmail == "" && shared.From.Address != "":
		return nil
	case s.mayHaveOwn(ctx, tenant, c.Channel, s.now()):
		return nil
	case c.FromEmail == "":
		return fault.New(fault.Conflict, "The campaign has no sender: give it a from_email.")
	default: // the service's sender has changed since, or the company's account is gone
		return fault.New(fault.Conflict, "The campaign's from_email is not of @%s, the domain this service sends for: change it, or add an SMTP integration of the company's own.", shared.Domain)
	}
}

// Start runs a draft or a paused campaign: its jobs commit with the change. The
// first start fixes what is sent.
func (s *Service) Start(ctx context.Context, tenant, id uuid.UUID) (campaign Campaign, err error) {
	before, err := s.Get(ctx, tenant, id)
	if err != nil {
		return Campaign{}, err
	}
	cannot := s.startable(ctx, tenant, before)
	err = s.locked(ctx, tenant, id, func(ctx context.Context, tx engardedb.Tx, now Campaign) error {
		if now.Status == Running || now.Status == Finished {
			return fault.New(fault.Conflict, "The campaign is %s: only a draft or a paused campaign can be started.", now.Status)
		}
		if cannot != nil {
			return cannot
		}
		if err := s.run(ctx, tx, now); err != nil {
			return err
		}
		campaign, err = readCampaign(ctx, outreachdb.New(tx), id)
		return err
	})
	return campaign, err
}

// run makes a locked campaign running, with every job that it needs.
func (s *Service) run(ctx context.Context, tx engardedb.Tx, c Campaign) error {
	err := outreachdb.New(tx).RunCampaign(ctx, outreachdb.RunCampaignParams{CampaignUUID: c.UUID, Now: s.now()})
	if err != nil {
		return fmt.Errorf("start the campaign: %w", err)
	}
	err = outreachdb.New(tx).FixText(ctx, outreachdb.FixTextParams{CampaignUUID: c.UUID, Now: s.now()})
	if err != nil {
		return fmt.Errorf("fix what the campaign sends: %w", err)
	}
	if c.ExpandedAt == nil {
		if err := s.queue.Enqueue(ctx, tx, expandArgs{Tenant: tx.Tenant(), Campaign: c.UUID}, nil); err != nil {
			return fmt.Errorf("start the expansion: %w", err)
		}
	}
	n := slots(outreachdb.OutreachCampaign{RatePerSecond: int32(c.RatePerSecond)}, s.cfg)
	return enqueueSenders(ctx, s.queue, tx, c.UUID, n)
}

// Pause stops a running campaign before its next message.
func (s *Service) Pause(ctx context.Context, tenant, id uuid.UUID, reason string) (campaign Campaign, err error) {
	if !clean(reason) {
		return Campaign{}, fault.At("body.reason", nil, "must be UTF-8 text without NUL")
	}
	err = s.locked(ctx, tenant, id, func(ctx context.Context, tx engardedb.Tx, now Campaign) error {
		if now.Status != Running {
			return fault.New(fault.Conflict, "The campaign is %s: only a running campaign can be paused.", now.Status)
		}
		queries := outreachdb.New(tx)
		if _, err := queries.PauseCampaign(ctx, outreachdb.PauseCampaignParams{CampaignUUID: id, PauseReason: reason, UpdatedAt: s.now()}); err != nil {
			return fmt.Errorf("pause the campaign: %w", err)
		}
		campaign, err = readCampaign(ctx, queries, id)
		return err
	})
	return campaign, err
}

// locked runs fn with the campaign's row locked.
func (s *Service) locked(ctx context.Context, tenant, id uuid.UUID, fn func(context.Context, engardedb.Tx, Campaign) error) error {
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := outreachdb.New(tx).LockCampaign(ctx, id)
		if err != nil {
			return noCampaign(err, id)
		}
		return fn(ctx, tx, campaignOf(row))
	})
}

// Get returns a campaign; NotFound when there is none.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (campaign Campaign, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		campaign, err = readCampaign(ctx, outreachdb.New(tx), id)
		return err
	})
	return campaign, err
}

// List returns up to limit campaigns, newest first, older than before (uuid.Nil:
// from the newest), of one status or, when it is empty, of any.
func (s *Service) List(ctx context.Context, tenant, before uuid.UUID, status CampaignStatus, limit int) (campaigns []Campaign, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		campaigns, err = listCampaigns(ctx, outreachdb.New(tx), before, status, limit)
		return err
	})
	return campaigns, err
}

func listCampaigns(ctx context.Context, queries *outreachdb.Queries, before uuid.UUID, status CampaignStatus, limit int) ([]Campaign, error) {
	rows, err := queries.ListCampaigns(ctx, outreachdb.ListCampaignsParams{
		Before: orNewest(before), Status: string(status), PageSize: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	campaigns := make([]Campaign, len(rows))
	for i, row := range rows {
		campaigns[i] = campaignOf(row)
	}
	return campaigns, nil
}

func readCampaign(ctx context.Context, queries *outreachdb.Queries, id uuid.UUID) (Campaign, error) {
	row, err := queries.GetCampaign(ctx, id)
	if err != nil {
		return Campaign{}, noCampaign(err, id)
	}
	return campaignOf(row), nil
}

func noCampaign(err error, id uuid.UUID) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "There is no campaign %s.", id)
	}
	return fmt.Errorf("read a campaign: %w", err)
}

func campaignOf(c outreachdb.OutreachCampaign) Campaign {
	return Campaign{
		UUID: c.CampaignUUID, Name: c.Name, Channel: c.Channel, Segment: c.SegmentUUID, Template: c.TemplateUUID,
		FromName: c.FromName, FromEmail: c.FromEmail, RatePerSecond: int(c.RatePerSecond),
		Status: CampaignStatus(c.Status), PauseReason: c.PauseReason, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		StartedAt: c.StartedAt, ExpandedAt: c.ExpandedAt, FinishedAt: c.FinishedAt,
	}
}

// orNewest makes a cursor of nothing the one before every row: ids grow with time.
func orNewest(before uuid.UUID) uuid.UUID {
	if before == uuid.Nil {
		return uuid.Max
	}
	return before
}

// clean reports whether PostgreSQL can store s.
func clean(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// clip makes s storable and at most limit bytes long.
func clip(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}

func reasonsOf(raw json.RawMessage) ([]Reason, error) {
	var reasons []Reason
	if err := json.Unmarshal(raw, &reasons); err != nil {
		return nil, fmt.Errorf("read a decision's reasons: %w", err)
	}
	return reasons, nil
}
