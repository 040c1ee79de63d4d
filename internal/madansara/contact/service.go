package contact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// Service answers questions about contacts, and erases them.
type Service struct {
	db        *engardedb.DB
	followers Followers
	clock     clockwork.Clock
}

// New returns a service on db. The followers are told of erasures.
func New(db *engardedb.DB, followers Followers, clock clockwork.Clock) *Service {
	return &Service{db: db, followers: followers, clock: clock}
}

// Contact is a person.
type Contact struct {
	UUID       uuid.UUID       `json:"contact_uuid" format:"uuid"`
	Email      *string         `json:"email,omitempty"`
	FirstName  string          `json:"first_name"`
	LastName   string          `json:"last_name"`
	TimeZone   string          `json:"time_zone" doc:"IANA name, empty when not known"`
	Traits     json.RawMessage `json:"traits" doc:"Everything that identify calls said"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
	Identities []Identity      `json:"identities,omitempty" doc:"What the person is known by"`
	Consents   []Consent       `json:"consents,omitempty" doc:"The latest word for each channel"`
}

// Consent is a person's latest word about a channel.
type Consent struct {
	Channel    string    `json:"channel"`
	Status     string    `json:"status" enum:"granted,withdrawn"`
	Source     string    `json:"source" doc:"What recorded it: the event that said so, a form, a click"`
	RecordedAt time.Time `json:"recorded_at"`
}

const selectContact = `SELECT contact_uuid, email, first_name, last_name, time_zone, traits, created_at, updated_at FROM contacts c `

func scan(row pgx.Row) (c Contact, err error) {
	err = row.Scan(&c.UUID, &c.Email, &c.FirstName, &c.LastName, &c.TimeZone, &c.Traits, &c.CreatedAt, &c.UpdatedAt)
	return c, err //nolint:wrapcheck // the callers say what they read
}

// Get returns a contact with its identities and consents.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (c Contact, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		c, err = scan(tx.QueryRow(ctx, selectContact+`WHERE tenant_uuid = $1 AND contact_uuid = $2`, tenant, id))
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "There is no contact %s; it may have been merged into an older one.", id)
		}
		if err != nil {
			return fmt.Errorf("read contact: %w", err)
		}
		return tx.QueryRow(ctx, `SELECT
			(SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'value', value) ORDER BY kind, value), '[]')
				FROM contact_identities WHERE tenant_uuid = $1 AND contact_uuid = $2),
			(SELECT coalesce(jsonb_agg(jsonb_build_object('channel', channel, 'status', status, 'source', source, 'recorded_at', recorded_at) ORDER BY channel), '[]')
				FROM consents WHERE tenant_uuid = $1 AND contact_uuid = $2)`, tenant, id).Scan(&c.Identities, &c.Consents)
	})
	return c, err //nolint:wrapcheck // a fault, or engardedb says what it was
}

// ByID returns those of the contacts that there are, without their identities
// and consents.
func (s *Service) ByID(ctx context.Context, tenant uuid.UUID, ids []uuid.UUID) (map[uuid.UUID]Contact, error) {
	found := make(map[uuid.UUID]Contact, len(ids))
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, selectContact+`WHERE tenant_uuid = $1 AND contact_uuid = ANY ($2)`, tenant, ids)
		if err != nil {
			return fmt.Errorf("read contacts: %w", err)
		}
		contacts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Contact, error) { return scan(row) })
		if err != nil {
			return fmt.Errorf("read contacts: %w", err)
		}
		for _, c := range contacts {
			found[c.UUID] = c
		}
		return nil
	})
	return found, err //nolint:wrapcheck // engardedb says what it was
}

// List returns up to limit contacts, the newest first, created before the
// contact named by cursor (Nil begins). A non-empty email keeps that address's.
func (s *Service) List(ctx context.Context, tenant, cursor uuid.UUID, email string, limit int) (contacts []Contact, err error) {
	if cursor == uuid.Nil {
		cursor = uuid.Max
	}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, selectContact+`
			WHERE tenant_uuid = $1 AND contact_uuid < $2 AND ($3 = '' OR contact_uuid IN (
				SELECT contact_uuid FROM contact_identities WHERE tenant_uuid = $1 AND kind = 'email' AND value = $3))
			ORDER BY contact_uuid DESC LIMIT $4`, tenant, cursor, NormalEmail(email), limit)
		if err != nil {
			return fmt.Errorf("list contacts: %w", err)
		}
		contacts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Contact, error) { return scan(row) })
		if err != nil {
			return fmt.Errorf("list contacts: %w", err)
		}
		return nil
	})
	return contacts, err //nolint:wrapcheck // engardedb says what it was
}

type (
	listInput struct {
		Email  string    `query:"email" maxLength:"255" doc:"Only the contact with this address"`
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	listOutput struct {
		Body struct {
			Contacts   []Contact  `json:"contacts"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	getInput struct {
		ID uuid.UUID `path:"contact_uuid" format:"uuid"`
	}
	getOutput   struct{ Body Contact }
	eraseOutput struct{ Body Erased }
)

// Register adds the contact operations to api.
func (s *Service) Register(api huma.API) {
	httpkit.Register(api, huma.Operation{
		OperationID: "list-contacts", Method: http.MethodGet, Path: "/api/v1/contacts",
		Summary: "List contacts, newest first", Tags: []string{"contacts"}, Security: httpkit.Scoped("contacts:read"),
	}, s.list)
	httpkit.Register(api, huma.Operation{
		OperationID: "get-contact", Method: http.MethodGet, Path: "/api/v1/contacts/{contact_uuid}",
		Summary: "Get a contact with its identities and consents", Tags: []string{"contacts"}, Security: httpkit.Scoped("contacts:read"),
	}, s.get)
	httpkit.Register(api, huma.Operation{
		OperationID: "erase-contact", Method: http.MethodDelete, Path: "/api/v1/contacts/{contact_uuid}",
		Summary: "Erase a contact and everything that names it",
		Description: "Identities, consents, visits, events and messages are gone when it is answered; what the agents remember goes right after, wherever it is kept, and leaves a receipt. " +
			"Conversions and touchpoints stay in the figures without the person. Suppressions stay, so that nobody is written to again. " +
			"Core is told; the facts that it and other services have, and backups, are not touched.",
		Tags: []string{"contacts"}, Security: httpkit.Scoped("contacts:write"), DefaultStatus: http.StatusOK,
	}, s.erase)
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	contacts, err := s.List(ctx, httpkit.Tenant(ctx), in.Cursor, in.Email, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	if len(contacts) > in.Limit {
		contacts = contacts[:in.Limit]
		out.Body.NextCursor = &contacts[in.Limit-1].UUID
	}
	out.Body.Contacts = contacts
	return out, nil
}

func (s *Service) erase(ctx context.Context, in *getInput) (*eraseOutput, error) {
	principal, _ := httpkit.PrincipalFrom(ctx)
	erased, err := s.Erase(ctx, httpkit.Tenant(ctx), in.ID, principal.ID)
	return &eraseOutput{Body: erased}, err
}

func (s *Service) get(ctx context.Context, in *getInput) (*getOutput, error) {
	c, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return &getOutput{Body: c}, err
}
