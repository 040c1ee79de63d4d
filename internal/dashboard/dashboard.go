package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/web/static"
)

// pageSize is how many rows a list shows at once; allOf is how many segments or
// templates are shown or offered.
const (
	pageSize = 25
	allOf    = 200
)

// Config is what the pages stand on.
type Config struct {
	DB          *engardedb.DB
	Clock       clockwork.Clock
	Logger      *slog.Logger
	Accounts    Accounts
	Contacts    Contacts
	Conversions Conversions
	Campaigns   Campaigns
	Insights    Insights
	Segments    Segments
	Templates   Templates
	Memories    Memories
	// PublicURL is where browsers reach the service, without a final slash;
	// TrackerPath is where sites load the tracker from it.
	PublicURL, TrackerPath string
	// SecureCookies keeps the log-in cookie to https.
	SecureCookies bool
}

// Dashboard serves the pages.
type Dashboard struct{ Config }

// New returns a Dashboard; Mount gives it its paths.
func New(cfg Config) *Dashboard {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Dashboard{cfg}
}

// Mount registers every page and the static files. The middleware around mux
// authenticates the session cookie and refuses other sites' forms (httpkit).
func (d *Dashboard) Mount(mux *http.ServeMux) {
	mux.Handle("GET /static/", static.Handler())
	mux.HandleFunc("GET /login", d.showLogin)
	mux.HandleFunc("POST /login", d.logIn)
	mux.HandleFunc("POST /logout", d.logOut)

	pages := map[string]pageHandler{
		"GET /{$}":                   d.overview,
		"GET /customers":             d.customers,
		"GET /customers/{id}":        d.customer,
		"POST /customers/{id}/erase": d.eraseCustomer,

		"GET /campaigns":               d.campaigns,
		"GET /campaigns/new":           d.newCampaign,
		"GET /campaigns/segment-count": d.segmentCount,
		"POST /campaigns":              d.createCampaign,
		"GET /campaigns/{id}":          d.campaign,
		"POST /campaigns/{id}/start":   d.startCampaign,
		"POST /campaigns/{id}/pause":   d.pauseCampaign,
		"POST /campaigns/{id}/context": d.linkCampaign,
		"POST /messages/{id}/resolve":  d.resolveMessage,

		"GET /segments":          d.segments,
		"GET /segments/new":      d.newSegment,
		"POST /segments":         d.saveSegment,
		"POST /segments/preview": d.previewSegment,
		"GET /segments/{id}":     d.segment,
		"POST /segments/{id}":    d.saveSegment,

		"GET /templates":          d.templates,
		"GET /templates/new":      d.newTemplate,
		"POST /templates":         d.saveTemplate,
		"POST /templates/preview": d.previewTemplate,
		"GET /templates/{id}":     d.template,
		"POST /templates/{id}":    d.saveTemplate,

		"GET /memory":               d.memories,
		"GET /memory/erase":         d.eraseForm,
		"POST /memory/erase":        d.eraseSubject,
		"GET /memory/{id}":          d.memory,
		"POST /memory/{id}/correct": d.correctMemory,
		"POST /memory/{id}/forget":  d.forgetMemory,

		"GET /settings":                   d.settings,
		"POST /settings/keys":             d.createKey,
		"POST /settings/keys/{id}/revoke": d.revokeKey,
	}
	for pattern, handler := range pages {
		mux.Handle(pattern, d.page(handler))
	}
}

// view is what every page knows about the request it answers.
type view struct {
	Title    string
	Section  string // the entry of the navigation
	Narrow   bool
	Tenant   uuid.UUID
	Company  string
	Currency string
	Zone     *time.Location
	Now      time.Time // in Zone
	User     string
	Actor    string // the user as records name them
	Theme    string // "light", "dark"; empty follows the system
	Notice   string
	CanWrite bool // outreach:write
	CanErase bool // contacts:write
	CanAdmin bool // every scope
	// CanRecall and CanRemember are memory:read and memory:write.
	CanRecall, CanRemember bool
}

// pageHandler answers with a page, or an error for which the error page stands.
type pageHandler func(w http.ResponseWriter, r *http.Request, v *view) error

