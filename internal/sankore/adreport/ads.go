package adreport

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/engardehq/madansara/internal/csvbound"
	"github.com/engardehq/madansara/internal/fault"
)

// AdRow is a competitor's ad as a library of ads lists it.
type AdRow struct {
	Line       int
	Competitor string // as it is written there
	ID         string // the library's own, "" for none
	Headline   string
	Body       string
	URL        string
	Format     string
	StartedOn  string // 2006-01-02, "" for unknown
}

// Ads are what a list of ads holds.
type Ads struct {
	Rows     []AdRow
	Problems []Problem
	Refused  int
	Lines    int
}

// adColumns are the fields of Meta's Ad Library API, as its tools write them to
// CSV, and plain words for lists made by hand.
var adColumns = map[string][]string{
	"competitor": {"page_name", "page name", "advertiser", "advertiser name", "competitor", "domain"},
	"id":         {"ad_archive_id", "id", "ad id", "ad_id", "library id", "creative id"},
	"headline":   {"ad_creative_link_titles", "ad_creative_link_title", "headline", "title"},
	"body":       {"ad_creative_bodies", "ad_creative_body", "body", "ad text", "text", "description"},
	"url":        {"ad_creative_link_captions", "landing page", "link", "url", "link_url", "destination"},
	"format":     {"publisher_platforms", "format", "media type", "ad format"},
	"started":    {"ad_delivery_start_time", "started running", "start date", "started_on", "first shown"},
}

// Longest texts of an ad, in characters.
const (
	maxAdText = 10_000
	maxAdLine = 2_000
)

// ReadAds reads a list of ads. competitor names whose they are where the list
// does not. An error is about the whole file.
func ReadAds(file []byte, competitor string, order Order) (*Ads, error) {
	text, err := decode(file)
	if err != nil {
		return nil, err
	}
	// Ads have line breaks in quotes, so that lines cannot be taken apart one by one.
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord, reader.LazyQuotes, reader.Comma = -1, true, adDelimiter(text)
	if line, wide := csvbound.WiderThan(text, reader.Comma, MaxColumns); wide {
		return nil, fault.New(fault.TooLarge, "Line %d has more than %d columns. Export only those that are needed.", line, MaxColumns)
	}
	names, err := reader.Read()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The file has no line of headings.")
	}
	at, competitor := columnsAt(names, adColumns), strings.TrimSpace(competitor)
	_, named := at["competitor"]
	_, headline := at["headline"]
	_, body := at["body"]
	switch {
	case !headline && !body:
		return nil, fault.New(fault.Invalid, "No heading names the ads' texts: ad_creative_bodies, body or headline.")
	case !named && competitor == "":
		return nil, fault.New(fault.Invalid, "No heading names whose ads they are (page_name, advertiser): say it with the query parameter competitor.")
	}
	out := &Ads{}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		line, _ := reader.FieldPos(0)
		if err != nil {
			out.Lines++
			out.refuse(line, "", "The line cannot be taken apart: "+err.Error())
			continue
		}
		if strings.TrimSpace(strings.Join(record, "")) == "" {
			continue
		}
		out.Lines++
		out.add(line, record, at, competitor, order)
	}
}

func adDelimiter(text string) rune {
	first, _, _ := strings.Cut(text, "\n")
	best, most := ',', strings.Count(first, ",")
	for _, delimiter := range []rune{';', '\t'} {
		if n := strings.Count(first, string(delimiter)); n > most {
			best, most = delimiter, n
		}
	}
	return best
}

func (a *Ads) refuse(line int, value, message string) {
	a.Refused++
	if len(a.Problems) < MaxProblems {
		a.Problems = append(a.Problems, Problem{Line: line, Value: clip(value), Message: message})
	}
}

func (a *Ads) add(line int, record []string, at map[string]int, competitor string, order Order) {
	cell := func(column string) string {
		if i, is := at[column]; is && i < len(record) {
			return strings.TrimSpace(record[i])
		}
		return ""
	}
	row := AdRow{
		Line: line, Competitor: cell("competitor"), ID: cell("id"), Headline: cell("headline"), Body: cell("body"), URL: cell("url"), Format: cell("format"),
	}
	if row.Competitor == "" {
		row.Competitor = competitor
	}
	switch {
	case row.Competitor == "" || len(row.Competitor) > 255:
		a.refuse(line, row.Competitor, "names no advertiser, or too long a one.")
		return
	case row.ID == "" && row.Headline == "" && row.Body == "":
		a.refuse(line, "", "has neither an id nor a text.")
		return
	case len(row.ID) > maxIDLength, len([]rune(row.Body)) > maxAdText, len([]rune(row.Headline)) > maxAdLine, len(row.URL) > maxAdLine, len(row.Format) > maxAdLine:
		a.refuse(line, row.ID, "has a longer text than an ad has.")
		return
	}
	if started := cell("started"); started != "" {
		if order == "" {
			order = MonthDay
		}
		if written, err := readDate(started); err == nil {
			if day, err := written.in(order); err == nil {
				row.StartedOn = day.Format("2006-01-02")
			}
		}
	}
	a.Rows = append(a.Rows, row)
}
