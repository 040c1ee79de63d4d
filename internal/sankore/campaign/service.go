package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/sankore/adreport"
	"github.com/engardehq/madansara/internal/sankore/campaign/campaigndb"
)

// Service keeps the tenants' campaigns. It is safe for concurrent use.
type Service struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// New returns a Service on db, whose sessions run as sankore_app.
func New(db *engardedb.DB, clock clockwork.Clock) *Service { return &Service{db: db, clock: clock} }

func (s *Service) now() time.Time {
	return s.clock.Now().UTC().Truncate(time.Microsecond) // as fine as the database keeps it
}

// Get returns the campaign with that UUID or, if it is none, the platform's id; a
// *fault.Error with NotFound when there is none and Conflict when two platforms
// use the same id.
func (s *Service) Get(ctx context.Context, tenant uuid.UUID, id string) (campaign Campaign, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		campaign, err = load(ctx, campaigndb.New(tx), id)
		return err
	})
	return campaign, err
}

func load(ctx context.Context, queries *campaigndb.Queries, id string) (Campaign, error) {
	wanted, err := uuid.Parse(id)
	if err != nil {
		found, err := queries.CampaignsByExternalID(ctx, id)
		switch {
		case err != nil:
			return Campaign{}, fmt.Errorf("look for a campaign: %w", err)
		case len(found) == 0:
			return Campaign{}, notFound(id)
		case len(found) > 1:
			return Campaign{}, fault.New(fault.Conflict, "Two platforms have a campaign %.100q: name it by its campaign_uuid.", id)
		}
		wanted = found[0]
	}
	row, err := queries.GetCampaign(ctx, wanted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Campaign{}, notFound(id)
	case err != nil:
		return Campaign{}, fmt.Errorf("read a campaign: %w", err)
	}
	return ofRow(row), nil
}

func notFound(id string) error { return fault.New(fault.NotFound, "There is no campaign %.100q.", id) }

// Filter narrows a list down; empty fields do not.
type Filter struct {
	Platform string
	Status   string
}

// List returns up to limit campaigns, newest first, older than before (uuid.Nil:
// from the newest).
func (s *Service) List(ctx context.Context, tenant uuid.UUID, filter Filter, before uuid.UUID, limit int) (campaigns []Campaign, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := campaigndb.New(tx).ListCampaigns(ctx, campaigndb.ListCampaignsParams{
			Before: before, Platform: filter.Platform, Status: filter.Status, PageSize: int32(limit),
		})
		if err != nil {
			return fmt.Errorf("list campaigns: %w", err)
		}
		campaigns = make([]Campaign, len(rows))
		for i, row := range rows {
			campaigns[i] = ofRow(campaigndb.GetCampaignRow(row))
		}
		return nil
	})
	return campaigns, err
}

// Settings are what people say about a campaign; nil leaves what is known.
type Settings struct {
	UTMCampaign *string
	BudgetKind  *adreport.BudgetKind
	BudgetMinor *int64
	StartsOn    *string // "" takes it away
	EndsOn      *string
}

// Update changes a campaign's settings. A budget of a kind needs an amount, and
// the other way round.
func (s *Service) Update(ctx context.Context, tenant uuid.UUID, id string, settings Settings) (campaign Campaign, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := campaigndb.New(tx)
		// An import must not undo this with what it read before.
		if err := queries.LockImports(ctx, tenant); err != nil {
			return fmt.Errorf("wait for an import: %w", err)
		}
		if campaign, err = load(ctx, queries, id); err != nil {
			return err
		}
		set(&campaign.UTMCampaign, settings.UTMCampaign)
		set(&campaign.BudgetKind, settings.BudgetKind)
		set(&campaign.BudgetMinor, settings.BudgetMinor)
		set(&campaign.StartsOn, settings.StartsOn)
		set(&campaign.EndsOn, settings.EndsOn)
		starts, err := ParseDay("body.starts_on", campaign.StartsOn)
		if err != nil {
			return err
		}
		ends, err := ParseDay("body.ends_on", campaign.EndsOn)
		if err != nil {
			return err
		}
		switch {
		case (campaign.BudgetKind == adreport.NoBudget) != (campaign.BudgetMinor == 0):
			return fault.At("body.budget_minor", campaign.BudgetMinor, "and budget_kind belong together: say both, or take both away")
		case !starts.IsZero() && !ends.IsZero() && ends.Before(starts):
			return fault.At("body.ends_on", campaign.EndsOn, "must not be before starts_on")
		}
		campaign.UpdatedAt = s.now()
		_, err = queries.UpdateCampaign(ctx, campaigndb.UpdateCampaignParams{
			CampaignUUID: campaign.UUID, UtmCampaign: campaign.UTMCampaign, BudgetKind: string(campaign.BudgetKind), BudgetMinor: campaign.BudgetMinor,
			StartsOn: dateOf(starts), EndsOn: dateOf(ends), UpdatedAt: campaign.UpdatedAt,
		})
		if err != nil {
			return fmt.Errorf("update a campaign: %w", err)
		}
		return nil
	})
	return campaign, err
}

func set[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}

