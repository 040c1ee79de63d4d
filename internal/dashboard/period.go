package dashboard

import (
	"net/url"
	"strconv"
	"time"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/conversion"
)

const (
	defaultDays = 30
	earliest    = 2003 // so that the period before has a year that reports are made of
)

// presets are the periods one click away, in days up to today.
var presets = []int{7, 30, 90}

// period is a range of whole days in the tenant's time zone.
type period struct {
	first, last time.Time // midnights; last is included
	zone        *time.Location
	preset      int // one of presets, 0 for a custom range
}

// readPeriod reads ?days= or ?from=&to= of a page's URL. It always returns a
// period that can be shown; err says why it is not the one asked for.
func readPeriod(query url.Values, now time.Time, zone *time.Location) (period, error) {
	today := midnight(now.In(zone))
	lastDays := func(days int) period {
		return period{first: today.AddDate(0, 0, 1-days), last: today, zone: zone, preset: days}
	}
	if query.Get("from") == "" && query.Get("to") == "" {
		switch query.Get("days") {
		case "7":
			return lastDays(7), nil
		case "90":
			return lastDays(90), nil
		case "", "30":
			return lastDays(defaultDays), nil
		default:
			return lastDays(defaultDays), fault.New(fault.Invalid, "That period is not one of 7, 30 or 90 days; showing the last 30.")
		}
	}
	first, err1 := time.ParseInLocation(time.DateOnly, query.Get("from"), zone)
	last, err2 := time.ParseInLocation(time.DateOnly, query.Get("to"), zone)
	switch {
	case err1 != nil || err2 != nil:
		return lastDays(defaultDays), fault.New(fault.Invalid, "A custom period needs two dates, such as 2026-01-31; showing the last 30 days.")
	case last.Before(first):
		return lastDays(defaultDays), fault.New(fault.Invalid, "The period ends before it starts; showing the last 30 days.")
	case first.Year() < earliest:
		return lastDays(defaultDays), fault.New(fault.Invalid, "There is nothing to show before %d; showing the last 30 days.", earliest)
	case first.AddDate(0, 0, conversion.MaxDays-1).Before(last):
		return lastDays(defaultDays), fault.New(fault.Invalid, "A period may be two years long at most; showing the last 30 days.")
	case first.After(today):
		return lastDays(defaultDays), fault.New(fault.Invalid, "The period lies in the future; showing the last 30 days.")
	}
	return period{first: first, last: last, zone: zone}, nil
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// report is the period as reports are asked for it.
func (p period) report() conversion.Period {
	return conversion.Period{From: p.first.Format(time.DateOnly), To: p.last.Format(time.DateOnly)}
}

// days is how many days the period has.
func (p period) days() int {
	n := 0
	for day := p.first; !day.After(p.last); day = day.AddDate(0, 0, 1) { // days of 23 and 25 hours are days
		n++
	}
	return n
}

// previous is the period of the same length just before.
func (p period) previous() period {
	n := p.days()
	return period{first: p.first.AddDate(0, 0, -n), last: p.first.AddDate(0, 0, -1), zone: p.zone}
}

// query writes the period as it stands in a URL.
func (p period) query() url.Values {
	if p.preset != 0 {
		return url.Values{"days": {strconv.Itoa(p.preset)}}
	}
	return url.Values{"from": {p.first.Format(time.DateOnly)}, "to": {p.last.Format(time.DateOnly)}}
}

// String writes the period for people.
func (p period) String() string {
	if p.first.Year() == p.last.Year() {
		return p.first.Format("2 Jan") + " – " + p.last.Format("2 Jan 2006")
	}
	return p.first.Format("2 Jan 2006") + " – " + p.last.Format("2 Jan 2006")
}
