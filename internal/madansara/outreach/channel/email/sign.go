package email

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// Signature is how mails are signed by DKIM (RFC 6376). Zero is not at all,
// which is right where the relay signs.
type Signature struct {
	Domain   string        // whose mails they are; that of From, or DMARC does not count it
	Selector string        // the key is published as Selector._domainkey.Domain
	Key      crypto.Signer // *rsa.PrivateKey or ed25519.PrivateKey
}

// signedHeaders are signed where a mail has them. RFC 8058 counts a one-click
// unsubscribe only when both of its headers are; Gmail the same of Feedback-ID.
// From, To and Subject are there once more than mails have them, so that nobody
// on the way can add a second one.
var signedHeaders = []string{
	"From", "From", "To", "To", "Subject", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post",
	"Feedback-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// sign returns the mail with its signature before it. Relaxed, for both parts:
// relays fold headers and trim blanks.
func (s Signature) sign(data []byte) ([]byte, error) {
	if s.Key == nil {
		return data, nil
	}
	var out bytes.Buffer
	err := dkim.Sign(&out, bytes.NewReader(data), &dkim.SignOptions{
		Domain: s.Domain, Selector: s.Selector, Signer: s.Key, Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: headersToSign(data),
	})
	if err != nil {
		return nil, fmt.Errorf("sign the mail: %w", err)
	}
	return out.Bytes(), nil
}

// headersToSign leaves out what the mail does not have, so that a relay may add it.
func headersToSign(data []byte) []string {
	head, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	lines := "\r\n" + strings.ToLower(string(head))
	return slices.DeleteFunc(slices.Clone(signedHeaders), func(name string) bool {
		return !strings.Contains(lines, "\r\n"+strings.ToLower(name)+":")
	})
}
