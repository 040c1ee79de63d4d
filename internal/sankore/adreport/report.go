package adreport

import (
	"time"
)

// Platform is where ads are shown.
type Platform string

// The platforms whose exports are known.
const (
	GoogleAds Platform = "google_ads"
	MetaAds   Platform = "meta_ads"
)

// Report is what a file holds.
type Report struct {
	Platform Platform
	Language string // of its headings
	Rows     []Row  // one a campaign and day, in the order they are first named
	Problems []Problem
	// Refused counts the lines that could not be read, also those beyond the
	// MaxProblems that are listed.
	Refused int
	Totals  int // lines of totals, which are left out
	Lines   int // lines below the header that hold anything
}

// MaxProblems is how many problems are listed.
const MaxProblems = 200

// Row is what a campaign did on a day.
type Row struct {
	Line       int // of the file, the first of those summed; 0 when there is no file
	Campaign   string
	ExternalID string // the platform's own, "" when the report has none
	Status     Status
	Day        time.Time // midnight UTC
	Currency   string
	// Money is in Currency's minor units.
	Spend       int64
	Impressions int64
	Clicks      int64
	Conversions float64 // as the platform counts them
	Revenue     int64   // as the platform values them
	Budget      int64   // 0: not told
	BudgetKind  BudgetKind
}

// Add adds another row of the same campaign and day, of another device or ad set
// for instance. False, and nothing added, when the sum is more than a day can hold.
func (r *Row) Add(other Row) bool {
	if r.Spend+other.Spend > maxMinor || r.Revenue+other.Revenue > maxMinor || r.Impressions+other.Impressions > maxCount ||
		r.Clicks+other.Clicks > maxCount || r.Conversions+other.Conversions > maxCount {
		return false
	}
	r.Spend += other.Spend
	r.Impressions += other.Impressions
	r.Clicks += other.Clicks
	r.Conversions += other.Conversions
	r.Revenue += other.Revenue
	r.Budget = max(r.Budget, other.Budget)
	return true
}

// Status is whether a campaign runs.
type Status string

// The statuses of a campaign.
const (
	Active  Status = "active"
	Paused  Status = "paused"
	Ended   Status = "ended"
	Unknown Status = "unknown"
)

// BudgetKind is what a budget is for.
type BudgetKind string

// The kinds of budget.
const (
	NoBudget    BudgetKind = ""
	DailyBudget BudgetKind = "daily" // of each day
	TotalBudget BudgetKind = "total" // from the campaign's start to its end
)

// Problem is what is wrong with a line.
type Problem struct {
	Line    int    `json:"line" doc:"Line of the file, or row of the request, the first is 1"`
	Column  string `json:"column,omitempty" doc:"The column's own heading"`
	Value   string `json:"value,omitempty" doc:"What stands there"`
	Message string `json:"message" doc:"What is wrong"`
	// Imported is set when the line counts all the same.
	Imported bool `json:"imported" doc:"True when the line was imported all the same, without this value"`
}

// Options say what a file does not.
type Options struct {
	Platform Platform // empty: told by its columns
	Currency string   // ISO 4217, for a report without one
	Dates    Order    // for dates that could be either
}
