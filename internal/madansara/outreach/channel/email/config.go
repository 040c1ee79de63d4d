// Package email sends mail over SMTP. It composes with go-mail and speaks SMTP
// with go-smtp's client, which lets it tell the two sides of the final dot
// apart: before it nothing was sent, after it only the server knows.
package email

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/ssrf"
)

// Security says how the connection is protected.
type Security string

// The ways.
const (
	Plain    Security = "none"     // a relay on this machine or a private network
	StartTLS Security = "starttls" // port 587; refused when the server does not offer it
	TLS      Security = "tls"      // port 465
)

// Config is one SMTP relay. Zero durations take the defaults.
type Config struct {
	Address  string // host:port
	Security Security
	Username string // empty: no log-in
	Password string
	// Domain is ours: in Message-ID and in the greeting.
	Domain string
	// ReturnPath receives bounces; empty: each message's From.
	ReturnPath string
	Signature  Signature

	ConnectTimeout    time.Duration // TCP, TLS and greeting each; default 15 s
	CommandTimeout    time.Duration // a reply to a command; default 1 min
	SubmissionTimeout time.Duration // the reply to the final dot; default 5 min
	TLSConfig         *tls.Config   // nil: the system's roots, TLS 1.2 or newer
	// Dial connects; nil to wherever Address leads. A host that a tenant chose is
	// dialled through a guard (internal/ssrf).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (c Config) withDefaults() (Config, error) {
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" || port == "" {
		return c, fmt.Errorf("email: the SMTP address %q is not host:port, such as smtp.example.com:587", c.Address)
	}
	switch c.Security {
	case Plain, StartTLS, TLS:
	default:
		return c, fmt.Errorf("email: SMTP security %q is none of none, starttls, tls", c.Security)
	}
	if c.Domain == "" || strings.ContainsAny(c.Domain, " <>@\r\n\t\x00") {
		return c, fmt.Errorf("email: %q is not a domain for Message-ID, such as mail.example.com", c.Domain)
	}
	if c.Security == Plain && c.Username != "" && !ssrf.IsLoopback(host) {
		return c, errors.New("email: a password is not sent without TLS; set SMTP security to starttls or tls")
	}
	if c.Signature.Key != nil && (c.Signature.Domain == "" || c.Signature.Selector == "") {
		return c, errors.New("email: a DKIM key needs its domain and selector")
	}
	c.ConnectTimeout = orDefault(c.ConnectTimeout, 15*time.Second)
	c.CommandTimeout = orDefault(c.CommandTimeout, time.Minute)
	c.SubmissionTimeout = orDefault(c.SubmissionTimeout, 5*time.Minute)
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.ConnectTimeout}).DialContext
	}
	if c.TLSConfig == nil {
		c.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.TLSConfig = c.TLSConfig.Clone()
	if c.TLSConfig.ServerName == "" {
		c.TLSConfig.ServerName = host
	}
	return c, nil
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d <= 0 {
		return fallback
	}
	return d
}

// withoutSecrets takes the password out of a server's words, in each form in which it
// was told: what a server says is stored, shown and logged.
func (c Config) withoutSecrets(words string) string {
	if c.Password == "" {
		return words
	}
	encode := base64.StdEncoding.EncodeToString
	for _, secret := range []string{
		encode([]byte("\x00" + c.Username + "\x00" + c.Password)), encode([]byte(c.Password)), c.Password,
	} {
		words = strings.ReplaceAll(words, secret, "********")
	}
	return words
}
