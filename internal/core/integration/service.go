package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/core/integration/integrationdb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/ssrf"
)

// Config is what a Service needs.
type Config struct {
	DB     *engardedb.DB // as engarde_core_app
	Keys   *Keyring
	Guard  ssrf.Guard // what tenants' URLs may point to
	Clock  clockwork.Clock
	Logger *slog.Logger
}

// Service keeps integrations. It is safe for concurrent use.
type Service struct{ Config }

// New returns the integrations in config.DB.
func New(config Config) *Service { return &Service{config} }

// Integration is a tenant's account at a provider, without its secrets.
type Integration struct {
	ID          uuid.UUID         `json:"integration_uuid"`
	Provider    string            `json:"provider" example:"sendgrid"`
	Name        string            `json:"name" doc:"Tells several accounts at one provider apart" example:"default"`
	Settings    map[string]string `json:"settings"`
	Credentials map[string]string `json:"credentials" doc:"Which are set, each masked; a credential itself is never answered"`
	Enabled     bool              `json:"enabled" doc:"Services do not use one that is not"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
}

// Draft is an integration to be made, or what one is to become.
type Draft struct {
	Provider    string
	Name        string // "" is default
	Settings    map[string]string
	Credentials map[string]string
	Enabled     bool
}

func (s *Service) check(d *Draft) error {
	provider, known := providerOf(d.Provider)
	if !known {
		return fault.At("body.provider", d.Provider, "is no provider; GET /api/v1/integrations/providers lists them")
	}
	if d.Name == "" {
		d.Name = "default"
	}
	if utf8.RuneCountInString(d.Name) > 200 {
		return fault.At("body.name", d.Name, "must have at most 200 characters")
	}
	if d.Settings == nil {
		d.Settings = map[string]string{}
	}
	if err := provider.check(d.Settings, false, s.Guard); err != nil {
		return err
	}
	return provider.check(d.Credentials, true, s.Guard)
}

// stored is what the database gets of a draft.
type stored struct {
	settings, hints, sealed []byte
	keyID                   string
}

func (s *Service) seal(tenant, id uuid.UUID, d Draft) (out stored, err error) {
	hints := make(map[string]string, len(d.Credentials))
	for name, value := range d.Credentials {
		hints[name] = hint(value)
	}
	if out.settings, err = json.Marshal(d.Settings); err != nil {
		return out, fmt.Errorf("store settings: %w", err)
	}
	if out.hints, err = json.Marshal(hints); err != nil {
		return out, fmt.Errorf("store hints: %w", err)
	}
	plain, err := json.Marshal(d.Credentials)
	if err != nil {
		return out, fmt.Errorf("store credentials: %w", err)
	}
	out.keyID, out.sealed = s.Keys.seal(tenant, id, plain)
	return out, nil
}

// Create adds an integration; one of the same provider and name is a Conflict.
func (s *Service) Create(ctx context.Context, tenant uuid.UUID, d Draft) (made Integration, err error) {
	if err := s.check(&d); err != nil {
		return made, err
	}
	id := uuid.Must(uuid.NewV7())
	row, err := s.seal(tenant, id, d)
	if err != nil {
		return made, err
	}
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := integrationdb.New(tx)
		err := queries.InsertIntegration(ctx, integrationdb.InsertIntegrationParams{
			TenantUUID: tenant, IntegrationUUID: id, Provider: d.Provider, Name: d.Name, Settings: row.settings,
			Credentials: row.sealed, KeyID: row.keyID, Hints: row.hints, Enabled: d.Enabled, CreatedAt: s.Clock.Now().UTC(),
		})
		if err != nil {
			return err
		}
		inserted, err := queries.GetIntegration(ctx, integrationdb.GetIntegrationParams{TenantUUID: tenant, IntegrationUUID: id})
		if err != nil {
			return err
		}
		if made, err = integrationOf(inserted); err != nil {
			return err
		}
		return s.record(ctx, tx, "integration.created", id, map[string]any{
			"provider": d.Provider, "name": d.Name, "credentials": slices.Sorted(maps.Keys(d.Credentials)),
		})
	})
	return made, conflict(err)
}

func conflict(err error) error {
	if pgErr, is := errors.AsType[*pgconn.PgError](err); is && pgErr.Code == "23505" {
		return fault.Wrap(err, fault.Conflict, "There is an integration of this provider and name already.")
	}
	return err
}

func (s *Service) record(ctx context.Context, tx engardedb.Tx, action string, id uuid.UUID, details map[string]any) error {
	return audit.Record(ctx, tx, s.Clock.Now(), audit.On(action, id.String(), details))
}

func integrationOf(row integrationdb.Integration) (Integration, error) {
	i := Integration{
		ID: row.IntegrationUUID, Provider: row.Provider, Name: row.Name, Enabled: row.Enabled, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	if err := errors.Join(json.Unmarshal(row.Settings, &i.Settings), json.Unmarshal(row.Hints, &i.Credentials)); err != nil {
		return i, fmt.Errorf("read integration %s: %w", i.ID, err)
	}
	return i, nil
}

func found(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "There is no such integration.")
	}
	return err
}

// List returns the tenant's integrations by provider and name, at most 1,000;
// provider "" is every one's.
func (s *Service) List(ctx context.Context, tenant uuid.UUID, provider string) ([]Integration, error) {
	list := []Integration{}
	err := s.DB.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := integrationdb.New(tx).ListIntegrations(ctx, integrationdb.ListIntegrationsParams{TenantUUID: tenant, Provider: provider})
		if err != nil {
			return err
		}
		for _, row := range rows {
			one, err := integrationOf(row)
			if err != nil {
				return err
			}
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

// Get returns an integration.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (one Integration, err error) {
	err = s.DB.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := integrationdb.New(tx).GetIntegration(ctx, integrationdb.GetIntegrationParams{TenantUUID: tenant, IntegrationUUID: id})
		if err != nil {
			return found(err)
		}
		one, err = integrationOf(row)
		return err
	})
	return one, err
}

// Change is what to change of an integration; nil fields stay. Credentials
// replaces all of them, because nobody can see what it would be merged with.
type Change struct {
	Name        *string           `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Settings    map[string]string `json:"settings,omitempty" doc:"Replaces all settings; where credentials are sent changes only together with them"`
	Credentials map[string]string `json:"credentials,omitempty" doc:"Replaces all credentials"`
	Enabled     *bool             `json:"enabled,omitempty"`
}

