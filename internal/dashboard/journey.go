package dashboard

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
)

// history is everything the database knows of one customer's way.
type history struct {
	Sessions    []dashboarddb.CustomerSessionsRow
	Pages       []dashboarddb.CustomerPagesRow
	Events      []dashboarddb.CustomerEventsRow
	Messages    []dashboarddb.CustomerMessagesRow
	Conversions []dashboarddb.CustomerConversionsRow
	Credits     []dashboarddb.CustomerCreditsRow
}

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

// timeline puts a history in order, the newest first. Pages and events stand
// inside their visit; what belongs to none stands alone.
func timeline(h history, createdAt time.Time) []moment {
	var moments []moment
	if !signedUpAt(h.Events, createdAt) {
		moments = append(moments, moment{At: createdAt, Kind: "known", Icon: "person", Title: "Became a known customer"})
	}
	visits := map[uuid.UUID]int{}
	for _, s := range h.Sessions {
		visits[s.SessionUUID] = len(moments)
		moments = append(moments, visit(s))
	}
	within := func(session *uuid.UUID, at time.Time, icon, text string) bool {
		if session == nil {
			return false
		}
		i, known := visits[*session]
		if known {
			moments[i].Trail = append(moments[i].Trail, mark{at, icon, text})
		}
		return known
	}
	for _, p := range h.Pages {
		if text := pageName(p); !within(p.SessionUUID, p.OccurredAt, "page", text) {
			moments = append(moments, moment{At: p.OccurredAt, Kind: "event", Icon: "page", Title: "Viewed " + text})
		}
	}
	for _, e := range h.Events {
		if isSignUp(e) {
			moments = append(moments, moment{At: e.OccurredAt, Kind: "sign-up", Icon: "person", Title: eventName(e), Detail: eventDetail(e)})
			continue
		}
		if !within(e.SessionUUID, e.OccurredAt, "pointer", eventText(e)) {
			moments = append(moments, moment{At: e.OccurredAt, Kind: "event", Icon: "pointer", Title: eventName(e), Detail: eventDetail(e)})
		}
	}
	for _, m := range h.Messages {
		moments = append(moments, messageMoments(m)...)
	}
	for _, c := range h.Conversions {
		moments = append(moments, purchase(c, h.Credits))
	}
	for i := range moments {
		slices.SortStableFunc(moments[i].Trail, func(a, b mark) int { return a.At.Compare(b.At) })
	}
	slices.SortStableFunc(moments, func(a, b moment) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(a.Kind, b.Kind))
	})
	return moments
}

func visit(s dashboarddb.CustomerSessionsRow) moment {
	title := "Visited from " + channelName(s.Channel)
	if s.Channel == "direct" {
		title = "Visited directly"
	}
	details := []string{}
	for _, part := range []struct{ name, value string }{
		{"", s.UtmSource}, {"campaign ", s.UtmCampaign}, {"", s.Device},
	} {
		if part.value != "" && part.value != s.Channel {
			details = append(details, part.name+part.value)
		}
	}
	if s.Referrer != "" && s.UtmSource == "" {
		details = append(details, "from "+s.Referrer)
	}
	details = append(details, plural(int64(s.PageViewCount), "page", "pages"))
	if length := s.EndedAt.Sub(s.StartedAt); length >= time.Second {
		details = append(details, lasting(length))
	}
	return moment{At: s.StartedAt, Kind: "visit", Icon: "globe", Title: title, Detail: strings.Join(details, " · ")}
}

func pageName(p dashboarddb.CustomerPagesRow) string {
	switch {
	case p.Title != "" && p.Path != "":
		return p.Title + " (" + p.Path + ")"
	case p.Title != "":
		return p.Title
	case p.Path != "":
		return p.Path
	default:
		return p.URL
	}
}

