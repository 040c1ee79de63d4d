package competitor

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/sankore/adreport"
)

// keyOf names an ad by the platform's id, else by all it says.
func keyOf(id string, ad Ad) string {
	if id != "" {
		return "id:" + id
	}
	sum := sha256.Sum256([]byte(ad.Headline + "\x00" + ad.Body + "\x00" + ad.URL))
	return "text:" + hex.EncodeToString(sum[:12])
}

// nameOf is a competitor's name as it is kept.
func nameOf(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// observationsOf groups a list's ads by competitor.
func observationsOf(ads *adreport.Ads, platform string, day time.Time) []Observation {
	var list []Observation
	index := make(map[string]int)
	for _, row := range ads.Rows {
		name := nameOf(row.Competitor)
		i, seen := index[name]
		if !seen {
			i = len(list)
			index[name] = i
			list = append(list, Observation{Kind: KindAd, Platform: platform, Competitor: name, Day: day})
		}
		ad := Ad{Headline: row.Headline, Body: row.Body, URL: row.URL, Format: row.Format, StartedOn: row.StartedOn}
		ad.Key = keyOf(row.ID, ad)
		list[i].Ads = append(list[i].Ads, ad)
	}
	return list
}

// sharesOf groups an insights report's rows by competitor and day; day is that of
// a report without days.
func sharesOf(insights *adreport.Insights, platform string, day time.Time) ([]Observation, error) {
	type key struct {
		competitor string
		day        time.Time
	}
	var list []Observation
	index := make(map[key]int)
	for _, row := range insights.Rows {
		if row.Day.IsZero() {
			row.Day = day
		}
		if row.Day.IsZero() {
			return nil, fault.At("query.observed_on", nil, "is needed: the report is not segmented by day")
		}
		k := key{nameOf(row.Competitor), row.Day}
		i, seen := index[k]
		if !seen {
			i = len(list)
			index[k] = i
			list = append(list, Observation{Kind: KindShare, Platform: platform, Competitor: k.competitor, Day: k.day})
		}
		list[i].Shares = append(list[i].Shares, Share{
			Scope: row.Scope, ImpressionShare: rangeOf(row.ImpressionShare), Overlap: rangeOf(row.Overlap), PositionAbove: rangeOf(row.PositionAbove),
			TopOfPage: rangeOf(row.TopOfPage), AbsoluteTop: rangeOf(row.AbsoluteTop), Outranking: rangeOf(row.Outranking),
		})
	}
	return list, nil
}

func rangeOf(part *adreport.Part) *Range {
	if part == nil {
		return nil
	}
	return &Range{Low: part.Low, High: part.High}
}
