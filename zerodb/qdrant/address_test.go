package qdrant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

func TestTheGRPCAddressComesFromTheRESTURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]address{
		"http://qdrant:6333":           {"qdrant", 6334, false},
		"http://qdrant:6333/":          {"qdrant", 6334, false},
		" http://qdrant ":              {"qdrant", 6334, false},
		"http://qdrant:6334":           {"qdrant", 6334, false},
		"https://x.cloud.qdrant.io":    {"x.cloud.qdrant.io", 6334, true},
		"https://qdrant.example:443":   {"qdrant.example", 6334, true},
		"http://localhost:16333":       {"localhost", 16334, false},
		"http://[::1]:6333":            {"::1", 6334, false},
		"grpc://qdrant":                {"qdrant", 6334, false},
		"grpcs://qdrant.example:7000":  {"qdrant.example", 7000, true},
		"http://qdrant.internal:65534": {"qdrant.internal", 65535, false},
	} {
		got, err := parseURL(url)
		require.NoError(t, err, url)
		require.Equal(t, want, got, url)
	}
	for _, url := range []string{"", "qdrant:6333", "//", "http://", "http://:6333", "ftp://qdrant", "http://qdrant:0", "http://qdrant:65535", "http://qdrant:x", "http://qdrant/path", "http://qdrant?x=1", "http://u:secret@qdrant", "http://[::1"} {
		_, err := parseURL(url)
		require.ErrorIs(t, err, zerodb.ErrInvalid, url)
		require.ErrorContains(t, err, "ZERODB_URL", url)
		require.ErrorContains(t, err, "http://qdrant:6333", "a working example")
		require.NotContains(t, err.Error(), "secret")
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"http://qdrant:6333", "grpcs://[::1]:7000", "https://x.y", "http://:1", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseURL(raw)
		if err == nil && (a.host == "" || a.port < 1 || a.port > 65535) {
			t.Fatalf("%q gives %+v", raw, a)
		}
	})
}

func TestAKeyStaysInsidePrivateNetworksWithoutTLS(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"http://qdrant:6333": true, "http://qdrant.railway.internal": true, "http://127.0.0.1": true, "http://10.1.2.3": true,
		"http://[fd00::1]": true, "https://qdrant.example": true,
		"http://qdrant.example": false, "http://8.8.8.8": false, "http://x.cloud.qdrant.io:6333": false,
	} {
		b, err := New(Config{URL: url, APIKey: "key"})
		if !ok {
			require.ErrorIs(t, err, zerodb.ErrInvalid, url)
			require.ErrorContains(t, err, "https://", url)
			continue
		}
		require.NoError(t, err, url)
		require.NoError(t, b.Close())
	}
	_, err := New(Config{URL: "http://qdrant", Dimension: -1})
	require.ErrorIs(t, err, zerodb.ErrInvalid)
}
