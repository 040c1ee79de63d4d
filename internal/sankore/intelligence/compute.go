package intelligence

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/engardehq/madansara/internal/sankore/adreport"
	"github.com/engardehq/madansara/internal/sankore/campaign"
	"github.com/engardehq/madansara/internal/sankore/estimate"
	"github.com/engardehq/madansara/internal/sankore/response"
	"github.com/engardehq/madansara/mesh"
)

// earned is what counts as the campaign's conversions.
type earned struct {
	source  string // mesh.ConversionsFrom...
	problem string
	model   string
	days    map[string]mesh.CampaignConversionsDay // by day
}

// day is one with known performance.
type day struct {
	campaign.Day

	converted float64
	revenue   float64 // minor units of the campaign's currency
}

// compute is a pure function of what is known of the campaign, and of the last day
// whose conversions are complete.
func compute(h *campaign.History, e earned, ripe time.Time) *mesh.CampaignIntelligence {
	days := merge(h, e)
	from, to := "", ""
	if !h.To.IsZero() {
		from, to = h.Period()
	}
	out := &mesh.CampaignIntelligence{
		CampaignID: h.Campaign.UUID.String(), ExternalID: h.Campaign.ExternalID, Name: h.Campaign.Name, Platform: string(h.Campaign.Platform),
		From: from, To: to, Days: len(days), Spend: mesh.Money{Currency: h.Campaign.Currency}, Revenue: mesh.Money{Currency: h.Campaign.Currency},
		ConversionsSource: e.source, ConversionsProblem: e.problem, AttributionModel: e.model,
	}
	for _, d := range days {
		out.Spend.Amount += d.SpendMinor
		out.Impressions += d.Impressions
		out.Clicks += d.Clicks
		out.Conversions += d.converted
		out.PlatformConversions += d.Conversions
	}
	out.Revenue.Amount, out.OtherRevenue = revenue(h, e)
	done := complete(out, days, ripe)
	rates(out, days, done)
	trends(out, days, done)
	if curve, ok := response.Fit(spending(done)); ok {
		out.Saturation = wire(curve.Saturation())
	}
	out.Pacing = pacing(h, days)
	out.Anomalies = anomalies(days, len(done))
	if len(days) > 0 && len(days) < estimate.MinAnomalyDays {
		out.Notes = append(out.Notes, fmt.Sprintf("Unlike days are looked for from %d days on.", estimate.MinAnomalyDays))
	}
	return out
}

// fewestRipe is below how many complete days the incomplete ones are used too, as
// they are when nothing was earned before them: a week tells of every weekday.
const fewestRipe = 7

// complete returns the days whose conversions are, and says so.
func complete(out *mesh.CampaignIntelligence, days []day, ripe time.Time) []day {
	n := len(days)
	for n > 0 && days[n-1].Date.After(ripe) {
		n--
	}
	before := 0.0
	for _, d := range days[:n] {
		before += d.converted
	}
	if n < len(days) && (n < fewestRipe || before <= 0) {
		n = len(days)
		out.Notes = append(out.Notes, fmt.Sprintf("The conversions of the last %d days are incomplete, and there is too little before them: "+
			"what a conversion costs looks higher than it will prove.", ripening))
	}
	if n > 0 {
		out.ConversionsTo = days[n-1].Day.Day
	}
	return days[:n]
}

// merge puts the conversions that count on the days they were earned. Days on
// which the campaign is not known to have run are no days without success, so
// they do not count; what such a day earned (a late touch) is added to the last
// known day before it, and to the first when there is none.
func merge(h *campaign.History, e earned) []day {
	days := make([]day, len(h.Days))
	for i, d := range h.Days {
		days[i].Day = d
		if e.source == mesh.ConversionsFromPlatform {
			days[i].converted, days[i].revenue = d.Conversions, float64(d.RevenueMinor)
		}
	}
	if len(days) == 0 || e.source == mesh.ConversionsFromPlatform {
		return days
	}
	for name, of := range e.days {
		i, found := slices.BinarySearchFunc(days, name, func(d day, name string) int {
			switch {
			case d.Day.Day < name:
				return -1
			case d.Day.Day > name:
				return 1
			}
			return 0
		})
		if !found {
			i = max(i-1, 0)
		}
		days[i].converted += of.Conversions
		for _, money := range of.Revenue {
			if money.Currency == h.Campaign.Currency {
				days[i].revenue += float64(money.Amount)
			}
		}
	}
	return days
}

