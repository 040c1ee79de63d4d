package signature_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

const (
	secret    = "a secret of the mesh, long enough"
	oldSecret = "the secret of last year's mesh, also"
)

// bundle is a server that verifies, on a real socket, and a client that signs.
type bundle struct {
	clock    *clockwork.FakeClock
	server   *httptest.Server
	signer   *signature.Signer
	client   *http.Client
	handled  atomic.Int32
	identity signature.Identity
	body     string
}

func setup(t *testing.T, change func(*signature.VerifierConfig)) *bundle {
	t.Helper()
	b := &bundle{clock: clockwork.NewFakeClock()}
	config := signature.VerifierConfig{Keys: keys(t, secret), Service: "onside", Clock: b.clock}
	if change != nil {
		change(&config)
	}
	verifier, err := signature.NewVerifier(config)
	require.NoError(t, err)
	b.server = httptest.NewServer(verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.handled.Add(1)
		b.identity, _ = signature.From(r.Context())
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		b.body = string(body)
	})))
	t.Cleanup(b.server.Close)
	b.signer = newSigner(t, b.clock, secret)
	b.client = &http.Client{Transport: b.signer.RoundTripper("onside", b.server.Client().Transport)}
	return b
}

func keys(t *testing.T, secrets ...string) *signature.Keys {
	t.Helper()
	k, err := signature.NewKeys(secrets...)
	require.NoError(t, err)
	return k
}

func newSigner(t *testing.T, clock clockwork.Clock, secrets ...string) *signature.Signer {
	t.Helper()
	s, err := signature.NewSigner(signature.SignerConfig{Keys: keys(t, secrets...), Service: "madan-sara", Clock: clock})
	require.NoError(t, err)
	return s
}

func (b *bundle) request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	return r
}

// send sends a request as it is and returns the status and the problem's code.
func send(t *testing.T, client *http.Client, r *http.Request) (status int, code string) {
	t.Helper()
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		require.Equal(t, problem.ContentType, response.Header.Get("Content-Type"))
		var p problem.Problem
		require.NoError(t, json.NewDecoder(response.Body).Decode(&p))
		require.Equal(t, response.StatusCode, p.Status)
		code = p.Code
	}
	return response.StatusCode, code
}

func TestASignedRequestIsAcceptedAndSaysWhoSentIt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	r := b.request(t, http.MethodPost, "/api/v1/seo/analyze?deep=1&q=%20a", `{"url":"https://example.com"}`)
	r.Header.Set(signature.HeaderTenant, "0198f4a2-0000-7000-8000-000000000001")
	status, _ := send(t, b.client, r)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, signature.Identity{Source: "madan-sara", Tenant: "0198f4a2-0000-7000-8000-000000000001", KeyID: signature.KeyID(secret)}, b.identity)
	require.JSONEq(t, `{"url":"https://example.com"}`, b.body)
	require.Empty(t, r.Header.Get("Signature"), "the round tripper must not change its caller's request")
}

func TestAnyChangeOnTheWayIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper func(*http.Request)
		want   string
	}{
		"method":           {func(r *http.Request) { r.Method = http.MethodPut }, "signature_mismatch"},
		"path":             {func(r *http.Request) { r.URL.Path = "/b" }, "signature_mismatch"},
		"escaped path":     {func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" }, "signature_mismatch"},
		"query":            {func(r *http.Request) { r.URL.RawQuery = "x=2" }, "signature_mismatch"},
		"query dropped":    {func(r *http.Request) { r.URL.RawQuery = "" }, "signature_mismatch"},
		"body":             {func(r *http.Request) { setBody(r, "tampered") }, "content_digest_mismatch"},
		"body and digest":  {func(r *http.Request) { setBody(r, "x"); r.Header.Set("Content-Digest", signature.Digest([]byte("x"))) }, "signature_mismatch"},
		"body dropped":     {func(r *http.Request) { setBody(r, "") }, "content_digest_mismatch"},
		"tenant":           {func(r *http.Request) { r.Header.Set(signature.HeaderTenant, "other") }, "signature_mismatch"},
		"tenant dropped":   {func(r *http.Request) { r.Header.Del(signature.HeaderTenant) }, "signature_malformed"},
		"tenant twice":     {func(r *http.Request) { r.Header.Add(signature.HeaderTenant, "other") }, "signature_malformed"},
		"key added":        {func(r *http.Request) { r.Header.Set(signature.HeaderIdempotencyKey, "k") }, "signature_incomplete"},
		"deadline added":   {func(r *http.Request) { r.Header.Set(signature.HeaderTimeout, "1") }, "signature_incomplete"},
		"source":           {func(r *http.Request) { r.Header.Set(signature.HeaderSource, "sankore") }, "signature_mismatch"},
		"target":           {func(r *http.Request) { r.Header.Set(signature.HeaderTarget, "sankore") }, "signature_mismatch"},
		"signature gone":   {func(r *http.Request) { r.Header.Del("Signature") }, "signature_malformed"},
		"both gone":        {func(r *http.Request) { r.Header.Del("Signature"); r.Header.Del("Signature-Input") }, "signature_missing"},
		"other label":      {replaceInput("mesh=", "sig1="), "signature_malformed"},
		"less covered":     {replaceInput(` "@query"`, ""), "signature_incomplete"},
		"longer life":      {replaceInput(";expires=", ";expires=9"), "signature_malformed"},
		"no nonce":         {replaceInput(";nonce=", ";nope="), "signature_malformed"},
		"other algorithm":  {replaceInput("hmac-sha256", "none"), "signature_malformed"},
		"other tag":        {replaceInput("engarde-mesh", "engarde-mash"), "signature_malformed"},
		"component flags":  {replaceInput(`"@method"`, `"@method";req`), "signature_malformed"},
		"signature cut":    {func(r *http.Request) { r.Header.Set("Signature", "mesh=:AAAA:") }, "signature_mismatch"},
		"signature a list": {func(r *http.Request) { r.Header.Set("Signature", "mesh=()") }, "signature_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			r := b.request(t, http.MethodPost, "/a?x=1", "body")
			r.Header.Set(signature.HeaderTenant, "tenant")
			require.NoError(t, b.signer.Sign(r, "onside"))
			c.tamper(r)
			_, code := send(t, b.server.Client(), r)
			require.Equal(t, c.want, code)
			require.Zero(t, b.handled.Load())
		})
	}
}

