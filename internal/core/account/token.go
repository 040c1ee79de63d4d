package account

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"strings"

	"github.com/google/uuid"
)

// A key's token is a prefix that tells its kind (to a person, and to scanners
// that look for leaked secrets), the key's id, and 32 random bytes, both in
// base 62 so that a double click selects the whole.
const (
	secretPrefix = "mssk_"
	writePrefix  = "mswk_"
	idDigits     = 22 // 62^22 > 2^128
	secretDigits = 43 // 62^43 > 2^256
	tokenLength  = len(secretPrefix) + idDigits + secretDigits
)

// Kind is what a key is for.
type Kind string

// The kinds. A secret key authorises the API; a write key stands in web pages
// and may only add events.
const (
	SecretKey Kind = "secret"
	WriteKey  Kind = "write"
)

func newKeyToken(kind Kind, id uuid.UUID) string {
	prefix := secretPrefix
	if kind == WriteKey {
		prefix = writePrefix
	}
	return prefix + base62(id[:], idDigits) + base62(randomBytes(), secretDigits)
}

// keyID returns the id that a token names; false when it is no token of ours.
func keyID(token string) (uuid.UUID, bool) {
	if len(token) != tokenLength || !strings.HasPrefix(token, secretPrefix) && !strings.HasPrefix(token, writePrefix) {
		return uuid.Nil, false
	}
	number, ok := new(big.Int).SetString(token[len(secretPrefix):len(secretPrefix)+idDigits], 62)
	if !ok || number.Sign() < 0 || number.BitLen() > 128 {
		return uuid.Nil, false
	}
	var id uuid.UUID
	number.FillBytes(id[:])
	return id, true
}

func base62(b []byte, digits int) string {
	text := new(big.Int).SetBytes(b).Text(62)
	return strings.Repeat("0", digits-len(text)) + text
}

func randomBytes() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
