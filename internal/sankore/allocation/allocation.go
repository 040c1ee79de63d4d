package allocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/money"
	"github.com/engardehq/madansara/internal/sankore/allocation/allocationdb"
	"github.com/engardehq/madansara/internal/sankore/intelligence"
	"github.com/engardehq/madansara/internal/sankore/response"
	"github.com/engardehq/madansara/mesh"
)

// Spendings are what campaigns spent and earned.
type Spendings interface {
	Spending(ctx context.Context, tenant uuid.UUID, id string, from, to time.Time) (*intelligence.Spending, error)
}

// Service shares budgets out. It is safe for concurrent use.
type Service struct {
	db        *engardedb.DB
	spendings Spendings
	clock     clockwork.Clock
}

// New returns a Service on db.
func New(db *engardedb.DB, spendings Spendings, clock clockwork.Clock) *Service {
	return &Service{db: db, spendings: spendings, clock: clock}
}

// Request asks for an allocation.
type Request struct {
	Name       string
	TotalMinor int64 // above 0
	Days       int   // that the total is for, 1 to 366
	Campaigns  []Limits
	By         string // the user or key
}

// Limits are a campaign's part of a request.
type Limits struct {
	CampaignID string
	MinMinor   int64
	MaxMinor   *int64 // nil: the total
}

// Allocation is a budget shared out.
type Allocation struct {
	UUID       uuid.UUID `json:"allocation_uuid" format:"uuid"`
	Name       string    `json:"name,omitempty"`
	Currency   string    `json:"currency"`
	TotalMinor int64     `json:"total_minor"`
	Days       int       `json:"days" doc:"The days that the total is for"`
	// ConversionsSource is whose conversions the campaigns were measured by.
	ConversionsSource  string    `json:"conversions_source" enum:"madan-sara,platform" doc:"Whose conversions the campaigns were measured by"`
	ConversionsProblem string    `json:"conversions_problem,omitempty" doc:"Why Madan Sara's were not used"`
	Outcome            Outcome   `json:"outcome"`
	Campaigns          []Part    `json:"campaigns" doc:"In the order they were asked for"`
	CreatedBy          string    `json:"created_by" doc:"The user or key"`
	CreatedAt          time.Time `json:"created_at"`
}

// Outcome is what an allocation is expected to do, with 95 % credible intervals.
type Outcome struct {
	Conversions mesh.Estimate `json:"conversions" doc:"Over the days, on average: the interval is of what can be expected, the count itself varies by luck too"`
	Gain        mesh.Estimate `json:"gain" doc:"How many more than the same total split as it is spent now"`
	Better      float64       `json:"better" doc:"The probability that it earns more than that" minimum:"0" maximum:"1"`
}

// Part is what a campaign gets.
type Part struct {
	CampaignUUID uuid.UUID `json:"campaign_uuid" format:"uuid"`
	Name         string    `json:"name"`
	Platform     string    `json:"platform"`
	MinMinor     int64     `json:"min_minor"`
	MaxMinor     int64     `json:"max_minor"`
	AmountMinor  int64     `json:"amount_minor" doc:"What it gets of the total"`
	PresentMinor int64     `json:"present_minor" doc:"What it would get if the total were split as it was spent in the last 28 days"`
	Conversions  float64   `json:"conversions" doc:"Expected over the days"`
	// NextCostMinor is what one more conversion costs from here.
	NextCostMinor float64        `json:"next_cost_minor" doc:"What the next conversion costs, in minor units: the same for all that are between their limits"`
	Saturation    *mesh.Estimate `json:"saturation,omitempty" doc:"The part of a further unit lost to diminishing returns at the present mean spend; absent when the data does not say"`
	Extrapolates  bool           `json:"extrapolates" doc:"Its daily amount is above any day's spend so far: beyond it the curve is a guess"`
	DaysKnown     int            `json:"days_known" doc:"Days with spend that its curve is fitted to"`
	Note          string         `json:"note,omitempty" doc:"What its data is too little to tell"`
}

const (
	// maxCampaigns of an allocation; each is one question to Madan Sara.
	maxCampaigns = 50
	// fitted days: a quarter. What an audience did before is another audience's.
	fittedDays = 90
	// presentDays are those that tell how money is spent now.
	presentDays = 28
	// atOnce is how many campaigns are asked for at a time.
	atOnce = 4
)

// Create shares a budget out and keeps the allocation.
func (s *Service) Create(ctx context.Context, tenant uuid.UUID, request Request) (*Allocation, error) {
	if err := request.check(); err != nil {
		return nil, err
	}
	found, err := s.gather(ctx, tenant, request.Campaigns)
	if err != nil {
		return nil, err
	}
	allocation, err := allocate(request, found)
	if err != nil {
		return nil, err
	}
	if allocation.UUID, err = uuid.NewV7(); err != nil {
		return nil, fmt.Errorf("make an id: %w", err)
	}
	allocation.CreatedBy, allocation.CreatedAt = request.By, s.clock.Now().UTC().Truncate(time.Microsecond)
	if err := s.keep(ctx, tenant, allocation); err != nil {
		return nil, err
	}
	return allocation, nil
}