func setBody(r *http.Request, body string) {
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = int64(len(body))
	if body == "" {
		r.Body = http.NoBody
	}
}

func replaceInput(old, replacement string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), old, replacement, 1))
	}
}

func TestARequestForAnotherServiceIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	r := b.request(t, http.MethodGet, "/", "")
	require.NoError(t, b.signer.Sign(r, "sankore"))
	_, code := send(t, b.server.Client(), r)
	require.Equal(t, "signature_wrong_target", code)
}

func TestAReplayIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	r := b.request(t, http.MethodGet, "/", "")
	require.NoError(t, b.signer.Sign(r, "onside"))
	status, _ := send(t, b.server.Client(), r)
	require.Equal(t, http.StatusOK, status)
	status, code := send(t, b.server.Client(), r)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "signature_replayed", code)

	// As long as the signature would be accepted, its nonce is remembered.
	b.clock.Advance(signature.DefaultLifetime + signature.DefaultSkew - time.Second)
	_, code = send(t, b.server.Client(), r)
	require.Equal(t, "signature_replayed", code)
	b.clock.Advance(time.Second)
	_, code = send(t, b.server.Client(), r)
	require.Equal(t, "signature_expired", code)
	require.EqualValues(t, 1, b.handled.Load())
}

func TestOfManySimultaneousReplaysOneIsAccepted(t *testing.T) {
	t.Parallel()
	store := signature.NewMemoryNonces(0, nil)
	var fresh atomic.Int32
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			if ok, err := store.Use(t.Context(), "key", "nonce", time.Now().Add(time.Minute)); ok && err == nil {
				fresh.Add(1)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, fresh.Load())
}

func TestClockSkewIsToleratedUpToItsLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		offset time.Duration // of the sender's clock
		want   string
	}{
		"same":       {0, ""},
		"ahead":      {signature.DefaultSkew, ""},
		"too far":    {signature.DefaultSkew + time.Second, "signature_premature"},
		"behind":     {-signature.DefaultLifetime - signature.DefaultSkew + time.Second, ""},
		"too behind": {-signature.DefaultLifetime - signature.DefaultSkew, "signature_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			signer := newSigner(t, clockwork.NewFakeClockAt(b.clock.Now().Truncate(time.Second).Add(c.offset)), secret)
			b.clock.Advance(b.clock.Now().Truncate(time.Second).Sub(b.clock.Now()))
			r := b.request(t, http.MethodGet, "/", "")
			require.NoError(t, signer.Sign(r, "onside"))
			_, code := send(t, b.server.Client(), r)
			require.Equal(t, c.want, code)
		})
	}
}

func TestASecretIsRotatedWithoutARefusal(t *testing.T) {
	t.Parallel()
	// The three deployments of the package comment, and every pair of services
	// that meets while one is ahead by a deployment.
	deployments := [][]string{{oldSecret}, {oldSecret, secret}, {secret, oldSecret}, {secret}}
	for i, sending := range deployments {
		for j, receiving := range deployments {
			b := setup(t, func(c *signature.VerifierConfig) { c.Keys = keys(t, receiving...) })
			r := b.request(t, http.MethodGet, "/", "")
			require.NoError(t, newSigner(t, b.clock, sending...).Sign(r, "onside"))
			status, code := send(t, b.server.Client(), r)
			if i-j <= 1 && j-i <= 1 {
				require.Equal(t, http.StatusOK, status, "%d to %d", i, j)
			} else if i == 0 && j == 3 || i == 3 && j == 0 {
				require.Equal(t, "signature_key_unknown", code)
			}
		}
	}
}

