package adreport

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/fault"
)

// Read reads a file. An error is about the whole of it, a *fault.Error with
// advice; what is wrong with a line is among the report's problems.
func Read(file []byte, options Options) (*Report, error) {
	text, err := decode(file)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	if len(lines) > MaxLines {
		return nil, fault.New(fault.TooLarge, "The file has %d lines; at most %d are read. Export fewer days at a time.", len(lines), MaxLines)
	}
	h := findHeader(lines)
	switch {
	case h == nil && tooWideOnTop(lines) > 0:
		return nil, fault.New(fault.TooLarge, "Line %d has more than %d columns. Export only those that are needed.", tooWideOnTop(lines), MaxColumns)
	case h == nil:
		return nil, fault.New(fault.Invalid, "No line names a campaign and its spend, impressions or clicks. "+
			"Export the campaign report as CSV, in English, German, French, Spanish, Portuguese or Italian.")
	case !h.has(day) && h.has(longer):
		return nil, fault.New(fault.Invalid, "The report is by %s. Segment it by day and export it again.", strings.ToLower(h.names[h.at[longer]]))
	case !h.has(day) && !h.has(starts):
		return nil, fault.New(fault.Invalid, "The report has no column of days. Segment it (Google Ads) or break it down (Meta) by day and export it again.")
	}
	if options.Platform != "" {
		h.platform = options.Platform
	}
	r := &reader{header: h, options: options, report: &Report{Platform: h.platform, Language: h.language}, index: make(map[key]int)}
	r.split(lines)
	if err := r.settle(); err != nil {
		return nil, err
	}
	for _, row := range r.rows {
		r.add(row)
	}
	return r.report, nil
}

// rawRow is a line's cells.
type rawRow struct {
	line  int
	cells []string
}

type key struct {
	campaign, id string
	day          time.Time
}

type reader struct {
	header  *header
	options Options
	report  *Report
	rows    []rawRow
	decimal byte
	order   Order
	index   map[key]int // of report.Rows
}

// split takes lines apart and leaves out what is no campaign's.
func (r *reader) split(lines []string) {
	for i, line := range lines[r.header.line:] {
		number := r.header.line + i + 1
		if strings.TrimSpace(line) == "" {
			continue
		}
		cells, problem := fields(line, r.header.delimiter)
		switch {
		case problem != "":
			r.report.Lines++
			r.refuse(Problem{Line: number, Value: clip(line), Message: problem})
		case strings.Join(cells, "") == "":
		case r.isTotal(cells):
			r.report.Lines++
			r.report.Totals++
		default:
			r.report.Lines++
			r.rows = append(r.rows, rawRow{number, cells})
		}
	}
}

// total starts the first cell of a row of totals, or the campaign's.
var total = regexp.MustCompile(`(?i)^(total|totals|totale|gesamt|gesamtwert|gesamtsumme|résultats totaux|resultados totales|results from)\b\s*(:|$|\d)`)

// isTotal reports whether a row sums others up. Google names such rows; Meta's
// has neither a campaign nor a day. What has an id and a day is a campaign's,
// whatever it is called.
func (r *reader) isTotal(cells []string) bool {
	name := r.header.cell(cells, campaign)
	if nothing(name) && nothing(r.dayCell(cells)) {
		return true
	}
	if !nothing(r.header.cell(cells, externalID)) && !nothing(r.dayCell(cells)) {
		return false
	}
	if nothing(name) || r.header.at[campaign] == 0 {
		return total.MatchString(cells[0])
	}
	return total.MatchString(cells[0]) || (total.MatchString(name) && nothing(r.header.cell(cells, externalID)))
}

func (r *reader) dayCell(cells []string) string {
	if r.header.has(day) {
		return r.header.cell(cells, day)
	}
	return r.header.cell(cells, starts)
}

