package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/integration/integrationdb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/mesh"
)

// Reveal gives a service the credentials of the tenant's enabled integration of
// that provider and name; without a name of the one called default, else of the
// oldest. It is NotFound without one and Forbidden for a service that does not
// work with the provider. That it was given them is on record.
func (s *Service) Reveal(ctx context.Context, service string, tenant uuid.UUID, provider, name string) (*mesh.IntegrationCredentials, error) {
	known, is := providerOf(provider)
	if !is {
		return nil, none("There is no such provider.")
	}
	if !slices.Contains(known.UsedBy, service) {
		return nil, fault.New(fault.Forbidden, "%s does not work with %s and is not given its credentials.", service, known.Name)
	}
	out := &mesh.IntegrationCredentials{}
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := integrationdb.New(tx).FindIntegration(ctx, integrationdb.FindIntegrationParams{TenantUUID: tenant, Provider: provider, Name: name})
		if errors.Is(err, pgx.ErrNoRows) {
			return none("The tenant has no enabled integration with this provider.")
		}
		if err != nil {
			return err
		}
		credentials, err := s.open(row)
		if err != nil {
			return err
		}
		shown, err := integrationOf(row)
		if err != nil {
			return err
		}
		*out = mesh.IntegrationCredentials{
			IntegrationID: row.IntegrationUUID.String(), Provider: row.Provider, Name: row.Name,
			Settings: shown.Settings, Credentials: credentials, UpdatedAt: row.UpdatedAt,
		}
		return s.record(ctx, tx, "integration.credentials_read", row.IntegrationUUID, map[string]any{"provider": row.Provider, "name": row.Name})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// none is the answer without an integration. It names the place, by which the caller
// tells it from any other 404: of those, none says anything about the tenant.
func none(message string) error {
	return &fault.Error{Code: fault.NotFound, Message: message, Fields: []fault.Field{{Location: mesh.NoIntegrationAt, Message: message}}}
}

func (s *Service) open(row integrationdb.Integration) (map[string]string, error) {
	plain, err := s.Keys.open(row.KeyID, row.TenantUUID, row.IntegrationUUID, row.Credentials)
	if err != nil {
		return nil, fault.Wrap(fmt.Errorf("integration %s: %w", row.IntegrationUUID, err), fault.Internal,
			"The stored credentials cannot be decrypted; enter them anew, or bring their key back as CREDENTIALS_KEY_PREVIOUS.")
	}
	var credentials map[string]string
	if err := json.Unmarshal(plain, &credentials); err != nil {
		return nil, fmt.Errorf("integration %s: read its credentials: %w", row.IntegrationUUID, err)
	}
	return credentials, nil
}
