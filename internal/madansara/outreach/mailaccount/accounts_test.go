package mailaccount_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/channeltest"
	"github.com/engardehq/madansara/internal/madansara/outreach/mailaccount"
	"github.com/engardehq/madansara/internal/madansara/outreach/mailaccount/smtptest"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/internal/ssrf/ssrftest"
	"github.com/engardehq/madansara/mesh"
)

func TestTheTenantsOwnAccountIsUsed(t *testing.T) {
	t.Parallel()
	for name, security := range map[string]smtptest.Security{"starttls": smtptest.StartTLS, "tls": smtptest.TLS, "none": smtptest.None} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.New(t, security)
			b := setup(t, func(c *mailaccount.Config) { c.TLS = &tls.Config{RootCAs: server.Roots, MinVersion: tls.VersionTLS12} })
			b.server = server
			server.Account("marie", password)
			b.enter(b.tenant, "marie", password, "tls", name)
			account := b.must(t)
			require.True(t, account.Own())
			require.Equal(t, channel.Address{Name: "Kafe Lakay", Address: "marie@shop.example"}, account.From)
			session, err := account.Open(t.Context())
			require.NoError(t, err)
			for range 3 {
				m := channeltest.Message()
				m.From = account.From
				_, err = session.Send(t.Context(), m)
				require.NoError(t, err)
			}
			require.NoError(t, session.Close())
			let, _ := server.LogIns()
			require.Equal(t, []string{"marie"}, let, "a session keeps its connection")
			for _, mail := range server.Mails() {
				require.Equal(t, "marie", mail.User)
				require.Equal(t, "marie@shop.example", mail.From)
				require.Contains(t, mail.Data, "From: \"Kafe Lakay\" <marie@shop.example>")
				require.NotContains(t, mail.Data, "DKIM-Signature", "our key is not the company's")
			}
		})
	}
}

func TestACampaignAsksOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			account, err := b.own(t)
			require.NoError(t, err)
			require.Nil(t, account, "there is none")
		})
	}
	all.Wait()
	asked := b.core.calls()
	require.LessOrEqual(t, asked, 2, "those who ask at once share a call")
	for range 10_000 {
		_, err := b.own(t)
		require.NoError(t, err)
	}
	require.Equal(t, asked, b.core.calls(), "that there is none is known too")

	b.enter(b.tenant, "marie", password)
	account, err := b.accounts.Own(t.Context(), b.tenant, "email", b.clock.Now().Add(time.Nanosecond))
	require.NoError(t, err)
	require.NotNil(t, account, "what was entered before a campaign started counts for it")
	require.Equal(t, asked+1+1, b.core.calls(), "whoever asks of a time to come asks twice, not for ever")
	b.clock.Advance(5*time.Minute - time.Second)
	require.Same(t, account, b.must(t))
	b.core.change(func(c *core) { delete(c.tenants, b.tenant.String()) })
	b.clock.Advance(time.Second)
	account, err = b.own(t)
	require.NoError(t, err)
	require.Nil(t, account, "it was removed")
	b.enter(b.tenant, "marie", password)
	b.clock.Advance(30 * time.Second)
	b.must(t)
	account, err = b.accounts.Own(t.Context(), b.tenant, "sms", time.Time{})
	require.NoError(t, err)
	require.Nil(t, account)
}

func TestARotationIsPickedUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enter(b.tenant, "marie", "the old one")
	old := b.must(t)
	_, err := old.Open(t.Context())
	require.True(t, channel.LogInRefused(err), "%v", err)
	b.enter(b.tenant, "marie", password)
	require.Same(t, old, b.must(t), "it is known for some minutes")
	b.accounts.Refused(b.tenant, old)
	renewed := b.must(t)
	require.NotEqual(t, old.Version, renewed.Version)
	session, err := renewed.Open(t.Context())
	require.NoError(t, err)
	require.NoError(t, session.Close())
	b.accounts.Refused(b.tenant, old)
	require.Same(t, renewed, b.must(t), "a refusal of the old one is no refusal of the new")
}

// TestARefusedLogInIsLeftAlone: a provider locks an account that is tried every half minute.
func TestARefusedLogInIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enter(b.tenant, "marie", "wrong")
	account := b.must(t)
	refusal := errors.New("refused")
	b.accounts.Unusable(b.tenant, account, refusal)
	asked := b.core.calls()
	b.clock.Advance(5*time.Minute - time.Second)
	_, err := b.own(t)
	require.Equal(t, refusal, err)
	require.Equal(t, asked, b.core.calls())
	_, err = b.accounts.Own(t.Context(), b.tenant, "email", b.clock.Now())
	require.NoError(t, err, "who continues a campaign means it")
	b.accounts.Unusable(b.tenant, account, refusal)
	b.must(t)
	b.accounts.Unusable(b.tenant, b.must(t), refusal)
	b.clock.Advance(5 * time.Minute)
	b.must(t)
}

func TestARefusedLogInSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const secret = "hunter2-hunter2"
	const told = "AG1hcmllAGh1bnRlcjItaHVudGVyMg==" // the same with the user's name, as AUTH PLAIN sends it
	b.server.RefuseWith(&smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: fmt.Sprintf("no %s, no %s here", secret, told)})
	b.enter(b.tenant, "marie", secret)
	account := b.must(t)
	_, opening := account.Open(t.Context())
	_, sending := account.Send(t.Context(), channeltest.Message())
	for _, err := range []error{opening, sending} {
		require.Equal(t, channel.Misconfigured, channel.KindOf(err))
		require.ErrorContains(t, err, "refused the log-in of the company's SMTP integration “default” (127.0.0.1): enter its user name and password anew")
		require.ErrorContains(t, err, "no ********")
		require.NotContains(t, err.Error(), secret, "a server that repeats the password does not have it logged")
		require.NotContains(t, err.Error(), told)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v", account, *account), b.logged.String()} {
		require.NotContains(t, printed, secret)
	}
}

func TestWhileCoreIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.core.change(func(c *core) { c.away = true })
	account, err := b.own(t)
	require.Nil(t, account)
	var unknown *channel.Error
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, channel.Temporary, unknown.Kind)
	require.Equal(t, channel.StageAccount, unknown.Stage)
	require.ErrorContains(t, err, "The message waits until En Garde Core can say")
	require.Contains(t, b.logged.String(), b.tenant.String())

	b.core.change(func(c *core) { c.away = false })
	b.enter(b.tenant, "marie", password)
	known := b.must(t)
	b.core.change(func(c *core) { c.away = true })
	b.clock.Advance(time.Hour - time.Second)
	require.Same(t, known, b.must(t), "what is known goes on")
	started, err := b.accounts.Own(t.Context(), b.tenant, "email", b.clock.Now())
	require.NoError(t, err)
	require.Same(t, known, started)
	b.clock.Advance(time.Second)
	_, err = b.own(t)
	require.ErrorAs(t, err, &unknown, "for an hour")

	b.core.change(func(c *core) { c.away = false })
	known = b.must(t)
	b.core.change(func(c *core) { c.away = true })
	b.accounts.Refused(b.tenant, known)
	_, err = b.own(t)
	require.ErrorAs(t, err, &unknown, "what was refused does not go on")
}

// TestNothingElseSaysThatThereIsNone: a tenant with an account must not send by ours
// because a proxy, another service or a fault answered in Core's place.
func TestNothingElseSaysThatThereIsNone(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]http.HandlerFunc{
		"a page":          func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<h1>404</h1>", http.StatusNotFound) },
		"an empty 404":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"another problem": problem(http.StatusNotFound, `{"status":404,"code":"not_found","detail":"There is nothing at this path"}`),
		"forbidden":       problem(http.StatusForbidden, `{"status":403}`),
		"unauthorized":    problem(http.StatusUnauthorized, `{"status":401}`),
		"a fault":         problem(http.StatusInternalServerError, `{"status":500,"errors":[{"location":"path.provider"}]}`),
		"nothing":         func(http.ResponseWriter, *http.Request) {},
		"no object":       func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "null") },
		"an empty object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"another account": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"integration_id":"1","provider":"sendgrid","settings":{"host":"127.0.0.1"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.core.change(func(c *core) { c.wrong = wrong })
			account, err := b.own(t)
			require.Error(t, err)
			require.Nil(t, account)
		})
	}
}

func problem(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestAMailServerIsJudgedWhenItIsDialled: a name may stand for the outside when it is
// entered and for the inside afterwards.
func TestAMailServerIsJudgedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	inside := map[string]string{"rebound.test.": "127.0.0.1", "metadata.test.": "169.254.169.254", "private.test.": "10.0.0.7", "mapped.test.": "::ffff:127.0.0.1"}
	b := setup(t, func(c *mailaccount.Config) {
		c.Guard = ssrf.Guard{Resolver: ssrftest.Resolver(func(name string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(inside[name])} })}
	})
	for name := range inside {
		b.enter(b.tenant, "marie", password, "host", strings.TrimSuffix(name, "."), "port", "587")
		b.clock.Advance(time.Hour)
		_, err := b.must(t).Open(t.Context())
		require.Equal(t, channel.Misconfigured, channel.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "may not be used: the address is not public", name)
	}
	for what, settings := range map[string][]string{
		"an address":        {"host", "127.0.0.1", "port", "587"},
		"another port":      {"host", "smtp.example.com", "port", "5432"},
		"no port":           {"host", "smtp.example.com", "port", "smtp"},
		"in the clear":      {"host", "smtp.example.com", "port", "587", "tls", "none"},
		"in the clear here": {"host", "localhost", "port", "587", "tls", "none"},
		"some security":     {"host", "smtp.example.com", "port", "587", "tls", "ssl"},
	} {
		b.enter(b.tenant, "marie", password, settings...)
		b.clock.Advance(time.Hour)
		account, err := b.own(t)
		require.Nil(t, account, what)
		require.Equal(t, channel.Misconfigured, channel.KindOf(err), "%s: %v", what, err)
		require.ErrorContains(t, err, "cannot be used: ", what)
	}
	require.Zero(t, b.server.Connections())
}

