package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/engardehq/madansara/internal/ssrf"
)

// Kind says why a page could not be had.
type Kind string

// The kinds of failure.
const (
	Refused          Kind = "refused"    // we may not reach it: see [ssrf.Guard]
	Disallowed       Kind = "disallowed" // by robots.txt
	NotResolved      Kind = "dns"
	NotConnected     Kind = "connection"
	BadTLS           Kind = "tls"
	TimedOut         Kind = "timeout"
	BadAnswer        Kind = "protocol" // it is not HTTP, or broken off
	BadRedirect      Kind = "bad_redirect"
	RedirectLoop     Kind = "redirect_loop"
	TooManyRedirects Kind = "too_many_redirects"
)

// Error says why a page could not be had.
type Error struct {
	Kind    Kind
	URL     string
	Message string // a sentence's end: "robots.txt does not allow it"
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.URL, e.Message) }

func (e *Error) Unwrap() error { return e.Err }

// Passing reports whether another attempt may well succeed: it says nothing
// about the page.
func (e *Error) Passing() bool {
	switch e.Kind {
	case NotConnected, TimedOut, BadAnswer, NotResolved:
		return true
	}
	return false
}

func newError(kind Kind, address *url.URL, message string, cause error) *Error {
	return &Error{Kind: kind, URL: address.Redacted(), Message: message, Err: cause}
}

// failure says what went wrong in sending a request or reading its answer.
func failure(ctx context.Context, address *url.URL, err error) error {
	if reason, refused := ssrf.Refused(err); refused {
		return newError(Refused, address, "it may not be reached: "+reason, err)
	}
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		network     net.Error
		operation   *net.OpError
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("fetch %s: %w", address.Redacted(), context.Canceled)
	case errors.As(err, &dns) && !dns.IsTimeout:
		return newError(NotResolved, address, "its host name is not known", err)
	case errors.As(err, &certificate), errors.As(err, &authority):
		return newError(BadTLS, address, "its certificate is not valid", err)
	case errors.As(err, &record), errors.As(err, &alert):
		return newError(BadTLS, address, "it does not speak TLS", err)
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil, errors.As(err, &network) && network.Timeout():
		return newError(TimedOut, address, "it did not answer in time", err)
	case errors.As(err, &operation) && operation.Op == "dial":
		return newError(NotConnected, address, "nothing answers there", err)
	case strings.Contains(err.Error(), "response header") || strings.Contains(err.Error(), "server gave HTTP"):
		return newError(BadAnswer, address, "its answer is not HTTP, or its headers are too long", err)
	}
	return newError(BadAnswer, address, "its answer broke off or is not HTTP", err)
}

func clip(text string) string {
	const longest = 300
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
