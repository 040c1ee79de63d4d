package dashboard

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/madansara/conversion"
)

// moment is one entry of the timeline.
type moment struct {
	At     time.Time
	Kind   string // "visit", "sign-up", "event", "message", "purchase", "known"
	Icon   string
	Title  string
	Detail string
	Trail  []mark        // what happened within a visit
	Credit []touchCredit // what a purchase's touches earned
	Amount string
}

// mark is a page or a click within a visit.
type mark struct {
	At   time.Time
	Icon string
	Text string
}

// touchCredit is one touch's share of a conversion under each model, in the order of models.
type touchCredit struct {
	At       time.Time
	Name     string
	Weights  []float64
	Revenue  []int64
	Currency string
}

// journeyDay is the moments of one day, the newest first.
type journeyDay struct {
	Date    time.Time
	Moments []moment
}

// timeline puts entries, which come the newest first, together for people:
// pages and events stand inside their visit; what belongs to none stands alone.
// A touchpoint is the visit or the click that made it, so it is left out.
func timeline(entries []conversion.Entry) []moment {
	var moments []moment
	visits := map[string]int{}
	for _, e := range entries {
		if e.Kind == conversion.EntrySession {
			visits[e.ID] = len(moments)
			moments = append(moments, visit(e))
		}
	}
	within := func(e conversion.Entry, icon, text string) bool {
		session := detail(e, "session_uuid")
		if session == "" {
			return false
		}
		i, known := visits[session]
		if !known { // the visit began on the next, older page
			i = len(moments)
			visits[session] = i
			moments = append(moments, moment{Kind: "visit", Icon: "globe", Title: "Went on visiting"})
		}
		if !known || moments[i].Title == "Went on visiting" {
			moments[i].At = e.At // the oldest so far
		}
		moments[i].Trail = append(moments[i].Trail, mark{e.At, icon, text})
		return true
	}
	for _, e := range entries {
		switch e.Kind {
		case conversion.EntryPageView:
			if text := pageName(e); !within(e, "page", text) {
				moments = append(moments, moment{At: e.At, Kind: "event", Icon: "page", Title: "Viewed " + text})
			}
		case conversion.EntryEvent:
			if isSignUp(e) {
				moments = append(moments, moment{At: e.At, Kind: "sign-up", Icon: "person", Title: eventName(e), Detail: eventDetail(e)})
			} else if !within(e, "pointer", eventText(e)) {
				moments = append(moments, moment{At: e.At, Kind: "event", Icon: "pointer", Title: eventName(e), Detail: eventDetail(e)})
			}
		case conversion.EntryConversion:
			moments = append(moments, purchase(e))
		case conversion.EntrySent, conversion.EntryOpened, conversion.EntryClicked, conversion.EntryUnsubscribed,
			conversion.EntryFailed, conversion.EntryUnknown:
			moments = append(moments, message(e))
		}
	}
	for i := range moments {
		slices.SortStableFunc(moments[i].Trail, func(a, b mark) int { return a.At.Compare(b.At) })
	}
	return inOrder(moments)
}

// inOrder sorts moments, the newest first.
func inOrder(moments []moment) []moment {
	slices.SortStableFunc(moments, func(a, b moment) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(a.Kind, b.Kind))
	})
	return moments
}

func becameKnown(at time.Time) moment {
	return moment{At: at, Kind: "known", Icon: "person", Title: "Became a known customer"}
}

// detail returns a text of the entry's details, empty when it has none.
func detail(e conversion.Entry, key string) string {
	text, _ := e.Detail[key].(string)
	return text
}

// number returns a number of the entry's details.
func number(e conversion.Entry, key string) int64 {
	n, _ := e.Detail[key].(float64)
	return int64(n)
}

func visit(e conversion.Entry) moment {
	title := "Visited from " + channelName(e.Channel)
	switch {
	case detail(e, "device") == "bot":
		title = "A bot visited"
	case e.Channel == "direct":
		title = "Visited directly"
	}
	source, details := detail(e, "source"), []string{}
	for _, part := range []struct{ name, value string }{
		{"", source}, {"campaign ", detail(e, "campaign")}, {"", detail(e, "device")},
	} {
		if part.value != "" && part.value != e.Channel && part.value != "bot" {
			details = append(details, part.name+part.value)
		}
	}
	if referrer := detail(e, "referrer"); referrer != "" && source == "" {
		details = append(details, "from "+referrer)
	}
	details = append(details, plural(number(e, "page_views"), "page", "pages"))
	if ended, err := time.Parse(time.RFC3339, detail(e, "ended_at")); err == nil && ended.Sub(e.At) >= time.Second {
		details = append(details, lasting(ended.Sub(e.At)))
	}
	return moment{At: e.At, Kind: "visit", Icon: "globe", Title: title, Detail: strings.Join(details, " · ")}
}

