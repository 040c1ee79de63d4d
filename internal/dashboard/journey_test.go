package dashboard

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/conversion"
)

func TestTimelineIsNewestFirstWithPagesInTheirVisit(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	session, touch := uuid.NewString(), uuid.New()
	at := start.Add
	entries := []conversion.Entry{
		{
			At: at(2 * time.Hour), Kind: conversion.EntryConversion, Title: "Order Completed", Revenue: &conversion.Money{Minor: 1999, Currency: "USD"},
			Credits: []conversion.EntryCredit{{Model: "linear", TouchpointUUID: touch, Channel: "email", Kind: "message_click", Weight: 1, RevenueMinor: 1999}},
		},
		{At: at(time.Hour), Kind: conversion.EntryTouchpoint, Channel: "email"},
		{At: at(time.Hour), Kind: conversion.EntrySent, Title: "Hi"},
		{At: at(time.Hour), Kind: conversion.EntryClicked, Title: "Hi", Detail: map[string]any{"clicks": 3.0}},
		{At: at(30 * time.Minute), Kind: conversion.EntryPageView, URL: "https://shop.example/elsewhere?x=1"},
		{At: at(time.Minute), Kind: conversion.EntryEvent, Title: "identify", Detail: map[string]any{"type": "identify", "session_uuid": session}},
		{At: at(time.Second), Kind: conversion.EntryPageView, Title: "Home", URL: "https://shop.example/", Detail: map[string]any{"session_uuid": session}},
		{
			At: start, Kind: conversion.EntrySession, ID: session, Channel: "instagram",
			Detail: map[string]any{"source": "instagram", "page_views": 1.0, "ended_at": at(2 * time.Minute).Format(time.RFC3339)},
		},
		{
			At: start, Kind: conversion.EntryEvent, Title: "Element Clicked",
			Detail: map[string]any{"type": "track", "session_uuid": session, "properties": map[string]any{"text": "Buy"}},
		},
	}
	moments := timeline(entries)
	require.Equal(t, []string{"Order Completed", "Was sent “Hi”", "Clicked in “Hi”", "Viewed /elsewhere", "Said who they are", "Visited from Instagram"}, titles(moments))
	for i := 1; i < len(moments); i++ {
		require.False(t, moments[i].At.After(moments[i-1].At))
	}
	visit := moments[len(moments)-1]
	require.Equal(t, []string{"Element Clicked: Buy", "Home (/)"}, []string{visit.Trail[0].Text, visit.Trail[1].Text})
	require.Equal(t, "1 page · 2 min", visit.Detail)
	require.Equal(t, "3 times in all", moments[2].Detail)
	require.Equal(t, "Email click", moments[0].Credit[0].Name)
	require.Equal(t, []int64{0, 0, 1999, 0, 0}, moments[0].Credit[0].Revenue)
	require.True(t, signedUpAt(entries, at(70*time.Second)))
	require.False(t, signedUpAt(entries, at(3*time.Minute)))
}

func TestAVisitCutByThePageGoesOn(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	page := func(minute int, title string) conversion.Entry {
		return conversion.Entry{At: start.Add(time.Duration(minute) * time.Minute), Kind: conversion.EntryPageView, Title: title, Detail: map[string]any{"session_uuid": "s"}}
	}
	moments := timeline([]conversion.Entry{page(3, "Cart"), page(2, "Coffee")}) // the session's own entry is on the next page
	require.Equal(t, []string{"Went on visiting"}, titles(moments))
	require.Equal(t, start.Add(2*time.Minute), moments[0].At)
	require.Equal(t, []string{"Coffee", "Cart"}, []string{moments[0].Trail[0].Text, moments[0].Trail[1].Text})
}

func TestABotIsCalledOne(t *testing.T) {
	t.Parallel()
	moments := timeline([]conversion.Entry{{Kind: conversion.EntrySession, Channel: "direct", Detail: map[string]any{"device": "bot", "page_views": 2.0}}})
	require.Equal(t, "A bot visited", moments[0].Title)
	require.Equal(t, "2 pages", moments[0].Detail)
}

func titles(moments []moment) []string {
	var titles []string
	for _, m := range moments {
		titles = append(titles, m.Title)
	}
	return titles
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for minor, want := range map[int64]string{0: "$0.00", 5: "$0.05", 123456789: "$1,234,567.89", -4200: "−$42.00"} {
		require.Equal(t, want, amount(minor, "USD"))
	}
	require.Equal(t, "HTG\u00a01,000.00", amount(100000, "HTG"))
	require.Equal(t, "¥1,000", amount(1000, "JPY"))
	require.Equal(t, "-1,000", count(-1000))
	require.Equal(t, "0.33", fractional(1.0/3))
	require.Equal(t, "1,234.6", fractional(1234.56))
	require.Equal(t, "12", fractional(12.0000001))
	require.Equal(t, "–", percent(1, 0))
	require.Equal(t, "12.5%", percent(1, 8))
	require.Equal(t, "MD", initials("Marie Désir"))
	require.Equal(t, "R", initials("rose@example.org"))
	require.Empty(t, initials("  "))
}

func TestAPeriodIsWholeDaysOfTheCompanysZone(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/Port-au-Prince")
	require.NoError(t, err)
	now := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC) // still the 23rd in Haiti
	p, err := readPeriod(url.Values{"days": {"7"}}, now, zone)
	require.NoError(t, err)
	require.Equal(t, 7, p.days())
	require.Equal(t, conversion.Period{From: "2026-11-17", To: "2026-11-23"}, p.report())
	require.Equal(t, conversion.Period{From: "2026-11-10", To: "2026-11-16"}, p.previous().report())
	// The clocks go back on 1 November: the day has 25 hours and is still one day.
	p, err = readPeriod(url.Values{"from": {"2026-10-31"}, "to": {"2026-11-02"}}, now, zone)
	require.NoError(t, err)
	require.Equal(t, 3, p.days())
	require.Equal(t, conversion.Period{From: "2026-10-28", To: "2026-10-30"}, p.previous().report())
}

func TestTilesCompareWithThePeriodBefore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		now, then         float64
		change, direction string
	}{
		{150, 100, "50.0%", "up"}, {50, 100, "50.0%", "down"}, {100, 100, "0.0%", "same"}, {5, 0, "", "same"}, {2000, 100, "20×", "up"},
	} {
		got := newTile("k", "n", "", "", c.now, c.then)
		require.Equal(t, c.change, got.Change)
		require.Equal(t, c.direction, got.Direction)
	}
}

func TestConditionsSurviveARoundTrip(t *testing.T) {
	t.Parallel()
	form := segmentForm{Match: "any", Conditions: []condition{
		{Kind: "event", Text: "Signed Up", Days: "7"},
		{Kind: "no_conversion"},
		{Kind: "visit", Text: "instagram"},
		{Kind: "field", Text: "traits.age", Op: "gt", Value: "30"},
		{Kind: "no_message", Value: "opened", Days: "30"},
		{Kind: "consent", Value: "granted"},
	}}
	rules, err := form.rules()
	require.NoError(t, err)
	match, conditions, ok := conditionsOf(rules)
	require.True(t, ok)
	require.Equal(t, form.Match, match)
	require.Equal(t, form.Conditions, conditions)
	require.Equal(t, "did “Signed Up” in the last 7 days", conditions[0].String())
}
