// Package weburl gives each web address one spelling, so that a page is one
// page however a link to it is written.
package weburl

import (
	"errors"
	"net"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// MaxLength of an address in bytes; longer ones are refused. Browsers and
// crawlers handle about as much.
const MaxLength = 2048

// Errors of Parse and Resolve.
var (
	ErrTooLong = errors.New("the address is longer than 2048 bytes")
	ErrForm    = errors.New("it is not a web address such as https://example.com/page")
	ErrScheme  = errors.New("the address must begin with http:// or https://")
	ErrHost    = errors.New("the host of the address is not a name or an IP address")
)

// Parse reads an absolute http or https address and normalises it: the scheme
// and host in lower case, the host in ASCII (IDNA), no default port, no
// fragment, no dot segments, a path of at least "/".
func Parse(text string) (*url.URL, error) {
	text = strings.Trim(text, " \t\r\n\f")
	if len(text) > MaxLength {
		return nil, ErrTooLong
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, ErrForm
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, ErrForm
	}
	return normalise(u)
}

// Resolve reads a reference on the page base, as browsers do: white space
// around it and line breaks in it do not count.
func Resolve(base *url.URL, reference string) (*url.URL, error) {
	reference = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(strings.Trim(reference, " \t\r\n\f"))
	if len(reference) > MaxLength {
		return nil, ErrTooLong
	}
	if !utf8.ValidString(reference) || strings.ContainsRune(reference, 0) {
		return nil, ErrForm
	}
	relative, err := url.Parse(strings.ReplaceAll(reference, " ", "%20"))
	if err != nil {
		return nil, ErrForm
	}
	return normalise(base.ResolveReference(relative))
}

func normalise(u *url.URL) (*url.URL, error) {
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, ErrScheme
	}
	if u.Opaque != "" {
		return nil, ErrForm
	}
	host, err := Host(u.Hostname())
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" || port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" {
		u.Host = bracketed(host)
	} else {
		u.Host = net.JoinHostPort(host, port)
	}
	u.Fragment, u.RawFragment, u.ForceQuery = "", "", false
	if u.Path == "" {
		u.Path = "/"
	}
	if strings.Contains(u.Path, "/.") {
		clean := path.Clean(u.Path)
		if strings.HasSuffix(u.Path, "/") && clean != "/" || strings.HasSuffix(u.Path, "/.") || strings.HasSuffix(u.Path, "/..") {
			clean = strings.TrimSuffix(clean, "/") + "/"
		}
		u.Path, u.RawPath = clean, ""
	}
	if len(u.String()) > MaxLength {
		return nil, ErrTooLong
	}
	return u, nil
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// Host normalises a host name or an IP address without brackets.
func Host(host string) (string, error) {
	if host == "" || len(host) > 255 {
		return "", ErrHost
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.String(), nil
	}
	if strings.Contains(host, ":") {
		return "", ErrHost // an IPv6 zone or a broken address
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = strings.TrimSuffix(ascii, ".") // a full stop of another script becomes one of ours
	}
	if !isName(host) {
		return "", ErrHost
	}
	return host, nil
}

// isName reports whether host is of the characters that names have, underscores
// too, which IDNA refuses and the world uses.
func isName(host string) bool {
	for i := range len(host) {
		c := host[i]
		if c != '-' && c != '_' && c != '.' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return host != "" && !strings.Contains(host, "..") && host[0] != '.' && host[len(host)-1] != '.'
}

// Site is the host without a leading "www.": what people call a site.
func Site(u *url.URL) string { return strings.TrimPrefix(u.Hostname(), "www.") }

// SameSite reports whether two addresses are of one site, with or without "www.".
// The port counts: another port is another site, but http and https on their
// default ports are one.
func SameSite(a, b *url.URL) bool { return Site(a) == Site(b) && a.Port() == b.Port() }

// Domain is the registrable domain of a host, "example.co.uk" of
// "www.shop.example.co.uk", by the public suffix list; the host itself where
// there is none (an IP address, a name of one label).
func Domain(host string) string {
	if net.ParseIP(host) != nil {
		return host
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return domain
}

// BelongsTo reports whether host is domain or below it.
func BelongsTo(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// ParseSite reads how people and tools name a site, "shop.example",
// "https://www.shop.example/" or "sc-domain:shop.example", and returns its host
// without "www.".
func ParseSite(text string) (string, error) {
	text = strings.TrimSpace(text)
	text = strings.TrimPrefix(text, "sc-domain:")
	if strings.Contains(text, "://") {
		u, err := Parse(text)
		if err != nil {
			return "", err
		}
		return Site(u), nil
	}
	host, err := Host(strings.TrimSuffix(text, "/"))
	return strings.TrimPrefix(host, "www."), err
}
