package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"
)

// DefaultSkew is by how much two services' clocks may differ.
const DefaultSkew = 30 * time.Second

// VerifierConfig configures a [Verifier]. Keys and Service are needed.
type VerifierConfig struct {
	Keys        *Keys
	Service     string        // this service's id: a request for another is refused
	Nonces      NonceStore    // nil: a [MemoryNonces] of its own
	Skew        time.Duration // tolerated between clocks; 0: [DefaultSkew]
	MaxLifetime time.Duration // the longest a signature may be valid; 0: [DefaultLifetime]
	MaxBody     int64         // in bytes; larger ones are refused with 413; 0: [DefaultMaxBody]

	// LegacySecrets, when not empty, admits X-Service-Secret with one of them. None
	// may be one that Keys are made of.
	LegacySecrets []string
	// LegacySources are whom such a caller may name as itself: its name is not
	// protected, so leave out who signs. nil: anybody. Service itself it never may.
	LegacySources []string

	// Refused, if set, is told of each request that is refused.
	Refused func(*http.Request, *Refusal)
	Clock   clockwork.Clock // nil: the real one
}

// Identity says who sent a verified request.
type Identity struct {
	Source string // the sending service's id
	Tenant string // the tenant it acts for, "" for none; the older form does not protect it
	KeyID  string // of the key that verified, "" for the older form
	Legacy bool   // whether the older form was used
}

// Reason says why a request was refused.
type Reason string

// The reasons of a [Refusal].
const (
	Missing     Reason = "signature_missing"
	Malformed   Reason = "signature_malformed"
	Incomplete  Reason = "signature_incomplete" // it leaves out what it must cover
	Expired     Reason = "signature_expired"
	Premature   Reason = "signature_premature" // made in the future
	UnknownKey  Reason = "signature_key_unknown"
	Mismatch    Reason = "signature_mismatch"
	Replayed    Reason = "signature_replayed"
	WrongTarget Reason = "signature_wrong_target"
	WrongSource Reason = "signature_source_refused" // not to be named in the older form
	WrongDigest Reason = "content_digest_mismatch"
	TooLarge    Reason = "body_too_large"
	BrokenBody  Reason = "body_incomplete"
	Unavailable Reason = "replay_check_unavailable"
)

// Refusal is the error of a request that is not accepted.
type Refusal struct { //nolint:errname // verifier.Refusal reads better than RefusalError
	Reason Reason
	Err    error
}

// Error names the reason and what led to it.
func (r *Refusal) Error() string {
	if r.Err == nil {
		return string(r.Reason)
	}
	return string(r.Reason) + ": " + r.Err.Error()
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Status is the HTTP status of the answer.
func (r *Refusal) Status() int {
	switch r.Reason {
	case Malformed, BrokenBody:
		return http.StatusBadRequest
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Unavailable:
		return http.StatusServiceUnavailable
	case WrongSource:
		return http.StatusForbidden
	default:
		return http.StatusUnauthorized
	}
}

func refuse(reason Reason, format string, arguments ...any) *Refusal {
	return &Refusal{reason, fmt.Errorf(format, arguments...)}
}

// Verifier accepts or refuses requests. It is safe for concurrent use.
type Verifier struct {
	config VerifierConfig
	legacy [][sha256.Size]byte
}

// NewVerifier returns an error when a needed part of the configuration is missing.
func NewVerifier(config VerifierConfig) (*Verifier, error) {
	if config.Keys == nil {
		return nil, errors.New("verifier: no keys")
	}
	if !validName(config.Service) {
		return nil, fmt.Errorf("verifier: %q is not a service id of letters, digits and hyphens", config.Service)
	}
	if config.Clock == nil {
		config.Clock = clockwork.NewRealClock()
	}
	if config.Nonces == nil {
		config.Nonces = NewMemoryNonces(0, config.Clock)
	}
	if config.Skew == 0 {
		config.Skew = DefaultSkew
	}
	if config.MaxLifetime == 0 {
		config.MaxLifetime = DefaultLifetime
	}
	if config.MaxBody == 0 {
		config.MaxBody = DefaultMaxBody
	}
	v := &Verifier{config: config}
	for i, secret := range config.LegacySecrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("verifier: legacy secret %d has %d bytes, fewer than %d", i+1, len(secret), MinSecret)
		}
		if config.Keys.byID[KeyID(secret)] != nil {
			return nil, fmt.Errorf("verifier: legacy secret %d also signs; whoever sees it in a header could sign with it", i+1)
		}
		v.legacy = append(v.legacy, sha256.Sum256([]byte(secret)))
	}
	return v, nil
}

// Verify checks everything of a request but its body, and uses up its nonce.
// An error is a *[Refusal]. [Verifier.Middleware] also checks the body.
func (v *Verifier) Verify(r *http.Request) (Identity, error) {
	if len(r.Header[headerInput]) == 0 && len(r.Header[headerSignature]) == 0 {
		return v.verifyLegacy(r)
	}
	list, code, err := read(r, label)
	if err != nil {
		return Identity{}, refuse(Malformed, "%w", err)
	}
	if list == nil {
		return Identity{}, refuse(Missing, "the request carries no signature labelled %q", label)
	}
	p, err := v.readParams(list)
	if err != nil {
		return Identity{}, err
	}
	if err := covers(r, list.items); err != nil {
		return Identity{}, err
	}
	if err := v.checkTimes(p); err != nil {
		return Identity{}, err
	}
	key, known := v.config.Keys.byID[p.keyID]
	if !known {
		return Identity{}, refuse(UnknownKey, "no key has the id %q", p.keyID)
	}
	if err := verify(r, list, code, key); err != nil {
		return Identity{}, err
	}
	if target := r.Header.Get(HeaderTarget); target != v.config.Service {
		return Identity{}, refuse(WrongTarget, "the request is signed for %q", target)
	}
	source := r.Header.Get(HeaderSource)
	if !validName(source) {
		return Identity{}, refuse(Malformed, "%q is not a service id", source)
	}
	fresh, err := v.config.Nonces.Use(r.Context(), p.keyID, p.nonce, p.expires.Add(v.config.Skew))
	if err != nil {
		return Identity{}, refuse(Unavailable, "%w", err)
	}
	if !fresh {
		return Identity{}, &Refusal{Reason: Replayed}
	}
	return Identity{Source: source, Tenant: r.Header.Get(HeaderTenant), KeyID: p.keyID}, nil
}

