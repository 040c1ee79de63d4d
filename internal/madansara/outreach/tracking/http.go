package tracking

import (
	"embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// pixel is a transparent GIF of one by one.
var pixel = func() []byte {
	gif, err := base64.StdEncoding.DecodeString("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
	if err != nil {
		panic(err) // a constant
	}
	return gif
}()

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// maxForm bounds the body of a one-click unsubscription, which is 26 bytes.
const maxForm = 4 << 10

// Routes adds the links' endpoints. None asks for a log-in: the signature in
// the link is what allows.
func (s *Service) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /t/o/{token}", s.serveOpen)
	mux.HandleFunc("GET /t/c/{token}", s.serveClick)
	mux.HandleFunc("GET /u/{token}", s.serveConfirm)
	mux.HandleFunc("POST /u/{token}", s.serveUnsubscribe)
}

func (s *Service) serveOpen(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutSuffix(r.PathValue("token"), ".gif")
	if c, err := s.signer.keys.verify(openKind, token); err == nil && r.Method == http.MethodGet {
		if err := s.open(r.Context(), c); err != nil {
			slog.ErrorContext(r.Context(), "an open was not recorded", slog.Any("error", err))
		}
	}
	// Always an image: a broken one in somebody's mail helps nobody.
	w.Header().Set("Content-Type", "image/gif")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(pixel) // the reader is gone if this fails
}

func (s *Service) serveClick(w http.ResponseWriter, r *http.Request) {
	c, err := s.signer.keys.verify(clickKind, r.PathValue("token"))
	if err != nil || !leadsOutside(c.target) {
		s.page(w, http.StatusNotFound, "unknown.html", nil)
		return
	}
	campaign := ""
	if r.Method == http.MethodGet { // HEAD is a scanner's
		if campaign, err = s.click(r.Context(), c); err != nil {
			// The reader wants the page; our book-keeping is not their problem.
			slog.ErrorContext(r.Context(), "a click was not recorded", slog.Any("error", err))
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, destination(c.target, c.message, campaign), http.StatusFound)
}

func leadsOutside(target string) bool {
	u, err := url.Parse(target)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// serveConfirm shows a page with a button and changes nothing: mail scanners
// follow every link of a mail.
func (s *Service) serveConfirm(w http.ResponseWriter, r *http.Request) {
	c, err := s.signer.keys.verify(unsubscribeKind, r.PathValue("token"))
	if err != nil {
		s.page(w, http.StatusNotFound, "unknown.html", nil)
		return
	}
	found, known, err := s.subject(r.Context(), c)
	switch {
	case err != nil:
		slog.ErrorContext(r.Context(), "an unsubscribe page failed", slog.Any("error", err))
		s.page(w, http.StatusServiceUnavailable, "failed.html", nil)
	case !known:
		s.page(w, http.StatusNotFound, "unknown.html", nil)
	case found.unsubscribed:
		s.page(w, http.StatusOK, "done.html", pageData{Address: masked(found.address)})
	default:
		s.page(w, http.StatusOK, "confirm.html", pageData{Address: masked(found.address)})
	}
}

// serveUnsubscribe acts, for the page's button and for mail programs (RFC 8058).
func (s *Service) serveUnsubscribe(w http.ResponseWriter, r *http.Request) {
	c, err := s.signer.keys.verify(unsubscribeKind, r.PathValue("token"))
	if err != nil {
		s.page(w, http.StatusNotFound, "unknown.html", nil)
		return
	}
	// The body says "List-Unsubscribe=One-Click"; the link alone already says
	// all, so nothing in the body can make this fail.
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	known, err := s.unsubscribe(r.Context(), c)
	switch {
	case err != nil:
		slog.ErrorContext(r.Context(), "an unsubscription failed", slog.Any("error", err))
		s.page(w, http.StatusServiceUnavailable, "failed.html", nil)
	case !known:
		s.page(w, http.StatusNotFound, "unknown.html", nil)
	default:
		found, _, err := s.subject(r.Context(), c)
		if err != nil {
			slog.WarnContext(r.Context(), "whom an unsubscription was for is not shown", slog.Any("error", err))
		}
		s.page(w, http.StatusOK, "done.html", pageData{Address: masked(found.address)})
	}
}

type pageData struct{ Address string }

func (s *Service) page(w http.ResponseWriter, status int, name string, data any) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Robots-Tag", "noindex")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		slog.Warn("a page was not written", slog.String("page", name), slog.Any("error", err))
	}
}

// masked shows enough of an address for its owner: the link may be forwarded.
func masked(address string) string {
	local, domain, found := strings.Cut(address, "@")
	if !found || local == "" {
		return "this address"
	}
	return string([]rune(local)[:1]) + "•••@" + domain
}
