package integration

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// KeySize is how many random bytes a key has.
const KeySize = 32

// ErrUnknownKey says that something was encrypted under a key that is not here.
var ErrUnknownKey = errors.New("encrypted under a key that is neither CREDENTIALS_KEY nor CREDENTIALS_KEY_PREVIOUS")

// Keyring seals and opens credentials. It is safe for concurrent use.
type Keyring struct {
	current string // id of the key that seals
	keys    map[string]cipher.AEAD
}

// NewKeyring returns a keyring that seals under the first key and opens what any
// of them sealed. Each has KeySize bytes.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	ring := &Keyring{keys: map[string]cipher.AEAD{}}
	for i, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("a credentials key has %d bytes, not %d", KeySize, len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("credentials key: %w", err)
		}
		sealer, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("credentials key: %w", err)
		}
		id := keyID(key)
		if i == 0 {
			ring.current = id
		}
		ring.keys[id] = sealer
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no credentials key")
	}
	return ring, nil
}

// keyID names a key without telling it.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("engarde credentials key id v1\x00"), key...))
	return hex.EncodeToString(sum[:8])
}

// place is what sealed credentials are bound to.
func place(tenant, integration uuid.UUID) []byte {
	return append(append([]byte("engarde integration credentials v1\x00"), tenant[:]...), integration[:]...)
}

// seal encrypts text for one integration and names the key.
func (k *Keyring) seal(tenant, integration uuid.UUID, text []byte) (keyID string, sealed []byte) {
	return k.current, k.keys[k.current].Seal(nil, nil, text, place(tenant, integration)) //nolint:gosec // this AEAD makes its own random nonce
}

// open returns what seal was given; the error is ErrUnknownKey, or says that the
// text is not the one that was sealed for this integration.
func (k *Keyring) open(keyID string, tenant, integration uuid.UUID, sealed []byte) ([]byte, error) {
	opener, known := k.keys[keyID]
	if !known {
		return nil, ErrUnknownKey
	}
	text, err := opener.Open(nil, nil, sealed, place(tenant, integration))
	if err != nil {
		return nil, fmt.Errorf("the stored credentials were changed, or are another integration's: %w", err)
	}
	return text, nil
}
