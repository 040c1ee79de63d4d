package conversion

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/mesh"
)

// campaignQuery returns (day, currency, weight, revenue) of each day and
// currency, after two rows without a day: the touches, and what is pending.
//
// Days are the touches', not the conversions': a click is paid for on its own
// day, and advertising platforms count conversions on it too.
var campaignQuery = `
	WITH touches AS (
		SELECT touchpoint_uuid, (occurred_at AT TIME ZONE $4)::date AS day FROM customer_touchpoints
		WHERE tenant_uuid = $1 AND campaign <> '' AND lower(campaign) = ANY ($5) AND ` + inPeriod("occurred_at") + `
		UNION
		SELECT touchpoint_uuid, (occurred_at AT TIME ZONE $4)::date FROM customer_touchpoints
		WHERE tenant_uuid = $1 AND campaign_uuid = $6 AND ` + inPeriod("occurred_at") + `
	)
	SELECT NULL::date, 'touches', count(*)::double precision, 0::bigint FROM touches
	UNION ALL
	SELECT NULL, 'pending', count(*), 0 FROM conversion_events
	WHERE tenant_uuid = $1 AND attributed_at IS NULL AND occurred_at >= ($2::date)::timestamp AT TIME ZONE $4
	UNION ALL
	SELECT t.day, c.currency, COALESCE(sum(a.weight) FILTER (WHERE ` + isOrder + `), 0), sum(a.revenue_minor)::bigint
	FROM touches t
	JOIN attribution_credits a ON a.tenant_uuid = $1 AND a.touchpoint_uuid = t.touchpoint_uuid AND a.model = $7
	JOIN conversion_events c ON c.tenant_uuid = $1 AND c.conversion_uuid = a.conversion_uuid
	GROUP BY t.day, c.currency
	ORDER BY 1 NULLS FIRST, 2`

// Campaign tells what a campaign of the tenant is credited with under a model,
// by the day of the touch. names are what its links carry as utm_campaign,
// whatever their case; one that is the id of a campaign of our own counts its
// clicks too. NotFound when no touch ever carried any of the names.
func (s *Service) Campaign(ctx context.Context, tenant uuid.UUID, names []string, period Period, model attribution.Model) (*mesh.CampaignConversions, error) {
	wanted := make([]string, len(names))
	own := uuid.Nil // which no campaign has
	for i, name := range names {
		wanted[i] = strings.ToLower(name)
		if id, err := uuid.Parse(name); err == nil {
			own = id
		}
	}
	var earned *mesh.CampaignConversions
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		d, err := s.resolve(ctx, tx, period)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, campaignQuery, tenant, d.from(), d.to(), d.zone.String(), wanted, own, model)
		if err != nil {
			return fmt.Errorf("read the campaign's credits: %w", err)
		}
		earned = &mesh.CampaignConversions{
			CampaignID: names[0], From: d.from(), To: d.to(), TimeZone: d.zone.String(), Model: string(model),
			Days: []mesh.CampaignConversionsDay{},
		}
		if err := collectCampaign(rows, earned); err != nil || earned.Touches > 0 {
			return err
		}
		return known(ctx, tx, wanted, own)
	})
	if err != nil {
		return nil, fmt.Errorf("what a campaign earned: %w", err)
	}
	return earned, nil
}

// known returns NotFound when there is no campaign of these names, so that a
// misspelt name is not taken for a campaign that earned nothing.
func known(ctx context.Context, tx engardedb.Tx, names []string, own uuid.UUID) error {
	const query = `
		SELECT EXISTS (SELECT FROM customer_touchpoints WHERE tenant_uuid = $1 AND campaign <> '' AND lower(campaign) = ANY ($2))
			OR EXISTS (SELECT FROM outreach_campaigns WHERE tenant_uuid = $1 AND campaign_uuid = $3)`
	var exists bool
	if err := tx.QueryRow(ctx, query, tx.Tenant(), names, own).Scan(&exists); err != nil {
		return fmt.Errorf("look for the campaign: %w", err)
	}
	if !exists {
		return fault.New(fault.NotFound, "No visit carries %.100q as utm_campaign, nor is it a campaign's id.", names[0])
	}
	return nil
}

func collectCampaign(rows pgx.Rows, earned *mesh.CampaignConversions) error {
	var day *time.Time
	var currency string
	var weight float64
	var revenue int64
	_, err := pgx.ForEachRow(rows, []any{&day, &currency, &weight, &revenue}, func() error {
		switch {
		case day == nil && currency == "touches":
			earned.Touches = int64(weight)
		case day == nil:
			earned.Pending = int64(weight)
		default:
			name := day.Format(time.DateOnly)
			if last := len(earned.Days) - 1; last < 0 || earned.Days[last].Day != name {
				earned.Days = append(earned.Days, mesh.CampaignConversionsDay{Day: name})
			}
			of := &earned.Days[len(earned.Days)-1]
			of.Conversions += weight
			of.Revenue = append(of.Revenue, mesh.Money{Amount: revenue, Currency: currency})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the campaign's credits: %w", err)
	}
	return nil
}

type campaignInput struct {
	PeriodInput

	CampaignID string   `path:"campaign_id" minLength:"1" maxLength:"500" doc:"The utm_campaign of its links, whatever its case; of a campaign of our own, its id"`
	Aliases    []string `query:"alias,explode" maxItems:"10" doc:"Other names of the same campaign; repeat it for each"`
	Model      string   `query:"model" enum:"first_touch,last_touch,linear,time_decay,position_based" default:"last_touch"`
}

type campaignOutput struct{ Body *mesh.CampaignConversions }

func (s *Service) getCampaign(ctx context.Context, in *campaignInput) (*campaignOutput, error) {
	names := append([]string{in.CampaignID}, in.Aliases...)
	earned, err := s.Campaign(ctx, httpkit.Tenant(ctx), names, in.period(), attribution.Model(in.Model))
	if err != nil {
		return nil, err
	}
	return &campaignOutput{Body: earned}, nil
}