// revenue returns what was earned in the campaign's currency and in others.
func revenue(h *campaign.History, e earned) (own int64, others []mesh.Money) {
	if e.source == mesh.ConversionsFromPlatform {
		for _, d := range h.Days {
			own += d.RevenueMinor
		}
		return own, nil
	}
	sums := make(map[string]int64)
	for _, d := range e.days {
		for _, money := range d.Revenue {
			sums[money.Currency] += money.Amount
		}
	}
	for currency, amount := range sums {
		if currency != h.Campaign.Currency {
			others = append(others, mesh.Money{Amount: amount, Currency: currency})
		}
	}
	slices.SortFunc(others, func(a, b mesh.Money) int {
		if a.Currency < b.Currency {
			return -1
		}
		return 1
	})
	return sums[h.Campaign.Currency], others
}

// spending is what the days spent and earned.
func spending(days []day) []response.Day {
	list := make([]response.Day, len(days))
	for i, d := range days {
		list[i] = response.Day{Date: d.Date, Spend: float64(d.SpendMinor), Conversions: d.converted}
	}
	return list
}

// rates estimates what a click takes, and on the days that are done a conversion
// takes and returns.
func rates(out *mesh.CampaignIntelligence, days, done []day) {
	clicks, costs := make([]estimate.Day, len(days)), make([]estimate.Day, len(days))
	for i, d := range days {
		clicks[i] = estimate.Day{Count: float64(d.Clicks), Exposure: float64(d.Impressions)}
		costs[i] = estimate.Day{Count: float64(d.Clicks), Exposure: float64(d.SpendMinor)}
	}
	conversions := make([]estimate.DayValue, len(done))
	for i, d := range done {
		conversions[i] = estimate.DayValue{Day: estimate.Day{Count: d.converted, Exposure: float64(d.SpendMinor)}, Value: d.revenue}
	}
	acquisitions := make([]estimate.Day, len(done))
	for i := range conversions {
		acquisitions[i] = conversions[i].Day
	}
	out.CTR = wire(estimate.Proportion(clicks))
	out.CPC = wire(estimate.Cost(costs))
	out.CPA = wire(estimate.Cost(acquisitions))
	out.ROAS = wire(estimate.Return(conversions))
}

// wire is an estimate as the mesh carries it, nil when there is none or a bound
// is no number that JSON could write.
func wire(i estimate.Interval, ok bool) *mesh.Estimate {
	if !ok {
		return nil
	}
	for _, x := range []float64{i.Value, i.Low, i.High} {
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return nil
		}
	}
	return &mesh.Estimate{Value: i.Value, Low: i.Low, High: i.High}
}

// trends estimates where conversions and the click-through rate are heading.
func trends(out *mesh.CampaignIntelligence, days, done []day) {
	conversions, clicks := make([]estimate.Dated, len(done)), make([]estimate.Dated, len(days))
	for i, d := range done {
		conversions[i] = estimate.Dated{Date: d.Date, Day: estimate.Day{Count: d.converted, Exposure: 1}}
	}
	for i, d := range days {
		clicks[i] = estimate.Dated{Date: d.Date, Day: estimate.Day{Count: float64(min(d.Clicks, d.Impressions)), Exposure: float64(d.Impressions)}}
	}
	out.Trend = wire(estimate.Trend(conversions, 1))
	if len(days) == 0 {
		return
	}
	span := math.Round(days[len(days)-1].Date.Sub(days[0].Date).Hours() / 24)
	if change, ok := estimate.Trend(clicks, span); ok {
		out.Fatigue = wire(estimate.Interval{Value: -change.Value, Low: -change.High, High: -change.Low}, true)
	}
}

