package campaign

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/sankore/adreport"
	"github.com/engardehq/madansara/internal/sankore/campaign/campaigndb"
)

// Campaign is an advertising campaign.
type Campaign struct {
	UUID        uuid.UUID           `json:"campaign_uuid" format:"uuid"`
	Platform    adreport.Platform   `json:"platform" doc:"google_ads, meta_ads, or another that sends its figures as JSON"`
	ExternalID  string              `json:"external_id,omitempty" doc:"The platform's own id"`
	Name        string              `json:"name"`
	Status      adreport.Status     `json:"status" enum:"active,paused,ended,unknown"`
	Currency    string              `json:"currency" doc:"Of its money, ISO 4217"`
	UTMCampaign string              `json:"utm_campaign,omitempty" doc:"What its ads' links carry, when that is neither its id nor its name"`
	BudgetKind  adreport.BudgetKind `json:"budget_kind,omitempty" enum:",daily,total" doc:"What the budget is for: each day, or from start to end"`
	BudgetMinor int64               `json:"budget_minor,omitempty" doc:"In minor units; the last import's, where that tells one"`
	StartsOn    string              `json:"starts_on,omitempty" doc:"The first day of a total budget" example:"2026-03-01"`
	EndsOn      string              `json:"ends_on,omitempty" doc:"The last day of a total budget" example:"2026-03-31"`
	CreatedAt   time.Time           `json:"created_at"`
	UpdatedAt   time.Time           `json:"updated_at"`
}

// Day is what a campaign did on a day, as its platform reports it.
type Day struct {
	Date         time.Time `json:"-"`
	Day          string    `json:"day" example:"2026-03-01"`
	SpendMinor   int64     `json:"spend_minor"`
	Impressions  int64     `json:"impressions"`
	Clicks       int64     `json:"clicks"`
	Conversions  float64   `json:"conversions" doc:"As the platform counts them; not whole where it shares one among ads"`
	RevenueMinor int64     `json:"revenue_minor" doc:"As the platform values them"`
	ImportUUID   uuid.UUID `json:"import_uuid" format:"uuid" doc:"The import that last changed this day"`
}

// Known is the time that a campaign's figures are known for.
type Known struct {
	First, Last time.Time // both zero for none
	Days        int
}

func ofRow(row campaigndb.GetCampaignRow) Campaign {
	return Campaign{
		UUID: row.CampaignUUID, Platform: adreport.Platform(row.Platform), ExternalID: row.ExternalID, Name: row.Name,
		Status: adreport.Status(row.Status), Currency: row.Currency, UTMCampaign: row.UtmCampaign,
		BudgetKind: adreport.BudgetKind(row.BudgetKind), BudgetMinor: row.BudgetMinor,
		StartsOn: text(row.StartsOn), EndsOn: text(row.EndsOn), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
}

func text(date pgtype.Date) string {
	if !date.Valid {
		return ""
	}
	return date.Time.Format(time.DateOnly)
}

func dateOf(day time.Time) pgtype.Date { return pgtype.Date{Time: day, Valid: !day.IsZero()} }

// ParseDay reads a day of a request, the zero time for "".
func ParseDay(location, day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	date, err := time.Parse(time.DateOnly, day)
	if err != nil || date.Year() < 2000 || date.Year() > 2200 {
		return time.Time{}, fault.At(location, day, "must be a date such as 2026-03-01")
	}
	return date, nil
}

// Range reads the period; zero times for what is not said.
func (in PeriodInput) Range() (from, to time.Time, err error) {
	if from, err = ParseDay("query.from", in.From); err != nil {
		return from, to, err
	}
	to, err = ParseDay("query.to", in.To)
	return from, to, err
}
