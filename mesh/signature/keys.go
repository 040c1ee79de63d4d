package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
)

// MinSecret is the shortest secret a key is made of, in bytes.
const MinSecret = 16

// Keys holds the key that signs and all keys that verify.
type Keys struct {
	signing *key
	byID    map[string]*key
}

// NewKeys makes keys of secrets: the first signs, all verify. It returns an
// error for no secret, and for one shorter than [MinSecret] bytes.
func NewKeys(secrets ...string) (*Keys, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("no secret given")
	}
	keys := &Keys{byID: make(map[string]*key, len(secrets))}
	for i, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("secret %d has %d bytes, fewer than %d", i+1, len(secret), MinSecret)
		}
		k := newKey(KeyID(secret), []byte(secret))
		keys.byID[k.id] = k
		if i == 0 {
			keys.signing = k
		}
	}
	return keys, nil
}

// KeyID is the public name of a secret: it tells keys apart in headers and logs
// without telling anything about them.
func KeyID(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("engarde mesh key id"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

type key struct {
	id   string
	macs sync.Pool // of hash.Hash: setting HMAC up costs more than a short message
}

func newKey(id string, secret []byte) *key {
	k := &key{id: id}
	k.macs.New = func() any { return hmac.New(sha256.New, secret) }
	return k
}

// mac appends the message's authentication code.
func (k *key) mac(to, message []byte) []byte {
	mac := k.macs.Get().(hash.Hash) //nolint:forcetypeassert // the pool makes nothing else
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(message)
	return mac.Sum(to)
}
