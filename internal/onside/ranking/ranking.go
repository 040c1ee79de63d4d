package ranking

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/engardehq/madansara/internal/onside/csvtable"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Ranking is where a site stood for a keyword on a day.
type Ranking struct {
	Keyword  string    `json:"keyword" minLength:"1" maxLength:"200"`
	RankedOn time.Time `json:"-"`
	Source   string    `json:"source" doc:"Who says so, for instance google_search_console"`
	Country  string    `json:"country" doc:"'' for all or unknown"`
	Device   string    `json:"device" enum:",desktop,mobile,tablet" doc:"'' for all or unknown"`
	Page     string    `json:"page" doc:"The page that ranked, '' when unknown"`
	// Position counted from 1, the first result; a source may average it.
	Position    float64 `json:"position" minimum:"1" maximum:"1000"`
	Clicks      *int64  `json:"clicks,omitempty"`
	Impressions *int64  `json:"impressions,omitempty"`
}

// key is what makes two rankings the same.
func (r *Ranking) key() string {
	return strings.Join([]string{r.RankedOn.Format(time.DateOnly), r.Keyword, r.Source, r.Country, r.Device, r.Page}, "\x00")
}

// Sources of rankings that imports know by themselves.
const (
	SearchConsole = "google_search_console"
	ManualSource  = "import"
)

// headings of the two forms of files: what Google Search Console exports, in the
// languages that our users have it in, and the generic form, whose headings are
// the first of each list.
var headings = map[string][]string{
	"keyword": {
		"keyword", "top queries", "query", "queries", "search query", "keywords", "requêtes les plus fréquentes", "requête", "requêtes",
		"consultas principales", "consulta", "consultas", "principais consultas", "palabra clave", "palavra-chave", "mot clé", "mot-clé", //nolint:misspell // Spanish and Portuguese
	},
	"position":    {"position", "avg. position", "average position", "rank", "posición", "posição", "pozisyon"},
	"date":        {"date", "ranked_on", "day", "fecha", "data", "jour", "día", "dia"},
	"clicks":      {"clicks", "clics", "cliques"},
	"impressions": {"impressions", "impresiones", "impressões"},
	"page":        {"page", "url", "landing page", "pages", "página"},
	"country":     {"country", "pays", "país"},
	"device":      {"device", "appareil", "dispositivo"}, //nolint:misspell // French
	"source":      {"source", "search engine", "engine"},
}

// googleHeadings tell Search Console's own export from the generic form.
var googleHeadings = []string{"top queries", "requêtes les plus fréquentes", "consultas principales", "principais consultas"} //nolint:misspell // Spanish

// Defaults fill what a file does not say.
type Defaults struct {
	RankedOn        time.Time // zero: every row must have its date
	Country, Device string
	Source          string
}

// File is what was read of a file.
type File struct {
	Format   string // "google_search_console" or "generic"
	Rankings []Ranking
	Bad      []csvtable.BadRow
}

// ParseCSV reads a file. Rows that cannot be taken are in Bad; its error is about
// the whole file, a sentence for the person who sent it. Latest is the last day
// that a ranking can be of.
func ParseCSV(content []byte, defaults Defaults, latest time.Time) (*File, error) {
	table, err := csvtable.Read(content, headings, "keyword", "position")
	if err != nil {
		return nil, err
	}
	if !table.Has("date") && defaults.RankedOn.IsZero() {
		return nil, fmt.Errorf("the file has no column for the date; say with ranked_on of which day it is (the last of the export's period)")
	}
	file := &File{Format: "generic", Bad: table.Bad}
	if isGoogle(content) {
		file.Format = SearchConsole
		if defaults.Source == "" {
			defaults.Source = SearchConsole
		}
	}
	seen := map[string]int{}
	for _, row := range table.Rows {
		r, err := fromRow(row, defaults)
		if err == nil {
			err = r.normalise(latest)
		}
		if err != nil {
			file.Bad = append(file.Bad, csvtable.BadRow{Line: row.Line, Message: err.Error()})
			continue
		}
		if earlier, has := seen[r.key()]; has {
			file.Bad = append(file.Bad, csvtable.BadRow{Line: row.Line, Message: fmt.Sprintf("it is about the same as line %d, which was taken", earlier)})
			continue
		}
		seen[r.key()] = row.Line
		file.Rankings = append(file.Rankings, r)
	}
	return file, nil
}

