package mailbox

import (
	"embed"
	"encoding/json"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"when": func(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") }, //nolint:gosmopolitan // whoever looks sits at this machine
	"join": strings.Join,
	"size": func(n int) string {
		if n < 1024 {
			return strconv.Itoa(n) + " B"
		}
		return strconv.Itoa(n/1024) + " KB"
	},
}).ParseFS(pageFiles, "pages/*.html"))

const maxListed = 200

// Handler serves the pages and the JSON API.
func (m *Mailbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", m.list)
	mux.HandleFunc("GET /messages/{id}", m.show)
	mux.HandleFunc("GET /messages/{id}/html", m.html)
	mux.HandleFunc("GET /messages/{id}/raw", m.raw)
	mux.HandleFunc("GET /api/messages", m.apiList)
	mux.HandleFunc("GET /api/messages/{id}", m.apiShow)
	mux.HandleFunc("DELETE /api/messages", func(w http.ResponseWriter, _ *http.Request) {
		m.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	return guarded(mux)
}

// guarded keeps what a mail holds from acting on the page around it.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (m *Mailbox) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query().Get("q")
	mails, total := m.Messages(query, maxListed)
	render(w, http.StatusOK, "list.html", map[string]any{"Query": query, "Mails": mails, "Total": total, "SMTP": m.SMTPAddr()})
}

func (m *Mailbox) show(w http.ResponseWriter, r *http.Request) {
	mail := m.find(r.PathValue("id"))
	if mail == nil {
		render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	view := r.URL.Query().Get("view")
	if view != "text" && view != "headers" && view != "raw" {
		view = "html"
	}
	if view == "html" && mail.HTML == "" {
		view = "text"
	}
	render(w, http.StatusOK, "message.html", map[string]any{"Mail": mail, "View": view, "Raw": clean(string(mail.raw))})
}

// html is the mail's own markup. The policy, not only the frame, takes scripts
// and forms away; links open in a tab of their own.
func (m *Mailbox) html(w http.ResponseWriter, r *http.Request) {
	mail := m.find(r.PathValue("id"))
	if mail == nil {
		render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; font-src https: data:; form-action 'none'; base-uri 'self'; frame-ancestors 'self'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, `<!doctype html><base target="_blank">`+mail.HTML) // the reader is gone if this fails
}

func (m *Mailbox) raw(w http.ResponseWriter, r *http.Request) {
	mail := m.find(r.PathValue("id"))
	if mail == nil {
		render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(mail.raw) // the reader is gone if this fails
}

func (m *Mailbox) apiList(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > 100_000 {
		limit = maxListed
	}
	mails, total := m.Messages(r.URL.Query().Get("q"), limit)
	if mails == nil {
		mails = []*Mail{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"messages": mails, "total": total})
}

func (m *Mailbox) apiShow(w http.ResponseWriter, r *http.Request) {
	mail := m.find(r.PathValue("id"))
	if mail == nil {
		writeJSON(w, http.StatusNotFound, map[string]any{"detail": "there is no such message"})
		return
	}
	writeJSON(w, http.StatusOK, mail)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the reader is gone if this fails
}

func render(w http.ResponseWriter, status int, page string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := pages.ExecuteTemplate(w, page, data); err != nil {
		slog.Debug("a mailbox page was not written", slog.String("page", page), slog.Any("error", err))
	}
}
