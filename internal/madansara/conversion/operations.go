package conversion

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/money"
)

type trackInput struct {
	Body struct {
		Name        string     `json:"name" minLength:"1" maxLength:"200" doc:"What was reached" example:"Order Completed"`
		OrderID     string     `json:"order_id,omitempty" maxLength:"255" doc:"The order's number: (name, order_id) is recorded once. Of a refund, the order it gives money back for"`
		RefundID    string     `json:"refund_id,omitempty" maxLength:"255" doc:"The refund's own number, by which it is recorded once: an order may be refunded in parts"`
		MessageID   string     `json:"message_id,omitempty" maxLength:"255" doc:"Stands in for order_id, or for a refund's refund_id, where there is none. Without any of them every call records a conversion; a refund with only its order_id is recorded once for the order"`
		UserID      string     `json:"user_id,omitempty" maxLength:"255" doc:"Your own id of the person"`
		Email       string     `json:"email,omitempty" maxLength:"254" doc:"The person's address"`
		AnonymousID string     `json:"anonymous_id,omitempty" maxLength:"255" doc:"The tracker's id of the browser. One of user_id, email and anonymous_id is needed"`
		Revenue     *decimal   `json:"revenue,omitempty"`
		Currency    string     `json:"currency,omitempty" pattern:"^[A-Z]{3}$" doc:"ISO 4217; without it the tenant's own" example:"USD"`
		Properties  *object    `json:"properties,omitempty"`
		OccurredAt  *time.Time `json:"occurred_at,omitempty" doc:"From 2000 to a day from now; without it, now"`
	}
}

type trackOutput struct {
	Status int
	Body   struct {
		ConversionUUID uuid.UUID `json:"conversion_uuid"`
		New            bool      `json:"new" doc:"False when it had been recorded before"`
	}
}

func (s *Service) track(ctx context.Context, in *trackInput) (*trackOutput, error) {
	c, err := s.newConversion(in)
	if err != nil {
		return nil, err
	}
	identity, err := newIdentity(in)
	if err != nil {
		return nil, err
	}
	var recorded []Recorded
	err = s.db.Tenant(ctx, httpkit.Tenant(ctx), func(ctx context.Context, tx engardedb.Tx) error {
		if c.Amount, err = readAmount(ctx, tx, in); err != nil {
			return err
		}
		if err := c.Validate(); err != nil {
			return at("body.", err)
		}
		person, err := s.people.IdentifyTx(ctx, tx, identity, c.OccurredAt)
		if err != nil {
			return fmt.Errorf("identify who converted: %w", err)
		}
		c.ContactUUID, c.VisitorUUID = person.ContactUUID, person.VisitorUUID
		recorded, err = s.RecordTx(ctx, tx, []Conversion{c})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &trackOutput{Status: http.StatusOK}
	if recorded[0].New {
		out.Status = http.StatusCreated
	}
	out.Body.ConversionUUID, out.Body.New = recorded[0].ConversionUUID, recorded[0].New
	return out, nil
}

func newIdentity(in *trackInput) (Identity, error) {
	identity := Identity{UserID: in.Body.UserID, Email: strings.ToLower(in.Body.Email), AnonymousID: in.Body.AnonymousID}
	if identity == (Identity{}) {
		return identity, fault.At("body", nil, "one of user_id, email and anonymous_id is needed")
	}
	if email := identity.Email; email != "" {
		address, err := mail.ParseAddress(email)
		if err != nil || address.Address != email || !strings.Contains(email[strings.LastIndexByte(email, '@'):], ".") {
			return identity, fault.At("body.email", in.Body.Email, "is not an e-mail address")
		}
	}
	return identity, nil
}

func (s *Service) newConversion(in *trackInput) (Conversion, error) {
	now := s.clock.Now().UTC()
	c := Conversion{Name: in.Body.Name, ExternalID: cmp.Or(in.Body.OrderID, in.Body.MessageID), OccurredAt: now, ReceivedAt: now}
	if IsRefund(c.Name) {
		c.RefundOf = in.Body.OrderID
		c.ExternalID = cmp.Or(in.Body.RefundID, in.Body.MessageID, in.Body.OrderID)
	} else if in.Body.RefundID != "" {
		return Conversion{}, fault.At("body.refund_id", in.Body.RefundID, "is for a refund, and the name does not say refund")
	}
	if c.ExternalID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return Conversion{}, fmt.Errorf("new conversion id: %w", err)
		}
		c.ExternalID = id.String()
	}
	if in.Body.Properties != nil {
		c.Properties = in.Body.Properties.raw
	}
	if in.Body.OccurredAt != nil {
		c.OccurredAt = in.Body.OccurredAt.UTC()
		if c.OccurredAt.Year() < minYear || c.OccurredAt.After(now.Add(24*time.Hour)) {
			return Conversion{}, fault.At("body.occurred_at", in.Body.OccurredAt, "must lie between the year %d and a day from now", minYear)
		}
	}
	return c, nil
}