func pageName(e conversion.Entry) string {
	path := e.URL
	if parsed, err := url.Parse(e.URL); err == nil && parsed.Path != "" {
		path = parsed.Path
	}
	switch {
	case e.Title != "" && path != "":
		return e.Title + " (" + path + ")"
	case e.Title != "":
		return e.Title
	case path != "":
		return path
	default:
		return "a page"
	}
}

// signedUpAt reports whether a sign-up stands for becoming known at t.
func signedUpAt(entries []conversion.Entry, t time.Time) bool {
	return slices.ContainsFunc(entries, func(e conversion.Entry) bool {
		return e.Kind == conversion.EntryEvent && isSignUp(e) && e.At.Sub(t).Abs() < time.Minute
	})
}

// isSignUp reports whether an event is where somebody said who they are.
func isSignUp(e conversion.Entry) bool {
	name := strings.ToLower(e.Title)
	return detail(e, "type") == "identify" || strings.Contains(name, "signed up") || strings.Contains(name, "sign up")
}

func eventName(e conversion.Entry) string {
	switch kind := detail(e, "type"); {
	case kind == "identify":
		return "Said who they are"
	case e.Title != kind:
		return e.Title
	default: // an event without a name is titled by its type
		return channelName(kind)
	}
}

func eventDetail(e conversion.Entry) string {
	properties, _ := e.Detail["properties"].(map[string]any)
	for _, key := range []string{"text", "label", "product", "name", "href"} {
		if text, ok := properties[key].(string); ok && text != "" {
			return clip(text, 200)
		}
	}
	return ""
}

func eventText(e conversion.Entry) string {
	if more := eventDetail(e); more != "" {
		return eventName(e) + ": " + more
	}
	return eventName(e)
}

func message(e conversion.Entry) moment {
	campaign := detail(e, "campaign")
	subject := "“" + cmp.Or(e.Title, campaign, "a message") + "”"
	m := moment{At: e.At, Kind: "message"}
	switch e.Kind {
	case conversion.EntryOpened:
		m.Icon, m.Title, m.Detail = "eye", "Opened "+subject, times(number(e, "opens"))
	case conversion.EntryClicked:
		m.Icon, m.Title, m.Detail = "pointer", "Clicked in "+subject, times(number(e, "clicks"))
	case conversion.EntryUnsubscribed:
		m.Icon, m.Title, m.Detail = "stop", "Unsubscribed", "by "+subject
	case conversion.EntryFailed:
		m.Icon, m.Title, m.Detail = "alert", "A message failed: "+subject, clip(detail(e, "error"), 200)
	case conversion.EntryUnknown:
		m.Icon, m.Title, m.Detail = "alert", "A message’s fate is unknown: "+subject, campaign
	default:
		m.Icon, m.Title, m.Detail = "mail", "Was sent "+subject, campaign
	}
	return m
}

func times(n int64) string {
	if n < 2 {
		return ""
	}
	return plural(n, "time", "times") + " in all"
}

func purchase(e conversion.Entry) moment {
	m := moment{At: e.At, Kind: "purchase", Icon: "bag", Title: e.Title, Detail: cmp.Or(detail(e, "refund_of"), detail(e, "external_id"))}
	currency := ""
	if e.Revenue != nil {
		m.Amount, currency = amount(e.Revenue.Minor, e.Revenue.Currency), e.Revenue.Currency
	}
	place := map[uuid.UUID]int{}
	for _, credit := range e.Credits {
		model := modelIndex(string(credit.Model))
		if model < 0 {
			continue
		}
		i, known := place[credit.TouchpointUUID]
		if !known {
			i = len(m.Credit)
			place[credit.TouchpointUUID] = i
			m.Credit = append(m.Credit, touchCredit{
				At: credit.OccurredAt, Name: touchName(credit), Currency: currency,
				Weights: make([]float64, len(models)), Revenue: make([]int64, len(models)),
			})
		}
		m.Credit[i].Weights[model], m.Credit[i].Revenue[model] = credit.Weight, credit.RevenueMinor
	}
	slices.SortStableFunc(m.Credit, func(a, b touchCredit) int { return a.At.Compare(b.At) })
	return m
}

func touchName(c conversion.EntryCredit) string {
	name := channelName(c.Channel)
	if c.Kind == "message_click" {
		return name + " click"
	}
	if c.Source != "" && c.Source != c.Channel {
		name += ", " + c.Source
	}
	return name
}

// byDay groups moments, which are in order, by their day in zone.
func byDay(moments []moment, zone *time.Location) []journeyDay {
	var days []journeyDay
	for _, m := range moments {
		date := midnight(m.At.In(zone))
		if len(days) == 0 || !days[len(days)-1].Date.Equal(date) {
			days = append(days, journeyDay{Date: date})
		}
		last := &days[len(days)-1]
		last.Moments = append(last.Moments, m)
	}
	return days
}
