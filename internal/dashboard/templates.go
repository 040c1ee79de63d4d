package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
)

type templatesPage struct {
	*view
	Rows []template.Template
}

func (d *Dashboard) templates(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Templates", "templates"
	page := templatesPage{view: v}
	var err error
	if page.Rows, err = d.Templates.List(r.Context(), v.Tenant, uuid.Nil, allOf); err != nil {
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

// maxBody bounds each body of a template, in bytes, as the API does.
const maxBody = 256 << 10

// placeholderSite stands in the starter for the company's own site, which is
// known once it had a visitor.
const placeholderSite = "https://example.com/"

// starter is what a new template begins as: something to change, not an empty page.
var starter = templateForm{
	Name:    "Welcome offer",
	Subject: `{{ contact.first_name | default: "Hello" }}, something is waiting for you`,
	HTML: `<h1>Hello {{ contact.first_name | default: "there" }},</h1>
<p>You signed up at {{ tenant.name }}, and we are glad you did.
Here is ten percent off your first order: <strong>WELCOME10</strong>.</p>
<p><a href="` + placeholderSite + `">Have a look</a></p>
<p style="color:#666666;font-size:12px"><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>
`,
}

func (d *Dashboard) newTemplate(w http.ResponseWriter, r *http.Request, v *view) error {
	form := starter
	err := d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		landing, err := q.LatestLanding(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if site, parseErr := url.Parse(landing); parseErr == nil && (site.Scheme == "https" || site.Scheme == "http") {
			form.HTML = strings.Replace(form.HTML, placeholderSite, site.Scheme+"://"+site.Host+"/", 1)
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.showTemplate(w, r, v, http.StatusOK, form)
}

func (d *Dashboard) template(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	kept, err := d.Templates.Get(r.Context(), v.Tenant, id)
	if err != nil {
		return err
	}
	return d.showTemplate(w, r, v, http.StatusOK, templateForm{ID: id, Name: kept.Name, Subject: kept.Subject, HTML: kept.BodyHTML, Text: kept.BodyText})
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

// refuse notes at each field what err says about it.
func (f *templateForm) refuse(err error) {
	var problem *fault.Error
	if !errors.As(err, &problem) {
		return
	}
	for _, field := range problem.Fields {
		f.Wrong[strings.TrimPrefix(field.Location, "body.")] = field.Message
	}
	if len(problem.Fields) == 0 {
		f.Wrong["body_html"] = problem.Message
	}
}

// check notes what an empty or long field lacks.
func (f *templateForm) check() {
	if n := len([]rune(f.Name)); n == 0 || n > 200 {
		f.Wrong["name"] = "A name has 1 to 200 characters."
	}
	if f.Subject == "" {
		f.Wrong["subject"] = "A mail needs a subject."
	}
	if len(f.HTML) > maxBody {
		f.Wrong["body_html"] = "Longer than 256 KB, which mail programs cut."
	}
	if len(f.Text) > maxBody {
		f.Wrong["body_text"] = "Longer than 256 KB, which mail programs cut."
	}
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
	var err error
	if form.check(); len(form.Wrong) == 0 {
		draft := template.Draft{Name: form.Name, Subject: form.Subject, BodyHTML: form.HTML, BodyText: form.Text}
		var saved template.Template
		if form.ID == uuid.Nil {
			saved, err = d.Templates.Create(r.Context(), v.Tenant, "email", draft)
		} else {
			saved, err = d.Templates.Update(r.Context(), v.Tenant, form.ID, draft)
		}
		if err == nil {
			http.Redirect(w, r, "/templates/"+saved.UUID.String()+"?done=saved", http.StatusSeeOther)
			return nil
		}
	}
	if fault.CodeOf(err) == fault.NotFound || err != nil && !isUsers(err) {
		return err
	}
	form.refuse(err)
	return d.showTemplate(w, r, v, http.StatusUnprocessableEntity, form)
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
	var to template.PreviewFor
	newest, err := d.Contacts.List(r.Context(), v.Tenant, uuid.Nil, "", pageSize)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(newest, func(c contact.Contact) bool { return c.Email != nil }); i >= 0 {
		to.Contact = newest[i].UUID // else the preview has a sample contact
	}
	var page previewPage
	source := template.Source{Subject: form.Subject, BodyHTML: form.HTML, BodyText: form.Text}
	page.Preview, err = d.Templates.Preview(r.Context(), v.Tenant, source, to)
	if err != nil && !isUsers(err) {
		return err
	}
	form.refuse(err)
	page.Wrong = form.Wrong
	w.Header().Set("Content-Security-Policy", previewPolicy)
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	return previewView(page).Render(r.Context(), w)
}

type previewPage struct {
	template.Preview
	Wrong map[string]string
}

// partNames say a template's parts as the form labels them.
var partNames = map[string]string{"subject": "Subject", "body_html": "HTML", "body_text": "Text"}
