package tracking

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	secret  = []byte("0123456789abcdef0123456789abcdef")
	tenant  = uuid.MustParse("018f0000-0000-7000-8000-000000000001")
	message = uuid.MustParse("018f0000-0000-7000-8000-000000000002")
)

func newSigner(t require.TestingT) *Signer {
	s, err := NewSigner(secret, "https://m.example/")
	require.NoError(t, err)
	return s
}

// The form of links is fixed: links of mails already sent have to work on.
func TestLinksGolden(t *testing.T) {
	t.Parallel()
	links := newSigner(t).Message(tenant, message)
	require.Equal(t, "https://m.example/u/AXUBjwAAAABwAIAAAAAAAAABAY8AAAAAcACAAAAAAAAAAqi0CNBUoVFoaMTXCWSiNTA", links.Unsubscribe())
	require.Regexp(t, `^https://m\.example/t/o/[\w-]{66,68}\.gif$`, links.Open())
	require.Regexp(t, `^https://m\.example/t/c/[\w-]+$`, links.Click("https://shop.example/?a=b"))
	require.Equal(t, links.Open(), newSigner(t).Message(tenant, message).Open(), "a message's links are the same always")
}

func TestTokensRoundTrip(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	rapid.Check(t, func(t *rapid.T) {
		want := claims{kind: clickKind, tenant: uuid.New(), message: uuid.New(), target: rapid.String().Draw(t, "target")}
		got, err := signer.keys.verify(clickKind, signer.keys.sign(want))
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestTamperedTokensAreRefused(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	token := signer.keys.sign(claims{kind: clickKind, tenant: tenant, message: message, target: "https://shop.example/"})
	rapid.Check(t, func(t *rapid.T) {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		require.NoError(t, err)
		i := rapid.IntRange(0, len(raw)-1).Draw(t, "byte")
		raw[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		_, err = signer.keys.verify(clickKind, base64.RawURLEncoding.EncodeToString(raw))
		require.ErrorIs(t, err, errBadToken)
	})
	other, err := NewSigner([]byte("another secret of some length"), "https://m.example")
	require.NoError(t, err)
	for name, bad := range map[string]string{
		"empty": "", "short": "AX", "cut": token[:len(token)-4], "longer": token + "AAAA", "padded": token + "=", "not base64": "%%%",
		"huge": strings.Repeat("A", 1<<20), "another secret": other.keys.sign(claims{kind: clickKind, tenant: tenant, message: message}),
	} {
		_, err := signer.keys.verify(clickKind, bad)
		require.ErrorIs(t, err, errBadToken, name)
	}
	for _, kind := range []kind{openKind, unsubscribeKind} {
		_, err := signer.keys.verify(kind, token)
		require.ErrorIs(t, err, errBadToken, "a click's link must not do another's work")
	}
}

func TestSignerRefusesBadSettings(t *testing.T) {
	t.Parallel()
	_, err := NewSigner([]byte("short"), "https://m.example")
	require.ErrorContains(t, err, "at least 16 bytes")
	for _, base := range []string{"", "m.example", "ftp://m.example", "https://", "https://m.example/?a", "https://m.example/#a"} {
		_, err := NewSigner(secret, base)
		require.ErrorContains(t, err, "is not a base URL", base)
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	links := newSigner(t).Message(tenant, message)
	pixel := `<img src="` + links.Open() + `" width="1" height="1" alt="" style="display:none">`
	click := func(target string) string { return links.Click(target) }
	for in, want := range map[string]string{
		"":      pixel,
		"plain": "plain" + pixel,
		`<A HREF="https://a.example/?x=1&amp;y=2" Class='k'>go</A>`:                    `<a href="` + click("https://a.example/?x=1&y=2") + `" class="k">go</A>` + pixel,
		`<a href=' http://a.example '>x</a>`:                                           `<a href="` + click("http://a.example") + `">x</a>` + pixel,
		`<a href="mailto:a@b.example">m</a><a href="#top">t</a><a href="tel:1">c</a>`:  `<a href="mailto:a@b.example">m</a><a href="#top">t</a><a href="tel:1">c</a>` + pixel,
		`<a href="/relative">r</a><a name=x>n</a>`:                                     `<a href="/relative">r</a><a name=x>n</a>` + pixel,
		`<a href="` + links.Unsubscribe() + `">off</a>`:                                `<a href="` + links.Unsubscribe() + `">off</a>` + pixel,
		`<a href="https://user:pass@a.example/">x</a>`:                                 `<a href="https://user:pass@a.example/">x</a>` + pixel,
		`<html><body><p>x</body></html>`:                                               `<html><body><p>x` + pixel + `</body></html>`,
		`<img src="https://a.example/i.png"><link href="https://a.example/s.css">`:     `<img src="https://a.example/i.png"><link href="https://a.example/s.css">` + pixel,
		`<!--[if mso]><a href="https://a.example">x</a><![endif]--><style>a{}</style>`: `<!--[if mso]><a href="https://a.example">x</a><![endif]--><style>a{}</style>` + pixel,
		`<map><area href="https://a.example/"></map>`:                                  `<map><area href="` + click("https://a.example/") + `"></map>` + pixel,
	} {
		require.Equal(t, want, links.Rewrite(in), in)
	}
}

// What a person typed about themselves may end up as an address of a mail; the
// template's author expects a web address there.
func TestRewriteLetsNoScriptBeAnAddress(t *testing.T) {
	t.Parallel()
	links := newSigner(t).Message(tenant, message)
	for _, address := range []string{
		"javascript:alert(1)", " JavaScript:alert(1)", "java\tscript:alert(1)", "java&#10;script:alert(1)", "&#106;avascript:alert(1)",
		"\x01javascript:alert(1)", "vbscript:x", "data:text/html,<script>alert(1)</script>", "file:///etc/passwd", "livescript:x",
	} {
		for _, element := range []string{`<a href="%s">x</a>`, `<area href="%s">`, `<form action="%s">`, `<button formaction="%s">`, `<img src="%s">`, `<a xlink:href="%s">x</a>`, `<td background="%s">`} {
			in := fmt.Sprintf(element, address)
			got := links.Rewrite(in)
			require.NotRegexp(t, `(?i)script:|text/html|file:`, got, in)
		}
	}
	const picture = `<img src="data:image/png;base64,iVBORw0KGgo=">`
	require.Contains(t, links.Rewrite(picture), picture, "a picture may stand in the mail itself")
	const inline = `<img src="cid:logo">`
	require.Contains(t, links.Rewrite(inline), inline)
}

func FuzzRewrite(f *testing.F) {
	f.Add(`<a href="https://a.example">x</a><a href=`)
	f.Add(`<a href='https://a.example" onclick=alert(1)'>`)
	f.Fuzz(func(t *testing.T, body string) {
		links := newSigner(t).Message(tenant, message)
		got := links.Rewrite(body)
		require.Contains(t, got, links.Open())
		if !strings.Contains(body, "http") && !strings.Contains(body, "HTTP") && !strings.Contains(body, "&") && !strings.Contains(strings.ToLower(body), "</body") {
			require.Equal(t, body+got[len(body):], got, "what has no link must stay byte for byte")
		}
	})
}

func TestDestination(t *testing.T) {
	t.Parallel()
	id := message.String()
	for target, want := range map[string]string{
		"https://shop.example":            "https://shop.example?ms_message=" + id + "&utm_campaign=spring-sale-50&utm_medium=email&utm_source=madansara",
		"https://shop.example/p?b=2&a=1":  "https://shop.example/p?b=2&a=1&ms_message=" + id + "&utm_campaign=spring-sale-50&utm_medium=email&utm_source=madansara",
		"https://shop.example/#part":      "https://shop.example/?ms_message=" + id + "&utm_campaign=spring-sale-50&utm_medium=email&utm_source=madansara#part",
		"https://s.example/?utm_source=x": "https://s.example/?utm_source=x&ms_message=" + id + "&utm_campaign=spring-sale-50&utm_medium=email",
	} {
		require.Equal(t, want, destination(target, message, " Spring Sale: 50%! "))
	}
	require.NotContains(t, destination("https://shop.example", message, "…"), "utm_campaign")
}
