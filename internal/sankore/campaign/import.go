package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/sankore/adreport"
	"github.com/engardehq/madansara/internal/sankore/campaign/campaigndb"
)

// Source is how an import came.
type Source string

// The sources of an import.
const (
	FromCSV Source = "csv"
	FromAPI Source = "api"
)

// Import is what became of an import.
type Import struct {
	UUID         uuid.UUID          `json:"import_uuid" format:"uuid"`
	Platform     adreport.Platform  `json:"platform"`
	Source       Source             `json:"source" enum:"csv,api"`
	FileName     string             `json:"file_name,omitempty"`
	Lines        int                `json:"lines" doc:"Lines below the header that hold anything, or rows of the request"`
	Totals       int                `json:"totals" doc:"Lines of totals, which are left out"`
	Refused      int                `json:"refused" doc:"Lines that were not imported; problems says why, of the first 200"`
	CampaignsNew int                `json:"campaigns_new,omitempty" doc:"Campaigns that were not known before"`
	DaysNew      int                `json:"days_new" doc:"Days of campaigns that were not known before"`
	DaysChanged  int                `json:"days_changed" doc:"Days that were known and are others now"`
	DaysSame     int                `json:"days_same" doc:"Days that were known as they are"`
	Problems     []adreport.Problem `json:"problems"`
	ImportedBy   string             `json:"imported_by" doc:"The user or key"`
	ImportedAt   time.Time          `json:"imported_at"`
}

// Batch is what is to be imported.
type Batch struct {
	Report   *adreport.Report
	Source   Source
	FileName string // at most 255 bytes
	By       string // the user or key
}

// Import writes a report's days. What the tenant's campaigns contradict (another
// currency, a name that several have) is refused by line, like what could not be
// read.
func (s *Service) Import(ctx context.Context, tenant uuid.UUID, batch Batch) (*Import, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make an id: %w", err)
	}
	var done *Import
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		w := &writing{
			tx: tx, queries: campaigndb.New(tx), platform: batch.Report.Platform, now: s.now(), index: make(map[dayKey]int),
			result: Import{
				UUID: id, Platform: batch.Report.Platform, Source: batch.Source, FileName: batch.FileName, Lines: batch.Report.Lines,
				Totals: batch.Report.Totals, Refused: batch.Report.Refused, Problems: slices.Clone(batch.Report.Problems),
				ImportedBy: batch.By, ImportedAt: s.now(),
			},
		}
		if err := w.run(ctx, batch.Report.Rows); err != nil {
			return err
		}
		done = &w.result
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("import campaigns: %w", err)
	}
	return done, nil
}

// writing is an import under way.
type writing struct {
	tx       engardedb.Tx
	queries  *campaigndb.Queries
	platform adreport.Platform
	now      time.Time
	known    []*entry // the platform's campaigns
	days     []dayRow
	index    map[dayKey]int // of days
	result   Import
}

// entry is a campaign with what the import makes of it.
type entry struct {
	campaigndb.PlatformCampaignsRow

	isNew, changed bool
	told           time.Time // the day of the row that its properties are from
}

type dayKey struct {
	campaign uuid.UUID
	day      time.Time
}

type dayRow struct {
	dayKey

	adreport.Row
}

func (w *writing) run(ctx context.Context, rows []adreport.Row) error {
	if err := w.queries.LockImports(ctx, w.tx.Tenant()); err != nil {
		return fmt.Errorf("wait for another import: %w", err)
	}
	known, err := w.queries.PlatformCampaigns(ctx, string(w.platform))
	if err != nil {
		return fmt.Errorf("read the platform's campaigns: %w", err)
	}
	for _, row := range known {
		w.known = append(w.known, &entry{PlatformCampaignsRow: row, told: row.LastDay.Time})
	}
	byID, byName := w.indexes()
	for _, row := range rows {
		if err := w.take(row, byID, byName); err != nil {
			return err
		}
	}
	if err := w.writeCampaigns(ctx); err != nil {
		return err
	}
	return w.writeDays(ctx)
}

