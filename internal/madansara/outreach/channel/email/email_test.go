package email_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"math/big"
	"mime"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/channeltest"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/email"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files")

func fixed(change func(m *channel.Message)) channel.Message {
	m := channeltest.Message()
	m.UUID = uuid.MustParse("018f0000-0000-7000-8000-00000000abcd")
	change(&m)
	return m
}

func TestWireGolden(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]channel.Message{
		"campaign": fixed(func(m *channel.Message) {
			m.Campaign = uuid.MustParse("018f0000-0000-7000-8000-00000000cccc")
			m.From.Name, m.To.Name = "Marché Café", "Ti Jo, \"the\" <Boss>"
			m.Subject = "Déjà vu: ton panier t'attend encore, et cette ligne est bien plus longue que soixante-seize caractères 🥭"
			m.HTML = "<p>Bonjou Élodie,</p>\n.\n<p>" + strings.Repeat("long ", 300) + "</p>"
			m.Text = "Bonjou Élodie,\n.\n..\nFrom here =3D\n" + strings.Repeat("x", 1200)
		}),
		"single": fixed(func(m *channel.Message) { m.UnsubscribeURL = ""; m.Text = "" }),
		"text":   fixed(func(m *channel.Message) { m.HTML = ""; m.To.Name = "" }),
	} {
		r := startRelay(t, nil)
		_, err := newAdapter(t, r, nil).Send(t.Context(), m)
		require.NoError(t, err)
		got := r.mails()[0].data
		for line := range bytes.Lines(got) {
			require.LessOrEqual(t, len(line), 998)
			require.True(t, bytes.HasSuffix(line, []byte("\r\n")))
		}
		file := filepath.Join("testdata", name+".eml")
		if *update {
			require.NoError(t, os.WriteFile(file, got, 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), name)
	}
}

func TestReadersSeeWhatWasMeant(t *testing.T) {
	t.Parallel()
	r := startRelay(t, nil)
	m := channeltest.Message()
	m.Subject, m.From.Name, m.To.Address = "Prix: 5 € =?utf-8?q?no?= 🥭", "Café; \"x\"", "jo@bücher.example"
	_, err := newAdapter(t, r, func(c *email.Config) { c.ReturnPath = "bounce@mail.example.com" }).Send(t.Context(), m)
	require.NoError(t, err)
	got := r.mails()[0]
	require.Equal(t, "bounce@mail.example.com", got.from)
	require.Equal(t, "jo@xn--bcher-kva.example", got.to)
	parsed, err := mail.ReadMessage(bytes.NewReader(got.data))
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, m.Subject, subject)
	from, err := parsed.Header.AddressList("From")
	require.NoError(t, err)
	require.Equal(t, m.From.Name, from[0].Name)
	require.Equal(t, "<"+m.UnsubscribeURL+">", parsed.Header.Get("List-Unsubscribe"))
	require.Equal(t, "List-Unsubscribe=One-Click", parsed.Header.Get("List-Unsubscribe-Post"))
	require.Equal(t, "<"+m.UUID.String()+"@mail.example.com>", parsed.Header.Get("Message-Id"))
	date, err := parsed.Header.Date()
	require.NoError(t, err)
	require.True(t, date.Equal(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)))
}