// Update changes an integration and returns it.
func (s *Service) Update(ctx context.Context, tenant, id uuid.UUID, change Change) (updated Integration, err error) {
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := integrationdb.New(tx)
		row, err := queries.LockIntegration(ctx, integrationdb.LockIntegrationParams{TenantUUID: tenant, IntegrationUUID: id})
		if err != nil {
			return found(err)
		}
		details := map[string]any{}
		if err := s.apply(&row, change, details); err != nil || len(details) == 0 {
			if err == nil {
				updated, err = integrationOf(row)
			}
			return err
		}
		row.UpdatedAt = s.Clock.Now().UTC()
		err = queries.UpdateIntegration(ctx, integrationdb.UpdateIntegrationParams{
			TenantUUID: tenant, IntegrationUUID: id, Name: row.Name, Settings: row.Settings, Credentials: row.Credentials,
			KeyID: row.KeyID, Hints: row.Hints, Enabled: row.Enabled, UpdatedAt: row.UpdatedAt,
		})
		if err != nil {
			return err
		}
		if updated, err = integrationOf(row); err != nil {
			return err
		}
		return s.record(ctx, tx, "integration.updated", id, details)
	})
	return updated, conflict(err)
}

// apply changes a row and notes in details what is another than before.
func (s *Service) apply(row *integrationdb.Integration, change Change, details map[string]any) error {
	provider, known := providerOf(row.Provider)
	if !known {
		return fault.New(fault.Conflict, "The provider %s is no more; delete the integration.", row.Provider)
	}
	if change.Name != nil && *change.Name != row.Name {
		if length := utf8.RuneCountInString(*change.Name); length < 1 || length > 200 {
			return fault.At("body.name", *change.Name, "must have 1 to 200 characters")
		}
		details["name"] = map[string]string{"from": row.Name, "to": *change.Name}
		row.Name = *change.Name
	}
	if change.Enabled != nil && *change.Enabled != row.Enabled {
		row.Enabled = *change.Enabled
		details["enabled"] = row.Enabled
	}
	if change.Settings != nil {
		if err := provider.check(change.Settings, false, s.Guard); err != nil {
			return err
		}
		if err := staysWithOwner(provider, *row, change); err != nil {
			return err
		}
		settings, err := json.Marshal(change.Settings)
		if err != nil {
			return fmt.Errorf("store settings: %w", err)
		}
		row.Settings = settings
		details["settings"] = slices.Sorted(maps.Keys(change.Settings))
	}
	if change.Credentials != nil {
		if err := provider.check(change.Credentials, true, s.Guard); err != nil {
			return err
		}
		sealed, err := s.seal(row.TenantUUID, row.IntegrationUUID, Draft{Credentials: change.Credentials})
		if err != nil {
			return err
		}
		row.Credentials, row.KeyID, row.Hints = sealed.sealed, sealed.keyID, sealed.hints
		details["credentials"] = slices.Sorted(maps.Keys(change.Credentials))
	}
	return nil
}

// staysWithOwner refuses to send stored credentials to another place: whoever may change
// settings could have them sent to themselves, and so read what is never answered.
func staysWithOwner(provider Provider, row integrationdb.Integration, change Change) error {
	before, err := integrationOf(row)
	if err != nil {
		return err
	}
	if change.Credentials == nil && len(before.Credentials) > 0 && provider.moves(before.Settings, change.Settings) {
		return fault.At("body.credentials", nil, "are needed anew when they are to be sent to another place")
	}
	return nil
}

// Delete removes an integration and its credentials.
func (s *Service) Delete(ctx context.Context, tenant, id uuid.UUID) error {
	return s.DB.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := integrationdb.New(tx)
		row, err := queries.LockIntegration(ctx, integrationdb.LockIntegrationParams{TenantUUID: tenant, IntegrationUUID: id})
		if err != nil {
			return found(err)
		}
		if _, err := queries.DeleteIntegration(ctx, integrationdb.DeleteIntegrationParams{TenantUUID: tenant, IntegrationUUID: id}); err != nil {
			return err
		}
		return s.record(ctx, tx, "integration.deleted", id, map[string]any{"provider": row.Provider, "name": row.Name})
	})
}
