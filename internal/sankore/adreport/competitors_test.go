package adreport

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/fault"
)

func TestAuctionInsights(t *testing.T) {
	t.Parallel()
	insights, err := ReadInsights(load(t, "auction_insights.csv"), Options{})
	require.NoError(t, err)
	exact := func(x float64) *Part { return &Part{x, x} }
	require.Len(t, insights.Rows, 4)
	require.Equal(t, InsightRow{Line: 4, Competitor: "you", Day: date("2026-07-01"), ImpressionShare: exact(0.4128), TopOfPage: exact(0.8211), AbsoluteTop: exact(0.405)}, insights.Rows[0])
	require.Equal(t, "rival.com", insights.Rows[1].Competitor)
	require.Equal(t, &Part{0, 0.1}, insights.Rows[2].ImpressionShare)
	require.Equal(t, &Part{0.9, 1}, insights.Rows[3].TopOfPage)
	require.Equal(t, 2, insights.Refused)
	require.Equal(t, []int{8, 9}, []int{insights.Problems[0].Line, insights.Problems[1].Line})

	_, err = ReadInsights([]byte("Day,Campaign,Cost\n"), Options{})
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
}

func TestListsOfAds(t *testing.T) {
	t.Parallel()
	ads, err := ReadAds(load(t, "ad_library.csv"), "", "")
	require.NoError(t, err)
	require.Equal(t, []AdRow{
		{
			Line: 2, Competitor: "Rival", ID: "101", Headline: "Mango box", Body: "Fresh mangoes,\nevery morning.", URL: "rival.example/mango",
			Format: "facebook,instagram", StartedOn: "2026-06-20",
		},
		{Line: 4, Competitor: "Rival", ID: "102", Body: "Ripe bananas", URL: "rival.example", Format: "facebook", StartedOn: "2026-06-25"},
		{Line: 5, Competitor: "Other Shop", ID: "103", Headline: "Roasted here", Body: "Coffee", URL: "other.example", Format: "instagram"},
	}, ads.Rows)
	require.Equal(t, 1, ads.Refused)
	require.Equal(t, 6, ads.Problems[0].Line)

	ads, err = ReadAds([]byte("headline;body\nBuy;now\n;\n"), "rival", "")
	require.NoError(t, err)
	require.Equal(t, []AdRow{{Line: 2, Competitor: "rival", Headline: "Buy", Body: "now"}}, ads.Rows)
	for _, file := range []string{"", "page_name,url\nRival,x\n", "headline\nBuy\n"} {
		_, err = ReadAds([]byte(file), "", "")
		require.Equal(t, fault.Invalid, fault.CodeOf(err), file)
	}
}

func FuzzCompetitors(f *testing.F) {
	f.Add([]byte("headline;body\nBuy;now\n"))
	f.Add([]byte("Display URL domain,Impression share\nx.com,< 10%\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if ads, err := ReadAds(file, "rival", ""); err == nil {
			require.Equal(t, ads.Lines, ads.Refused+len(ads.Rows))
		} else {
			require.NotEqual(t, fault.Internal, fault.CodeOf(err))
		}
		if insights, err := ReadInsights(file, Options{}); err == nil {
			require.Equal(t, insights.Lines, insights.Refused+len(insights.Rows))
			for _, row := range insights.Rows {
				for _, part := range []*Part{row.ImpressionShare, row.Overlap, row.TopOfPage} {
					require.True(t, part == nil || (part.Low >= 0 && part.Low <= part.High && part.High <= 1))
				}
			}
		}
	})
}
