package signature_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/engardehq/madansara/mesh/signature"
)

// Two services that share a secret: one signs, the other lets only signed requests in.
func Example() {
	keys, err := signature.NewKeys("thirty-two bytes of shared secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := signature.NewVerifier(signature.VerifierConfig{Keys: keys, Service: "onside"})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(verifier.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		identity, _ := signature.From(r.Context())
		fmt.Println("asked by", identity.Source)
	})))
	defer server.Close()

	signer, err := signature.NewSigner(signature.SignerConfig{Keys: keys, Service: "madan-sara"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, transport := range []http.RoundTripper{signer.RoundTripper("onside", nil), http.DefaultTransport} {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(response.Status)
		if err := response.Body.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// asked by madan-sara
	// 200 OK
	// 401 Unauthorized
}
