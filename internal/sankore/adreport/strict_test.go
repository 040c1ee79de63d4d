package adreport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// "12,50" among points is no group of thousands: read as 1250 it would be a hundred
// times what was spent, and nobody would be told.
func TestAGroupOfTwoDigitsAtTheEndIsNoGroup(t *testing.T) {
	t.Parallel()
	report, err := Read([]byte("Campaign,Day,Currency code,Cost,Impr.,Clicks\n"+
		"A,2026-07-01,USD,10.25,100,5\nA,2026-07-02,USD,11.75,100,5\nA,2026-07-03,USD,\"12,50\",100,5\nA,2026-07-04,USD,\"1,20,400.50\",100,5\n"), Options{})
	require.NoError(t, err)
	require.Len(t, report.Rows, 3)
	require.Equal(t, int64(12040050), report.Rows[2].Spend, "India's groups are of two digits but for the last")
	require.Equal(t, []Problem{{Line: 4, Column: "Cost", Value: "12,50", Message: "is not a number."}}, report.Problems)
}

// A campaign may be called as a row of totals starts; its id and its day tell that it is one.
func TestACampaignCalledTotalIsACampaign(t *testing.T) {
	t.Parallel()
	report, err := Read([]byte("Campaign name,Campaign ID,Day,Currency,Amount spent (USD),Impressions,Link clicks\n"+
		"Total 90 days,120210,2026-07-01,USD,10.25,100,5\nResults from 1 campaign,,,USD,10.25,100,5\n"), Options{})
	require.NoError(t, err)
	require.Len(t, report.Rows, 1)
	require.Equal(t, "Total 90 days", report.Rows[0].Campaign)
	require.Equal(t, 1, report.Totals)
}

// A credit is on the platform's bill, and in no campaign report. What has one is another kind
// of report, or was changed by hand: its line is told whole, and not imported without its cost.
func TestANegativeFigureIsToldByItsLine(t *testing.T) {
	t.Parallel()
	report, err := Read([]byte("Campaign,Day,Currency code,Cost,Impr.,Clicks,Conversions\n"+
		"A,2026-07-01,USD,10.25,100,5,1\nA,2026-07-02,USD,-3.10,100,5,2\nA,2026-07-03,USD,(3.10),100,5,2\nA,2026-07-04,USD,1.00,100,5,-1\nA,2026-07-05,USD,−3.10,100,5,2\n"), Options{})
	require.NoError(t, err)
	require.Len(t, report.Rows, 1)
	require.Equal(t, 4, report.Refused)
	require.Len(t, report.Problems, 4)
	require.Equal(t, Problem{Line: 3, Column: "Cost", Value: "-3.10", Message: "must not be negative."}, report.Problems[0])
	require.Equal(t, Problem{Line: 5, Column: "Conversions", Value: "-1", Message: "must not be negative."}, report.Problems[2])
}
