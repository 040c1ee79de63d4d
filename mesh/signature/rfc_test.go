package signature

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The message, the key and the signature below are RFC 9421's, appendices B.1.5, B.2 and B.2.5.

const rfcBody = `{"hello": "world"}`

func rfcRequest(t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/foo?param=Value&Pet=dog", strings.NewReader(rfcBody))
	r.Header.Set("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Digest", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:")
	return r
}

func rfcKey(t *testing.T) *key {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	require.NoError(t, err)
	return newKey("test-shared-secret", secret)
}

const (
	rfcInput     = `sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`
	rfcSignature = `sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:`
)

func TestSigningMakesTheStandardsHMACSignature(t *testing.T) {
	t.Parallel()
	r := rfcRequest(t)
	list := &innerList{
		items:  []string{"date", "@authority", "content-type"},
		params: []parameter{{"created", int64(1618884473)}, {"keyid", "test-shared-secret"}},
	}
	base, err := appendBase(nil, r, list)
	require.NoError(t, err)
	require.Equal(t, strings.Join([]string{
		`"date": Tue, 20 Apr 2021 02:07:55 GMT`,
		`"@authority": example.com`,
		`"content-type": application/json`,
		`"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
	}, "\n"), string(base))

	require.NoError(t, sign(r, "sig-b25", list, rfcKey(t)))
	require.Equal(t, rfcInput, r.Header.Get("Signature-Input"))
	require.Equal(t, rfcSignature, r.Header.Get("Signature"))
}

func TestVerifyingAcceptsTheStandardsHMACSignature(t *testing.T) {
	t.Parallel()
	r := rfcRequest(t)
	r.Header.Set("Signature-Input", rfcInput)
	r.Header.Set("Signature", rfcSignature)
	list, code, err := read(r, "sig-b25")
	require.NoError(t, err)
	require.NoError(t, verify(r, list, code, rfcKey(t)))

	r.Header.Set("Content-Type", "text/plain")
	var refusal *Refusal
	require.ErrorAs(t, verify(r, list, code, rfcKey(t)), &refusal)
	require.Equal(t, Mismatch, refusal.Reason)
}

func TestComponentsOfTheStandardsMessage(t *testing.T) {
	t.Parallel()
	r := rfcRequest(t)
	for name, want := range map[string]string{
		"@method":    "POST",
		"@authority": "example.com",
		"@path":      "/foo",
		"@query":     "?param=Value&Pet=dog",
	} {
		got, err := appendComponent(nil, r, name)
		require.NoError(t, err)
		require.Equal(t, want, string(got), name)
	}
	// RFC 9421 section 2.2.6 and 2.2.7: an empty path is "/", an absent query is "?".
	empty := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://www.example.com", http.NoBody)
	path, err := appendComponent(nil, empty, "@path")
	require.NoError(t, err)
	query, err := appendComponent(nil, empty, "@query")
	require.NoError(t, err)
	require.Equal(t, "/ ?", string(path)+" "+string(query))
}

func TestDigestsOfTheStandardsBody(t *testing.T) {
	t.Parallel()
	// RFC 9530 appendix B gives the sha-256 of this body.
	require.Equal(t, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", Digest([]byte(rfcBody)))
	sha512 := rfcRequest(t).Header.Get("Content-Digest")
	require.NoError(t, checkDigest(sha512, []byte(rfcBody)))
	require.NoError(t, checkDigest(sha512+", "+Digest([]byte(rfcBody)), []byte(rfcBody)))
	require.Error(t, checkDigest(sha512, []byte(`{"hello": "World"}`)))
	require.Error(t, checkDigest(Digest([]byte("x"))+", "+sha512, []byte(rfcBody)), "every known algorithm must agree")
	require.Error(t, checkDigest("md5=:Sd/dVLAcvNLSq16eXua5uQ==:", []byte(rfcBody)), "one algorithm must be known")
	require.Error(t, checkDigest("", nil))
}

func TestWhatTwoReadersCouldReadDifferentlyIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`mesh=:AAAA:, mesh=:AAAB:`, `mesh=("a");created=1;created=2`,
		`mesh=("a" "b"`, `mesh=("a""b")`, `mesh=("a",)`, `mesh=("a";req)`, `mesh=(a)`, `mesh=() x=()`, `mesh=(),`,
		"mesh=:AA\r\nAA:", `mesh=:AAA:`, `mesh=:AAB=:`, `mesh=AAAA`, `mesh`, `MESH=()`, ``,
		`mesh=();created=1.5`, `mesh=();created=1234567890123456`, `mesh=();created=-`, `mesh=();a=?2`,
		`mesh=();nonce="a`, `mesh=();nonce="\a"`, "mesh=(\"\u00e9\")", "mesh=(\"a\nb\")",
		strings.Repeat("a", maxFieldBytes+1),
	} {
		_, err := parseDictionary(text)
		require.ErrorIs(t, err, errSyntax, "%q", text)
	}
}

func FuzzDictionary(f *testing.F) {
	for _, seed := range []string{
		rfcInput, rfcSignature, Digest(nil), `a=("x\"y" "z");n=-1;b;c=?0;d=:AAAA:, b=()`, `a=(`, `a=:=:`, `*=()`, "a=(\"\x7f\")",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		members, err := parseDictionary(text)
		if err != nil {
			return
		}
		// What was read must read the same when written canonically: else two
		// readers could build different signature bases of one field.
		var written []string
		for _, m := range members {
			if m.list != nil {
				written = append(written, m.key+"="+m.list.String())
			} else {
				written = append(written, m.key+"=:"+base64.StdEncoding.EncodeToString(m.bytes)+":")
			}
		}
		canonical := strings.Join(written, ", ")
		if len(canonical) > maxFieldBytes {
			return
		}
		again, err := parseDictionary(canonical)
		require.NoError(t, err, canonical)
		require.Len(t, again, len(members))
		for i, m := range members {
			require.Equal(t, m.key, again[i].key)
			require.Equal(t, m.list, again[i].list)
			require.True(t, bytes.Equal(m.bytes, again[i].bytes))
		}
	})
}