// signedUpAt reports whether a sign-up stands for becoming known at t.
func signedUpAt(events []dashboarddb.CustomerEventsRow, t time.Time) bool {
	return slices.ContainsFunc(events, func(e dashboarddb.CustomerEventsRow) bool {
		return isSignUp(e) && e.OccurredAt.Sub(t).Abs() < time.Minute
	})
}

// isSignUp reports whether an event is where somebody said who they are.
func isSignUp(e dashboarddb.CustomerEventsRow) bool {
	name := strings.ToLower(e.Name)
	return e.Type == "identify" || strings.Contains(name, "signed up") || strings.Contains(name, "sign up")
}

func eventName(e dashboarddb.CustomerEventsRow) string {
	switch {
	case e.Type == "identify":
		return "Said who they are"
	case e.Name != "":
		return e.Name
	default:
		return channelName(e.Type)
	}
}

func eventDetail(e dashboarddb.CustomerEventsRow) string {
	var properties map[string]any
	if json.Unmarshal(e.Properties, &properties) != nil { // the column holds an object
		return ""
	}
	for _, key := range []string{"text", "label", "product", "name", "href"} {
		if text, ok := properties[key].(string); ok && text != "" {
			return clip(text, 200)
		}
	}
	return ""
}

func eventText(e dashboarddb.CustomerEventsRow) string {
	if detail := eventDetail(e); detail != "" {
		return eventName(e) + ": " + detail
	}
	return eventName(e)
}

func messageMoments(m dashboarddb.CustomerMessagesRow) []moment {
	subject := m.Subject
	if subject == "" {
		subject = m.CampaignName
	}
	at := func(t time.Time, icon, title, detail string) moment {
		return moment{At: t, Kind: "message", Icon: icon, Title: title, Detail: detail}
	}
	var moments []moment
	switch {
	case m.SentAt != nil:
		moments = append(moments, at(*m.SentAt, "mail", "Was sent “"+subject+"”", m.CampaignName))
	case m.Status == "failed":
		moments = append(moments, at(m.CreatedAt, "alert", "A message failed: “"+subject+"”", m.Error))
	case m.Status == "unknown":
		moments = append(moments, at(m.CreatedAt, "alert", "A message’s fate is unknown: “"+subject+"”", m.CampaignName))
	}
	if m.FirstOpenedAt != nil {
		moments = append(moments, at(*m.FirstOpenedAt, "eye", "Opened “"+subject+"”", times(m.OpenCount)))
	}
	if m.FirstClickedAt != nil {
		moments = append(moments, at(*m.FirstClickedAt, "pointer", "Clicked in “"+subject+"”", times(m.ClickCount)))
	}
	if m.UnsubscribedAt != nil {
		moments = append(moments, at(*m.UnsubscribedAt, "stop", "Unsubscribed", "by “"+subject+"”"))
	}
	return moments
}

func times(n int32) string {
	if n < 2 {
		return ""
	}
	return plural(int64(n), "time", "times") + " in all"
}

func purchase(c dashboarddb.CustomerConversionsRow, credits []dashboarddb.CustomerCreditsRow) moment {
	m := moment{At: c.OccurredAt, Kind: "purchase", Icon: "bag", Title: c.Name, Detail: c.ExternalID, Amount: amount(c.RevenueMinor, c.Currency)}
	place := map[uuid.UUID]int{}
	for _, credit := range credits {
		model := modelIndex(credit.Model)
		if credit.ConversionUUID != c.ConversionUUID || model < 0 {
			continue
		}
		i, known := place[credit.TouchpointUUID]
		if !known {
			i = len(m.Credit)
			place[credit.TouchpointUUID] = i
			m.Credit = append(m.Credit, touchCredit{
				At: credit.OccurredAt, Name: touchName(credit), Currency: c.Currency,
				Weights: make([]float64, len(models)), Revenue: make([]int64, len(models)),
			})
		}
		m.Credit[i].Weights[model], m.Credit[i].Revenue[model] = credit.Weight, credit.RevenueMinor
	}
	return m
}

func touchName(c dashboarddb.CustomerCreditsRow) string {
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
