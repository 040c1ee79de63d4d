package mesh_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

// BenchmarkOverhead measures a JSON call to a real server on loopback four ways
// in turn within one run, so that whatever else the machine does meets all of
// them: net/http and the mesh, each without and with signing and verifying. The
// ratios of the medians are reported.
func BenchmarkOverhead(b *testing.B) {
	in := map[string]string{"url": "https://example.com/a/page", "tenant_uuid": tenant, "note": strings.Repeat("x", 400)}
	answer := []byte(`{"title":"` + strings.Repeat("y", 1000) + `"}`)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(answer); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	keys, err := signature.NewKeys(secret)
	must(b, err)
	verifier, err := signature.NewVerifier(signature.VerifierConfig{Keys: keys, Service: mesh.Onside, Nonces: signature.NewMemoryNonces(10_000_000, nil)})
	must(b, err)
	signer, err := signature.NewSigner(signature.SignerConfig{Keys: keys, Service: mesh.MadanSara})
	must(b, err)
	open := httptest.NewServer(handler)
	b.Cleanup(open.Close)
	guarded := httptest.NewServer(verifier.Middleware(handler))
	b.Cleanup(guarded.Close)
	over := func(url string, secrets ...string) *mesh.Peer {
		m, err := mesh.New(mesh.Config{Service: mesh.MadanSara, Secrets: secrets, Unsigned: len(secrets) == 0, HealthEvery: -1, Logger: slog.New(slog.DiscardHandler), Peers: map[string]string{mesh.Onside: url}})
		must(b, err)
		b.Cleanup(m.Close)
		return m.Peer(mesh.Onside)
	}
	bare := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}}
	b.Cleanup(bare.CloseIdleConnections)
	signed := &http.Client{Transport: signer.RoundTripper(mesh.Onside, &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true})}
	b.Cleanup(signed.CloseIdleConnections)

	ways := []struct {
		name string
		call func(out any) error
	}{
		{"bare", func(out any) error { return plainCall(b.Context(), bare, open.URL, in, out) }},
		{"mesh_unsigned", jsonCall(b.Context(), over(open.URL), in)},
		{"bare_signed", func(out any) error { return plainCall(b.Context(), signed, guarded.URL, in, out) }},
		{"mesh", jsonCall(b.Context(), over(guarded.URL, secret), in)},
	}
	took := make([][]time.Duration, len(ways))
	var out struct {
		Title string `json:"title"`
	}
	for b.Loop() {
		for i, way := range ways {
			began := time.Now()
			must(b, way.call(&out))
			took[i] = append(took[i], time.Since(began))
		}
	}
	median := func(i int) float64 {
		slices.Sort(took[i])
		return float64(took[i][len(took[i])/2].Nanoseconds())
	}
	for i, way := range ways {
		b.ReportMetric(median(i)/1000, way.name+"_us")
	}
	b.ReportMetric(median(3)/median(2), "mesh/bare_signed")
	b.ReportMetric(median(1)/median(0), "mesh_unsigned/bare")
	b.ReportMetric(median(3)/median(0), "mesh/bare")
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func jsonCall(ctx context.Context, peer *mesh.Peer, in any) func(out any) error {
	return func(out any) error {
		return peer.Call(ctx, mesh.Call{Name: "bench", Method: http.MethodPost, Path: "/api/v1/seo/analyze", Tenant: tenant, In: in}, out)
	}
}

// plainCall is what one writes without a mesh, with the timeout that one must not forget.
func plainCall(ctx context.Context, client *http.Client, url string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, mesh.DefaultTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/seo/analyze", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(signature.HeaderTenant, tenant)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was read to its end
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, out)
}