// Delete removes a campaign with all its days.
func (s *Service) Delete(ctx context.Context, tenant uuid.UUID, id string) error {
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := campaigndb.New(tx)
		campaign, err := load(ctx, queries, id)
		if err != nil {
			return err
		}
		if _, err := queries.DeleteCampaign(ctx, campaign.UUID); err != nil {
			return fmt.Errorf("delete a campaign: %w", err)
		}
		return nil
	})
}

// History is a campaign with its days from one to another, both included.
type History struct {
	Campaign Campaign
	Known    Known // all there is, whatever was asked for
	From, To time.Time
	Days     []Day // in order; days without figures are absent
	// NameIsUnique is whether no other campaign has its name.
	NameIsUnique bool
	// SpentToEnd is the spend from the campaign's start (see Campaign.StartsOn,
	// else its first known day) to To.
	SpentToEnd int64
}

// Period returns the first and the last day as they are written.
func (h *History) Period() (from, to string) {
	return h.From.Format(time.DateOnly), h.To.Format(time.DateOnly)
}

// defaultDays of history: eight whole weeks.
const defaultDays = 56

// MaxDays is how many days a history may have.
const MaxDays = 731

// History reads a campaign's days. A zero to is the last known day, a zero from
// 55 days before to.
func (s *Service) History(ctx context.Context, tenant uuid.UUID, id string, from, to time.Time) (*History, error) {
	h := &History{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		queries := campaigndb.New(tx)
		if h.Campaign, err = load(ctx, queries, id); err != nil {
			return err
		}
		if err := h.known(ctx, queries); err != nil {
			return err
		}
		if h.From, h.To, err = period(from, to, h.Known); err != nil {
			return err
		}
		rows, err := queries.Performance(ctx, campaigndb.PerformanceParams{CampaignUUID: h.Campaign.UUID, From: dateOf(h.From), To: dateOf(h.To)})
		if err != nil {
			return fmt.Errorf("read a campaign's days: %w", err)
		}
		h.Days = make([]Day, len(rows))
		for i, row := range rows {
			h.Days[i] = Day{
				Date: row.Day.Time, Day: row.Day.Time.Format(time.DateOnly), SpendMinor: row.SpendMinor, Impressions: row.Impressions,
				Clicks: row.Clicks, Conversions: row.Conversions, RevenueMinor: row.RevenueMinor, ImportUUID: row.ImportUUID,
			}
		}
		return h.surroundings(ctx, queries)
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (h *History) known(ctx context.Context, queries *campaigndb.Queries) error {
	known, err := queries.KnownDays(ctx, h.Campaign.UUID)
	if err != nil {
		return fmt.Errorf("read which days are known: %w", err)
	}
	h.Known = Known{First: known.First.Time, Last: known.Last.Time, Days: int(known.Days)}
	return nil
}

// surroundings reads what else a campaign's intelligence needs.
func (h *History) surroundings(ctx context.Context, queries *campaigndb.Queries) error {
	named, err := queries.CampaignsNamed(ctx, h.Campaign.Name)
	if err != nil {
		return fmt.Errorf("count the campaigns of a name: %w", err)
	}
	h.NameIsUnique = named == 1
	starts, err := ParseDay("starts_on", h.Campaign.StartsOn)
	if err != nil {
		return err
	}
	if starts.IsZero() {
		starts = h.Known.First
	}
	h.SpentToEnd, err = queries.SpentBetween(ctx, campaigndb.SpentBetweenParams{CampaignUUID: h.Campaign.UUID, From: dateOf(starts), To: dateOf(h.To)})
	if err != nil {
		return fmt.Errorf("sum a campaign's spend: %w", err)
	}
	return nil
}

func period(from, to time.Time, known Known) (time.Time, time.Time, error) {
	if to.IsZero() {
		to = known.Last
	}
	if to.IsZero() {
		to = from
	}
	if from.IsZero() && !to.IsZero() {
		from = to.AddDate(0, 0, 1-defaultDays)
	}
	switch {
	case to.Before(from):
		return from, to, fault.At("query.to", to.Format(time.DateOnly), "must not be before from")
	case to.Sub(from) > (MaxDays-1)*24*time.Hour:
		return from, to, fault.At("query.from", from.Format(time.DateOnly), "to must be at most %d days later", MaxDays-1)
	}
	return from, to, nil
}

// Imports returns up to limit imports, newest first, older than before (uuid.Nil:
// from the newest).
func (s *Service) Imports(ctx context.Context, tenant, before uuid.UUID, limit int) (imports []Import, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := campaigndb.New(tx).ListImports(ctx, campaigndb.ListImportsParams{Before: before, PageSize: int32(limit)})
		if err != nil {
			return fmt.Errorf("list imports: %w", err)
		}
		imports = make([]Import, len(rows))
		for i, row := range rows {
			if imports[i], err = ofImport(campaigndb.GetImportRow(row)); err != nil {
				return err
			}
		}
		return nil
	})
	return imports, err
}

// ImportOf returns an import; a *fault.Error with NotFound when there is none.
func (s *Service) ImportOf(ctx context.Context, tenant, id uuid.UUID) (found Import, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := campaigndb.New(tx).GetImport(ctx, id)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fault.New(fault.NotFound, "There is no import %s.", id)
		case err != nil:
			return fmt.Errorf("read an import: %w", err)
		}
		found, err = ofImport(row)
		return err
	})
	return found, err
}