func TestTheOlderFormNeedsItsOption(t *testing.T) {
	t.Parallel()
	legacy := func(b *bundle, value string) *http.Request {
		r := b.request(t, http.MethodPost, "/", "body")
		r.Header.Set(signature.HeaderSecret, value)
		r.Header.Set(signature.HeaderSource, "python-peer")
		return r
	}
	off := setup(t, nil)
	const sent, sentBefore = "a secret that travels in a header", "the one that travelled before it"
	_, code := send(t, off.server.Client(), legacy(off, sent))
	require.Equal(t, "signature_missing", code)

	on := setup(t, func(c *signature.VerifierConfig) { c.LegacySecrets = []string{sentBefore, sent} })
	for _, value := range []string{sent, sentBefore} {
		status, _ := send(t, on.server.Client(), legacy(on, value))
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, signature.Identity{Source: "python-peer", Legacy: true}, on.identity)
	for _, value := range []string{sent + "x", secret, ""} {
		_, code = send(t, on.server.Client(), legacy(on, value))
		require.Equal(t, "signature_mismatch", code, "%q", value)
	}

	nameless := legacy(on, sent)
	nameless.Header.Del(signature.HeaderSource)
	_, code = send(t, on.server.Client(), nameless)
	require.Equal(t, "signature_malformed", code)

	// A wrong signature is not saved by a right secret.
	signed := legacy(on, sent)
	require.NoError(t, on.signer.Sign(signed, "onside"))
	signed.URL.Path = "/other"
	_, code = send(t, on.server.Client(), signed)
	require.Equal(t, "signature_mismatch", code)
}

// TestTheOlderFormNamesOnlyWhomItMay: whoever holds its secret chooses the name in the
// header, and must neither be the service itself nor one that signs.
func TestTheOlderFormNamesOnlyWhomItMay(t *testing.T) {
	t.Parallel()
	const sent = "a secret that travels in a header"
	for _, c := range []struct {
		sources []string
		source  string
		code    string
	}{
		{nil, "python-peer", ""},
		{nil, "onside", "signature_source_refused"}, // the verifier's own
		{[]string{"python-peer", "onside"}, "python-peer", ""},
		{[]string{"python-peer", "onside"}, "onside", "signature_source_refused"},
		{[]string{"python-peer", "onside"}, "madan-sara", "signature_source_refused"},
		{[]string{}, "python-peer", "signature_source_refused"},
	} {
		b := setup(t, func(v *signature.VerifierConfig) { v.LegacySecrets, v.LegacySources = []string{sent}, c.sources })
		r := b.request(t, http.MethodPost, "/", "body")
		r.Header.Set(signature.HeaderSecret, sent)
		r.Header.Set(signature.HeaderSource, c.source)
		status, code := send(t, b.server.Client(), r)
		require.Equal(t, c.code, code, "%q of %q", c.source, c.sources)
		if c.code != "" {
			require.Equal(t, http.StatusForbidden, status)
		}
	}
}

func TestABodyIsBufferedOnlyWithinBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *signature.VerifierConfig) { c.MaxBody = 1000 })
	status, _ := send(t, b.client, b.request(t, http.MethodPost, "/", strings.Repeat("x", 1000)))
	require.Equal(t, http.StatusOK, status)
	status, code := send(t, b.client, b.request(t, http.MethodPost, "/", strings.Repeat("x", 1001)))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, "body_too_large", code)

	chunked := b.request(t, http.MethodPost, "/", strings.Repeat("x", 1001))
	require.NoError(t, b.signer.Sign(chunked, "onside"))
	chunked.ContentLength = -1
	_, code = send(t, b.server.Client(), chunked)
	require.Equal(t, "body_too_large", code)

	withoutGetBody, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL, io.NopCloser(bytes.NewBufferString("streamed")))
	require.NoError(t, err)
	status, _ = send(t, b.client, withoutGetBody)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "streamed", b.body)
}

func TestAStrangersBodyIsNotRead(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.server.Listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()
	// The body never comes; the answer must.
	_, err = io.WriteString(connection, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, connection.SetReadDeadline(time.Now().Add(5*time.Second)))
	answer := make([]byte, 12)
	_, err = io.ReadFull(connection, answer)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 401", string(answer))
}

type brokenStore struct{}

func (brokenStore) Use(context.Context, string, string, time.Time) (bool, error) {
	return false, errors.New("the store is away")
}

