package tracking

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// Signer makes the links of messages. It is safe for concurrent use.
type Signer struct {
	keys keys
	base string
}

// NewSigner returns a signer whose links start with baseURL (the service's
// public address, "https://m.example.com") and whose keys derive from secret,
// of at least 16 bytes. Changing secret breaks the links of mails already sent.
func NewSigner(secret []byte, baseURL string) (*Signer, error) {
	derived, err := deriveKeys(secret)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(baseURL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("tracking: %q is not a base URL such as https://m.example.com", baseURL)
	}
	return &Signer{keys: derived, base: strings.TrimRight(baseURL, "/")}, nil
}

// Message returns the links of one message.
func (s *Signer) Message(tenant, message uuid.UUID) Links {
	return Links{signer: s, tenant: tenant, message: message}
}

// Links are the links of one message. The same message has the same links always.
type Links struct {
	signer          *Signer
	tenant, message uuid.UUID
}

// Unsubscribe is the address that unsubscribes the message's recipient: GET
// shows a page, POST acts (RFC 8058). It is the template's unsubscribe_url.
func (l Links) Unsubscribe() string { return l.link("/u/", unsubscribeKind, "", "") }

// Open is the address of the invisible image that tells that the message was shown.
func (l Links) Open() string { return l.link("/t/o/", openKind, "", ".gif") }

// Click is an address that records a click and leads on to target.
func (l Links) Click(target string) string { return l.link("/t/c/", clickKind, target, "") }

func (l Links) link(path string, kind kind, target, suffix string) string {
	token := l.signer.keys.sign(claims{kind: kind, tenant: l.tenant, message: l.message, target: target})
	return l.signer.base + path + token + suffix
}
