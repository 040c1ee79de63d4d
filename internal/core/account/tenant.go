package account

import (
	"context"
	"errors"
	"time"
	_ "time/tzdata" // a container without zone files still knows the tenants' zones
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account/accountdb"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/money"
)

// Tenant is a customer of the platform.
type Tenant struct {
	ID        uuid.UUID `json:"tenant_uuid"`                                                              // the zero id: a new one is made
	Name      string    `json:"name"`                                                                     // 1 to 200 characters
	TimeZone  string    `json:"time_zone" doc:"An IANA name; days of reports are its days" example:"UTC"` // "" is UTC
	Currency  string    `json:"currency" doc:"ISO 4217" example:"USD"`                                    // "" is USD
	CreatedAt time.Time `json:"created_at"`
}

// check fills what is empty and says what is wrong; prefix is where it stands.
func (t *Tenant) check(prefix string) error {
	if t.TimeZone == "" {
		t.TimeZone = "UTC"
	}
	if t.Currency == "" {
		t.Currency = "USD"
	}
	if length := utf8.RuneCountInString(t.Name); length < 1 || length > 200 {
		return fault.At(prefix+"name", t.Name, "must have 1 to 200 characters")
	}
	// "Local" is a zone to Go and none to the database.
	if _, err := time.LoadLocation(t.TimeZone); err != nil || t.TimeZone == "Local" {
		return fault.At(prefix+"time_zone", t.TimeZone, "is no time zone; use an IANA name such as America/Port-au-Prince")
	}
	if _, known := money.Exponent(t.Currency); !known {
		return fault.At(prefix+"currency", t.Currency, "is no currency; use an ISO 4217 code such as USD")
	}
	return nil
}

// CreateTenant adds a tenant and returns its id.
func (s *Service) CreateTenant(ctx context.Context, t Tenant) (uuid.UUID, error) {
	if t.ID == uuid.Nil {
		t.ID = uuid.Must(uuid.NewV7())
	}
	if err := t.check(""); err != nil {
		return uuid.Nil, err
	}
	err := s.db.Tenant(ctx, t.ID, func(ctx context.Context, tx engardedb.Tx) error {
		return s.insertTenant(ctx, tx, t)
	})
	if isUnique(err) {
		return uuid.Nil, fault.Wrap(err, fault.Conflict, "There is a tenant with this id already.")
	}
	return t.ID, err
}

// Found makes a tenant with its first user, both or neither.
func (s *Service) Found(ctx context.Context, t Tenant, owner User) (tenant, user uuid.UUID, err error) {
	t.ID, user = uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	if err := t.check(""); err != nil {
		return uuid.Nil, uuid.Nil, err
	}
	params, err := s.newUser(ctx, t.ID, user, owner)
	if err != nil {
		return uuid.Nil, uuid.Nil, err
	}
	err = s.db.Tenant(ctx, t.ID, func(ctx context.Context, tx engardedb.Tx) error {
		if err := s.insertTenant(ctx, tx, t); err != nil {
			return err
		}
		return s.insertUser(ctx, tx, params)
	})
	if isUnique(err) {
		return uuid.Nil, uuid.Nil, fault.Wrap(err, fault.Conflict, "This e-mail address has a user already.")
	}
	return t.ID, user, err
}

func (s *Service) insertTenant(ctx context.Context, tx engardedb.Tx, t Tenant) error {
	err := accountdb.New(tx).InsertTenant(ctx, accountdb.InsertTenantParams{
		TenantUUID: t.ID, Name: t.Name, TimeZone: t.TimeZone, Currency: t.Currency, CreatedAt: s.clock.Now().UTC(),
	})
	if err != nil {
		return err
	}
	return s.record(ctx, tx, "tenant.created", t.ID, map[string]any{"name": t.Name})
}

// record puts an act on a thing of this package on record; its type is the
// first half of the action.
func (s *Service) record(ctx context.Context, tx engardedb.Tx, action string, object uuid.UUID, details map[string]any) error {
	return audit.Record(ctx, tx, s.clock.Now(), audit.On(action, object.String(), details))
}

// Tenant returns the tenant.
func (s *Service) Tenant(ctx context.Context, tenant uuid.UUID) (t Tenant, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := accountdb.New(tx).GetTenant(ctx, tenant)
		t = tenantOf(row)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = fault.New(fault.NotFound, "There is no such tenant.")
	}
	return t, err
}

func tenantOf(row accountdb.Tenant) Tenant {
	return Tenant{ID: row.TenantUUID, Name: row.Name, TimeZone: row.TimeZone, Currency: row.Currency, CreatedAt: row.CreatedAt}
}

// TenantChange is what to change of a tenant; nil fields stay.
type TenantChange struct {
	Name     *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
	TimeZone *string `json:"time_zone,omitempty" maxLength:"100" doc:"An IANA name" example:"America/Port-au-Prince"`
	Currency *string `json:"currency,omitempty" pattern:"^[A-Z]{3}$" doc:"ISO 4217; what was recorded before keeps its own"`
}

// UpdateTenant changes the tenant and returns it.
func (s *Service) UpdateTenant(ctx context.Context, tenant uuid.UUID, change TenantChange) (t Tenant, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := accountdb.New(tx)
		row, err := queries.LockTenant(ctx, tenant)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "There is no such tenant.")
		}
		if err != nil {
			return err
		}
		t = tenantOf(row)
		changed := map[string]any{}
		set(changed, "name", &t.Name, change.Name)
		set(changed, "time_zone", &t.TimeZone, change.TimeZone)
		set(changed, "currency", &t.Currency, change.Currency)
		if err := t.check("body."); err != nil || len(changed) == 0 {
			return err
		}
		if err := queries.UpdateTenant(ctx, accountdb.UpdateTenantParams{TenantUUID: tenant, Name: t.Name, TimeZone: t.TimeZone, Currency: t.Currency}); err != nil {
			return err
		}
		return s.record(ctx, tx, "tenant.updated", tenant, changed)
	})
	return t, err
}

// set changes a field and notes what it was and is.
func set[T comparable](changed map[string]any, name string, field, to *T) {
	if to != nil && *to != *field {
		changed[name] = map[string]any{"from": *field, "to": *to}
		*field = *to
	}
}
