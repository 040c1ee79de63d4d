package dashboard

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
)

func TestTimelineIsNewestFirstWithPagesInTheirVisit(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	session, conversion, touch := uuid.New(), uuid.New(), uuid.New()
	sent := start.Add(time.Hour)
	h := history{
		Sessions: []dashboarddb.CustomerSessionsRow{{SessionUUID: session, StartedAt: start, EndedAt: start.Add(2 * time.Minute), Channel: "instagram", UtmSource: "instagram", PageViewCount: 1}},
		Pages: []dashboarddb.CustomerPagesRow{
			{SessionUUID: &session, OccurredAt: start.Add(time.Second), Title: "Home", Path: "/"},
			{OccurredAt: start.Add(30 * time.Minute), Path: "/elsewhere"},
		},
		Events: []dashboarddb.CustomerEventsRow{
			{SessionUUID: &session, Type: "track", Name: "Element Clicked", OccurredAt: start, Properties: []byte(`{"text":"Buy"}`)},
			{SessionUUID: &session, Type: "identify", OccurredAt: start.Add(time.Minute), Properties: []byte(`{}`)},
		},
		Messages:    []dashboarddb.CustomerMessagesRow{{Status: "sent", Subject: "Hi", SentAt: &sent, FirstClickedAt: &sent, ClickCount: 3}},
		Conversions: []dashboarddb.CustomerConversionsRow{{ConversionUUID: conversion, Name: "Order Completed", RevenueMinor: 1999, Currency: "USD", OccurredAt: start.Add(2 * time.Hour)}},
		Credits:     []dashboarddb.CustomerCreditsRow{{ConversionUUID: conversion, Model: "linear", TouchpointUUID: touch, Channel: "email", Kind: "message_click", Weight: 1, RevenueMinor: 1999}},
	}
	moments := timeline(h, start.Add(time.Minute))
	var titles []string
	for i, m := range moments {
		titles = append(titles, m.Title)
		if i > 0 {
			require.False(t, m.At.After(moments[i-1].At))
		}
	}
	require.Equal(t, []string{"Order Completed", "Was sent “Hi”", "Clicked in “Hi”", "Viewed /elsewhere", "Said who they are", "Visited from Instagram"}, titles)
	visit := moments[len(moments)-1]
	require.Equal(t, []string{"Element Clicked: Buy", "Home (/)"}, []string{visit.Trail[0].Text, visit.Trail[1].Text})
	require.Equal(t, "1 page · 2 min", visit.Detail)
	require.Equal(t, "Email click", moments[0].Credit[0].Name)
	require.Equal(t, []int64{0, 0, 1999, 0, 0}, moments[0].Credit[0].Revenue)
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
	days := p.days()
	require.Len(t, days, 7)
	require.Equal(t, "2026-11-23", days[6])
	require.Equal(t, p.since(), p.previous().until())
	require.Len(t, p.previous().days(), 7)
	// The clocks go back on 1 November: the day has 25 hours and is still one day.
	p, err = readPeriod(url.Values{"from": {"2026-10-31"}, "to": {"2026-11-02"}}, now, zone)
	require.NoError(t, err)
	require.Equal(t, []string{"2026-10-31", "2026-11-01", "2026-11-02"}, p.days())
	require.Equal(t, 73*time.Hour, p.until().Sub(p.since()))
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
