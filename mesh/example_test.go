package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/faultinject"
	"github.com/engardehq/madansara/mesh/idempotency"
	"github.com/engardehq/madansara/mesh/signature"
)

// examplePeer is a service that answers only signed calls.
func examplePeer(service string, handler http.HandlerFunc) *httptest.Server {
	guard, err := mesh.NewServer(mesh.ServerConfig{Service: service, Secrets: []string{"thirty-two bytes of shared secret"}})
	if err != nil {
		panic(err) // an example's configuration is right
	}
	once := idempotency.Middleware(idempotency.Config{Store: idempotency.NewMemory(0, nil)})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"healthy"}`) })
	mux.Handle("/", guard(once(handler)))
	return httptest.NewServer(mux)
}

func exampleMesh(peer, url string, change func(*mesh.Config)) *mesh.Mesh {
	config := mesh.Config{
		Service: mesh.MadanSara, Secrets: []string{"thirty-two bytes of shared secret"},
		Peers: map[string]string{peer: url}, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&config)
	}
	m, err := mesh.New(config)
	if err != nil {
		panic(err) // an example's configuration is right
	}
	return m
}

// A typed call to another service.
func Example() {
	onside := examplePeer(mesh.Onside, func(w http.ResponseWriter, r *http.Request) {
		identity, _ := signature.From(r.Context())
		fmt.Println(identity.Source, "asks for", r.URL.Path)
		fmt.Fprint(w, `{"title":"A shop","primary_keywords":[{"term":"coffee","weight":1}]}`)
	})
	defer onside.Close()
	m := exampleMesh(mesh.Onside, onside.URL, nil)
	defer m.Close()

	analysis, err := m.SEO().Analyze(context.Background(), mesh.SEORequest{URL: "https://shop.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(analysis.Title, analysis.PrimaryKeywords[0].Term)
	// Output:
	// madan-sara asks for /api/v1/seo/analyze
	// A shop coffee
}

// Errors say what to do next.
func ExampleError() {
	core := examplePeer(mesh.Core, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"detail":"No such tenant.","code":"not_found"}`)
	})
	defer core.Close()
	m := exampleMesh(mesh.Core, core.URL, nil)
	defer m.Close()

	err := m.Peer(mesh.Core).Call(context.Background(), mesh.Call{Name: "tenant.get", Path: "/api/v1/tenants" + mesh.Path("42")}, nil)
	var failure *mesh.Error
	switch {
	case errors.Is(err, mesh.ErrCircuitOpen), errors.Is(err, mesh.ErrUnreachable):
		fmt.Println("later")
	case errors.As(err, &failure) && failure.Kind == mesh.ErrRejected:
		fmt.Println(failure.Problem.Code, failure.Problem.Detail)
	}
	fmt.Println(err)
	// Output:
	// not_found No such tenant.
	// mesh: engarde-core tenant.get: rejected: 404 not_found: No such tenant.
}

// Any HTTP client can stand over a peer.
func ExamplePeer_RoundTrip() {
	sankore := examplePeer(mesh.Sankore, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	defer sankore.Close()
	m := exampleMesh(mesh.Sankore, sankore.URL, nil)
	defer m.Close()

	client := &http.Client{Transport: m.Peer(mesh.Sankore)}
	request, err := http.NewRequestWithContext(mesh.WithCall(context.Background(), "greeting"), http.MethodGet, "http://sankore/greeting", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := io.ReadAll(response.Body)
	fmt.Println(string(body), errors.Join(err, response.Body.Close()))
	// Output: hello <nil>
}

// Half of all answers are lost on the way; an idempotency key makes repeating
// the call safe, and the peer does its work once.
func Example_faults() {
	done := 0
	core := examplePeer(mesh.Core, func(w http.ResponseWriter, _ *http.Request) {
		done++
		fmt.Fprint(w, `{"id":"1"}`)
	})
	defer core.Close()
	faults := faultinject.New(faultinject.Config{Seed: 1, Rules: []faultinject.Rule{{Path: "/api", Share: 0.5, Reset: true}}})
	m := exampleMesh(mesh.Core, core.URL, func(c *mesh.Config) {
		c.Wrap = faults.Wrap
		c.Retry = mesh.Retry{Attempts: 10, Base: time.Millisecond, Budget: 1}
		c.Breaker.Consecutive = 100
	})
	defer m.Close()

	for n := range 5 {
		_, err := m.Sync().Push(context.Background(), mesh.SyncFact{ID: fmt.Sprint("fact-", n), DataType: "conversion", Data: []byte("{}")})
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("answers lost:", faults.Injected() > 0, "done:", done)
	// Output: answers lost: true done: 5
}