// page puts a handler behind the log-in.
func (d *Dashboard) page(handler pageHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, ok := httpkit.PrincipalFrom(r.Context())
		if !ok || principal.User == uuid.Nil {
			d.sendToLogin(w, r)
			return
		}
		v, err := d.newView(r, principal)
		if err == nil {
			err = handler(w, r, v)
		}
		if err != nil {
			d.fail(w, r, v, err)
		}
	})
}

func (d *Dashboard) sendToLogin(w http.ResponseWriter, r *http.Request) {
	target := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		target += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("Hx-Request") != "" {
		w.Header().Set("Hx-Redirect", target) // the whole page must leave, not only the part that asked
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func (d *Dashboard) newView(r *http.Request, principal httpkit.Principal) (*view, error) {
	v := &view{
		Tenant: principal.Tenant, User: principal.Name, Actor: principal.ID, Theme: theme(r), Zone: time.UTC, Now: d.Clock.Now().UTC(),
		Notice: notices[r.URL.Query().Get("done")], CanWrite: principal.Allows("outreach:write"), CanErase: principal.Allows("contacts:write"), CanAdmin: principal.Allows("*"),
		CanRecall: principal.Allows("memory:read"), CanRemember: principal.Allows("memory:write"),
	}
	err := d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		tenant, err := q.Tenant(ctx)
		if err != nil {
			return err
		}
		v.Company, v.Currency = tenant.Name, tenant.Currency
		if zone, err := time.LoadLocation(tenant.TimeZone); err == nil { // an unknown zone: UTC
			v.Zone, v.Now = zone, v.Now.In(zone)
		}
		return nil
	})
	return v, err
}

// read runs queries on one snapshot of the tenant's data.
func (d *Dashboard) read(ctx context.Context, v *view, fn func(context.Context, *dashboarddb.Queries) error) error {
	return d.DB.TenantRead(ctx, v.Tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return fn(ctx, dashboarddb.New(tx))
	})
}

// notices say what a form did, after the redirect that follows it.
var notices = map[string]string{
	"created":   "Created.",
	"saved":     "Saved.",
	"started":   "The campaign is on its way.",
	"paused":    "The campaign is paused. Messages already handed over still arrive.",
	"resolved":  "Noted: the message's fate is decided.",
	"corrected": "The correction is saved. It takes the place of the version before.",
	"forgotten": "The memory is forgotten, every version of it.",
	"erased":    "The person is erased. What the agents remember goes right after; its receipt stands on the Memory page.",
	"revoked":   "The key is revoked. Requests that carry it are refused.",
}

// Content-Security-Policy of the pages: nothing inline, nothing from elsewhere.
const pagePolicy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, status int, page templ.Component) error {
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // the back button after a log-out must not show it
	w.WriteHeader(status)
	if err := page.Render(r.Context(), w); err != nil {
		d.Logger.DebugContext(r.Context(), "the page was not taken", slog.Any("error", err))
	}
	return nil
}

// fail answers with the error page and logs what is our own fault.
func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, v *view, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the browser has left for another page
	}
	if r.Method == http.MethodGet && fault.CodeOf(err) == fault.NotFound { // who reads a page gave no id
		err = fault.New(fault.NotFound, "This page does not exist, or belongs to another company.")
	}
	problem := httpkit.ProblemOf(err)
	if problem.Status >= http.StatusInternalServerError {
		d.Logger.ErrorContext(r.Context(), "page failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	if v == nil {
		v = &view{Theme: theme(r)}
	}
	v.Title = problem.Title
	_ = d.render(w, r, problem.Status, errorPage(v, problem.Detail, httpkit.RequestID(r.Context()))) // render has no error left to tell
}

func theme(r *http.Request) string {
	cookie, err := r.Cookie("madansara_theme")
	if err != nil || cookie.Value != "light" && cookie.Value != "dark" {
		return ""
	}
	return cookie.Value
}

// pathID reads the {id} of a path; one that is no id is not found.
func pathID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "This page does not exist, or belongs to another company.")
	}
	return id, nil
}

// problemText is what a person may be told of err.
func problemText(err error) string { return httpkit.ProblemOf(err).Detail }
