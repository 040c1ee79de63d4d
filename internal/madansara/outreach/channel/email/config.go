// Package email sends mail over SMTP. It composes with go-mail and speaks SMTP
// with go-smtp's client, which lets it tell the two sides of the final dot
// apart: before it nothing was sent, after it only the server knows.
package email

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
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
	if c.Security == Plain && c.Username != "" && !isLoopback(host) {
		return c, errors.New("email: a password is not sent without TLS; set SMTP security to starttls or tls")
	}
	if c.Signature.Key != nil && (c.Signature.Domain == "" || c.Signature.Selector == "") {
		return c, errors.New("email: a DKIM key needs its domain and selector")
	}
	c.ConnectTimeout = orDefault(c.ConnectTimeout, 15*time.Second)
	c.CommandTimeout = orDefault(c.CommandTimeout, time.Minute)
	c.SubmissionTimeout = orDefault(c.SubmissionTimeout, 5*time.Minute)
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

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