func (r Request) check() error {
	if len(r.Campaigns) == 0 || len(r.Campaigns) > maxCampaigns {
		return fault.At("body.campaigns", len(r.Campaigns), "must be 1 to %d campaigns", maxCampaigns)
	}
	for i, limits := range r.Campaigns {
		if limits.MaxMinor != nil && *limits.MaxMinor < limits.MinMinor {
			return fault.At(fmt.Sprintf("body.campaigns[%d].max_minor", i), *limits.MaxMinor, "must not be below min_minor")
		}
	}
	return nil
}

// gather asks what each campaign spent and earned.
func (s *Service) gather(ctx context.Context, tenant uuid.UUID, campaigns []Limits) ([]*intelligence.Spending, error) {
	today := s.clock.Now().UTC().Truncate(24 * time.Hour)
	found := make([]*intelligence.Spending, len(campaigns))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, limits := range campaigns {
		group.Go(func() (err error) {
			found[i], err = s.spendings.Spending(ctx, tenant, limits.CampaignID, today.AddDate(0, 0, 1-fittedDays), today)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // the package's own errors, which name the campaign
	}
	seen := make(map[uuid.UUID]bool, len(found))
	for i, f := range found {
		at := fmt.Sprintf("body.campaigns[%d].campaign_id", i)
		if seen[f.Campaign.UUID] {
			return nil, fault.At(at, campaigns[i].CampaignID, "is asked for twice")
		}
		seen[f.Campaign.UUID] = true
		if first := found[0].Campaign.Currency; f.Campaign.Currency != first {
			return nil, fault.At(at, campaigns[i].CampaignID, "spends %s, the first campaign %s: allocate each currency by itself", f.Campaign.Currency, first)
		}
	}
	return found, nil
}

// allocate is a pure function of the request and what is known.
func allocate(request Request, found []*intelligence.Spending) (*Allocation, error) {
	a := &Allocation{
		Name: request.Name, Currency: found[0].Campaign.Currency, TotalMinor: request.TotalMinor, Days: request.Days,
		ConversionsSource: mesh.ConversionsFromMadanSara, Campaigns: make([]Part, len(found)),
	}
	for _, f := range found {
		if f.Attributed == nil {
			a.ConversionsSource = mesh.ConversionsFromPlatform
			a.ConversionsProblem = fmt.Sprintf("%.100q: %s", f.Campaign.Name, f.Problem)
			break
		}
	}
	shares, recent := make([]response.Share, len(found)), make([]float64, len(found))
	for i, f := range found {
		days := f.Attributed
		if a.ConversionsSource == mesh.ConversionsFromPlatform {
			days = f.Reported
		}
		curve, ok := response.Fit(complete(days, f.Ripe))
		if !ok {
			return nil, fault.At(fmt.Sprintf("body.campaigns[%d].campaign_id", i), request.Campaigns[i].CampaignID,
				"has no day with spend in the last %d: import its report first", fittedDays)
		}
		limits := request.Campaigns[i]
		shares[i] = response.Share{Curve: &curve, Min: limits.MinMinor, Max: request.TotalMinor}
		if limits.MaxMinor != nil {
			shares[i].Max = *limits.MaxMinor
		}
		recent[i] = spentSince(days)
	}
	curves := make([]*response.Curve, len(shares))
	for i := range shares {
		curves[i] = shares[i].Curve
	}
	response.Pool(curves)
	amounts, err := response.Allocate(request.TotalMinor, request.Days, shares)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the place of the request
	}
	present := money.Apportion(request.TotalMinor, recent)
	outcome := response.Compare(request.Days, shares, amounts, present)
	a.Outcome = Outcome{Conversions: mesh.Estimate(outcome.Conversions), Gain: mesh.Estimate(outcome.Gain), Better: outcome.Better}
	for i, f := range found {
		a.Campaigns[i] = part(f, shares[i], request.Days, amounts[i], present[i])
		days := f.Attributed
		if a.ConversionsSource == mesh.ConversionsFromPlatform {
			days = f.Reported
		}
		a.Campaigns[i].Note = note(shares[i], days, f.Ripe)
	}
	return a, nil
}

// fewestRipe is below how many days whose conversions are complete the newest are
// used too: two of every weekday.
const fewestRipe = 14

// complete returns the days up to ripe; all, when those are too few to tell.
func complete(days []response.Day, ripe time.Time) []response.Day {
	n := len(days)
	for n > 0 && days[n-1].Date.After(ripe) {
		n--
	}
	if n < fewestRipe {
		return days
	}
	return days[:n]
}

// note says what a campaign's curve is too little to tell; "" when it is not.
func note(share response.Share, days []response.Day, ripe time.Time) string {
	used := complete(days, ripe)
	known := 0.0
	for _, d := range used {
		known += d.Conversions
	}
	var said []string
	if known < fewConversions {
		said = append(said, fmt.Sprintf("With %.3g conversions its level is mostly that of the other campaigns.", known))
	}
	if _, told := share.Curve.Saturation(); !told {
		said = append(said, "Its spend varied too little to tell how it answers to more or less: its curve is what is usual.")
	}
	if len(used) > 0 && used[len(used)-1].Date.After(ripe) {
		said = append(said, "Its newest conversions are still coming in, and it has too few days before them: it may earn more than is said.")
	}
	return strings.Join(said, " ")
}

// fewConversions leave a level that is off by a third and more, one time in three.
const fewConversions = 10

// spentSince sums the spend of the last presentDays that anything is known of.
func spentSince(days []response.Day) float64 {
	spent := 0.0
	for _, d := range days {
		if days[len(days)-1].Date.Sub(d.Date) < presentDays*24*time.Hour {
			spent += d.Spend
		}
	}
	return spent
}

func part(f *intelligence.Spending, share response.Share, days int, amount, present int64) Part {
	daily := float64(amount) / float64(days)
	p := Part{
		CampaignUUID: f.Campaign.UUID, Name: f.Campaign.Name, Platform: string(f.Campaign.Platform), MinMinor: share.Min, MaxMinor: share.Max,
		AmountMinor: amount, PresentMinor: present, Conversions: float64(days) * share.Curve.Mean(daily),
		NextCostMinor: 1 / share.Curve.Marginal(daily), Extrapolates: daily > share.Curve.MaxSpend, DaysKnown: share.Curve.Days,
	}
	if math.IsInf(p.NextCostMinor, 0) {
		p.NextCostMinor = math.MaxFloat64
	}
	if saturation, told := share.Curve.Saturation(); told {
		e := mesh.Estimate(saturation)
		p.Saturation = &e
	}
	return p
}

func (s *Service) keep(ctx context.Context, tenant uuid.UUID, a *Allocation) error {
	outcome, err := json.Marshal(a.Outcome)
	if err != nil {
		return fmt.Errorf("encode the outcome: %w", err)
	}
	campaigns, err := json.Marshal(a.Campaigns)
	if err != nil {
		return fmt.Errorf("encode the campaigns: %w", err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return allocationdb.New(tx).CreateAllocation(ctx, allocationdb.CreateAllocationParams{
			TenantUUID: tenant, AllocationUUID: a.UUID, Name: a.Name, Currency: a.Currency, TotalMinor: a.TotalMinor, Days: int32(a.Days),
			ConversionsSource: a.ConversionsSource, ConversionsProblem: a.ConversionsProblem, Outcome: outcome, Campaigns: campaigns,
			CreatedBy: a.CreatedBy, CreatedAt: a.CreatedAt,
		})
	})
	if err != nil {
		return fmt.Errorf("keep an allocation: %w", err)
	}
	return nil
}

// Get returns an allocation; a *fault.Error with NotFound when there is none.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (a Allocation, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := allocationdb.New(tx).GetAllocation(ctx, id)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fault.New(fault.NotFound, "There is no allocation %s.", id)
		case err != nil:
			return fmt.Errorf("read an allocation: %w", err)
		}
		a, err = ofRow(row)
		return err
	})
	return a, err
}