func readAmount(ctx context.Context, tx engardedb.Tx, in *trackInput) (money.Amount, error) {
	currency := in.Body.Currency
	if currency == "" {
		const query = "SELECT currency FROM tenants WHERE tenant_uuid = $1"
		if err := tx.QueryRow(ctx, query, tx.Tenant()).Scan(&currency); err != nil {
			return money.Amount{}, fmt.Errorf("read the tenant's currency: %w", err)
		}
	}
	if _, known := money.Exponent(currency); !known {
		return money.Amount{}, fault.At("body.currency", currency, "must be an ISO 4217 code such as USD")
	}
	if in.Body.Revenue == nil {
		return money.Amount{Currency: currency}, nil
	}
	amount, err := money.ParseJSON(in.Body.Revenue.raw, currency)
	if err != nil {
		return money.Amount{}, fault.At("body.revenue", string(in.Body.Revenue.raw), "must be a decimal that %s has room for, such as 19.90", currency)
	}
	return amount, nil
}

// PageInput is the query of a list; exported because huma reads the parameters
// of an embedded struct only then.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"2000" doc:"The next_cursor of the answer before"`
}

func (in PageInput) page() Page { return Page(in) }

// PeriodInput is the query of a report; exported as PageInput is.
type PeriodInput struct {
	From string `query:"from" maxLength:"10" doc:"The first day, in the tenant's time zone; without it, 29 days before to" example:"2026-01-01"`
	To   string `query:"to" maxLength:"10" doc:"The last day; without it, today. At most 731 days" example:"2026-01-31"`
}

func (in PeriodInput) period() Period { return Period(in) }

type listEventsInput struct {
	PageInput

	From        string `query:"from" maxLength:"10" doc:"The first day, in the tenant's time zone" example:"2026-01-01"`
	To          string `query:"to" maxLength:"10" doc:"The last day; without both, all time"`
	Name        string `query:"name" maxLength:"200" doc:"Only conversions of this name"`
	ContactUUID string `query:"contact_uuid" format:"uuid" doc:"Only this contact's"`
	VisitorUUID string `query:"visitor_uuid" format:"uuid" doc:"Only this visitor's"`
}

type listEventsOutput struct {
	Body struct {
		Conversions []Event `json:"conversions"`
		Next        string  `json:"next_cursor" doc:"The cursor of the next, older page; empty after the last"`
	}
}

func (s *Service) listEvents(ctx context.Context, in *listEventsInput) (*listEventsOutput, error) {
	filter := Filter{Name: in.Name, Period: Period{From: in.From, To: in.To}}
	for _, id := range []struct {
		location, text string
		into           *uuid.UUID
	}{{"query.contact_uuid", in.ContactUUID, &filter.ContactUUID}, {"query.visitor_uuid", in.VisitorUUID, &filter.VisitorUUID}} {
		if id.text == "" {
			continue
		}
		parsed, err := uuid.Parse(id.text)
		if err != nil {
			return nil, fault.At(id.location, id.text, "must be a UUID")
		}
		*id.into = parsed
	}
	events, next, err := s.Events(ctx, httpkit.Tenant(ctx), filter, in.page())
	if err != nil {
		return nil, err
	}
	out := &listEventsOutput{}
	out.Body.Conversions, out.Body.Next = events, next
	return out, nil
}

type statsOutput struct{ Body *Stats }

func (s *Service) getStats(ctx context.Context, in *PeriodInput) (*statsOutput, error) {
	stats, err := s.Stats(ctx, httpkit.Tenant(ctx), in.period())
	if err != nil {
		return nil, err
	}
	return &statsOutput{Body: stats}, nil
}

