// Package tracking makes the links of a message and answers them: opens,
// clicks and unsubscriptions. A link carries all it needs under a signature, so
// that there is no table of links and nobody can make one up.
package tracking

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// kind is what a link is for. Each kind is signed with a key of its own.
type kind byte

const (
	openKind        kind = 'o'
	clickKind       kind = 'c'
	unsubscribeKind kind = 'u'
)

const (
	tokenVersion  = 1
	macSize       = 16 // 128 bits of HMAC-SHA256: beyond guessing, and links stay short
	headSize      = 2 + 16 + 16
	maxTargetSize = 2048
	maxTokenSize  = (headSize + maxTargetSize + macSize) * 4 / 3
	minSecretSize = 16
)

// claims is what a token says. Target is a click's destination.
type claims struct {
	kind    kind
	tenant  uuid.UUID
	message uuid.UUID
	target  string
}

var errBadToken = errors.New("the link is not one of ours")

// keys signs with one key a purpose, all derived from the service's secret.
type keys map[kind][]byte

func deriveKeys(secret []byte) (keys, error) {
	if len(secret) < minSecretSize {
		return nil, fmt.Errorf("tracking: the secret must have at least %d bytes", minSecretSize)
	}
	derived := keys{}
	for k, purpose := range map[kind]string{
		openKind: "tracking/open", clickKind: "tracking/click", unsubscribeKind: "tracking/unsubscribe",
	} {
		key, err := hkdf.Key(sha256.New, secret, nil, "madansara/"+purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("tracking: derive a key: %w", err)
		}
		derived[k] = key
	}
	return derived, nil
}

func (k keys) sign(c claims) string {
	token := make([]byte, 0, headSize+len(c.target)+macSize)
	token = append(token, tokenVersion, byte(c.kind))
	token = append(token, c.tenant[:]...)
	token = append(token, c.message[:]...)
	token = append(token, c.target...)
	token = append(token, k.mac(c.kind, token)...)
	return base64.RawURLEncoding.EncodeToString(token)
}

// verify returns what token says, if it was signed for that kind. The head is
// read only after the signature over all of it holds.
func (k keys) verify(want kind, token string) (claims, error) {
	if len(token) > maxTokenSize {
		return claims{}, errBadToken
	}
	// Strict: a token has one spelling, or caches and logs see several.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < headSize+macSize {
		return claims{}, errBadToken
	}
	signed, mac := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	if !hmac.Equal(mac, k.mac(want, signed)) || signed[0] != tokenVersion || kind(signed[1]) != want {
		return claims{}, errBadToken
	}
	return claims{
		kind:    want,
		tenant:  uuid.UUID(signed[2:18]),
		message: uuid.UUID(signed[18:headSize]),
		target:  string(signed[headSize:]),
	}, nil
}

func (k keys) mac(kind kind, signed []byte) []byte {
	h := hmac.New(sha256.New, k[kind])
	h.Write(signed)
	return h.Sum(nil)[:macSize]
}