func TestTLSIsRequired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.server = smtptest.New(t, smtptest.None)
	b.server.Account("marie", password)
	b.enter(b.tenant, "marie", password)
	_, err := b.must(t).Open(t.Context())
	require.ErrorContains(t, err, "STARTTLS")
	require.Equal(t, channel.Misconfigured, channel.KindOf(err))
	require.Empty(t, b.server.Mails())
	let, refused := b.server.LogIns()
	require.Empty(t, append(let, refused...), "the password was not sent")

	b = setup(t, func(c *mailaccount.Config) { c.TLS = nil })
	b.enter(b.tenant, "marie", password)
	_, err = b.must(t).Open(t.Context())
	require.Equal(t, channel.Misconfigured, channel.KindOf(err), "a certificate nobody vouches for: %v", err)
	require.ErrorContains(t, err, "“default”")
}

func TestWhoAnAccountSendsAs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enter(b.tenant, "ti@machann.example", password, "from_email", "", "from_name", "")
	require.Equal(t, channel.Address{Address: "ti@machann.example"}, b.must(t).From, "the user's name is one")
	b.enter(b.tenant, "marie", password, "from_email", "")
	b.clock.Advance(time.Hour)
	nameless := b.must(t)
	_, err := nameless.Sender(channel.Address{Name: "Shop"})
	require.Equal(t, channel.Misconfigured, channel.KindOf(err))
	named := channel.Address{Name: "Shop", Address: "a@anywhere.example"}
	sender, err := nameless.Sender(named)
	require.NoError(t, err)
	require.Equal(t, named, sender, "its server has the last word")
}

func TestAnUnreachableServerSaysNothingAboutTheMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	b.enter(b.tenant, "marie", password, "port", port)
	_, err = b.must(t).Open(t.Context())
	var failed *channel.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, channel.Temporary, failed.Kind)
	require.True(t, failed.Unused)
	require.ErrorContains(t, err, "cannot be used at the moment")
}

// TestSecretsLeaveTheMemory looks for as many tenants as are kept, and for time.
func TestSecretsLeaveTheMemory(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *mailaccount.Config) { c.Most = 3 })
	tenants := make([]uuid.UUID, 4)
	ask := func(tenant uuid.UUID) error {
		_, err := b.accounts.Own(t.Context(), tenant, "email", time.Time{})
		return err
	}
	for i := range tenants {
		tenants[i] = uuid.New()
		b.enter(tenants[i], "marie", password)
		require.NoError(t, ask(tenants[i]))
		require.NoError(t, ask(tenants[0]), "it is in use")
	}
	b.core.change(func(c *core) { c.away = true })
	for i, tenant := range tenants {
		require.Equal(t, i == 1, ask(tenant) != nil, "the longest unused went: %d", i)
	}
	require.Equal(t, 3, mailaccount.Kept(b.accounts))
	b.clock.Advance(time.Hour)
	require.Eventually(t, func() bool { return mailaccount.Kept(b.accounts) == 0 }, time.Minute, time.Millisecond, "though nobody asks")
}

// TestNoTenantIsGivenAnothersAccount asks, changes, refuses and waits in any order.
func TestNoTenantIsGivenAnothersAccount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		credentials := &entered{by: map[string]mesh.IntegrationCredentials{}}
		clock := clockwork.NewFakeClock()
		accounts := mailaccount.New(mailaccount.Config{
			Credentials: credentials, Domain: "m.example", Clock: clock, Most: rapid.IntRange(1, 4).Draw(rt, "most"), Logger: slog.New(slog.DiscardHandler),
		})
		tenants := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()}
		changes := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			tenant := rapid.SampledFrom(tenants).Draw(rt, "tenant")
			clock.Advance(time.Microsecond)
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				changes++
				credentials.by[tenant.String()] = mesh.IntegrationCredentials{
					IntegrationID: tenant.String(), Provider: "smtp", UpdatedAt: time.Unix(int64(changes), 0),
					Settings: map[string]string{"host": "smtp.example.com", "from_email": tenant.String() + "@example.com"},
				}
			case 1:
				delete(credentials.by, tenant.String())
			case 2:
				credentials.away = !credentials.away
			case 3:
				clock.Advance(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "seconds")) * time.Second)
			default:
				var since time.Time
				if rapid.Bool().Draw(rt, "now") {
					since = clock.Now()
				}
				account, err := accounts.Own(context.Background(), tenant, "email", since)
				if err != nil {
					require.True(rt, credentials.away, "%v", err)
					continue
				}
				if account == nil {
					_, has := credentials.by[tenant.String()]
					require.False(rt, has && since.Equal(clock.Now()) && !credentials.away, "it has one now")
					continue
				}
				require.Equal(rt, tenant.String()+"@example.com", account.From.Address)
				if rapid.Bool().Draw(rt, "refused") {
					accounts.Refused(rapid.SampledFrom(tenants).Draw(rt, "by"), account)
				}
			}
		}
	})
}
