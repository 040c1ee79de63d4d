package email_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/email"
)

// signed sends a mail signed with key and returns it with the DNS record of the key.
func signed(t *testing.T, key crypto.Signer, m channel.Message) (mail []byte, record string) {
	t.Helper()
	r := startRelay(t, nil)
	adapter := newAdapter(t, r, func(c *email.Config) {
		c.Signature = email.Signature{Domain: "shop.example", Selector: "s1", Key: key}
	})
	_, err := adapter.Send(t.Context(), m)
	require.NoError(t, err)
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		record = "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	default:
		der, err := x509.MarshalPKIXPublicKey(public)
		require.NoError(t, err)
		record = "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	}
	return r.mails()[0].data, record
}

// verify returns the headers that the one signature covers, or why it does not hold.
func verify(t *testing.T, mail []byte, record string) ([]string, error) {
	t.Helper()
	verified, err := dkim.VerifyWithOptions(bytes.NewReader(mail), &dkim.VerifyOptions{
		LookupTXT: func(domain string) ([]string, error) {
			require.Equal(t, "s1._domainkey.shop.example", domain)
			return []string{record}, nil
		},
	})
	require.NoError(t, err)
	require.Len(t, verified, 1)
	require.Equal(t, "shop.example", verified[0].Domain)
	return verified[0].HeaderKeys, verified[0].Err
}

func TestSignedMailsVerify(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	messages := map[string]channel.Message{
		"campaign": fixed(func(m *channel.Message) {
			m.Campaign = uuid.New()
			m.Subject, m.From.Name = strings.Repeat("Déjà vu ", 20), "Marché Café"
			m.Text = "a  b \t\n.\n..\n\n\n" + strings.Repeat("x", 1200)
		}),
		"text": fixed(func(m *channel.Message) { m.HTML, m.UnsubscribeURL = "", "" }),
	}
	for _, key := range []crypto.Signer{rsaKey, edKey} {
		for name, m := range messages {
			mail, record := signed(t, key, m)
			covered, err := verify(t, mail, record)
			require.NoError(t, err, name)
			for _, header := range []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"} {
				require.Contains(t, covered, header, name)
			}
			for _, header := range []string{"List-Unsubscribe", "List-Unsubscribe-Post"} {
				require.Equal(t, m.UnsubscribeURL != "", bytes.Contains(mail, []byte("\r\n"+header+":")))
				require.Equal(t, m.UnsubscribeURL != "", strings.Contains(strings.Join(covered, " ")+" ", header+" "), name)
			}

			folded := bytes.Replace(mail, []byte("\r\nSubject: "), []byte("\r\nSUBJECT:\r\n   "), 1)
			_, err = verify(t, folded, record)
			require.NoError(t, err, "a relay folds a header")
			for what, change := range map[string][2]string{
				"a second sender":  {"\r\nFrom: ", "\r\nFrom: evil@example.com\r\nFrom: "},
				"a second subject": {"\r\nSubject: ", "\r\nSubject: Pay\r\nSubject: "},
				"another date":     {"07:08:09", "07:08:10"},
				"another body":     {"\r\n\r\n", "\r\n\r\nPay here\r\n"},
			} {
				_, err = verify(t, bytes.Replace(mail, []byte(change[0]), []byte(change[1]), 1), record)
				require.Error(t, err, what)
			}
		}
	}
}

// What stays the same of a signature: all but its time, and with it its bytes.
func TestSignatureGolden(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	mail, _ := signed(t, key, fixed(func(m *channel.Message) { m.Campaign = uuid.MustParse("018f0000-0000-7000-8000-00000000cccc") }))
	require.True(t, bytes.HasPrefix(mail, []byte("DKIM-Signature: ")))
	got := regexp.MustCompile(`\bt=\d+`).ReplaceAll(mail, []byte("t=TIME"))
	got = regexp.MustCompile(`(?s)\r\n b=.*?\r\nSubject:`).ReplaceAll(got, []byte("\r\n b=BYTES\r\nSubject:"))
	file := filepath.Join("testdata", "signed.eml")
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}
