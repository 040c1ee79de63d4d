package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/money"
)

// modelNames in the order they are shown; compare stands for all at once.
const compare = "compare"

type modelChoice struct{ Key, Name, Explained, Colour string }

var models = []modelChoice{
	{string(attribution.FirstTouch), "First touch", "All credit to what brought the person here.", "--c3"},
	{string(attribution.LastTouch), "Last touch", "All credit to the last touch before the purchase.", "--c4"},
	{string(attribution.Linear), "Linear", "Equal credit to every touch on the way.", "--c2"},
	{string(attribution.TimeDecay), "Time decay", "The nearer to the purchase, the more credit.", "--c1"},
	{string(attribution.PositionBased), "Position based", "Most credit to the first and the last touch, the rest between them.", "--c5"},
}

// overviewPage is everything the overview shows.
type overviewPage struct {
	*view
	Period   period
	Problem  string // the period asked for cannot be shown
	Tiles    []tile
	Charts   []seriesChart
	Model    string
	Metric   string // "revenue" or "conversions"
	Channels []channelRow
	Total    conversion.Earned // what the channels sum to, under every model
	Pending  int64             // conversions still to be credited
	Chart    channelsChart
	Recent   []recentConversion
	Setup    dashboarddb.SetupRow
	LeftOut  string // revenue in other currencies than the company's, which the sums leave out
}

// recentConversion is a conversion with who made it.
type recentConversion struct {
	conversion.Event
	Person contact.Contact
}

// tile is one number with its change against the period before.
type tile struct {
	Key, Name, Value string
	Change           string // "12.4%"; empty without a basis
	Direction        string // "up", "down", "same"
	Before           string
	Spark            string // the path of a small line
	Hint             string // what the number counts, where its name does not say
}

// channelRow is what one channel earned under each model, in the order of models.
type channelRow struct {
	Channel     string
	Conversions []float64
	Revenue     []int64
}

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Overview", "overview"
	page := overviewPage{view: v, Model: string(attribution.Linear), Metric: "revenue"}
	query := r.URL.Query()
	chosen, err := readPeriod(query, v.Now, v.Zone)
	if err != nil {
		page.Problem = problemText(err)
	}
	page.Period = chosen
	if model := query.Get("model"); model == compare || modelIndex(model) >= 0 {
		page.Model = model
	}
	if query.Get("metric") == "conversions" {
		page.Metric = "conversions"
	}
	if err := d.loadOverview(r.Context(), &page); err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, overviewView(page))
}

func (d *Dashboard) loadOverview(ctx context.Context, p *overviewPage) error {
	err := d.read(ctx, p.view, func(ctx context.Context, q *dashboarddb.Queries) (err error) {
		p.Setup, err = q.Setup(ctx)
		return err
	})
	if err != nil || p.empty() {
		return err
	}
	now, err := d.Conversions.Stats(ctx, p.Tenant, p.Period.report())
	if err != nil {
		return err
	}
	then, err := d.Conversions.Stats(ctx, p.Tenant, p.Period.previous().report())
	if err != nil {
		return err
	}
	p.Tiles = tiles(now, then, p.Currency)
	p.Charts = p.charts(now.Days, then.Days)
	p.LeftOut = otherCurrencies(now.Total.Revenue, p.Currency)
	report, err := d.Conversions.Attribution(ctx, p.Tenant, p.Period.report(), "")
	if err != nil {
		return err
	}
	p.Channels, p.Total, p.Pending = channelRows(report, p.Currency), report.Total, report.Pending
	p.Chart = p.channelsChart()
	return d.loadRecent(ctx, p)
}

func (d *Dashboard) loadRecent(ctx context.Context, p *overviewPage) error {
	const newest = 8
	events, _, err := d.Conversions.Events(ctx, p.Tenant, conversion.Filter{Period: p.Period.report()}, conversion.Page{Limit: newest})
	if err != nil {
		return err
	}
	var ids []uuid.UUID
	for _, event := range events {
		if event.ContactUUID != nil {
			ids = append(ids, *event.ContactUUID)
		}
	}
	people, err := d.Contacts.ByID(ctx, p.Tenant, ids)
	if err != nil {
		return err
	}
	for _, event := range events {
		recent := recentConversion{Event: event}
		if event.ContactUUID != nil {
			recent.Person = people[*event.ContactUUID]
		}
		p.Recent = append(p.Recent, recent)
	}
	return nil
}

