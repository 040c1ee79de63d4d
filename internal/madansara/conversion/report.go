package conversion

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

// Unattributed is the channel under which a report shows conversions that no
// touch is credited with, those not attributed yet among them.
const Unattributed = "unattributed"

// Report says what earned a period's conversions, under each model.
type Report struct {
	From     string        `json:"from" doc:"The first day"`
	To       string        `json:"to" doc:"The last day"`
	TimeZone string        `json:"time_zone" doc:"The tenant's time zone, in which days begin"`
	Total    Earned        `json:"total" doc:"All conversions of the period; each model's channels sum to it"`
	Pending  int64         `json:"pending" doc:"Conversions still to be attributed; 'unattributed' until then"`
	Models   []ModelReport `json:"models"`
}

// ModelReport is a report under one model.
type ModelReport struct {
	Model     attribution.Model `json:"model"`
	Channels  []ChannelEarned   `json:"channels" doc:"The one with most weight first"`
	Campaigns []CampaignEarned  `json:"campaigns" doc:"The same by channel and campaign"`
}

// Earned is what is credited.
type Earned struct {
	Conversions int64   `json:"conversions" doc:"Conversions credited with any weight, refunds not counted"`
	Weight      float64 `json:"weight" doc:"The sum of their weights: the conversions earned"`
	Revenue     []Money `json:"revenue" doc:"The revenue earned of each currency, refunds taken off"`
}

// ChannelEarned is what a channel earned.
type ChannelEarned struct {
	Channel string `json:"channel"`
	Earned
}

// CampaignEarned is what a campaign earned on a channel.
type CampaignEarned struct {
	Channel  string `json:"channel"`
	Campaign string `json:"campaign" doc:"The campaign's name: our own campaign's, or the utm_campaign of the visit; empty without one"`
	Earned
}

// reportQuery returns (model, channel, campaign, currency, conversions, weight,
// revenue), once by channel (campaign null) and once by campaign; the model is
// null in the totals, whose weight is the number still pending.
var reportQuery = `
	WITH conversions AS (
		SELECT conversion_uuid, ` + isOrder + ` AS is_order, revenue_minor, currency, attributed_at
		FROM conversion_events
		WHERE tenant_uuid = $1 AND ` + inPeriod("occurred_at") + `
	), credits AS (
		SELECT a.model, a.channel, COALESCE(o.name, t.campaign) AS campaign, c.currency, c.conversion_uuid, c.is_order,
			a.weight, a.revenue_minor
		FROM conversions c
		JOIN attribution_credits a ON a.tenant_uuid = $1 AND a.conversion_uuid = c.conversion_uuid
		JOIN customer_touchpoints t ON t.tenant_uuid = $1 AND t.touchpoint_uuid = a.touchpoint_uuid
		LEFT JOIN outreach_campaigns o ON o.tenant_uuid = $1 AND o.campaign_uuid = t.campaign_uuid
		WHERE a.model = ANY ($5)
		UNION ALL
		SELECT m.model, '` + Unattributed + `', '', c.currency, c.conversion_uuid, c.is_order, 1, c.revenue_minor
		FROM conversions c CROSS JOIN unnest($5::text[]) AS m (model)
		WHERE NOT EXISTS (SELECT FROM attribution_credits a
			WHERE a.tenant_uuid = $1 AND a.conversion_uuid = c.conversion_uuid AND a.model = m.model)
	)
	SELECT NULL, '', NULL, currency, count(*) FILTER (WHERE is_order),
		(count(*) FILTER (WHERE attributed_at IS NULL))::double precision, sum(revenue_minor)::bigint
	FROM conversions GROUP BY currency
	UNION ALL
	SELECT model, channel, campaign, currency, count(DISTINCT conversion_uuid) FILTER (WHERE is_order),
		COALESCE(sum(weight) FILTER (WHERE is_order), 0), sum(revenue_minor)::bigint
	FROM credits
	GROUP BY GROUPING SETS ((model, channel, currency), (model, channel, campaign, currency))
	ORDER BY 1, 2, 3, 4`

// Attribution reports what earned the period's conversions, under one model or,
// when model is empty, under each.
func (s *Service) Attribution(ctx context.Context, tenant uuid.UUID, period Period, model attribution.Model) (*Report, error) {
	models := attribution.Models()
	if model != "" {
		models = []attribution.Model{model}
	}
	var report *Report
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		d, err := s.resolve(ctx, tx, period)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, reportQuery, tenant, d.from(), d.to(), d.zone.String(), models)
		if err != nil {
			return fmt.Errorf("read credits: %w", err)
		}
		report, err = collectReport(rows, d, models)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("attribution report: %w", err)
	}
	return report, nil
}

func collectReport(rows pgx.Rows, d days, models []attribution.Model) (*Report, error) {
	report := &Report{From: d.from(), To: d.to(), TimeZone: d.zone.String(), Total: Earned{Revenue: []Money{}}}
	for _, model := range models {
		report.Models = append(report.Models, ModelReport{Model: model, Channels: []ChannelEarned{}, Campaigns: []CampaignEarned{}})
	}
	var model, campaign *string
	var channel, currency string
	var part struct {
		conversions, revenue int64
		weight               float64
	}
	scan := []any{&model, &channel, &campaign, &currency, &part.conversions, &part.weight, &part.revenue}
	_, err := pgx.ForEachRow(rows, scan, func() error {
		earned := Earned{Conversions: part.conversions, Weight: part.weight, Revenue: []Money{newMoney(part.revenue, currency)}}
		if model == nil {
			report.Pending += int64(part.weight)
			earned.Weight = float64(part.conversions)
			report.Total.add(earned)
			return nil
		}
		m := &report.Models[slices.Index(models, attribution.Model(*model))]
		if campaign == nil {
			m.addChannel(channel, earned)
		} else {
			m.addCampaign(channel, *campaign, earned)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read credits: %w", err)
	}
	for _, m := range report.Models {
		slices.SortStableFunc(m.Channels, func(a, b ChannelEarned) int { return a.compare(b.Earned) })
		slices.SortStableFunc(m.Campaigns, func(a, b CampaignEarned) int { return a.compare(b.Earned) })
	}
	return report, nil
}

// addChannel adds a currency's part; rows come a channel at a time.
func (m *ModelReport) addChannel(channel string, part Earned) {
	if last := len(m.Channels) - 1; last >= 0 && m.Channels[last].Channel == channel {
		m.Channels[last].add(part)
		return
	}
	m.Channels = append(m.Channels, ChannelEarned{Channel: channel, Earned: part})
}

func (m *ModelReport) addCampaign(channel, campaign string, part Earned) {
	if last := len(m.Campaigns) - 1; last >= 0 && m.Campaigns[last].Channel == channel && m.Campaigns[last].Campaign == campaign {
		m.Campaigns[last].add(part)
		return
	}
	m.Campaigns = append(m.Campaigns, CampaignEarned{Channel: channel, Campaign: campaign, Earned: part})
}

// add adds what is earned in another currency.
func (e *Earned) add(part Earned) {
	e.Conversions += part.Conversions
	e.Weight += part.Weight
	e.Revenue = append(e.Revenue, part.Revenue...)
}

// compare orders the one with more weight first.
func (e *Earned) compare(other Earned) int {
	switch {
	case e.Weight > other.Weight:
		return -1
	case e.Weight < other.Weight:
		return 1
	}
	return 0
}
