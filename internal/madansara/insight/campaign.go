package insight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/mesh"
)

// freshFor is how long the peers' answers are shown without asking again.
const freshFor = time.Hour

// Links say what stands around a campaign.
type Links struct {
	LandingURL   string `json:"landing_url,omitempty" maxLength:"2000" doc:"The page its links lead to; Onside analyses it"`
	AdCampaignID string `json:"ad_campaign_id,omitempty" maxLength:"100" doc:"The advertising campaign beside it, by its id in Sankore"`
}

func (l Links) validate() error {
	if l.LandingURL != "" {
		u, err := url.Parse(l.LandingURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !isText(l.LandingURL) {
			return fault.At("body.landing_url", l.LandingURL, "must be a page's address, for example https://shop.example.com/spring")
		}
		if u.User != nil {
			return fault.At("body.landing_url", nil, "must not hold a user name or password")
		}
	}
	if !isText(l.AdCampaignID) || strings.ContainsAny(l.AdCampaignID, "\r\n") {
		return fault.At("body.ad_campaign_id", nil, "must be one line of UTF-8 text without NUL")
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// CampaignContext is what the peers say. What was learned last stays while a peer cannot be asked.
type CampaignContext struct {
	CampaignUUID uuid.UUID `json:"campaign_uuid" format:"uuid"`
	Links

	Page      *mesh.SEOAnalysis          `json:"page" doc:"Onside's analysis of the landing page; null until there is one"`
	PageAt    *time.Time                 `json:"page_at" doc:"When it was learned"`
	PageError string                     `json:"page_error" doc:"Why it could not be learned again, in words; empty when it could"`
	Ads       *mesh.CampaignIntelligence `json:"ads" doc:"Sankore's intelligence of the advertising campaign; null until there is one"`
	AdsAt     *time.Time                 `json:"ads_at"`
	AdsError  string                     `json:"ads_error"`
	AskedAt   *time.Time                 `json:"asked_at" doc:"When the peers were asked last; null while they are being asked for the first time"`
}

// CampaignContext returns a campaign's, as it was learned last, and has the peers asked
// again when that was more than an hour ago. A campaign nobody linked to anything has an
// empty one.
func (s *Service) CampaignContext(ctx context.Context, tenant, campaign uuid.UUID) (found CampaignContext, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		var exists bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM outreach_campaigns WHERE tenant_uuid = $1 AND campaign_uuid = $2)", tenant, campaign).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			return fault.New(fault.NotFound, "There is no such campaign.")
		}
		if found, err = readContext(ctx, tx, campaign); err != nil {
			return err
		}
		linked := found.Links != Links{}
		if linked && (found.AskedAt == nil || s.clock.Since(*found.AskedAt) > freshFor) {
			return s.ask(ctx, tx, campaign)
		}
		return nil
	})
	if err != nil {
		return CampaignContext{}, fmt.Errorf("context of a campaign: %w", err)
	}
	return found, nil
}

// LinkCampaign sets what stands around a campaign and has the peers asked about it. What
// was learned of an earlier link goes.
func (s *Service) LinkCampaign(ctx context.Context, tenant, campaign uuid.UUID, links Links) (found CampaignContext, err error) {
	if err := links.validate(); err != nil {
		return CampaignContext{}, err
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		const query = `
			INSERT INTO outreach_campaign_context AS c (tenant_uuid, campaign_uuid, landing_url, ad_campaign_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant_uuid, campaign_uuid) DO UPDATE SET landing_url = $3, ad_campaign_id = $4, asked_at = NULL, page_error = '', ads_error = '',
				page = CASE WHEN c.landing_url = $3 THEN c.page END, page_at = CASE WHEN c.landing_url = $3 THEN c.page_at END,
				ads = CASE WHEN c.ad_campaign_id = $4 THEN c.ads END, ads_at = CASE WHEN c.ad_campaign_id = $4 THEN c.ads_at END`
		_, err := tx.Exec(ctx, query, tenant, campaign, links.LandingURL, links.AdCampaignID)
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "23503" {
			return fault.New(fault.NotFound, "There is no such campaign.")
		}
		if err != nil {
			return err
		}
		if (links != Links{}) {
			if err := s.ask(ctx, tx, campaign); err != nil {
				return err
			}
		}
		found, err = readContext(ctx, tx, campaign)
		return err
	})
	if err != nil {
		return CampaignContext{}, fmt.Errorf("link a campaign: %w", err)
	}
	return found, nil
}

func (s *Service) ask(ctx context.Context, tx engardedb.Tx, campaign uuid.UUID) error {
	return s.queue.Enqueue(ctx, tx, AskPeersArgs{TenantUUID: tx.Tenant(), CampaignUUID: campaign}, &river.InsertOpts{UniqueOpts: jobs.Once(), MaxAttempts: 4})
}

