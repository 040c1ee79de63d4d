package signature

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jonboulle/clockwork"
)

// DefaultLifetime is how long a signature is valid.
const DefaultLifetime = 30 * time.Second

// DefaultMaxBody bounds a body that must be buffered, in bytes.
const DefaultMaxBody = 4 << 20

// SignerConfig configures a [Signer]. Keys and Service are needed.
type SignerConfig struct {
	Keys     *Keys
	Service  string          // the sending service's id
	Lifetime time.Duration   // of a signature; 0: [DefaultLifetime]
	MaxBody  int64           // of a body without GetBody, which is buffered; 0: [DefaultMaxBody]
	Clock    clockwork.Clock // nil: the real one
}

// Signer signs requests. It is safe for concurrent use.
type Signer struct{ config SignerConfig }

// NewSigner returns an error when a needed part of the configuration is missing.
func NewSigner(config SignerConfig) (*Signer, error) {
	if config.Keys == nil {
		return nil, errors.New("signer: no keys")
	}
	if !validName(config.Service) {
		return nil, fmt.Errorf("signer: %q is not a service id of letters, digits and hyphens", config.Service)
	}
	if config.Lifetime == 0 {
		config.Lifetime = DefaultLifetime
	}
	if config.MaxBody == 0 {
		config.MaxBody = DefaultMaxBody
	}
	if config.Clock == nil {
		config.Clock = clockwork.NewRealClock()
	}
	return &Signer{config}, nil
}

// Prepare makes a request that has a body ready to be signed and sent more than
// once: it sets Content-Digest, and buffers a body without GetBody, up to
// MaxBody. It sets headers of r, so r must be the caller's own.
func (s *Signer) Prepare(r *http.Request) error {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	return ensureDigest(r, s.config.MaxBody)
}

// Sign signs r for the target service. It sets headers of r, so r must be the
// caller's own; each time it is sent, a request needs a new signature, because
// its nonce is good once.
func (s *Signer) Sign(r *http.Request, target string) error {
	if r.URL.Opaque != "" {
		return errors.New("sign: a request with an opaque URL has no path to sign")
	}
	if err := s.Prepare(r); err != nil {
		return err
	}
	r.Header[HeaderSource] = []string{s.config.Service}
	r.Header[HeaderTarget] = []string{target}
	created := s.config.Clock.Now()
	list := innerList{items: make([]string, len(required), len(required)+len(coveredIfPresent))}
	copy(list.items, required)
	for _, name := range coveredIfPresent {
		if len(r.Header[canonicalName[name]]) > 0 {
			list.items = append(list.items, name)
		}
	}
	list.params = []parameter{
		{"created", created.Unix()},
		{"expires", created.Add(s.config.Lifetime).Unix()},
		{"nonce", newNonce()},
		{"keyid", s.config.Keys.signing.id},
		{"alg", algorithm},
		{"tag", tag},
	}
	return sign(r, label, &list, s.config.Keys.signing)
}

func sign(r *http.Request, label string, list *innerList, key *key) error {
	base, err := appendBase(make([]byte, 0, 768), r, list)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	input := make([]byte, 0, 384)
	input = append(append(input, label...), '=')
	r.Header[headerInput] = []string{string(list.append(input))}
	var sum [32]byte
	code := make([]byte, 0, 64)
	code = append(append(code, label...), "=:"...)
	code = base64.StdEncoding.AppendEncode(code, key.mac(sum[:0], base))
	r.Header[headerSignature] = []string{string(append(code, ':'))}
	return nil
}

func newNonce() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// RoundTripper signs every request for one target and sends it with next.
func (s *Signer) RoundTripper(target string, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &roundTripper{signer: s, target: target, next: next}
}

type roundTripper struct {
	signer *Signer
	target string
	next   http.RoundTripper
}

func (t *roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	signed := r.Clone(r.Context()) // a round tripper must not change its request
	if err := t.signer.Sign(signed, t.target); err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close()) // a round tripper must close the body, on errors too
		}
		return nil, err
	}
	return t.next.RoundTrip(signed)
}

// validName bounds what is taken for a service's id.
func validName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
