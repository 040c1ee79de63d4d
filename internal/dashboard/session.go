package dashboard

import (
	"net/http"
	"strings"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

const maxForm = 1 << 20 // bytes of a form

type loginForm struct {
	Email, Next, Problem string
}

func (d *Dashboard) showLogin(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if _, ok := httpkit.PrincipalFrom(r.Context()); ok {
		http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // localPath lets no other site through
		return
	}
	_ = d.render(w, r, http.StatusOK, loginPage(theme(r), loginForm{Next: next})) // render has no error left to tell
}

func (d *Dashboard) logIn(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		d.fail(w, r, nil, err)
		return
	}
	form := loginForm{Email: strings.TrimSpace(r.PostFormValue("email")), Next: localPath(r.PostFormValue("next"))}
	login, err := d.Accounts.LogIn(r.Context(), form.Email, r.PostFormValue("password"), httpkit.ClientIP(r.Context()))
	if err != nil {
		problem := httpkit.ProblemOf(err)
		if problem.Status >= http.StatusInternalServerError {
			d.fail(w, r, nil, err)
			return
		}
		form.Problem = problem.Detail
		_ = d.render(w, r, problem.Status, loginPage(theme(r), form)) // render has no error left to tell
		return
	}
	age := int(login.ExpiresAt.Sub(d.Clock.Now()).Seconds())
	http.SetCookie(w, httpkit.NewSessionCookie(login.Token, age, d.SecureCookies))
	http.Redirect(w, r, form.Next, http.StatusSeeOther)
}

func (d *Dashboard) logOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(httpkit.SessionCookie); err == nil {
		if err := d.Accounts.LogOut(r.Context(), cookie.Value); err != nil {
			d.fail(w, r, nil, err)
			return
		}
	}
	http.SetCookie(w, httpkit.NewSessionCookie("", -1, d.SecureCookies))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// localPath keeps a log-in from sending the user to another site.
func localPath(next string) string {
	// Browsers drop control characters from an address and take a backslash for
	// a slash: "/\t/evil.example" is "//evil.example" to them.
	stray := func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsFunc(next, stray) {
		return "/"
	}
	return next
}

// readForm parses a posted form of bounded size whose text the database can store.
func readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Malformed, "The form could not be read; it may be longer than 1 MB.")
	}
	for _, values := range r.PostForm {
		for i, value := range values {
			values[i] = strings.ToValidUTF8(strings.ReplaceAll(value, "\x00", ""), "\uFFFD")
		}
	}
	return nil
}