// minorOf is the sum in one currency, in its minor units.
func minorOf(sums []conversion.Money, currency string) int64 {
	for _, sum := range sums {
		if sum.Currency == currency {
			return sum.Minor
		}
	}
	return 0
}

// otherCurrencies lists the sums in other currencies than one: "€12.00 and HTG 5.00".
func otherCurrencies(sums []conversion.Money, currency string) string {
	var others []string
	for _, sum := range sums {
		if sum.Currency != currency {
			others = append(others, amount(sum.Minor, sum.Currency))
		}
	}
	return strings.Join(others, " and ")
}

func tiles(now, then *conversion.Stats, currency string) []tile {
	revenue := func(f conversion.Figures) int64 { return minorOf(f.Revenue, currency) }
	whole := func(key, name string, of func(conversion.Figures) int64) tile {
		a, b := of(now.Total), of(then.Total)
		t := newTile(key, name, count(a), count(b), float64(a), float64(b))
		t.Spark = spark(now.Days, func(f conversion.Figures) float64 { return float64(of(f)) })
		return t
	}
	earned := whole("revenue", "Revenue", revenue)
	earned.Value, earned.Before = amount(revenue(now.Total), currency), amount(revenue(then.Total), currency)
	rate := newTile("rate", "Conversion rate", share(now.Total.Rate), share(then.Total.Rate), orZero(now.Total.Rate), orZero(then.Total.Rate))
	rate.Hint = "Customers who converted, for each visitor"
	rate.Spark = spark(now.Days, func(f conversion.Figures) float64 { return orZero(f.Rate) })
	return []tile{
		earned,
		whole("conversions", "Conversions", func(f conversion.Figures) int64 { return f.Conversions }),
		whole("visitors", "Visitors", func(f conversion.Figures) int64 { return f.Visitors }),
		rate,
		whole("messages", "Messages sent", func(f conversion.Figures) int64 { return f.Messages }),
	}
}

func orZero(rate *float64) float64 {
	if rate == nil {
		return 0
	}
	return *rate
}

func newTile(key, name, value, before string, now, then float64) tile {
	t := tile{Key: key, Name: name, Value: value, Before: before, Direction: "same"}
	if then <= 0 {
		return t
	}
	change := 100 * (now - then) / then
	switch {
	case change >= 0.05:
		t.Direction = "up"
	case change <= -0.05:
		t.Direction = "down"
	}
	if math.Abs(change) >= 1000 {
		t.Change = fmt.Sprintf("%.0f×", now/then)
	} else {
		t.Change = fmt.Sprintf("%.1f%%", math.Abs(change))
	}
	return t
}

// spark draws the days as an SVG path in a box of 100 by 32.
func spark(days []conversion.Day, value func(conversion.Figures) float64) string {
	highest := 0.0
	for _, d := range days {
		highest = math.Max(highest, value(d.Figures))
	}
	if len(days) < 2 || highest == 0 {
		return ""
	}
	var path strings.Builder
	for i, d := range days {
		x := 100 * float64(i) / float64(len(days)-1)
		y := 30 - 28*math.Max(0, value(d.Figures))/highest
		fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: " L"}[i == 0], x, y)
	}
	return path.String()
}

// unit tells the script how to write a chart's numbers: nil counts.
type unit struct {
	Currency string `json:"currency"`
	Exponent int    `json:"exponent"`
}

func moneyUnit(currency string) *unit {
	exponent, _ := money.Exponent(currency) // the database holds real currencies; an unknown one has no decimals
	return &unit{Currency: currency, Exponent: exponent}
}

// seriesChart is a number over the period's days; the script draws it.
type seriesChart struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Colour   string   `json:"colour"`
	Unit     *unit    `json:"unit,omitempty"`
	Days     []string `json:"days"`
	Values   []int64  `json:"values"`
	Previous []int64  `json:"previous"`
	Total    string   `json:"-"`
}