func TestRefusalsAtEachStage(t *testing.T) {
	t.Parallel()
	refusal := func(code, class, subject, detail int, text string) *smtp.SMTPError {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
	}
	for name, c := range map[string]struct {
		script script
		kind   channel.Kind
		stage  string
		retry  time.Duration
	}{
		"mail 4xx":                {script{mail: refusal(451, 4, 3, 0, "later")}, channel.Temporary, "mail", 0},
		"mail 5xx":                {script{mail: refusal(550, 5, 7, 1, "sender not allowed")}, channel.Misconfigured, "mail", 0},
		"mail 530":                {script{mail: refusal(530, 5, 7, 0, "authentication required")}, channel.Misconfigured, "mail", 0},
		"mail too big":            {script{mail: refusal(552, 5, 3, 4, "too big")}, channel.Rejected, "mail", 0},
		"rcpt greylisted":         {script{rcpt: refusal(451, 4, 7, 1, "Greylisted, come back")}, channel.Temporary, "rcpt", 5 * time.Minute},
		"rcpt unknown":            {script{rcpt: refusal(550, 5, 1, 1, "no such user")}, channel.Permanent, "rcpt", 0},
		"rcpt no enhanced code":   {script{rcpt: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: "unknown"}}, channel.Permanent, "rcpt", 0},
		"rcpt disabled":           {script{rcpt: refusal(550, 5, 2, 1, "disabled")}, channel.Permanent, "rcpt", 0},
		"rcpt full":               {script{rcpt: refusal(552, 5, 2, 2, "over quota")}, channel.Rejected, "rcpt", 0},
		"rcpt policy":             {script{rcpt: refusal(550, 5, 7, 1, "blocked by list")}, channel.Rejected, "rcpt", 0},
		"rcpt relay denied":       {script{rcpt: refusal(554, 5, 7, 1, "Relay access denied")}, channel.Misconfigured, "rcpt", 0},
		"rcpt sender's address":   {script{rcpt: refusal(550, 5, 1, 8, "bad sender domain")}, channel.Misconfigured, "rcpt", 0},
		"dot 4xx":                 {script{data: refusal(451, 4, 3, 0, "queue full")}, channel.Temporary, "final dot", 0},
		"dot 5xx":                 {script{data: refusal(554, 5, 6, 0, "bad content")}, channel.Rejected, "final dot", 0},
		"dot says no such user":   {script{data: refusal(550, 5, 1, 1, "no such user")}, channel.Permanent, "final dot", 0},
		"login refused":           {script{auth: refusal(535, 5, 7, 8, "bad password")}, channel.Misconfigured, "auth", 0},
		"login not now":           {script{auth: refusal(454, 4, 7, 0, "later")}, channel.Temporary, "auth", 0},
		"dropped at rcpt":         {script{dropAt: "rcpt"}, channel.Temporary, "rcpt", 0},
		"dropped after final dot": {script{dropAt: "after"}, channel.Uncertain, "final dot", 0},
		"silent after final dot":  {script{silent: true}, channel.Uncertain, "final dot", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t, nil)
			r.add(c.script)
			_, err := newAdapter(t, r, nil).Send(t.Context(), channeltest.Message())
			var failed *channel.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, c.kind, failed.Kind, failed)
			require.Equal(t, c.stage, failed.Stage, failed)
			require.Equal(t, c.retry, failed.RetryAfter)
			require.NotContains(t, failed.Error(), "secret")
		})
	}
}

func TestSessionKeepsItsConnection(t *testing.T) {
	t.Parallel()
	r := startRelay(t, nil)
	session, err := newAdapter(t, r, nil).Open(t.Context())
	require.NoError(t, err)
	r.add(script{}, script{rcpt: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no"}}, script{})
	for i := range 3 {
		_, err := session.Send(t.Context(), channeltest.Message())
		require.Equal(t, i == 1, err != nil)
	}
	require.Equal(t, 1, r.connected())
	require.NoError(t, session.Close())
	require.NoError(t, session.Close())
}

func TestSessionSurvivesAnIdleServersGoodbye(t *testing.T) {
	t.Parallel()
	r := startRelay(t, func(s *smtp.Server) { s.ReadTimeout = 2 * time.Second }) // a log-in must fit
	session, err := newAdapter(t, r, nil).Open(t.Context())
	require.NoError(t, err)
	defer session.Close()
	_, err = session.Send(t.Context(), channeltest.Message())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.left() == 1 }, time.Minute, 10*time.Millisecond)
	_, err = session.Send(t.Context(), channeltest.Message())
	require.NoError(t, err)
	require.Len(t, r.mails(), 2)
	require.Equal(t, 2, r.connected())
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := selfSigned(t)
	server := func(s *smtp.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		s.AllowInsecureAuth = false
	}
	r := startRelay(t, server)
	secure := func(security email.Security) func(c *email.Config) {
		return func(c *email.Config) {
			c.Security = security
			c.TLSConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		}
	}
	_, err := newAdapter(t, r, secure(email.StartTLS)).Send(t.Context(), channeltest.Message())
	require.NoError(t, err)
	require.Len(t, r.mails(), 1)

	_, err = newAdapter(t, r, func(c *email.Config) { c.Security = email.StartTLS }).Send(t.Context(), channeltest.Message())
	require.Equal(t, channel.Misconfigured, channel.KindOf(err), "an unknown authority: %v", err)
	_, err = newAdapter(t, r, nil).Send(t.Context(), channeltest.Message())
	require.Equal(t, channel.Misconfigured, channel.KindOf(err), "no log-in without TLS: %v", err)
	_, err = newAdapter(t, startRelay(t, nil), secure(email.StartTLS)).Send(t.Context(), channeltest.Message())
	require.Equal(t, channel.Misconfigured, channel.KindOf(err), "no STARTTLS offered: %v", err)
	require.ErrorContains(t, err, "STARTTLS")

	wrapped := startRelay(t, server)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := tls.NewListener(plain, wrapped.server.TLSConfig)
	done := make(chan struct{})
	go func() { defer close(done); _ = wrapped.server.Serve(listener) }()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	wrapped.addr = plain.Addr().String()
	_, err = newAdapter(t, wrapped, secure(email.TLS)).Send(t.Context(), channeltest.Message())
	require.NoError(t, err)
	require.Len(t, wrapped.mails(), 1)
}