// pacing compares the spend with the budget, nil without one.
func pacing(h *campaign.History, days []day) *mesh.AdPacing {
	c := h.Campaign
	if len(days) == 0 || c.BudgetKind == adreport.NoBudget {
		return nil
	}
	amount := func(minor float64) mesh.Money {
		return mesh.Money{Amount: int64(math.Round(minor)), Currency: c.Currency}
	}
	first, last := days[0].Date, days[len(days)-1].Date
	p := &mesh.AdPacing{Period: string(c.BudgetKind)}
	switch c.BudgetKind {
	case adreport.DailyBudget:
		spent := int64(0)
		for _, d := range days {
			spent += d.SpendMinor
		}
		// Days without figures are days without spend: a paused campaign is behind.
		p.From, p.To = first.Format(time.DateOnly), last.Format(time.DateOnly)
		p.Planned, p.Spent = amount(float64(c.BudgetMinor)*daysBetween(first, last)), amount(float64(spent))
	case adreport.TotalBudget:
		starts, ends, ok := flight(h)
		if !ok {
			return nil
		}
		now := last
		if now.After(ends) {
			now = ends
		}
		planned := float64(c.BudgetMinor) * daysBetween(starts, now) / daysBetween(starts, ends)
		p.From, p.To = starts.Format(time.DateOnly), now.Format(time.DateOnly)
		p.Planned, p.Spent = amount(planned), amount(float64(h.SpentToEnd))
		projected := amount(float64(h.SpentToEnd) + pace(days)*(daysBetween(now, ends)-1))
		p.Projected = &projected
	case adreport.NoBudget:
	}
	if p.Planned.Amount == 0 {
		return nil
	}
	p.Ratio = float64(p.Spent.Amount) / float64(p.Planned.Amount)
	return p
}

// flight is from when to when a total budget is for; false when the end is not known.
func flight(h *campaign.History) (starts, ends time.Time, ok bool) {
	starts, err := campaign.ParseDay("", h.Campaign.StartsOn)
	if err != nil || starts.IsZero() {
		starts = h.Known.First
	}
	ends, err = campaign.ParseDay("", h.Campaign.EndsOn)
	if err != nil || ends.IsZero() || ends.Before(starts) || h.To.Before(starts) {
		return starts, ends, false
	}
	return starts, ends, true
}

func daysBetween(first, last time.Time) float64 { return math.Round(last.Sub(first).Hours()/24) + 1 }

// pace is the spend of a day, as in the last seven.
func pace(days []day) float64 {
	const week = 7
	last := days[len(days)-1].Date
	spent := 0.0
	for _, d := range days {
		if last.Sub(d.Date) < week*24*time.Hour {
			spent += float64(d.SpendMinor)
		}
	}
	return spent / min(week, daysBetween(days[0].Date, last))
}

// anomalies lists the days on which a metric was unlike itself, in order of time:
// conversions' of the first done days.
func anomalies(days []day, done int) []mesh.AdAnomaly {
	n := len(days)
	dates := make([]time.Time, n)
	spend, impressions, clicks, converted := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i, d := range days {
		dates[i] = d.Date
		spend[i], impressions[i], clicks[i], converted[i] = float64(d.SpendMinor), float64(d.Impressions), float64(d.Clicks), d.converted
	}
	list := []mesh.AdAnomaly{}
	for _, metric := range []struct {
		name  string
		found []estimate.Deviation
	}{
		{"spend", estimate.Amounts(dates, spend)},
		{"impressions", estimate.Counts(dates, impressions)},
		{"clicks", estimate.Counts(dates, clicks)},
		{"conversions", estimate.Counts(dates[:done], converted[:done])},
		{"ctr", estimate.Ratios(dates, clicks, impressions, clicks)},
		{"cpc", estimate.Ratios(dates, spend, clicks, clicks)},
	} {
		for _, d := range metric.found {
			list = append(list, mesh.AdAnomaly{
				Day: d.Date.Format(time.DateOnly), Metric: metric.name, Value: d.Value, Expected: d.Expected, Score: d.Score,
			})
		}
	}
	slices.SortStableFunc(list, func(a, b mesh.AdAnomaly) int {
		switch {
		case a.Day < b.Day:
			return -1
		case a.Day > b.Day:
			return 1
		}
		return 0
	})
	return list
}
