package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/engardehq/madansara/internal/fault"
)

// argon2id parameters (OWASP's recommendation): 19 MiB, two passes, one lane.
const (
	hashMemory  = 19 * 1024 // KiB
	hashPasses  = 2
	hashLanes   = 1
	hashLength  = 32
	saltLength  = 16
	mostMemory  = 64 * 1024 // KiB; a stored hash asking for more is refused
	mostPasses  = 10
	mostLanes   = 4
	atOnce      = 2 // hashes computed at the same time: each takes hashMemory
	minPassword = 12
	maxPassword = 1024 // bytes
)

// hasher computes password hashes, a few at a time so that a burst of log-ins
// cannot exhaust memory.
type hasher struct{ slots chan struct{} }

func newHasher() hasher { return hasher{slots: make(chan struct{}, atOnce)} }

func (h hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.Unavailable, "Too many log-ins at once; try again in a moment.")
	}
}

func (h hasher) leave() { <-h.slots }

// hash returns the password's hash in PHC form.
func (h hasher) hash(ctx context.Context, password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := make([]byte, saltLength)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, hashLanes, hashLength)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashPasses, hashLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum)), nil
}

func checkPassword(password string) error {
	if len(password) < minPassword || len(password) > maxPassword {
		return fault.New(fault.Invalid, "A password has %d to %d characters.", minPassword, maxPassword)
	}
	return nil
}

// nobody is compared against when an e-mail address names no user, so that the
// answer takes as long as for one that does. No password has this hash.
var nobody = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashPasses, hashLanes,
	base64.RawStdEncoding.EncodeToString(make([]byte, saltLength)), base64.RawStdEncoding.EncodeToString(make([]byte, hashLength)))

// matches reports whether password has the given PHC hash.
func (h hasher) matches(ctx context.Context, password, phc string) (bool, error) {
	p, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	if len(password) > maxPassword {
		return false, nil
	}
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	sum := argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.lanes, uint32(len(p.sum)))
	return subtle.ConstantTimeCompare(sum, p.sum) == 1, nil
}

type phcHash struct {
	memory, passes uint32
	lanes          uint8
	salt, sum      []byte
}

func parsePHC(phc string) (phcHash, error) {
	parts := strings.Split(phc, "$") // "", argon2id, v=19, m=..,t=..,p=.., salt, hash
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phcHash{}, errors.New("a stored password hash is not argon2id in PHC form")
	}
	var p phcHash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil {
		return phcHash{}, fmt.Errorf("parameters of a stored password hash: %w", err)
	}
	if p.memory == 0 || p.memory > mostMemory || p.passes == 0 || p.passes > mostPasses || p.lanes == 0 || p.lanes > mostLanes {
		return phcHash{}, errors.New("parameters of a stored password hash are out of bounds")
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return phcHash{}, fmt.Errorf("salt of a stored password hash: %w", err)
	}
	if p.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(p.sum) < saltLength {
		return phcHash{}, errors.New("a stored password hash is cut short")
	}
	return p, nil
}
