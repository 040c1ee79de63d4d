package account_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// office is a tenant whose people use Core over HTTP.
type office struct {
	bundle

	server *httptest.Server
}

func newOffice(t *testing.T) office {
	t.Helper()
	b := setup(t)
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "Core", Version: "1", Authenticator: b.accounts, Logger: slog.New(slog.DiscardHandler)})
	b.accounts.Register(router.API())
	b.accounts.RegisterPeople(router.API(), false)
	audit.New(dbtest.Pool(t, b.url, "engarde_core_app")).Register(router.API())
	server := httptest.NewServer(router.Handler())
	t.Cleanup(server.Close)
	return office{b, server}
}

// caller is somebody at a browser, or a program with a key.
type caller struct {
	client *http.Client
	url    string
	token  string // "" for a browser
}

func (o office) browser(t *testing.T) *caller {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &caller{client: &http.Client{Jar: jar}, url: o.server.URL}
}

func (o office) logIn(t *testing.T, email, password string) *caller {
	t.Helper()
	c := o.browser(t)
	status, body := c.call(t, http.MethodPost, "/api/v1/sessions", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	require.Equal(t, http.StatusCreated, status, body)
	return c
}

func (c *caller) call(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func (c *caller) want(t *testing.T, want int, method, path, body string, into any) {
	t.Helper()
	status, answer := c.call(t, method, path, body)
	require.Equal(t, want, status, "%s %s: %s", method, path, answer)
	if into != nil {
		require.NoError(t, json.Unmarshal([]byte(answer), into))
	}
}

type made struct {
	User     account.Person `json:"user"`
	Password string         `json:"one_time_password"`
}

func TestAUsersLife(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.owner(t)
	owner := o.logIn(t, "owner@example.com", password)
	var anne made
	owner.want(t, http.StatusCreated, http.MethodPost, "/api/v1/users", `{"email":"Anne@example.com","name":"Anne","role":"marketer"}`, &anne)
	require.Equal(t, "anne@example.com", anne.User.Email)
	require.GreaterOrEqual(t, len(anne.Password), 20)
	browser := o.logIn(t, "anne@example.com", anne.Password)
	elsewhere := o.logIn(t, "anne@example.com", anne.Password)

	var me struct {
		Scopes []string       `json:"scopes"`
		User   account.Person `json:"user"`
	}
	browser.want(t, http.StatusOK, http.MethodGet, "/api/v1/me", "", &me)
	require.Equal(t, anne.User.ID, me.User.ID)
	require.WithinDuration(t, o.clock.Now(), *me.User.LastLoginAt, 0)
	require.Contains(t, me.Scopes, "outreach:write")

	// A password of her own ends the other session.
	browser.want(t, http.StatusUnprocessableEntity, http.MethodPost, "/api/v1/me/password", `{"current_password":"wrong","new_password":"a password of mine"}`, nil)
	browser.want(t, http.StatusUnprocessableEntity, http.MethodPost, "/api/v1/me/password", fmt.Sprintf(`{"current_password":%q,"new_password":"short"}`, anne.Password), nil)
	browser.want(t, http.StatusNoContent, http.MethodPost, "/api/v1/me/password", fmt.Sprintf(`{"current_password":%q,"new_password":"a password of mine"}`, anne.Password), nil)
	elsewhere.want(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", nil)
	second := o.logIn(t, "anne@example.com", "a password of mine")
	var list struct{ Sessions []account.Session }
	browser.want(t, http.StatusOK, http.MethodGet, "/api/v1/me/sessions", "", &list)
	require.Len(t, list.Sessions, 2)
	for _, session := range list.Sessions {
		require.Equal(t, "127.0.0.1", session.Address)
		if !session.Current {
			browser.want(t, http.StatusNoContent, http.MethodDelete, "/api/v1/me/sessions/"+session.ID.String(), "", nil)
			browser.want(t, http.StatusNotFound, http.MethodDelete, "/api/v1/me/sessions/"+session.ID.String(), "", nil)
		}
	}
	second.want(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", nil)
	browser.want(t, http.StatusForbidden, http.MethodGet, "/api/v1/users", "", nil)

	// Disabled, she is out at once; enabled, she may come back.
	path := "/api/v1/users/" + anne.User.ID.String()
	owner.want(t, http.StatusOK, http.MethodPatch, path, `{"disabled":true}`, &anne.User)
	require.WithinDuration(t, o.clock.Now(), *anne.User.DisabledAt, 0)
	browser.want(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", nil)
	_, err := o.accounts.LogIn(t.Context(), "anne@example.com", "a password of mine", "192.0.2.1")
	requireCode(t, fault.Unauthenticated, err)
	owner.want(t, http.StatusOK, http.MethodPatch, path, `{"disabled":false,"name":"Anne B."}`, nil)
	browser = o.logIn(t, "anne@example.com", "a password of mine")
	var reset made
	owner.want(t, http.StatusOK, http.MethodPost, path+"/reset-password", "", &reset)
	browser.want(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", nil)
	browser = o.logIn(t, "anne@example.com", reset.Password)
	owner.want(t, http.StatusNoContent, http.MethodDelete, path+"/sessions", "", nil)
	browser.want(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", nil)

	var log struct{ Entries []audit.Entry }
	owner.want(t, http.StatusOK, http.MethodGet, "/api/v1/audit?object="+anne.User.ID.String(), "", &log)
	var actions []string
	for _, entry := range log.Entries {
		actions = append(actions, entry.Action)
	}
	require.Equal(t, []string{
		"user.sessions_ended", "user.password_changed", "user.updated", "user.updated", "user.password_changed", "user.created",
	}, actions)
	require.Equal(t, "owner@example.com", log.Entries[0].ActorName)
	require.Equal(t, "127.0.0.1", log.Entries[0].Address)
	require.NotEmpty(t, log.Entries[0].RequestID)
	require.Equal(t, "user "+anne.User.ID.String(), log.Entries[4].Actor, "her own act")
	require.JSONEq(t, `{"name":{"from":"Anne","to":"Anne B."},"disabled":{"from":true,"to":false}}`, string(log.Entries[2].Details))
	_, text := owner.call(t, http.MethodGet, "/api/v1/audit?limit=500", "")
	for _, secret := range []string{anne.Password, reset.Password, "a password of mine", "argon2id"} {
		require.NotContains(t, text, secret)
	}
}

func TestNobodyMakesThemselvesMore(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ownerID := o.owner(t)
	owner := o.logIn(t, "owner@example.com", password)
	var admin, viewer made
	owner.want(t, http.StatusCreated, http.MethodPost, "/api/v1/users", `{"email":"admin@example.com","role":"admin"}`, &admin)
	owner.want(t, http.StatusCreated, http.MethodPost, "/api/v1/users", `{"email":"viewer@example.com","role":"viewer","password":"correct horse battery"}`, &viewer)
	require.Empty(t, viewer.Password, "it was given")
	boss := o.logIn(t, "admin@example.com", admin.Password)
	boss.want(t, http.StatusForbidden, http.MethodPost, "/api/v1/users", `{"email":"x@example.com","role":"owner"}`, nil)
	boss.want(t, http.StatusForbidden, http.MethodPatch, "/api/v1/users/"+admin.User.ID.String(), `{"role":"owner"}`, nil)
	for _, act := range []struct{ method, path, body string }{
		{http.MethodPatch, "", `{"disabled":true}`}, {http.MethodPatch, "", `{"role":"viewer"}`}, {http.MethodPost, "/reset-password", ""}, {http.MethodDelete, "/sessions", ""},
	} {
		boss.want(t, http.StatusForbidden, act.method, "/api/v1/users/"+ownerID.String()+act.path, act.body, nil)
	}
	boss.want(t, http.StatusOK, http.MethodPatch, "/api/v1/users/"+viewer.User.ID.String(), `{"role":"admin"}`, nil)
	boss.want(t, http.StatusConflict, http.MethodPatch, "/api/v1/users/"+admin.User.ID.String(), `{"disabled":true}`, nil)
	boss.want(t, http.StatusForbidden, http.MethodGet, "/api/v1/keys", "", nil)

	// A key of few scopes, too.
	token, _, err := o.accounts.CreateKey(t.Context(), o.tenant, account.NewKey{Kind: account.SecretKey, Name: "HR", Scopes: []string{"account:read", "account:write"}})
	require.NoError(t, err)
	program := &caller{client: http.DefaultClient, url: o.server.URL, token: token}
	program.want(t, http.StatusForbidden, http.MethodPost, "/api/v1/users", `{"email":"x@example.com","role":"viewer"}`, nil)
	program.want(t, http.StatusForbidden, http.MethodPost, "/api/v1/me/password", `{"current_password":"x","new_password":"a password of mine"}`, nil)
	program.want(t, http.StatusForbidden, http.MethodGet, "/api/v1/me/sessions", "", nil)

	// Another tenant's people are not there.
	other, err := o.accounts.CreateTenant(t.Context(), account.Tenant{Name: "Other"})
	require.NoError(t, err)
	stranger, err := o.accounts.CreateUser(t.Context(), other, account.User{Email: "stranger@example.com", Role: account.Viewer, Password: password})
	require.NoError(t, err)
	for _, act := range []struct{ method, path, body string }{
		{http.MethodGet, "", ""}, {http.MethodPatch, "", `{"disabled":true}`}, {http.MethodPost, "/reset-password", ""}, {http.MethodDelete, "/sessions", ""},
	} {
		owner.want(t, http.StatusNotFound, act.method, "/api/v1/users/"+stranger.String()+act.path, act.body, nil)
	}
	owner.want(t, http.StatusConflict, http.MethodPost, "/api/v1/users", `{"email":"stranger@example.com","role":"viewer"}`, nil)
}

func TestAnOwnerRemains(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first := o.owner(t)
	second, err := o.accounts.CreateUser(t.Context(), o.tenant, account.User{Email: "second@example.com", Role: account.Owner, Password: password})
	require.NoError(t, err)
	viewer := account.Viewer
	var group sync.WaitGroup
	errs := make(chan error, 2)
	for _, id := range []uuid.UUID{first, second} {
		group.Go(func() {
			_, err := o.accounts.UpdateUser(t.Context(), o.tenant, id, account.UserChange{Role: &viewer})
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	refused := 0
	for err := range errs {
		if err != nil {
			requireCode(t, fault.Conflict, err)
			refused++
		}
	}
	require.Equal(t, 1, refused, "of two owners who demote each other at once, one remains")
}

func TestUsersArePaged(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.owner(t)
	owner := o.logIn(t, "owner@example.com", password)
	for n := range 4 {
		owner.want(t, http.StatusCreated, http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"email":"u%d@example.com","role":"viewer","password":"correct horse battery"}`, n), nil)
	}
	var emails []string
	for path := "/api/v1/users?limit=2"; path != ""; {
		var page struct {
			Users []account.Person
			Next  string `json:"next_cursor"`
		}
		owner.want(t, http.StatusOK, http.MethodGet, path, "", &page)
		for _, user := range page.Users {
			emails = append(emails, user.Email)
		}
		path = ""
		if page.Next != "" {
			path = "/api/v1/users?limit=2&cursor=" + page.Next
		}
	}
	require.Equal(t, []string{"owner@example.com", "u0@example.com", "u1@example.com", "u2@example.com", "u3@example.com"}, emails)
}

func TestTheTenant(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.owner(t)
	owner := o.logIn(t, "owner@example.com", password)
	var tenant account.Tenant
	owner.want(t, http.StatusOK, http.MethodPatch, "/api/v1/tenant", `{"time_zone":"Europe/Paris"}`, &tenant)
	require.WithinDuration(t, o.clock.Now(), tenant.CreatedAt, 0)
	tenant.CreatedAt = time.Time{}
	require.Equal(t, account.Tenant{ID: o.tenant, Name: "Ti Machann", TimeZone: "Europe/Paris", Currency: "USD"}, tenant)
	owner.want(t, http.StatusOK, http.MethodGet, "/api/v1/tenant", "", &tenant)
	require.Equal(t, "Europe/Paris", tenant.TimeZone)
	for _, wrong := range []string{
		`{"name":""}`, `{"time_zone":"Mars/Base"}`, `{"time_zone":"Local"}`, `{"time_zone":"../etc/passwd"}`, `{"currency":"usd"}`, `{"currency":"XXX"}`,
		`{"tenant_uuid":"0198c000-0000-7000-8000-00000000de30"}`, `{"name":"` + strings.Repeat("é", 201) + `"}`, `{"name":null,"time_zone":5}`,
	} {
		owner.want(t, http.StatusUnprocessableEntity, http.MethodPatch, "/api/v1/tenant", wrong, nil)
	}
	owner.want(t, http.StatusOK, http.MethodPatch, "/api/v1/tenant", `{"name":"`+strings.Repeat("é", 200)+`"}`, nil)
}

func TestATenantIsFoundedWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.owner(t)
	_, _, err := b.accounts.Found(t.Context(), account.Tenant{Name: "Second"}, account.User{Email: "owner@example.com", Role: account.Owner, Password: password})
	requireCode(t, fault.Conflict, err)
	tenant, user, err := b.accounts.Found(audit.WithActor(t.Context(), "command", "root"), account.Tenant{Name: "Second"},
		account.User{Email: "other@example.com", Role: account.Owner, Password: password})
	require.NoError(t, err)
	login, err := b.accounts.LogIn(t.Context(), "other@example.com", password, "192.0.2.1")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{tenant, user}, []uuid.UUID{login.Tenant, login.User})
	entries, _, err := audit.New(dbtest.Pool(t, b.url, "engarde_core_app")).List(t.Context(), tenant, audit.Filter{Actor: "command"}, "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	conn := dbtest.Pool(t, b.url, "").Pool()
	var tenants int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from tenants where name = 'Second'").Scan(&tenants))
	require.Equal(t, 1, tenants, "the refused one left nothing")
}
