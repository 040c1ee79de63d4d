package signature

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/engardehq/madansara/mesh/problem"
)

type identityKey struct{}

// From returns who sent the request that ctx belongs to; ok is false outside
// [Verifier.Middleware].
func From(ctx context.Context) (identity Identity, ok bool) {
	identity, ok = ctx.Value(identityKey{}).(Identity)
	return identity, ok
}

// Signed reports whether a request claims to be signed, or to know a secret, and
// so is to be judged by a [Verifier]: for services whose operations are called both
// by services and, authenticated otherwise, by people.
func Signed(r *http.Request) bool {
	return len(r.Header[headerInput]) > 0 || len(r.Header[headerSignature]) > 0 || len(r.Header[HeaderSecret]) > 0
}

// Middleware lets only verified requests through, with their body checked and
// [From] telling who sent them. It must stand before anything that changes a
// request's path, such as http.StripPrefix. Refusals are problem+json whose code
// is the [Reason].
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, err := v.Verify(r)
		if err == nil && !identity.Legacy {
			err = v.verifyBody(r)
		}
		if err != nil {
			v.answer(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, identity)))
	})
}

func (v *Verifier) verifyBody(r *http.Request) error {
	body, tooLarge, err := readBody(r, v.config.MaxBody)
	if tooLarge {
		return refuse(TooLarge, "the body is larger than %d bytes", v.config.MaxBody)
	}
	if err != nil {
		return refuse(BrokenBody, "%w", err)
	}
	if err := checkDigest(r.Header.Get(headerDigest), body); err != nil {
		return refuse(WrongDigest, "%w", err)
	}
	if body != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return nil
}

var detailOf = map[Reason]string{
	Missing:     "This service answers only signed requests.",
	Malformed:   "The request's signature cannot be read.",
	Incomplete:  "The request's signature leaves out a part it must cover.",
	Expired:     "The request's signature has expired; check the clocks of both services.",
	Premature:   "The request's signature was made in the future; check the clocks of both services.",
	UnknownKey:  "The request is signed with a key that is not known here.",
	Mismatch:    "The request's signature is wrong.",
	Replayed:    "The request was received before.",
	WrongTarget: "The request is signed for another service.",
	WrongSource: "Who the request says it is from must sign here.",
	WrongDigest: "The request's body is not the one that was signed.",
	TooLarge:    "The request's body is too large.",
	BrokenBody:  "The request's body broke off.",
	Unavailable: "Requests cannot be checked for replay now; try again in a moment.",
}

func (v *Verifier) answer(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *Refusal
	if !errors.As(err, &refusal) { // Verify and verifyBody return nothing else
		refusal = &Refusal{Malformed, err}
	}
	if v.config.Refused != nil {
		v.config.Refused(r, refusal)
	}
	if refusal.Reason == Unavailable {
		problem.SetRetryAfter(w.Header(), time.Second)
	}
	problem.Write(w, problem.New(refusal.Status(), string(refusal.Reason), detailOf[refusal.Reason]))
}