func (p *overviewPage) charts(days, previous []conversion.Day) []seriesChart {
	chart := func(kind, name, colour string, unit *unit, value func(conversion.Day) int64) seriesChart {
		c := seriesChart{Kind: kind, Name: name, Colour: colour, Unit: unit}
		for i := range days {
			c.Days = append(c.Days, days[i].Date)
			c.Values = append(c.Values, value(days[i]))
			c.Previous = append(c.Previous, value(previous[i]))
		}
		return c
	}
	charts := []seriesChart{
		chart("line", "Revenue", "--c1", moneyUnit(p.Currency), func(d conversion.Day) int64 { return minorOf(d.Revenue, p.Currency) }),
		chart("bar", "Conversions", "--c4", nil, func(d conversion.Day) int64 { return d.Conversions }),
		chart("line", "Visitors", "--c3", nil, func(d conversion.Day) int64 { return d.Visitors }),
		chart("bar", "Messages sent", "--c2", nil, func(d conversion.Day) int64 { return d.Messages }),
	}
	for i := range charts {
		for _, t := range p.Tiles {
			if t.Name == charts[i].Name {
				charts[i].Total = t.Value
			}
		}
	}
	return charts
}

// channelsChart is what each channel earned; the script draws it.
type channelsChart struct {
	Channels []string      `json:"channels"`
	Unit     *unit         `json:"unit,omitempty"`
	Models   []modelValues `json:"models"`
}

type modelValues struct {
	Name   string    `json:"name"`
	Colour string    `json:"colour"`
	Values []float64 `json:"values"`
}

func (p *overviewPage) channelsChart() channelsChart {
	var chart channelsChart
	if p.Metric == "revenue" {
		chart.Unit = moneyUnit(p.Currency)
	}
	rows := p.sortedChannels()
	for _, row := range rows {
		chart.Channels = append(chart.Channels, channelName(row.Channel))
	}
	for i, model := range models {
		if p.Model != compare && p.Model != model.Key {
			continue
		}
		values := modelValues{Name: model.Name, Colour: model.Colour}
		for _, row := range rows {
			values.Values = append(values.Values, p.value(row, i))
		}
		chart.Models = append(chart.Models, values)
	}
	return chart
}

func (p *overviewPage) value(row channelRow, model int) float64 {
	if p.Metric == "revenue" {
		return float64(row.Revenue[model])
	}
	return math.Round(row.Conversions[model]*100) / 100
}

// sortedChannels puts what earned most under the chosen model first, and what
// nothing earned last.
func (p *overviewPage) sortedChannels() []channelRow {
	model := max(0, modelIndex(p.Model))
	rows := slices.Clone(p.Channels)
	slices.SortStableFunc(rows, func(a, b channelRow) int {
		if last := cmp.Compare(nobodys(a), nobodys(b)); last != 0 {
			return last
		}
		return cmp.Compare(p.value(b, model), p.value(a, model))
	})
	return rows
}

func nobodys(row channelRow) int {
	if row.Channel == conversion.Unattributed {
		return 1
	}
	return 0
}

func channelRows(report *conversion.Report, currency string) []channelRow {
	var rows []channelRow
	for _, of := range report.Models {
		model := modelIndex(string(of.Model))
		if model < 0 {
			continue
		}
		for _, channel := range of.Channels {
			i := slices.IndexFunc(rows, func(row channelRow) bool { return row.Channel == channel.Channel })
			if i < 0 {
				i = len(rows)
				rows = append(rows, channelRow{Channel: channel.Channel, Conversions: make([]float64, len(models)), Revenue: make([]int64, len(models))})
			}
			rows[i].Conversions[model], rows[i].Revenue[model] = channel.Weight, minorOf(channel.Revenue, currency)
		}
	}
	return rows
}

func modelIndex(key string) int {
	return slices.IndexFunc(models, func(m modelChoice) bool { return m.Key == key })
}

// href is the overview's URL with one thing changed.
func (p *overviewPage) href(key, value string) string {
	query := p.Period.query()
	query.Set("model", p.Model)
	query.Set("metric", p.Metric)
	if key == "days" {
		query.Del("from")
		query.Del("to")
	}
	if key != "" {
		query.Set(key, value)
	}
	return "/?" + query.Encode()
}

// empty reports whether the tenant has nothing to show yet.
func (p *overviewPage) empty() bool { return !p.Setup.Visitors && !p.Setup.Conversions }