type journeyInput struct {
	PageInput

	UserID string `path:"user_id" minLength:"1" maxLength:"320" doc:"A contact's or visitor's uuid, your own id of the person, or an e-mail address"`
}

type journeyOutput struct{ Body *Journey }

func (s *Service) getJourney(ctx context.Context, in *journeyInput) (*journeyOutput, error) {
	journey, err := s.Journey(ctx, httpkit.Tenant(ctx), in.UserID, in.page())
	if err != nil {
		return nil, err
	}
	return &journeyOutput{Body: journey}, nil
}

type attributionInput struct {
	PeriodInput

	Model string `query:"model" enum:"first_touch,last_touch,linear,time_decay,position_based" doc:"Only this model; without it, each"`
}

type attributionOutput struct{ Body *Report }

func (s *Service) getAttribution(ctx context.Context, in *attributionInput) (*attributionOutput, error) {
	report, err := s.Attribution(ctx, httpkit.Tenant(ctx), in.period(), attribution.Model(in.Model))
	if err != nil {
		return nil, err
	}
	return &attributionOutput{Body: report}, nil
}

// modelSettings is a model as the API writes it.
type modelSettings struct {
	Model        attribution.Model `json:"model"`
	LookbackDays int               `json:"lookback_days" doc:"Touches older than this earn nothing"`
	HalfLifeDays float64           `json:"half_life_days,omitempty" doc:"time_decay: in how many days a touch's weight halves"`
	FirstShare   float64           `json:"first_share,omitempty" doc:"position_based: the first touch's share"`
	LastShare    float64           `json:"last_share,omitempty" doc:"position_based: the last touch's share"`
}

func newModelSettings(s attribution.Settings) modelSettings {
	return modelSettings{
		Model: s.Model, LookbackDays: s.LookbackDays, HalfLifeDays: s.Parameters.HalfLifeDays,
		FirstShare: s.Parameters.FirstShare, LastShare: s.Parameters.LastShare,
	}
}

type listModelsOutput struct {
	Body struct {
		Models []modelSettings `json:"models"`
	}
}

func (s *Service) listModels(ctx context.Context, _ *struct{}) (*listModelsOutput, error) {
	settings, err := s.attribution.Settings(ctx, httpkit.Tenant(ctx))
	if err != nil {
		return nil, err
	}
	out := &listModelsOutput{}
	for _, model := range settings {
		out.Body.Models = append(out.Body.Models, newModelSettings(model))
	}
	return out, nil
}

type setModelInput struct {
	Model string `path:"model" enum:"first_touch,last_touch,linear,time_decay,position_based"`
	Body  struct {
		LookbackDays int     `json:"lookback_days" minimum:"1" maximum:"730" doc:"Touches older than this earn nothing"`
		HalfLifeDays float64 `json:"half_life_days,omitempty" minimum:"0.25" maximum:"365" doc:"time_decay, and needed there: in how many days a touch's weight halves"`
		FirstShare   float64 `json:"first_share,omitempty" minimum:"0" maximum:"1" doc:"position_based, and needed there: the first touch's share, above 0"`
		LastShare    float64 `json:"last_share,omitempty" minimum:"0" maximum:"1" doc:"position_based, and needed there: the last touch's share, above 0; with first_share at most 1"`
	}
}

type setModelOutput struct{ Body modelSettings }

func (s *Service) setModel(ctx context.Context, in *setModelInput) (*setModelOutput, error) {
	tenant := httpkit.Tenant(ctx)
	settings := attribution.Settings{
		Model: attribution.Model(in.Model), LookbackDays: in.Body.LookbackDays,
		Parameters: attribution.Parameters{HalfLifeDays: in.Body.HalfLifeDays, FirstShare: in.Body.FirstShare, LastShare: in.Body.LastShare},
	}
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if err := s.attribution.SetTx(ctx, tx, settings); err != nil {
			return at("body.", err)
		}
		if err := s.queue.Enqueue(ctx, tx, attribution.RecomputeArgs{TenantUUID: tenant}, nil); err != nil {
			return fmt.Errorf("enqueue the recomputation: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &setModelOutput{Body: newModelSettings(settings)}, nil
}
