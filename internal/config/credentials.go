package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// credentialsKeySize is how many random bytes a key has.
const credentialsKeySize = 32

// CredentialsKeys returns the keys that open stored credentials; the first
// seals. Without CREDENTIALS_KEY it is an error.
func (c Config) CredentialsKeys() ([][]byte, error) {
	if c.CredentialsKey == "" {
		return nil, errors.New("CREDENTIALS_KEY is not set; for example: CREDENTIALS_KEY=the output of: openssl rand -hex 32")
	}
	var keys [][]byte
	for _, text := range []Secret{c.CredentialsKey, c.CredentialsKeyPrevious} {
		if text == "" {
			continue
		}
		key, err := parseCredentialsKey(string(text))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parseCredentialsKey reads a key in hexadecimal digits or base64. Its errors do not show it.
func parseCredentialsKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) == 2*credentialsKeySize {
		if key, err := hex.DecodeString(text); err == nil {
			return key, nil
		}
	}
	plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	if key, err := base64.RawStdEncoding.DecodeString(plain); err == nil && len(key) == credentialsKeySize {
		return key, nil
	}
	return nil, fmt.Errorf("is not %d bytes, written as %d hexadecimal digits or in base64", credentialsKeySize, 2*credentialsKeySize)
}

func (c *checker) credentials(cfg Config) {
	for _, key := range []struct {
		name  string
		value Secret
	}{{"CREDENTIALS_KEY", cfg.CredentialsKey}, {"CREDENTIALS_KEY_PREVIOUS", cfg.CredentialsKeyPrevious}} {
		if key.value == "" {
			continue
		}
		if _, err := parseCredentialsKey(string(key.value)); err != nil {
			c.badf(key.name, "%s", err)
		}
	}
	if cfg.CredentialsKeyPrevious != "" && cfg.CredentialsKey == "" {
		c.badf("CREDENTIALS_KEY", "is not set although CREDENTIALS_KEY_PREVIOUS is")
	}
	if cfg.CredentialsKey != "" && cfg.CredentialsKey == cfg.CredentialsKeyPrevious {
		c.badf("CREDENTIALS_KEY_PREVIOUS", "is CREDENTIALS_KEY; leave it out, or set the key before that one")
	}
}