// A server that puts a command behind its answer to STARTTLS would have it read
// as if it were protected.
func TestNoPlainTextIsSmuggledIntoTLS(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		lines := bufio.NewReader(conn)
		_, _ = io.WriteString(conn, "220 hi\r\n")
		_, _ = lines.ReadString('\n')
		_, _ = io.WriteString(conn, "250-hi\r\n250 STARTTLS\r\n")
		_, _ = lines.ReadString('\n')
		_, _ = io.WriteString(conn, "220 go\r\n250 smuggled\r\n")
		_, _ = io.Copy(io.Discard, lines)
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	adapter, err := email.New(email.Config{Address: listener.Addr().String(), Security: email.StartTLS, Domain: "m.example"}, clockwork.NewRealClock())
	require.NoError(t, err)
	_, err = adapter.Send(t.Context(), channeltest.Message())
	require.ErrorContains(t, err, "more than its answer")
}

func TestBadMessagesAreRefusedBeforeTheWire(t *testing.T) {
	t.Parallel()
	r := startRelay(t, nil)
	adapter := newAdapter(t, r, nil)
	for name, c := range map[string]struct {
		spoil func(m *channel.Message)
		kind  channel.Kind
	}{
		"no id":           {func(m *channel.Message) { m.UUID = uuid.Nil }, channel.Rejected},
		"empty":           {func(m *channel.Message) { m.HTML, m.Text = " ", "\n" }, channel.Rejected},
		"NUL":             {func(m *channel.Message) { m.HTML = "a\x00" }, channel.Rejected},
		"huge":            {func(m *channel.Message) { m.HTML = strings.Repeat("x", 5<<20) }, channel.Rejected},
		"long subject":    {func(m *channel.Message) { m.Subject = strings.Repeat("x", 999) }, channel.Rejected},
		"unsubscribe":     {func(m *channel.Message) { m.UnsubscribeURL = "javascript:alert(1)" }, channel.Rejected},
		"two unsubscribe": {func(m *channel.Message) { m.UnsubscribeURL = "https://a.example>, <https://b.example" }, channel.Rejected},
		"no address":      {func(m *channel.Message) { m.To.Address = "" }, channel.Permanent},
		"two addresses":   {func(m *channel.Message) { m.To.Address = "a@b.example, c@d.example" }, channel.Permanent},
		"name in address": {func(m *channel.Message) { m.To.Address = "A <a@b.example>" }, channel.Permanent},
		"no domain":       {func(m *channel.Message) { m.To.Address = "a@" }, channel.Permanent},
		"bad sender":      {func(m *channel.Message) { m.From.Address = "x" }, channel.Misconfigured},
	} {
		m := channeltest.Message()
		c.spoil(&m)
		_, err := adapter.Send(t.Context(), m)
		require.Equal(t, c.kind, channel.KindOf(err), "%s: %v", name, err)
	}
	require.Zero(t, r.connected())
}

func TestConfigIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	good := email.Config{Address: "smtp.example.com:587", Security: email.StartTLS, Domain: "m.example", Username: "u", Password: "p"}
	_, err := email.New(good, clockwork.NewRealClock())
	require.NoError(t, err)
	for want, spoil := range map[string]func(c *email.Config){
		"is not host:port":                   func(c *email.Config) { c.Address = "smtp.example.com" },
		"is none of":                         func(c *email.Config) { c.Security = "ssl" },
		"is not a domain":                    func(c *email.Config) { c.Domain = "a b" },
		"a password is not sent without TLS": func(c *email.Config) { c.Security = email.Plain },
	} {
		bad := good
		spoil(&bad)
		_, err := email.New(bad, clockwork.NewRealClock())
		require.ErrorContains(t, err, want)
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
