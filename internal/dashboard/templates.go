package dashboard

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
)

type templatesPage struct {
	*view
	Rows []dashboarddb.TemplatesRow
}

func (d *Dashboard) templates(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Templates", "templates"
	page := templatesPage{view: v}
	err := d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		var err error
		page.Rows, err = q.Templates(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, templatesView(page))
}

// templateForm keeps what was typed.
type templateForm struct {
	ID                        uuid.UUID // uuid.Nil for a new one
	Name, Subject, HTML, Text string
	Wrong                     map[string]string // by field
}

type templatePage struct {
	*view
	Form templateForm
}

// starter is what a new template begins as: something to change, not an empty page.
var starter = templateForm{
	Name:    "Welcome offer",
	Subject: `{{ contact.first_name | default: "Hello" }}, something is waiting for you`,
	HTML: `<h1>Hello {{ contact.first_name | default: "there" }},</h1>
<p>You signed up at {{ tenant.name }}, and we are glad you did.
Here is ten percent off your first order: <strong>WELCOME10</strong>.</p>
<p><a href="https://example.com/">Have a look</a></p>
<p style="color:#666666;font-size:12px"><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>
`,
}

func (d *Dashboard) newTemplate(w http.ResponseWriter, r *http.Request, v *view) error {
	return d.showTemplate(w, r, v, http.StatusOK, starter)
}

func (d *Dashboard) template(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	form := templateForm{ID: id}
	err = d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		row, err := q.Template(ctx, id)
		form.Name, form.Subject, form.HTML, form.Text = row.Name, row.Subject, row.BodyHtml, row.BodyText
		return err
	})
	if err != nil {
		return err
	}
	return d.showTemplate(w, r, v, http.StatusOK, form)
}

func (d *Dashboard) showTemplate(w http.ResponseWriter, r *http.Request, v *view, status int, form templateForm) error {
	v.Section, v.Title = "templates", "New template"
	if form.ID != uuid.Nil {
		v.Title = form.Name
	}
	return d.render(w, r, status, templateView(templatePage{view: v, Form: form}))
}

func readTemplateForm(r *http.Request) templateForm {
	return templateForm{
		Name: strings.TrimSpace(r.PostFormValue("name")), Subject: strings.TrimSpace(r.PostFormValue("subject")),
		HTML: r.PostFormValue("body_html"), Text: r.PostFormValue("body_text"), Wrong: map[string]string{},
	}
}

// check compiles the template and notes what is wrong at each field.
func (f *templateForm) check() *template.Compiled {
	if n := len([]rune(f.Name)); n == 0 || n > 200 {
		f.Wrong["name"] = "A name has 1 to 200 characters."
	}
	if f.Subject == "" {
		f.Wrong["subject"] = "A mail needs a subject."
	}
	if strings.TrimSpace(f.HTML) == "" {
		f.Wrong["body_html"] = "Write something."
	}
	compiled, err := template.Compile(template.Source{Subject: f.Subject, BodyHTML: f.HTML, BodyText: f.Text})
	var problem *fault.Error
	if errors.As(err, &problem) {
		for _, field := range problem.Fields {
			f.Wrong[strings.TrimPrefix(field.Location, "body.")] = field.Message
		}
		if len(problem.Fields) == 0 {
			f.Wrong["body_html"] = problem.Message
		}
	}
	return compiled
}

func (d *Dashboard) saveTemplate(w http.ResponseWriter, r *http.Request, v *view) error {
	if err := needs(v.CanWrite); err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	form := readTemplateForm(r)
	if r.PathValue("id") != "" {
		id, err := pathID(r)
		if err != nil {
			return err
		}
		form.ID = id
	}
	if form.check(); len(form.Wrong) > 0 {
		return d.showTemplate(w, r, v, http.StatusUnprocessableEntity, form)
	}
	if err := d.storeTemplate(r.Context(), v, &form); err != nil {
		return err
	}
	http.Redirect(w, r, "/templates/"+form.ID.String()+"?done=saved", http.StatusSeeOther)
	return nil
}

func (d *Dashboard) storeTemplate(ctx context.Context, v *view, form *templateForm) error {
	now := d.Clock.Now().UTC()
	return d.DB.Tenant(ctx, v.Tenant, func(ctx context.Context, tx engardedb.Tx) error {
		q := dashboarddb.New(tx)
		if form.ID == uuid.Nil {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			form.ID = id
			return q.InsertTemplate(ctx, dashboarddb.InsertTemplateParams{
				TenantUUID: v.Tenant, TemplateUUID: id, Name: form.Name, Subject: form.Subject, BodyHtml: form.HTML, BodyText: form.Text, Now: now,
			})
		}
		changed, err := q.UpdateTemplate(ctx, dashboarddb.UpdateTemplateParams{
			TemplateUUID: form.ID, Name: form.Name, Subject: form.Subject, BodyHtml: form.HTML, BodyText: form.Text, Now: now,
		})
		if err == nil && changed == 0 {
			return fault.New(fault.NotFound, "This template does not exist, or belongs to another company.")
		}
		return err
	})
}

// previewPolicy lets a preview do nothing: no script, no form, no request but for images.
const previewPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https: data:; frame-ancestors 'self'"

// previewTemplate answers what the form's template looks like, for the frame
// beside it. What a marketer wrote is HTML of theirs: the frame's sandbox and
// the policy keep it from acting with the log-in.
func (d *Dashboard) previewTemplate(w http.ResponseWriter, r *http.Request, v *view) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	form := readTemplateForm(r)
	compiled := form.check()
	delete(form.Wrong, "name") // the preview needs none
	var page previewPage
	if len(form.Wrong) == 0 {
		vars, err := d.sampleVariables(r.Context(), v)
		if err != nil {
			return err
		}
		page.Letter, err = compiled.Render(r.Context(), vars)
		if err != nil && !isUsers(err) {
			return err
		}
		if err != nil {
			form.Wrong["body_html"] = problemText(err)
		}
		page.Warnings = compiled.Check(vars)
		page.To, _ = vars["contact"].(map[string]any)["email"].(string)
	}
	page.Wrong = form.Wrong
	w.Header().Set("Content-Security-Policy", previewPolicy)
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	return previewView(page).Render(r.Context(), w)
}

type previewPage struct {
	To       string
	Letter   template.Rendered
	Warnings []template.Warning
	Wrong    map[string]string
}

// partNames say a template's parts as the form labels them.
var partNames = map[string]string{"subject": "Subject", "body_html": "HTML", "body_text": "Text"}

// sampleVariables are the newest customer's, or somebody's when there is none.
func (d *Dashboard) sampleVariables(ctx context.Context, v *view) (map[string]any, error) {
	recipient := template.Recipient{FirstName: "Marie", LastName: "Désir", Email: "marie@example.org"}
	err := d.read(ctx, v, func(ctx context.Context, q *dashboarddb.Queries) error {
		row, err := q.SampleRecipient(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		recipient = template.Recipient{FirstName: row.FirstName, LastName: row.LastName, Email: row.Email, Traits: row.Traits}
		return err
	})
	if err != nil {
		return nil, err
	}
	return template.Variables(recipient, template.Context{
		TenantName: v.Company, CampaignName: "Preview", UnsubscribeURL: d.PublicURL + "/", Now: v.Now,
	}), nil
}
