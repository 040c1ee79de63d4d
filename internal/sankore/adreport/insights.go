package adreport

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/fault"
)

// Part is a part of something in [0,1]; Low and High are the same when the
// platform tells it exactly, "< 10%" is from 0 to 0.1.
type Part struct {
	Low, High float64
}

// InsightRow is what Google's auction insights say of an advertiser on a day.
type InsightRow struct {
	Line       int
	Competitor string    // a domain, or "you"; lower case
	Scope      string    // the campaign, "" for the account
	Day        time.Time // zero when the report has no days
	// Nil: not told.
	ImpressionShare, Overlap, PositionAbove, TopOfPage, AbsoluteTop, Outranking *Part
}

// Insights are what an auction insights report holds.
type Insights struct {
	Rows     []InsightRow
	Problems []Problem
	Refused  int
	Lines    int
}

// insightColumns are the English headings of an auction insights report.
var insightColumns = map[string][]string{
	"domain": {"display url domain", "domain", "advertiser"}, "day": {"day", "date"}, "scope": {"campaign"},
	"impression": {"impression share", "impr. share", "search impr. share"}, "overlap": {"overlap rate"},
	"above": {"position above rate"}, "top": {"top of page rate"}, "absolute": {"abs. top of page rate", "absolute top of page rate"},
	"outranking": {"outranking share"},
}

// ReadInsights reads an auction insights report exported from Google Ads in
// English. An error is about the whole file.
func ReadInsights(file []byte, options Options) (*Insights, error) {
	text, err := decode(file)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	if len(lines) > MaxLines {
		return nil, fault.New(fault.TooLarge, "The file has %d lines; at most %d are read. Export fewer days at a time.", len(lines), MaxLines)
	}
	at, header, delimiter := findInsights(lines)
	if wide := tooWideOnTop(lines); at == nil && wide > 0 {
		return nil, fault.New(fault.TooLarge, "Line %d has more than %d columns. Export only those that are needed.", wide, MaxColumns)
	}
	if at == nil {
		return nil, fault.New(fault.Invalid, "No line names an advertiser's domain and its impression share: "+
			"export the auction insights report as CSV, in English.")
	}
	r := &insightReader{at: at, out: &Insights{}, decimal: '.', order: options.Dates}
	if r.order == "" {
		r.order = MonthDay // as in the English of the United States, unless it is said
	}
	for i, line := range lines[header:] {
		if strings.TrimSpace(line) == "" {
			continue
		}
		r.out.Lines++
		r.line(header+i+1, line, delimiter)
	}
	return r.out, nil
}

// RefuseAfter refuses the rows of days after last: they have not come yet.
func (i *Insights) RefuseAfter(last time.Time) {
	i.Rows = slices.DeleteFunc(i.Rows, func(row InsightRow) bool {
		if !row.Day.After(last) {
			return false
		}
		i.refuse(row.Line, row.Day.Format(time.DateOnly), "The day has not come yet.")
		return true
	})
}

func (i *Insights) refuse(line int, value, message string) {
	i.Refused++
	if len(i.Problems) < MaxProblems {
		i.Problems = append(i.Problems, Problem{Line: line, Value: clip(value), Message: message})
	}
}

func findInsights(lines []string) (at map[string]int, header int, delimiter byte) {
	for i, line := range lines[:min(within, len(lines))] {
		for _, delimiter := range []byte{',', '\t', ';'} {
			names, problem := fields(line, delimiter)
			if problem != "" || len(names) < 2 {
				continue
			}
			at := columnsAt(names, insightColumns)
			_, domain := at["domain"]
			_, share := at["impression"]
			if domain && share {
				return at, i + 1, delimiter
			}
		}
	}
	return nil, 0, 0
}

// columnsAt says where the columns stand whose headings are known; of several
// headings of a column the first listed counts.
func columnsAt(names []string, known map[string][]string) map[string]int {
	at := make(map[string]int)
	for column, words := range known {
		for _, word := range words {
			i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(clean(name), word) })
			if _, found := at[column]; !found && i >= 0 {
				at[column] = i
			}
		}
	}
	return at
}

type insightReader struct {
	at      map[string]int
	out     *Insights
	decimal byte
	order   Order
}

func (r *insightReader) line(number int, line string, delimiter byte) {
	refuse := func(value, message string) { r.out.refuse(number, value, message) }
	cells, problem := fields(line, delimiter)
	if problem != "" {
		refuse(line, problem)
		return
	}
	cell := func(column string) string {
		if i, is := r.at[column]; is && i < len(cells) {
			return cells[i]
		}
		return ""
	}
	row := InsightRow{Line: number, Competitor: strings.ToLower(cell("domain")), Scope: cell("scope")}
	if nothing(row.Competitor) || len(row.Competitor) > 255 || total.MatchString(row.Competitor) {
		refuse(row.Competitor, "names no advertiser.")
		return
	}
	if nothing(row.Scope) {
		row.Scope = ""
	}
	if len([]rune(row.Scope)) > maxNameLength {
		refuse(row.Scope, "names too long a campaign.")
		return
	}
	if day := cell("day"); day != "" {
		written, err := readDate(day)
		if err == nil {
			row.Day, err = written.in(r.order)
		}
		if err != nil {
			refuse(day, errNoDate.Error()+".")
			return
		}
	}
	for column, into := range map[string]**Part{
		"impression": &row.ImpressionShare, "overlap": &row.Overlap, "above": &row.PositionAbove,
		"top": &row.TopOfPage, "absolute": &row.AbsoluteTop, "outranking": &row.Outranking,
	} {
		part, err := readPart(cell(column), r.decimal)
		if err != nil {
			refuse(cell(column), err.Error()+".")
			return
		}
		*into = part
	}
	r.out.Rows = append(r.out.Rows, row)
}

var errNoPart = errors.New("is no part of a whole such as 12.5%")

// readPart reads "12.5%", "< 10%" or "> 90%"; nil for none.
func readPart(cell string, decimal byte) (*Part, error) {
	if nothing(cell) {
		return nil, nil //nolint:nilnil // nil is "there is none", as documented
	}
	bound := strings.TrimSpace(strings.TrimLeft(cell, "<> "))
	text, err := normalise(bound, decimal)
	if err != nil {
		return nil, errNoPart
	}
	if strings.HasSuffix(bound, "%") {
		text += "e-2" // in decimal, where it is exact
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errNoPart
	}
	switch {
	case value < 0 || value > 1:
		return nil, errNoPart
	case strings.HasPrefix(cell, "<"):
		return &Part{Low: 0, High: value}, nil
	case strings.HasPrefix(cell, ">"):
		return &Part{Low: value, High: 1}, nil
	}
	return &Part{Low: value, High: value}, nil
}
