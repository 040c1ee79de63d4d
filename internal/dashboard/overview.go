package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
	"github.com/engardehq/madansara/internal/madansara/attribution"
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
	Period          period
	Problem         string // the period asked for cannot be shown
	Tiles           []tile
	Charts          []seriesChart
	Model           string
	Metric          string // "revenue" or "conversions"
	Channels        []channelRow
	Unattributed    int64
	Chart           channelsChart
	Recent          []dashboarddb.RecentConversionsRow
	Setup           dashboarddb.SetupRow
	OtherCurrencies int64
}

// tile is one number with its change against the period before.
type tile struct {
	Key, Name, Value string
	Change           string // "12.4%"; empty without a basis
	Direction        string // "up", "down", "same"
	Before           string
	Spark            string // the path of a small line
}

// channelRow is what one channel earned under each model, in the order of models.
type channelRow struct {
	Channel     string
	Conversions []float64
	Revenue     []int64
}

// day holds one day's numbers.
type day struct{ visitors, messages, conversions, revenue int64 }

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
	if err := d.read(r.Context(), v, page.load); err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, overviewView(page))
}

func (p *overviewPage) load(ctx context.Context, q *dashboarddb.Queries) error {
	var err error
	if p.Setup, err = q.Setup(ctx); err != nil {
		return err
	}
	before := p.Period.previous()
	now, err := q.Totals(ctx, dashboarddb.TotalsParams{Since: p.Period.since(), Until: p.Period.until(), Currency: p.Currency})
	if err != nil {
		return err
	}
	then, err := q.Totals(ctx, dashboarddb.TotalsParams{Since: before.since(), Until: before.until(), Currency: p.Currency})
	if err != nil {
		return err
	}
	days, err := p.readDays(ctx, q, p.Period)
	if err != nil {
		return err
	}
	previous, err := p.readDays(ctx, q, before)
	if err != nil {
		return err
	}
	p.OtherCurrencies = now.OtherCurrencies
	p.Tiles = tiles(now, then, days, p.Currency)
	p.Charts = p.charts(days, previous)
	credits, err := q.CreditByChannel(ctx, dashboarddb.CreditByChannelParams{Since: p.Period.since(), Until: p.Period.until(), Currency: p.Currency})
	if err != nil {
		return err
	}
	p.Channels = channelRows(credits)
	p.Unattributed = max(0, now.Conversions-int64(math.Round(credited(p.Channels))))
	p.Chart = p.channelsChart()
	p.Recent, err = q.RecentConversions(ctx, dashboarddb.RecentConversionsParams{Since: p.Period.since(), Until: p.Period.until()})
	return err
}

func (p *overviewPage) readDays(ctx context.Context, q *dashboarddb.Queries, period period) ([]day, error) {
	zone := p.Zone.String()
	visitors, err := q.VisitorsByDay(ctx, dashboarddb.VisitorsByDayParams{Since: period.since(), Until: period.until(), Zone: zone})
	if err != nil {
		return nil, err
	}
	messages, err := q.MessagesByDay(ctx, dashboarddb.MessagesByDayParams{Since: period.since(), Until: period.until(), Zone: zone})
	if err != nil {
		return nil, err
	}
	conversions, err := q.ConversionsByDay(ctx, dashboarddb.ConversionsByDayParams{Since: period.since(), Until: period.until(), Zone: zone, Currency: p.Currency})
	if err != nil {
		return nil, err
	}
	names := period.days()
	days := make([]day, len(names))
	place := make(map[string]*day, len(names))
	for i, name := range names {
		place[name] = &days[i]
	}
	for _, row := range visitors {
		if at := place[row.Day]; at != nil {
			at.visitors = row.Visitors
		}
	}
	for _, row := range messages {
		if at := place[row.Day]; at != nil {
			at.messages = row.Messages
		}
	}
	for _, row := range conversions {
		if at := place[row.Day]; at != nil {
			at.conversions, at.revenue = row.Conversions, row.RevenueMinor
		}
	}
	return days, nil
}

