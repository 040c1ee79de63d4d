package dashboard

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/madansara/outreach"
)

type settingsPage struct {
	*view
	Keys       []account.Key
	Token      string // of a key just made, shown once
	TokenKind  account.Kind
	Name       string // typed for a key that was refused
	Problem    string
	TrackerURL string
	Mail       outreach.MailAccount
}

func (d *Dashboard) settings(w http.ResponseWriter, r *http.Request, v *view) error {
	return d.showSettings(w, r, v, http.StatusOK, settingsPage{})
}

func (d *Dashboard) showSettings(w http.ResponseWriter, r *http.Request, v *view, status int, page settingsPage) error {
	v.Title, v.Section, v.Narrow = "Settings", "settings", true
	page.view, page.TrackerURL, page.Mail = v, d.PublicURL+d.TrackerPath, d.mailAccount(r.Context(), v.Tenant)
	if v.CanAdmin {
		var err error
		if page.Keys, err = d.Accounts.Keys(r.Context(), v.Tenant); err != nil {
			return err
		}
	}
	return d.render(w, r, status, settingsView(page))
}

// mailAccount is what the company's mails leave by; a page does not wait long for Core.
func (d *Dashboard) mailAccount(ctx context.Context, tenant uuid.UUID) outreach.MailAccount {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return d.Campaigns.MailAccount(ctx, tenant)
}

// createKey shows the new key in its answer and not after a redirect: the
// token exists nowhere else and must not stand in a URL.
func (d *Dashboard) createKey(w http.ResponseWriter, r *http.Request, v *view) error {
	if err := needs(v.CanAdmin); err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	wanted := account.NewKey{Kind: account.Kind(r.PostFormValue("kind")), Name: strings.TrimSpace(r.PostFormValue("name"))}
	if wanted.Kind == account.SecretKey {
		wanted.Scopes = []string{"*"}
		if r.PostFormValue("access") == "read" {
			wanted.Scopes = []string{"website:read", "contacts:read", "outreach:read", "conversion:read"}
		}
	}
	token, key, err := d.Accounts.CreateKey(r.Context(), v.Tenant, wanted)
	if isUsers(err) {
		return d.showSettings(w, r, v, http.StatusUnprocessableEntity, settingsPage{Problem: problemText(err), Name: wanted.Name})
	}
	if err != nil {
		return err
	}
	return d.showSettings(w, r, v, http.StatusCreated, settingsPage{Token: token, TokenKind: key.Kind})
}

func (d *Dashboard) revokeKey(w http.ResponseWriter, r *http.Request, v *view) error {
	if err := needs(v.CanAdmin); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := d.Accounts.RevokeKey(r.Context(), v.Tenant, id); err != nil {
		return err
	}
	http.Redirect(w, r, "/settings?done=revoked", http.StatusSeeOther)
	return nil
}

// snippet is what a site's pages carry.
func (p settingsPage) snippet() string {
	key := "YOUR_WRITE_KEY"
	if p.TokenKind == account.WriteKey {
		key = p.Token
	}
	return `<script async src="` + p.TrackerURL + `" data-write-key="` + key + `"></script>`
}