func (w *writing) indexes() (byID map[string]*entry, byName map[string][]*entry) {
	byID, byName = make(map[string]*entry), make(map[string][]*entry)
	for _, e := range w.known {
		if e.ExternalID != "" {
			byID[e.ExternalID] = e
		}
		byName[strings.ToLower(e.Name)] = append(byName[strings.ToLower(e.Name)], e)
	}
	return byID, byName
}

func (w *writing) refuse(row adreport.Row, value, message string) {
	w.result.Refused++
	if len(w.result.Problems) < adreport.MaxProblems {
		w.result.Problems = append(w.result.Problems, adreport.Problem{Line: row.Line, Value: value, Message: message})
	}
}

// take finds or adds a row's campaign and keeps its day.
func (w *writing) take(row adreport.Row, byID map[string]*entry, byName map[string][]*entry) error {
	if row.Day.After(w.now.AddDate(0, 0, 1)) { // a day's grace: somewhere it is tomorrow already
		w.refuse(row, row.Day.Format(time.DateOnly), "The day has not come yet.")
		return nil
	}
	name := strings.ToLower(row.Campaign)
	var e *entry
	switch named := byName[name]; {
	case row.ExternalID != "":
		e = byID[row.ExternalID]
		if e == nil {
			if i := slices.IndexFunc(named, func(other *entry) bool { return other.ExternalID == "" }); i >= 0 {
				e = named[i] // it was imported without its id before
				e.ExternalID, e.changed = row.ExternalID, true
				byID[row.ExternalID] = e
			}
		}
	case len(named) > 1:
		w.refuse(row, row.Campaign, "Several campaigns have this name. Export the report with the campaigns' ids.")
		return nil
	case len(named) == 1:
		e = named[0]
	}
	if e == nil {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an id: %w", err)
		}
		e = &entry{isNew: true, PlatformCampaignsRow: campaigndb.PlatformCampaignsRow{
			CampaignUUID: id, ExternalID: row.ExternalID, Name: row.Campaign, Status: string(row.Status), Currency: row.Currency,
		}}
		w.known = append(w.known, e)
		byName[name] = append(byName[name], e)
		if row.ExternalID != "" {
			byID[row.ExternalID] = e
		}
	}
	if e.Currency != row.Currency {
		w.refuse(row, row.Currency, "The campaign's money is in "+e.Currency+".")
		return nil
	}
	e.learn(row)
	w.keep(dayRow{dayKey{e.CampaignUUID, row.Day}, row})
	return nil
}

// learn takes the properties of the latest day that tells them.
func (e *entry) learn(row adreport.Row) {
	if row.Day.Before(e.told) {
		return
	}
	e.told = row.Day
	before := e.PlatformCampaignsRow
	e.Name = row.Campaign
	if row.Status != adreport.Unknown && row.Status != "" {
		e.Status = string(row.Status)
	}
	if row.BudgetKind != adreport.NoBudget {
		e.BudgetKind, e.BudgetMinor = string(row.BudgetKind), row.Budget
	}
	e.changed = e.changed || e.PlatformCampaignsRow != before
}

// keep adds a day; one that a batch names twice, under two spellings, is summed.
func (w *writing) keep(row dayRow) {
	i, seen := w.index[row.dayKey]
	if !seen {
		w.index[row.dayKey] = len(w.days)
		w.days = append(w.days, row)
		return
	}
	if !w.days[i].Add(row.Row) {
		w.refuse(row.Row, row.Campaign, "With the campaign's other rows of this day it is more than a day can hold.")
	}
}

func (w *writing) writeCampaigns(ctx context.Context) error {
	for _, e := range w.known {
		var err error
		switch {
		case e.isNew:
			w.result.CampaignsNew++
			err = w.queries.CreateCampaign(ctx, campaigndb.CreateCampaignParams{
				TenantUUID: w.tx.Tenant(), CampaignUUID: e.CampaignUUID, Platform: string(w.platform), ExternalID: e.ExternalID, Name: e.Name,
				Status: e.Status, Currency: e.Currency, BudgetKind: e.BudgetKind, BudgetMinor: e.BudgetMinor, CreatedAt: w.now,
			})
		case e.changed:
			err = w.queries.UpdateImported(ctx, campaigndb.UpdateImportedParams{
				CampaignUUID: e.CampaignUUID, ExternalID: e.ExternalID, Name: e.Name, Status: e.Status,
				BudgetKind: e.BudgetKind, BudgetMinor: e.BudgetMinor, UpdatedAt: w.now,
			})
		}
		if err != nil {
			return fmt.Errorf("write campaign %q: %w", e.Name, err)
		}
	}
	return nil
}