func tiles(now, then dashboarddb.TotalsRow, days []day, currency string) []tile {
	rate := func(t dashboarddb.TotalsRow) float64 {
		if t.Visitors == 0 {
			return 0
		}
		return float64(t.Conversions) / float64(t.Visitors)
	}
	all := []tile{
		newTile("revenue", "Revenue", amount(now.RevenueMinor, currency), amount(then.RevenueMinor, currency), float64(now.RevenueMinor), float64(then.RevenueMinor)),
		newTile("conversions", "Conversions", count(now.Conversions), count(then.Conversions), float64(now.Conversions), float64(then.Conversions)),
		newTile("visitors", "Visitors", count(now.Visitors), count(then.Visitors), float64(now.Visitors), float64(then.Visitors)),
		newTile("rate", "Conversion rate", percent(now.Conversions, now.Visitors), percent(then.Conversions, then.Visitors), rate(now), rate(then)),
		newTile("messages", "Messages sent", count(now.Messages), count(then.Messages), float64(now.Messages), float64(then.Messages)),
	}
	values := map[string]func(day) float64{
		"revenue":     func(d day) float64 { return float64(d.revenue) },
		"conversions": func(d day) float64 { return float64(d.conversions) },
		"visitors":    func(d day) float64 { return float64(d.visitors) },
		"messages":    func(d day) float64 { return float64(d.messages) },
		"rate":        func(d day) float64 { return float64(d.conversions) / math.Max(1, float64(d.visitors)) },
	}
	for i := range all {
		all[i].Spark = spark(days, values[all[i].Key])
	}
	return all
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
func spark(days []day, value func(day) float64) string {
	highest := 0.0
	for _, d := range days {
		highest = math.Max(highest, value(d))
	}
	if len(days) < 2 || highest == 0 {
		return ""
	}
	var path strings.Builder
	for i, d := range days {
		x := 100 * float64(i) / float64(len(days)-1)
		y := 30 - 28*math.Max(0, value(d))/highest
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

func (p *overviewPage) charts(days, previous []day) []seriesChart {
	names := p.Period.days()
	chart := func(kind, name, colour string, unit *unit, value func(day) int64) seriesChart {
		c := seriesChart{Kind: kind, Name: name, Colour: colour, Unit: unit, Days: names}
		for i := range days {
			c.Values = append(c.Values, value(days[i]))
			c.Previous = append(c.Previous, value(previous[i]))
		}
		return c
	}
	charts := []seriesChart{
		chart("line", "Revenue", "--c1", moneyUnit(p.Currency), func(d day) int64 { return d.revenue }),
		chart("bar", "Conversions", "--c4", nil, func(d day) int64 { return d.conversions }),
		chart("line", "Visitors", "--c3", nil, func(d day) int64 { return d.visitors }),
		chart("bar", "Messages sent", "--c2", nil, func(d day) int64 { return d.messages }),
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

// sortedChannels puts what earned most under the chosen model first.
func (p *overviewPage) sortedChannels() []channelRow {
	model := max(0, modelIndex(p.Model))
	rows := slices.Clone(p.Channels)
	slices.SortStableFunc(rows, func(a, b channelRow) int {
		return cmp.Compare(p.value(b, model), p.value(a, model))
	})
	return rows
}

func channelRows(credits []dashboarddb.CreditByChannelRow) []channelRow {
	var rows []channelRow
	for _, credit := range credits {
		model := modelIndex(credit.Model)
		if model < 0 {
			continue
		}
		i := slices.IndexFunc(rows, func(row channelRow) bool { return row.Channel == credit.Channel })
		if i < 0 {
			i = len(rows)
			rows = append(rows, channelRow{Channel: credit.Channel, Conversions: make([]float64, len(models)), Revenue: make([]int64, len(models))})
		}
		rows[i].Conversions[model], rows[i].Revenue[model] = credit.Conversions, credit.RevenueMinor
	}
	return rows
}

// credited is how many conversions have credits: the same under every model.
func credited(rows []channelRow) float64 {
	sum := 0.0
	for _, row := range rows {
		sum += row.Conversions[0]
	}
	return sum
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