func TestARequestThatCannotBeCheckedForReplayIsRefused(t *testing.T) {
	t.Parallel()
	var told []signature.Reason
	b := setup(t, func(c *signature.VerifierConfig) {
		c.Nonces = brokenStore{}
		c.Refused = func(_ *http.Request, refusal *signature.Refusal) { told = append(told, refusal.Reason) }
	})
	status, code := send(t, b.client, b.request(t, http.MethodGet, "/", ""))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "replay_check_unavailable", code)
	require.Equal(t, []signature.Reason{signature.Unavailable}, told)
}

func TestWeakOrMissingConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	_, err := signature.NewKeys()
	require.Error(t, err)
	_, err = signature.NewKeys(secret, "short")
	require.ErrorContains(t, err, "secret 2")
	_, err = signature.NewSigner(signature.SignerConfig{Keys: keys(t, secret), Service: "no spaces"})
	require.Error(t, err)
	_, err = signature.NewVerifier(signature.VerifierConfig{Service: "onside"})
	require.Error(t, err)
	_, err = signature.NewVerifier(signature.VerifierConfig{Service: "onside", Keys: keys(t, secret), LegacySecrets: []string{"short"}})
	require.Error(t, err)
	_, err = signature.NewVerifier(signature.VerifierConfig{Service: "onside", Keys: keys(t, secret, oldSecret), LegacySecrets: []string{"one of its own, and", oldSecret}})
	require.ErrorContains(t, err, "legacy secret 2 also signs", "what travels in a header must not sign")
}

// TestNoncesAreFreshOnceAndNeverForgottenEarly runs random histories against a plain model.
func TestNoncesAreFreshOnceAndNeverForgottenEarly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := clockwork.NewFakeClock()
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		store := signature.NewMemoryNonces(limit, clock)
		model := map[string]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			clock.Advance(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			nonce := rapid.StringMatching("[a-j]").Draw(t, "nonce")
			expires := clock.Now().Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "life")) * time.Second)
			for known, at := range model {
				if at.Unix() < clock.Now().Unix() {
					delete(model, known)
				}
			}
			fresh, err := store.Use(context.Background(), "key", nonce, expires)
			if _, known := model[nonce]; known {
				require.NoError(t, err)
				require.False(t, fresh)
				continue
			}
			if len(model) == limit {
				require.ErrorIs(t, err, signature.ErrNoncesFull)
				continue
			}
			require.NoError(t, err)
			require.True(t, fresh)
			model[nonce] = expires
			require.LessOrEqual(t, store.Len(), limit)
		}
	})
}

func TestWhichRequestsAVerifierIsToJudge(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"Signature": true, "Signature-Input": true, "X-Service-Secret": true, "Authorization": false} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set(name, "x")
		require.Equal(t, want, signature.Signed(r), name)
	}
}

// FuzzVerify holds that nothing but what a signer made is accepted: one signature,
// made once, of one request, at one time.
func FuzzVerify(f *testing.F) {
	const (
		input = `mesh=("@method" "@path" "@query" "content-digest" "x-service-source" "x-service-target");created=1700000000;expires=1700000030;nonce="En7R-5Mq2w1FgAkFbWdHlQ";keyid="a35a808e8c4cc20b";alg="hmac-sha256";tag="engarde-mesh"`
		code  = `mesh=:YedMazlFiF5VhTkxSREGsIn3M47xPlZcn8y7kgil5Es=:`
	)
	f.Add(input, code, "onside", "madan-sara")
	f.Add(input, "mesh=::", "onside", "madan-sara")
	f.Add(strings.Replace(input, "mesh=", "mesh=();x=1, mesh=", 1), code, "onside", "madan-sara")
	f.Add("mesh=()", "mesh=:AAAA:", "", "")
	keys, err := signature.NewKeys(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, gotInput, gotCode, target, source string) {
		verifier, err := signature.NewVerifier(signature.VerifierConfig{Keys: keys, Service: "onside", Clock: clockwork.NewFakeClockAt(time.Unix(1_700_000_000, 0))})
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/a?b=c", http.NoBody)
		r.Header = http.Header{
			"Signature-Input": {gotInput}, "Signature": {gotCode}, "Content-Digest": {signature.Digest(nil)},
			"X-Service-Target": {target}, "X-Service-Source": {source},
		}
		_, err = verifier.Verify(r)
		if gotInput == input && gotCode == code && target == "onside" && source == "madan-sara" {
			require.NoError(t, err)
			return
		}
		var refusal *signature.Refusal
		if err != nil {
			require.ErrorAs(t, err, &refusal)
			return
		}
		// Other bytes may spell the same signature; what counts is ours.
		require.Equal(t, "onside", strings.Trim(target, " \t"))
		require.Equal(t, "madan-sara", strings.Trim(source, " \t"))
		require.Contains(t, gotCode, strings.TrimPrefix(code, "mesh="))
	})
}