// read finds the signature with a label and what it covers; list is nil when there is none.
func read(r *http.Request, label string) (list *innerList, code []byte, err error) {
	inputs, err := parseDictionary(strings.Join(r.Header[headerInput], ", "))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", headerInput, err)
	}
	codes, err := parseDictionary(strings.Join(r.Header[headerSignature], ", "))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", headerSignature, err)
	}
	byLabel := func(m member) bool { return m.key == label }
	i, c := slices.IndexFunc(inputs, byLabel), slices.IndexFunc(codes, byLabel)
	if i < 0 && c < 0 {
		return nil, nil, nil
	}
	if i < 0 || c < 0 || inputs[i].list == nil || codes[c].list != nil {
		return nil, nil, fmt.Errorf("the signature labelled %q is not whole", label)
	}
	return inputs[i].list, codes[c].bytes, nil
}

type params struct {
	created, expires time.Time
	nonce, keyID     string
}

func (v *Verifier) readParams(list *innerList) (params, error) {
	for _, p := range list.params {
		if !slices.Contains([]string{"created", "expires", "nonce", "keyid", "alg", "tag"}, p.name) {
			return params{}, refuse(Malformed, "the parameter %q is not known", p.name)
		}
	}
	created, hasCreated := list.integer("created")
	expires, hasExpires := list.integer("expires")
	nonce, hasNonce := list.text("nonce")
	keyID, hasKey := list.text("keyid")
	if !hasCreated || !hasExpires || !hasNonce || !hasKey {
		return params{}, refuse(Incomplete, "a signature needs created, expires, nonce and keyid")
	}
	if len(nonce) < 16 || len(nonce) > 128 {
		return params{}, refuse(Malformed, "a nonce has 16 to 128 characters, not %d", len(nonce))
	}
	if alg, _ := list.text("alg"); alg != algorithm {
		return params{}, refuse(Malformed, "the algorithm must be %s", algorithm)
	}
	if got, _ := list.text("tag"); got != tag {
		return params{}, refuse(Malformed, "the tag must be %s", tag)
	}
	return params{created: time.Unix(created, 0), expires: time.Unix(expires, 0), nonce: nonce, keyID: keyID}, nil
}

func covers(r *http.Request, items []string) error {
	for i, item := range items {
		if slices.Contains(items[:i], item) {
			return refuse(Malformed, "%q is covered twice", item)
		}
	}
	for _, name := range required {
		if !slices.Contains(items, name) {
			return refuse(Incomplete, "the signature does not cover %q", name)
		}
	}
	for _, name := range coveredIfPresent {
		if len(r.Header[canonicalName[name]]) > 0 && !slices.Contains(items, name) {
			return refuse(Incomplete, "the request carries %q outside its signature", name)
		}
	}
	return nil
}

func (v *Verifier) checkTimes(p params) error {
	now, skew := v.config.Clock.Now(), v.config.Skew
	switch lifetime := p.expires.Sub(p.created); {
	case lifetime <= 0 || lifetime > v.config.MaxLifetime:
		return refuse(Malformed, "a signature lives up to %s, not %s", v.config.MaxLifetime, lifetime)
	case p.created.After(now.Add(skew)):
		return refuse(Premature, "made %s in the future", p.created.Sub(now).Round(time.Second))
	case !now.Before(p.expires.Add(skew)):
		return refuse(Expired, "expired %s ago", now.Sub(p.expires).Round(time.Second))
	}
	return nil
}

func verify(r *http.Request, list *innerList, code []byte, key *key) error {
	base, err := appendBase(make([]byte, 0, 768), r, list)
	if err != nil {
		return refuse(Malformed, "%w", err)
	}
	var sum [sha256.Size]byte
	if !hmac.Equal(key.mac(sum[:0], base), code) {
		return &Refusal{Reason: Mismatch}
	}
	return nil
}

func (v *Verifier) verifyLegacy(r *http.Request) (Identity, error) {
	secrets := r.Header[HeaderSecret]
	if len(v.legacy) == 0 || len(secrets) != 1 {
		return Identity{}, &Refusal{Reason: Missing}
	}
	given := sha256.Sum256([]byte(secrets[0]))
	right := 0
	for i := range v.legacy { // every secret is compared, so that time does not tell which
		right |= subtle.ConstantTimeCompare(given[:], v.legacy[i][:])
	}
	if right != 1 {
		return Identity{}, &Refusal{Reason: Mismatch}
	}
	source := r.Header.Get(HeaderSource)
	if !validName(source) {
		return Identity{}, refuse(Malformed, "%s must name the sending service", HeaderSource)
	}
	if source == v.config.Service || v.config.LegacySources != nil && !slices.Contains(v.config.LegacySources, source) {
		return Identity{}, refuse(WrongSource, "%q must sign its calls", source)
	}
	return Identity{Source: source, Tenant: r.Header.Get(HeaderTenant), Legacy: true}, nil
}
