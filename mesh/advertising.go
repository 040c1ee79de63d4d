package mesh

import "net/url"

// Where the conversions of a CampaignIntelligence come from.
const (
	ConversionsFromMadanSara = "madan-sara" // attributed there, to the visits that the campaign brought
	ConversionsFromPlatform  = "platform"   // what the advertising platform claims for itself
)

// CampaignIntelligence is how an advertising campaign fares from From to To,
// both included, of the days for which its performance is known.
type CampaignIntelligence struct {
	CampaignID  string `json:"campaign_id"`
	ExternalID  string `json:"external_id,omitempty"` // the platform's own
	Name        string `json:"name"`
	Platform    string `json:"platform"` // google_ads, meta_ads, ...
	From        string `json:"from"`     // 2006-01-02; empty when nothing is known
	To          string `json:"to"`
	Days        int    `json:"days"` // with known performance
	Spend       Money  `json:"spend"`
	Impressions int64  `json:"impressions"`
	Clicks      int64  `json:"clicks"`
	// Conversions are those that count below. They are no whole number when one
	// is shared between campaigns.
	Conversions float64 `json:"conversions"`
	// ConversionsSource says whose conversions and revenue these are. When it is
	// the platform, ConversionsProblem says why Madan Sara's are not used.
	ConversionsSource  string `json:"conversions_source"`
	ConversionsProblem string `json:"conversions_problem,omitempty"`
	// AttributionModel is the model under which Madan Sara credits the campaign.
	AttributionModel string `json:"attribution_model,omitempty"`
	// ConversionsTo is the last day whose conversions are taken for complete: buyers
	// take their time, and a conversion counts on the day of the visit. CPA, ROAS,
	// Trend, Saturation and the anomalies of conversions are of the days up to it.
	ConversionsTo string `json:"conversions_to,omitempty"`
	// Notes say in words what the figures are too few or too new to tell.
	Notes []string `json:"notes,omitempty"`
	// PlatformConversions are what the platform claims, whichever source counts.
	PlatformConversions float64 `json:"platform_conversions"`
	Revenue             Money   `json:"revenue"` // in the currency of the spend
	// OtherRevenue is what was earned in other currencies. It is not in ROAS.
	OtherRevenue []Money   `json:"other_revenue,omitempty"`
	CTR          *Estimate `json:"ctr,omitempty"`  // clicks for each impression; absent without impressions
	CPC          *Estimate `json:"cpc,omitempty"`  // minor units for each click; absent without clicks
	CPA          *Estimate `json:"cpa,omitempty"`  // minor units for each conversion; absent without conversions
	ROAS         *Estimate `json:"roas,omitempty"` // revenue for each unit of spend; absent without conversions or spend
	// Trend is the relative change of conversions from a day to the next, of the
	// whole: 0.01 is 1 % more each day. Absent when the data does not say.
	Trend *Estimate `json:"trend,omitempty"`
	// Pacing is what was spent over what the budget plans by now; absent without a budget.
	Pacing    *AdPacing   `json:"pacing,omitempty"`
	Anomalies []AdAnomaly `json:"anomalies"` // none before there are four weeks
	// Saturation is the part of a further unit of spend that is lost to
	// diminishing returns, in [0,1]: at 0 it earns what the average one does, at
	// 1 nothing. Absent when the data does not say.
	Saturation *Estimate `json:"saturation,omitempty"`
	// Fatigue is the part of the click-through rate that was lost from From to
	// To, below 0 when it grew. Absent when the data does not say.
	Fatigue *Estimate `json:"fatigue,omitempty"`
}

// AdPacing compares a campaign's spend with its budget.
type AdPacing struct {
	Period    string  `json:"period"` // daily: each day of From to To; total: from the campaign's start to its end
	From      string  `json:"from"`   // the first and last day compared
	To        string  `json:"to"`
	Planned   Money   `json:"planned"` // by the end of To
	Spent     Money   `json:"spent"`
	Ratio     float64 `json:"ratio"`               // Spent over Planned
	Projected *Money  `json:"projected,omitempty"` // total: the spend at the end, at the pace of the last seven days
}

// AdAnomaly is a day on which a campaign was unlike itself.
type AdAnomaly struct {
	Day      string  `json:"day"`    // 2006-01-02
	Metric   string  `json:"metric"` // spend, impressions, clicks, conversions, ctr, cpc
	Value    float64 `json:"value"`
	Expected float64 `json:"expected"`
	Score    float64 `json:"score"` // deviations from what was expected, below 0 for too little
}

// CampaignConversionsRequest asks what an advertising campaign earned.
type CampaignConversionsRequest struct {
	// CampaignID is what names the campaign in the links of its ads: the
	// utm_campaign, whatever its case. Of a campaign of Madan Sara's own, its id.
	CampaignID string
	// Aliases are other names of the same campaign, at most 10.
	Aliases  []string
	From, To string // the first and the last day, 2006-01-02; empty is Madan Sara's default
	Model    string // of attribution; empty is last_touch
}

func (r CampaignConversionsRequest) query() url.Values {
	query := url.Values{}
	for _, alias := range r.Aliases {
		query.Add("alias", alias)
	}
	for name, value := range map[string]string{"from": r.From, "to": r.To, "model": r.Model} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// CampaignConversions are the conversions that a campaign is credited with, by
// the day of the touch that earned them: the day it was paid for.
type CampaignConversions struct {
	CampaignID string `json:"campaign_id"`
	From       string `json:"from"`
	To         string `json:"to"`
	TimeZone   string `json:"time_zone"` // in which days begin
	Model      string `json:"model"`
	// Touches counts the visits and clicks that the campaign brought, whether or
	// not they earned anything: 0 says that no link names it.
	Touches int64 `json:"touches"`
	// Pending counts conversions of the tenant that are still to be attributed.
	Pending int64                    `json:"pending"`
	Days    []CampaignConversionsDay `json:"days"` // those with conversions, in order
}

// CampaignConversionsDay is what one day's touches earned.
type CampaignConversionsDay struct {
	Day         string  `json:"day"`         // 2006-01-02
	Conversions float64 `json:"conversions"` // the sum of the credits' weights, refunds not counted
	Revenue     []Money `json:"revenue"`     // of each currency, refunds taken off
}
