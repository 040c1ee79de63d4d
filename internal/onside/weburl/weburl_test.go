package weburl_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/onside/weburl"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"HTTP://Example.COM":                    "http://example.com/",
		"https://example.com:443/a#b":           "https://example.com/a",
		"http://example.com:443/":               "http://example.com:443/",
		" https://example.com/a b ":             "https://example.com/a%20b",
		"https://münchen.example/é?q=é":         "https://xn--mnchen-3ya.example/%C3%A9?q=é",
		"https://example.com/a/../b/./c/":       "https://example.com/b/c/",
		"https://example.com/a/..":              "https://example.com/",
		"https://example.com?":                  "https://example.com/",
		"https://example.com./a":                "https://example.com/a",
		"https://[2606:4700:0::1111]:8443/":     "https://[2606:4700::1111]:8443/",
		"https://my_shop.example/":              "https://my_shop.example/",
		"https://example.com/%7Ejoe%2Fa?b=%20c": "https://example.com/%7Ejoe%2Fa?b=%20c",
	} {
		u, err := weburl.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, u.String(), text)
		again, err := weburl.Parse(u.String())
		require.NoError(t, err)
		require.Equal(t, u.String(), again.String(), "once is enough")
	}
	for _, text := range []string{
		"", "example.com", "/a", "//example.com", "ftp://example.com", "mailto:a@example.com", "javascript:alert(1)", "http:", "http:///a", "http:example.com",
		"http://a b/", "http://exa\x00mple.com", "http://%zz/", "https://example.com/" + strings.Repeat("a", 2048), "http://..", "http://[fe80::1%25eth0]/", "http://\xff/",
	} {
		_, err := weburl.Parse(text)
		require.Error(t, err, text)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	base, err := weburl.Parse("https://example.com/a/b?c=d")
	require.NoError(t, err)
	for reference, want := range map[string]string{
		"": "https://example.com/a/b?c=d", "e": "https://example.com/a/e", "../e": "https://example.com/e", "/e": "https://example.com/e",
		"?f": "https://example.com/a/b?f", "#g": "https://example.com/a/b?c=d", "//other.example": "https://other.example/",
		" /e\n/f ": "https://example.com/e/f", "http://example.com/": "http://example.com/", "../../../x": "https://example.com/x", "a b": "https://example.com/a/a%20b",
	} {
		u, err := weburl.Resolve(base, reference)
		require.NoError(t, err, reference)
		require.Equal(t, want, u.String(), reference)
	}
	for _, reference := range []string{"mailto:a@b.c", "tel:+509", "javascript:void(0)", "data:,", "http://[", "%zz"} {
		_, err := weburl.Resolve(base, reference)
		require.Error(t, err, reference)
	}
}

func TestSitesAndDomains(t *testing.T) {
	t.Parallel()
	parse := func(text string) *url.URL {
		u, err := weburl.Parse(text)
		require.NoError(t, err)
		return u
	}
	require.True(t, weburl.SameSite(parse("https://www.example.com"), parse("http://example.com/a")))
	require.False(t, weburl.SameSite(parse("https://blog.example.com"), parse("https://example.com")))
	require.False(t, weburl.SameSite(parse("http://localhost:1"), parse("http://localhost:2")))
	for host, want := range map[string]string{"www.shop.example.co.uk": "example.co.uk", "example.com": "example.com", "localhost": "localhost", "127.0.0.1": "127.0.0.1", "a.github.io": "a.github.io"} {
		require.Equal(t, want, weburl.Domain(host))
	}
	require.True(t, weburl.BelongsTo("a.example.com", "example.com"))
	require.False(t, weburl.BelongsTo("badexample.com", "example.com"))
}

func FuzzResolve(f *testing.F) {
	f.Add("../a b?c#d")
	f.Add("//[::1]:80/..//.")
	f.Add("\x00http://")
	base := &url.URL{Scheme: "https", Host: "example.com", Path: "/a/b"}
	f.Fuzz(func(t *testing.T, reference string) {
		u, err := weburl.Resolve(base, reference)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(u.String()), weburl.MaxLength)
		require.NotContains(t, u.String(), "\x00")
		again, err := weburl.Parse(u.String())
		require.NoError(t, err, u.String())
		require.Equal(t, u.String(), again.String())
	})
}