func isGoogle(content []byte) bool {
	first, _, _ := strings.Cut(strings.ToLower(string(content[:min(len(content), 500)])), "\n")
	for _, heading := range googleHeadings {
		if strings.Contains(first, heading) {
			return true
		}
	}
	return false
}

func fromRow(row csvtable.Row, defaults Defaults) (r Ranking, err error) {
	r = Ranking{
		Keyword: row.Get("keyword"), RankedOn: defaults.RankedOn, Country: orElse(row.Get("country"), defaults.Country),
		Device: orElse(row.Get("device"), defaults.Device), Page: row.Get("page"), Source: orElse(row.Get("source"), defaults.Source),
	}
	if text := row.Get("date"); text != "" {
		if r.RankedOn, err = csvtable.Day(text); err != nil {
			return r, fmt.Errorf("the date %q %w", short(text), err)
		}
	}
	if r.RankedOn.IsZero() {
		return r, fmt.Errorf("it has no date")
	}
	if r.Position, err = csvtable.Number(row.Get("position")); err != nil {
		return r, fmt.Errorf("the position %q %w", short(row.Get("position")), err)
	}
	for column, into := range map[string]**int64{"clicks": &r.Clicks, "impressions": &r.Impressions} {
		text := row.Get(column)
		if text == "" {
			continue
		}
		count, err := csvtable.Count(text)
		if err != nil {
			return r, fmt.Errorf("%s %q %w", column, short(text), err)
		}
		*into = &count
	}
	return r, nil
}

// normalise writes a ranking in one form, or says why it is none.
func (r *Ranking) normalise(latest time.Time) error {
	r.Keyword = strings.ToLower(strings.Join(strings.Fields(r.Keyword), " "))
	r.Country = strings.ToLower(strings.TrimSpace(r.Country))
	r.Device = strings.ToLower(strings.TrimSpace(r.Device))
	r.Source = orElse(strings.ToLower(strings.TrimSpace(r.Source)), ManualSource)
	switch r.Device {
	case "all":
		r.Device = ""
	case "phone", "smartphone", "móvil", "celular":
		r.Device = "mobile"
	case "computer", "ordinateur", "ordenador", "computador":
		r.Device = "desktop"
	}
	switch {
	case r.Keyword == "":
		return fmt.Errorf("it has no keyword")
	case utf8.RuneCountInString(r.Keyword) > 200:
		return fmt.Errorf("the keyword is longer than 200 characters")
	case r.Position < 1 || r.Position > 1000:
		return fmt.Errorf("the position %g is not between 1 and 1000", r.Position)
	case r.RankedOn.After(latest):
		return fmt.Errorf("the date %s lies in the future", r.RankedOn.Format(time.DateOnly))
	case utf8.RuneCountInString(r.Country) > 60:
		return fmt.Errorf("the country is longer than 60 characters")
	case utf8.RuneCountInString(r.Source) > 50:
		return fmt.Errorf("the source is longer than 50 characters")
	case r.Device != "" && r.Device != "desktop" && r.Device != "mobile" && r.Device != "tablet":
		return fmt.Errorf("the device %q is none of desktop, mobile and tablet", short(r.Device))
	}
	if r.Page != "" {
		u, err := weburl.Parse(r.Page)
		if err != nil {
			return fmt.Errorf("the page: %w", err)
		}
		r.Page = u.String()
	}
	return nil
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func short(text string) string {
	if runes := []rune(text); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return text
}