// settle decides what holds for the whole file: the decimal mark and the order
// of days and months.
func (r *reader) settle() error {
	var m marks
	orders := map[Order]int{}
	ambiguous := ""
	for _, row := range r.rows {
		for _, c := range []column{impressions, clicks, linkClicks, spend, revenue, conversions, budget} {
			if cell := r.header.cell(row.cells, c); !nothing(cell) {
				m.see(cell, c == impressions || c == clicks || c == linkClicks)
			}
		}
		cell := r.dayCell(row.cells)
		if d, err := readDate(cell); err == nil && d.month == 0 {
			if order := d.order(); order != "" {
				orders[order]++
			} else {
				ambiguous = cell
			}
		}
	}
	r.decimal = m.decimal(r.header.language)
	switch {
	case r.options.Dates != "":
		r.order = r.options.Dates
	case orders[DayMonth] > 0 && orders[MonthDay] > 0:
		return fault.New(fault.Invalid, "Some dates are day-month, others month-day. Export them as 2026-03-01.")
	case orders[MonthDay] > 0:
		r.order = MonthDay
	case orders[DayMonth] > 0:
		r.order = DayMonth
	case ambiguous != "" && r.header.language == "en":
		return fault.At("query.dates", ambiguous, "the report's dates can be day-month or month-day: say which, dmy or mdy")
	default:
		r.order = DayMonth // as in every other language that is read
	}
	return nil
}

func (r *reader) refuse(p Problem) {
	r.report.Refused++
	r.note(p)
}

func (r *reader) note(p Problem) {
	if len(r.report.Problems) < MaxProblems {
		p.Value = clip(p.Value)
		r.report.Problems = append(r.report.Problems, p)
	}
}