// writeDays writes the days that are new or others than before, and the import.
func (w *writing) writeDays(ctx context.Context) error {
	all := columnsOf(w.days)
	found, err := w.queries.ChangedDays(ctx, campaigndb.ChangedDaysParams(all))
	if err != nil {
		return fmt.Errorf("compare days: %w", err)
	}
	same := make(map[dayKey]bool)
	for _, row := range found {
		if row.Changed {
			w.result.DaysChanged++
			continue
		}
		w.result.DaysSame++
		same[dayKey{row.CampaignUUID, row.Day.Time}] = true
	}
	w.result.DaysNew = len(w.days) - len(found)
	w.days = slices.DeleteFunc(w.days, func(row dayRow) bool { return same[row.dayKey] })
	if err := w.writeImport(ctx); err != nil {
		return err
	}
	if len(w.days) == 0 {
		return nil
	}
	c := columnsOf(w.days)
	err = w.queries.WriteDays(ctx, campaigndb.WriteDaysParams{
		TenantUUID: w.tx.Tenant(), ImportUUID: w.result.UUID, Campaigns: c.Campaigns, Days: c.Days, Spends: c.Spends,
		Impressions: c.Impressions, Clicks: c.Clicks, Conversions: c.Conversions, Revenues: c.Revenues,
	})
	if err != nil {
		return fmt.Errorf("write days: %w", err)
	}
	return nil
}

// dayColumns are rows as PostgreSQL's unnest takes them.
type dayColumns struct {
	Campaigns   []uuid.UUID
	Days        []pgtype.Date
	Spends      []int64
	Impressions []int64
	Clicks      []int64
	Conversions []float64
	Revenues    []int64
}

func columnsOf(rows []dayRow) dayColumns {
	var c dayColumns
	for _, row := range rows {
		c.Campaigns = append(c.Campaigns, row.campaign)
		c.Days = append(c.Days, dateOf(row.day))
		c.Spends = append(c.Spends, row.Spend)
		c.Impressions = append(c.Impressions, row.Impressions)
		c.Clicks = append(c.Clicks, row.Clicks)
		c.Conversions = append(c.Conversions, row.Conversions)
		c.Revenues = append(c.Revenues, row.Revenue)
	}
	return c
}

func (w *writing) writeImport(ctx context.Context) error {
	if w.result.Problems == nil {
		w.result.Problems = []adreport.Problem{}
	}
	problems, err := json.Marshal(w.result.Problems)
	if err != nil {
		return fmt.Errorf("encode the problems: %w", err)
	}
	r := w.result
	err = w.queries.CreateImport(ctx, campaigndb.CreateImportParams{
		TenantUUID: w.tx.Tenant(), ImportUUID: r.UUID, Platform: string(r.Platform), Source: string(r.Source), FileName: r.FileName,
		Lines: int32(r.Lines), Totals: int32(r.Totals), Refused: int32(r.Refused), DaysNew: int32(r.DaysNew), DaysChanged: int32(r.DaysChanged),
		DaysSame: int32(r.DaysSame), Problems: problems, ImportedBy: r.ImportedBy, ImportedAt: r.ImportedAt,
	})
	if err != nil {
		return fmt.Errorf("write the import: %w", err)
	}
	return nil
}

func ofImport(row campaigndb.GetImportRow) (Import, error) {
	i := Import{
		UUID: row.ImportUUID, Platform: adreport.Platform(row.Platform), Source: Source(row.Source), FileName: row.FileName,
		Lines: int(row.Lines), Totals: int(row.Totals), Refused: int(row.Refused), DaysNew: int(row.DaysNew), DaysChanged: int(row.DaysChanged),
		DaysSame: int(row.DaysSame), ImportedBy: row.ImportedBy, ImportedAt: row.ImportedAt,
	}
	if err := json.Unmarshal(row.Problems, &i.Problems); err != nil {
		return i, fault.Wrap(err, fault.Internal, "The import's problems cannot be read.")
	}
	return i, nil
}
