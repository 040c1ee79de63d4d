package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach/template/templatedb"
)

// Template is a stored template.
type Template struct {
	UUID      uuid.UUID `json:"template_uuid" format:"uuid"`
	Channel   string    `json:"channel" enum:"email"`
	Name      string    `json:"name"`
	Subject   string    `json:"subject"`
	BodyHTML  string    `json:"body_html"`
	BodyText  string    `json:"body_text" doc:"Empty: made from body_html"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Draft is what an author gives.
type Draft struct {
	Name     string `json:"name" minLength:"1" maxLength:"200" example:"Come back"`
	Subject  string `json:"subject" minLength:"1" maxLength:"2000" doc:"Liquid" example:"{{ contact.first_name | default: 'Hello' }}, your basket is waiting"`
	BodyHTML string `json:"body_html,omitempty" maxLength:"262144" doc:"Liquid; values are escaped unless they end in | raw"`
	BodyText string `json:"body_text,omitempty" maxLength:"262144" doc:"Liquid; empty: made from body_html"`
}

// Service keeps the tenants' templates.
type Service struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// New returns the service.
func New(db *engardedb.DB, clock clockwork.Clock) *Service { return &Service{db: db, clock: clock} }

// check refuses a draft that cannot be rendered or stored.
func (d Draft) check() error {
	if strings.TrimSpace(d.Name) == "" || !utf8.ValidString(d.Name) || strings.ContainsRune(d.Name, 0) {
		return fault.At("body.name", nil, "is no text that can be shown")
	}
	if strings.TrimSpace(d.BodyHTML) == "" && strings.TrimSpace(d.BodyText) == "" {
		return fault.At("body.body_html", nil, "body_html and body_text are both empty; a message needs one")
	}
	_, err := Compile(Source{Subject: d.Subject, BodyHTML: d.BodyHTML, BodyText: d.BodyText})
	return err
}

// Create stores a template; one that cannot be read is refused with the line and reason.
func (s *Service) Create(ctx context.Context, tenant uuid.UUID, channel string, d Draft) (created Template, err error) {
	if err := d.check(); err != nil {
		return Template{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Template{}, fmt.Errorf("name a template: %w", err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := templatedb.New(tx).CreateTemplate(ctx, templatedb.CreateTemplateParams{
			TenantUUID: tenant, TemplateUUID: id, Channel: channel, Name: d.Name,
			Subject: d.Subject, BodyHtml: d.BodyHTML, BodyText: d.BodyText, CreatedAt: s.clock.Now().UTC(),
		})
		if err != nil {
			return fmt.Errorf("store a template: %w", err)
		}
		created = ofRow(templatedb.GetTemplateRow(row))
		return nil
	})
	return created, err
}

// Update replaces a template. Messages that are not sent yet get the new text.
func (s *Service) Update(ctx context.Context, tenant, id uuid.UUID, d Draft) (updated Template, err error) {
	if err := d.check(); err != nil {
		return Template{}, err
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := templatedb.New(tx).UpdateTemplate(ctx, templatedb.UpdateTemplateParams{
			TemplateUUID: id, Name: d.Name, Subject: d.Subject, BodyHtml: d.BodyHTML, BodyText: d.BodyText, UpdatedAt: s.clock.Now().UTC(),
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound(id)
		}
		if err != nil {
			return fmt.Errorf("change a template: %w", err)
		}
		updated = ofRow(templatedb.GetTemplateRow(row))
		return nil
	})
	return updated, err
}

// Get returns a template; a *fault.Error with NotFound when there is none.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (found Template, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		found, err = load(ctx, tx, id)
		return err
	})
	return found, err
}

func load(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (Template, error) {
	row, err := templatedb.New(tx).GetTemplate(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Template{}, notFound(id)
	}
	if err != nil {
		return Template{}, fmt.Errorf("read a template: %w", err)
	}
	return ofRow(row), nil
}

// List returns up to limit templates, newest first, older than before (uuid.Nil: from the newest).
func (s *Service) List(ctx context.Context, tenant, before uuid.UUID, limit int) (templates []Template, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := templatedb.New(tx).ListTemplates(ctx, templatedb.ListTemplatesParams{Before: before, PageSize: int32(limit)})
		if err != nil {
			return fmt.Errorf("list templates: %w", err)
		}
		templates = make([]Template, len(rows))
		for i, row := range rows {
			templates[i] = ofRow(templatedb.GetTemplateRow(row))
		}
		return nil
	})
	return templates, err
}

// PreviewFor says for whom a template is previewed.
type PreviewFor struct {
	Contact uuid.UUID      `json:"contact_uuid,omitempty" format:"uuid" doc:"A contact of yours; without one a sample contact"`
	Data    map[string]any `json:"data,omitempty" doc:"The variable data, as a single send would give it"`
}

// Preview is a rendered template with what may be wrong with it.
type Preview struct {
	Subject  string    `json:"subject"`
	HTML     string    `json:"html"`
	Text     string    `json:"text"`
	Warnings []Warning `json:"warnings"`
}

// SampleUnsubscribeURL stands in a preview for the link that each message has of its own.
const SampleUnsubscribeURL = "https://example.com/unsubscribe"

var sample = Recipient{
	FirstName: "Marie", LastName: "Joseph", Email: "marie@example.com",
	Traits: json.RawMessage(`{"plan": "gold", "orders": 3}`),
}

// Preview renders a draft as its recipient would get it.
func (s *Service) Preview(ctx context.Context, tenant uuid.UUID, source Source, to PreviewFor) (Preview, error) {
	compiled, err := Compile(source)
	if err != nil {
		return Preview{}, err
	}
	recipient, tenantName := sample, ""
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := templatedb.New(tx)
		if to.Contact == uuid.Nil {
			tenantName, err = queries.GetTenantName(ctx)
			return err
		}
		row, err := queries.GetRecipient(ctx, to.Contact)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "There is no contact %s.", to.Contact)
		}
		recipient = Recipient{FirstName: row.FirstName, LastName: row.LastName, Email: row.Email, Traits: row.Traits}
		tenantName = row.TenantName
		return err
	})
	if err != nil {
		return Preview{}, fmt.Errorf("read whom to preview for: %w", err)
	}
	vars := Variables(recipient, Context{
		TenantName: tenantName, CampaignName: "Preview", UnsubscribeURL: SampleUnsubscribeURL, Now: s.clock.Now().UTC(),
	})
	vars["data"] = to.Data
	if to.Data == nil {
		vars["data"] = map[string]any{}
	}
	rendered, err := compiled.Render(ctx, vars)
	if err != nil {
		return Preview{}, err
	}
	return Preview{Subject: rendered.Subject, HTML: rendered.HTML, Text: rendered.Text, Warnings: compiled.Check(vars)}, nil
}

func ofRow(row templatedb.GetTemplateRow) Template {
	return Template{
		UUID: row.TemplateUUID, Channel: row.Channel, Name: row.Name, Subject: row.Subject,
		BodyHTML: row.BodyHtml, BodyText: row.BodyText, CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}
}

func notFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "There is no template %s.", id)
}