func clip(text string) string {
	const longest = 100
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// add reads a row and adds it to its campaign's day.
func (r *reader) add(raw rawRow) {
	row, problem := r.read(raw)
	if problem != nil {
		r.refuse(*problem)
		return
	}
	k := key{strings.ToLower(row.Campaign), row.ExternalID, row.Day}
	i, seen := r.index[k]
	if !seen {
		r.index[k] = len(r.report.Rows)
		r.report.Rows = append(r.report.Rows, *row)
		return
	}
	sum := &r.report.Rows[i]
	if sum.Currency != row.Currency {
		r.refuse(Problem{Line: raw.line, Value: row.Currency, Message: "The campaign's other rows of this day are in " + sum.Currency + "."})
		return
	}
	if !sum.Add(*row) {
		r.refuse(Problem{Line: raw.line, Value: row.Campaign, Message: "With the campaign's other rows of this day it is more than a day can hold."})
	}
}

const (
	maxNameLength = 500
	maxIDLength   = 100
)

func (r *reader) read(raw rawRow) (*Row, *Problem) {
	h := r.header
	fail := func(c column, message string) (*Row, *Problem) {
		p := &Problem{Line: raw.line, Value: h.cell(raw.cells, c), Message: message}
		if h.has(c) {
			p.Column = h.names[h.at[c]]
		}
		return nil, p
	}
	row := &Row{
		Line: raw.line, Campaign: h.cell(raw.cells, campaign), ExternalID: strings.TrimPrefix(h.cell(raw.cells, externalID), "c:"),
		Status: readStatus(h.cell(raw.cells, status)),
	}
	if nothing(row.ExternalID) {
		row.ExternalID = ""
	}
	switch {
	case nothing(row.Campaign):
		return fail(campaign, "names no campaign.")
	case len([]rune(row.Campaign)) > maxNameLength:
		return fail(campaign, fmt.Sprintf("is longer than %d characters.", maxNameLength))
	case len(row.ExternalID) > maxIDLength:
		return fail(externalID, fmt.Sprintf("is longer than %d bytes.", maxIDLength))
	}
	var c column
	var err error
	if row.Day, c, err = r.day(raw.cells); err != nil {
		return fail(c, err.Error()+".")
	}
	if row.Currency = r.currency(raw.cells); row.Currency == "" {
		return fail(currency, "names no ISO 4217 currency. Export the currency column, or say which it is with the query parameter currency.")
	}
	if c, err := r.figures(row, raw.cells); err != nil {
		return fail(c, err.Error()+".")
	}
	return row, nil
}

func (r *reader) day(cells []string) (time.Time, column, error) {
	c := day
	if !r.header.has(day) {
		c = starts
	}
	written, err := readDate(r.header.cell(cells, c))
	if err != nil {
		return time.Time{}, c, err
	}
	date, err := written.in(r.order)
	if err != nil {
		return time.Time{}, c, err
	}
	if c == starts && r.header.has(ends) {
		last, err := readDate(r.header.cell(cells, ends))
		if err != nil {
			return time.Time{}, ends, err
		}
		if end, err := last.in(r.order); err != nil || !end.Equal(date) {
			return time.Time{}, ends, errors.New("is another day than the report's start: break the report down by day")
		}
	}
	return date, c, nil
}

func (r *reader) currency(cells []string) string {
	for _, code := range []string{strings.ToUpper(r.header.cell(cells, currency)), r.header.currency, r.options.Currency} {
		if IsCurrency(code) {
			return code
		}
	}
	return ""
}

// figures reads the row's numbers. An inexact one ("< 10") counts as none and is
// noted; one that cannot be read is an error.
func (r *reader) figures(row *Row, cells []string) (column, error) {
	pay := func(cell string) (int64, error) { return amount(cell, r.decimal, row.Currency) }
	tally := func(cell string) (int64, error) { return count(cell, r.decimal) }
	clicked := linkClicks // those that lead to the site, as Google's do
	if !r.header.has(linkClicks) {
		clicked = clicks
	}
	for _, figure := range []struct {
		column column
		into   *int64
		read   func(string) (int64, error)
	}{
		{spend, &row.Spend, pay},
		{impressions, &row.Impressions, tally},
		{clicked, &row.Clicks, tally},
		{revenue, &row.Revenue, pay},
	} {
		if err := readCell(r, row, cells, figure.column, figure.into, figure.read); err != nil {
			return figure.column, err
		}
	}
	r.readBudget(row, cells)
	if c := r.converted(cells); c != unknown {
		return c, readCell(r, row, cells, c, &row.Conversions, func(cell string) (float64, error) { return quantity(cell, r.decimal) })
	}
	return unknown, nil
}

func readCell[T int64 | float64](r *reader, row *Row, cells []string, c column, into *T, read func(string) (T, error)) error {
	cell := r.header.cell(cells, c)
	if nothing(cell) {
		return nil
	}
	value, err := read(cell)
	if errors.Is(err, errBounded) {
		r.note(Problem{
			Line: row.Line, Column: r.header.names[r.header.at[c]], Value: cell, Imported: true,
			Message: "The platform does not tell this number exactly; it counts as 0.",
		})
		return nil
	}
	*into = value
	return err
}

// inactive are indicators of results that are no conversions.
var inactive = regexp.MustCompile(`(?i)click|view|impression|reach|engagement|like|play|follow|recall|estimated|clic|klick|alcance|reichweite|portée|couverture`)

// converted returns the column that holds a row's conversions, unknown for none.
func (r *reader) converted(cells []string) column {
	if r.header.has(conversions) {
		return conversions
	}
	if !r.header.has(results) {
		return unknown
	}
	kind := r.header.cell(cells, indicator)
	if nothing(kind) || inactive.MatchString(kind) {
		return unknown
	}
	return results
}

// readBudget reads the budget where there is one: Meta writes words into the
// column when the budget is the ad sets'.
func (r *reader) readBudget(row *Row, cells []string) {
	cell := r.header.cell(cells, budget)
	minor, err := amount(cell, r.decimal, row.Currency)
	if nothing(cell) || err != nil || minor == 0 {
		return
	}
	kind := strings.ToLower(r.header.cell(cells, budgetType))
	row.Budget, row.BudgetKind = minor, DailyBudget
	for _, word := range []string{"lifetime", "total", "laufzeit", "gesamt", "durée", "vie", "vida", "vitalício", "complessiv", "durata"} {
		if strings.Contains(kind, word) {
			row.BudgetKind = TotalBudget
		}
	}
}

func readStatus(cell string) Status {
	cell = strings.ToLower(cell)
	for _, known := range []struct {
		status Status
		words  string
	}{
		{Ended, "removed ended completed archived entfernt beendet abgeschlossen supprimé terminé finalizado finalizada quitada eliminada removida encerrada completato rimossa terminata inactive inaktiv inactivo inativo"},
		{Paused, "paused off pausiert pausierte suspendue mise pausa pausada pausado sospesa désactivé"},
		{Active, "enabled active eligible on aktiv aktiviert activée activé active activa activo habilitada habilitado ativada ativa ativo attiva attivo attivata"},
	} {
		for _, word := range strings.FieldsFunc(cell, func(r rune) bool { return r == ' ' || r == '(' || r == ')' || r == '_' }) {
			if strings.Contains(" "+known.words+" ", " "+word+" ") {
				return known.status
			}
		}
	}
	return Unknown
}
