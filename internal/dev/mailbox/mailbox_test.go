package mailbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	netsmtp "net/smtp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engardehq/madansara/internal/dev/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sample = "From: =?utf-8?q?Caf=C3=A9?= <hello@shop.example>\r\nTo: marie@customer.example\r\nSubject: =?utf-8?q?D=C3=A9j=C3=A0?= <script>alert(1)</script>\r\n" +
	"List-Unsubscribe: <http://127.0.0.1/u/1>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nUn caf=E9 </pre><script>alert(2)</script>\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hi</p><script>alert(3)</script><a href=\"https://x.example\">x</a>\r\n--b--\r\n"

type bundle struct {
	box *mailbox.Mailbox
	url string
}

func setup(t *testing.T, cfg mailbox.Config) bundle {
	t.Helper()
	box, err := mailbox.New(cfg)
	require.NoError(t, err)
	web := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		web.Close()
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, box.Close())
	})
	return bundle{box: box, url: web.URL}
}

func (b bundle) send(t *testing.T, to, data string) error {
	t.Helper()
	return netsmtp.SendMail(b.box.SMTPAddr(), nil, "bounce@shop.example", []string{to}, []byte(data))
}

func (b bundle) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	res, err := http.Get(b.url + path)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func TestCatchesAndShows(t *testing.T) {
	t.Parallel()
	b := setup(t, mailbox.Config{})
	_, page := b.get(t, "/")
	require.Contains(t, page, "No mail yet")
	require.NoError(t, b.send(t, "marie@customer.example", sample))

	_, body := b.get(t, "/api/messages")
	var listed struct {
		Messages []mailbox.Mail `json:"messages"`
		Total    int            `json:"total"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &listed))
	require.Equal(t, 1, listed.Total)
	mail := listed.Messages[0]
	require.Equal(t, "Déjà <script>alert(1)</script>", mail.Subject)
	require.Equal(t, "Café <hello@shop.example>", mail.Sender)
	require.Equal(t, "bounce@shop.example", mail.From)
	require.Contains(t, mail.Text, "Un café")
	require.Equal(t, "http://127.0.0.1/u/1", mail.UnsubscribeURL)
	require.Empty(t, mail.Problem)

	for _, path := range []string{"/", "/?q=caf%C3%A9+d%C3%A9j%C3%A0", "/messages/" + mail.ID, "/messages/" + mail.ID + "?view=text", "/messages/" + mail.ID + "?view=headers", "/messages/" + mail.ID + "?view=raw"} {
		res, page := b.get(t, path)
		require.Equal(t, 200, res.StatusCode, path)
		require.NotContains(t, page, "<script>", path)
		require.Contains(t, page, "Déjà", path)
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
	}
	res, html := b.get(t, "/messages/"+mail.ID+"/html")
	require.Contains(t, html, "<p>Hi</p>")
	require.Regexp(t, `^sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'`, res.Header.Get("Content-Security-Policy"))
	require.NotContains(t, res.Header.Get("Content-Security-Policy"), "script")
	res, raw := b.get(t, "/messages/"+mail.ID+"/raw")
	require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
	require.Contains(t, raw, "=E9")

	_, page = b.get(t, "/?q=nothing%22%3E%3Cb%3E")
	require.Contains(t, page, "Nothing matches")
	require.NotContains(t, page, `"><b>`)
	res, _ = b.get(t, "/messages/unknown")
	require.Equal(t, 404, res.StatusCode)
}

func TestForgetsTheOldest(t *testing.T) {
	t.Parallel()
	b := setup(t, mailbox.Config{MaxMessages: 3})
	for i := range 5 {
		require.NoError(t, b.send(t, "a@b.example", fmt.Sprintf("Subject: n%d\r\n\r\nbody", i)))
	}
	mails, total := b.box.Messages("", 10)
	require.Equal(t, 3, total)
	require.Equal(t, "n4", mails[0].Subject)
	require.Equal(t, "n2", mails[2].Subject)
	b.box.Clear()
	_, total = b.box.Messages("", 10)
	require.Zero(t, total)
}

func TestHoldsItsBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, mailbox.Config{MaxMessage: 10_000, MaxBytes: 30_000})
	require.ErrorContains(t, b.send(t, "a@b.example", "Subject: big\r\n\r\n"+strings.Repeat("x\r\n", 10_000)), "552")
	for range 10 {
		require.NoError(t, b.send(t, "a@b.example", "Subject: s\r\n\r\n"+strings.Repeat("x\r\n", 2000)))
	}
	_, total := b.box.Messages("", 100)
	require.LessOrEqual(t, total, 4)
	require.Positive(t, total)
	_, err := mailbox.New(mailbox.Config{SMTPAddr: "0.0.0.0:0"})
	require.ErrorContains(t, err, "this machine only")
}

func TestKeepsWhatIsNoMail(t *testing.T) {
	t.Parallel()
	b := setup(t, mailbox.Config{})
	for _, data := range []string{"", "no header at all", "Subject: \xff\xfe\r\n\r\n\xff\xfe", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nbroken", "Content-Type: text/plain; charset=klingon\r\n\r\nqapla"} {
		require.NoError(t, b.send(t, "a@b.example", data))
	}
	mails, total := b.box.Messages("", 10)
	require.Equal(t, 5, total)
	for _, mail := range mails {
		res, _ := b.get(t, "/messages/"+mail.ID)
		require.Equal(t, 200, res.StatusCode)
	}
	_, body := b.get(t, "/api/messages?limit=1")
	require.True(t, json.Valid([]byte(body)))
}