// List returns up to limit allocations, newest first, older than before (uuid.Nil:
// from the newest).
func (s *Service) List(ctx context.Context, tenant, before uuid.UUID, limit int) (list []Allocation, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := allocationdb.New(tx).ListAllocations(ctx, allocationdb.ListAllocationsParams{Before: before, PageSize: int32(limit)})
		if err != nil {
			return fmt.Errorf("list allocations: %w", err)
		}
		list = make([]Allocation, len(rows))
		for i, row := range rows {
			if list[i], err = ofRow(allocationdb.GetAllocationRow(row)); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

func ofRow(row allocationdb.GetAllocationRow) (Allocation, error) {
	a := Allocation{
		UUID: row.AllocationUUID, Name: row.Name, Currency: row.Currency, TotalMinor: row.TotalMinor, Days: int(row.Days),
		ConversionsSource: row.ConversionsSource, ConversionsProblem: row.ConversionsProblem, CreatedBy: row.CreatedBy, CreatedAt: row.CreatedAt,
	}
	if err := errors.Join(json.Unmarshal(row.Outcome, &a.Outcome), json.Unmarshal(row.Campaigns, &a.Campaigns)); err != nil {
		return a, fault.Wrap(err, fault.Internal, "The allocation cannot be read.")
	}
	return a, nil
}
