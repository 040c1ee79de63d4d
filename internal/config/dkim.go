package config

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// fewestKeyBits is what RFC 8301 asks of a signer; receivers ignore less.
const fewestKeyBits = 1024

// DKIMKey returns the key that signs mails, nil when none is set. The PEM may
// have its line ends written as \n, as one-line environment files need.
func (c Config) DKIMKey() (crypto.Signer, error) {
	if c.DKIMPrivateKey == "" {
		return nil, nil //nolint:nilnil // nil is "mails are not signed", as documented
	}
	block, _ := pem.Decode([]byte(strings.ReplaceAll(string(c.DKIMPrivateKey), `\n`, "\n")))
	if block == nil {
		return nil, errors.New("is no PEM")
	}
	var key any
	var err error
	if block.Type == "RSA PRIVATE KEY" {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("is no private key in PKCS #8 or PKCS #1") // the parser's words may quote the key
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < fewestKeyBits {
			return nil, fmt.Errorf("has %d bits; receivers ignore a signature of fewer than %d", key.N.BitLen(), fewestKeyBits)
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("is neither an RSA nor an Ed25519 key")
}

// domainName is a DNS name, or a selector, which may have dots too.
var domainName = regexp.MustCompile(`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?))*$`)

// signing wants all of DKIM_* or none.
func (c *checker) signing(cfg Config) {
	values := map[string]string{
		"DKIM_DOMAIN": cfg.DKIMDomain, "DKIM_SELECTOR": cfg.DKIMSelector, "DKIM_PRIVATE_KEY": string(cfg.DKIMPrivateKey),
	}
	if cfg.DKIMDomain+cfg.DKIMSelector+string(cfg.DKIMPrivateKey) == "" {
		return
	}
	for _, name := range []string{"DKIM_DOMAIN", "DKIM_SELECTOR", "DKIM_PRIVATE_KEY"} {
		if values[name] == "" {
			c.badf(name, "is not set although another DKIM variable is; signing needs all three")
			return
		}
	}
	if !domainName.MatchString(cfg.DKIMDomain) || !strings.Contains(cfg.DKIMDomain, ".") {
		c.badf("DKIM_DOMAIN", "is no domain")
	}
	if !domainName.MatchString(cfg.DKIMSelector) {
		c.badf("DKIM_SELECTOR", "is no selector")
	}
	if _, err := cfg.DKIMKey(); err != nil {
		c.badf("DKIM_PRIVATE_KEY", "%s", err)
	}
}