func readContext(ctx context.Context, tx engardedb.Tx, campaign uuid.UUID) (CampaignContext, error) {
	c := CampaignContext{CampaignUUID: campaign}
	var page, ads json.RawMessage
	err := tx.QueryRow(ctx, `SELECT landing_url, ad_campaign_id, page, page_at, page_error, ads, ads_at, ads_error, asked_at
		FROM outreach_campaign_context WHERE tenant_uuid = $1 AND campaign_uuid = $2`, tx.Tenant(), campaign).
		Scan(&c.LandingURL, &c.AdCampaignID, &page, &c.PageAt, &c.PageError, &ads, &c.AdsAt, &c.AdsError, &c.AskedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read it: %w", err)
	}
	for _, stored := range []struct {
		raw json.RawMessage
		to  any
	}{{page, &c.Page}, {ads, &c.Ads}} {
		if stored.raw != nil {
			if err := json.Unmarshal(stored.raw, stored.to); err != nil {
				return c, fmt.Errorf("read what a peer said: %w", err)
			}
		}
	}
	return c, nil
}

// Peers are the calls that a campaign's context needs; *mesh.Mesh makes them.
type Peers interface {
	SEO() mesh.SEO
	AdIntelligence() mesh.AdIntelligence
}

// AskPeersArgs asks for the peers to be asked about a campaign.
type AskPeersArgs struct {
	TenantUUID   uuid.UUID `json:"tenant_uuid"`
	CampaignUUID uuid.UUID `json:"campaign_uuid"`
}

// Kind names the job in the queue.
func (AskPeersArgs) Kind() string { return "ask_peers_about_campaign" }

type askWorker struct {
	river.WorkerDefaults[AskPeersArgs]

	asker *Asker
}

func (w *askWorker) Work(ctx context.Context, job *river.Job[AskPeersArgs]) error {
	return w.asker.Ask(ctx, job.Args.TenantUUID, job.Args.CampaignUUID)
}

// Asker learns what the peers say about campaigns. It is safe for concurrent use.
type Asker struct {
	*Counter

	peers Peers
}

// NewAsker returns one that reads and writes with counter's database and clock.
func NewAsker(counter *Counter, peers Peers) *Asker { return &Asker{Counter: counter, peers: peers} }

// RegisterWorkers adds the workers of this package's jobs.
func (a *Asker) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &countWorker{counter: a.Counter})
	river.AddWorker(workers, &askWorker{asker: a})
}

// answer is what a peer said, or why it did not.
type answer struct {
	raw    json.RawMessage
	reason string
	again  bool // asking later may help
}

func answerOf(said any, err error) (answer, error) {
	if err == nil {
		raw, err := json.Marshal(said)
		if err != nil {
			return answer{}, fmt.Errorf("keep what a peer said: %w", err)
		}
		return answer{raw: raw}, nil
	}
	var failure *mesh.Error
	if !errors.As(err, &failure) {
		return answer{}, err
	}
	return answer{reason: reasonOf(failure), again: failure.Temporary()}, nil
}

// reasonOf says in words what went wrong, without an address.
func reasonOf(failure *mesh.Error) string {
	switch {
	case errors.Is(failure, mesh.ErrRejected) && failure.Problem != nil && failure.Problem.Detail != "":
		return failure.Problem.Detail
	case errors.Is(failure, mesh.ErrRejected), errors.Is(failure, mesh.ErrRefused):
		return "It refused the question."
	case errors.Is(failure, mesh.ErrCircuitOpen):
		return "It has been failing and is given a rest."
	case errors.Is(failure, mesh.ErrTimeout):
		return "It took too long to answer."
	default:
		return "It could not be reached."
	}
}

// Ask asks both peers and keeps what they say. It fails, so that the job is tried again,
// when asking later may help.
func (a *Asker) Ask(ctx context.Context, tenant, campaign uuid.UUID) error {
	var links Links
	err := a.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "SELECT landing_url, ad_campaign_id FROM outreach_campaign_context WHERE tenant_uuid = $1 AND campaign_uuid = $2",
			tenant, campaign).Scan(&links.LandingURL, &links.AdCampaignID)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // the campaign is gone
	}
	if err != nil {
		return fmt.Errorf("ask peers about a campaign: %w", err)
	}
	var page, ads answer
	if links.LandingURL != "" {
		if page, err = answerOf(a.peers.SEO().Analyze(ctx, mesh.SEORequest{URL: links.LandingURL, TenantUUID: tenant.String()})); err != nil {
			return fmt.Errorf("ask Onside about a campaign: %w", err)
		}
	}
	if links.AdCampaignID != "" {
		if ads, err = answerOf(a.peers.AdIntelligence().Campaign(ctx, tenant.String(), links.AdCampaignID)); err != nil {
			return fmt.Errorf("ask Sankore about a campaign: %w", err)
		}
	}
	// A link that was changed meanwhile has a job of its own.
	const query = `
		UPDATE outreach_campaign_context SET asked_at = $5,
			page = COALESCE($6, page), page_at = CASE WHEN $6::json IS NULL THEN page_at ELSE $5 END, page_error = $7,
			ads = COALESCE($8, ads), ads_at = CASE WHEN $8::json IS NULL THEN ads_at ELSE $5 END, ads_error = $9
		WHERE tenant_uuid = $1 AND campaign_uuid = $2 AND landing_url = $3 AND ad_campaign_id = $4`
	err = a.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, query, tenant, campaign, links.LandingURL, links.AdCampaignID, a.clock.Now(), page.raw, page.reason, ads.raw, ads.reason)
		return err
	})
	if err == nil && (page.again || ads.again) {
		err = errors.New("a peer could not be asked; what it said before is kept")
	}
	if err != nil {
		return fmt.Errorf("ask peers about campaign %s: %w", campaign, err)
	}
	return nil
}
