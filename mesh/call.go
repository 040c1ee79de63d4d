package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

// Call is one JSON call to a peer.
type Call struct {
	Name   string // for metrics, traces and errors: one of few
	Method string // "": GET
	Path   string // escaped; see [Path]
	Query  url.Values
	Tenant string // the tenant it acts for, "" for none
	// IdempotencyKey makes a POST or PATCH safe to repeat: the peer does it once.
	IdempotencyKey string
	In             any // sent as JSON; nil: no body
}

// Path joins segments to a path, escaping each: an id cannot leave its place.
func Path(segments ...string) string {
	var path strings.Builder
	for _, segment := range segments {
		path.WriteByte('/')
		if segment == "." || segment == ".." { // a segment that a server may resolve
			segment = strings.ReplaceAll(segment, ".", "%2E")
		} else {
			segment = url.PathEscape(segment)
		}
		path.WriteString(segment)
	}
	return path.String()
}

// Call sends a JSON call and reads the answer's JSON into out, unless out is nil.
// Every error is an *[Error].
func (p *Peer) Call(ctx context.Context, call Call, out any) error {
	request, err := p.request(ctx, call)
	if err != nil {
		return &Error{Kind: ErrBadAnswer, Peer: p.id, Call: call.Name, Err: err}
	}
	response, attempts, failure := p.do(request, call.Name, p.config.MaxAnswer) //nolint:bodyclose // the body is in memory
	if failure != nil {
		return failure
	}
	if response.StatusCode >= http.StatusBadRequest {
		failure := &Error{
			Kind: Kind(outcomeOf(response.StatusCode)), Peer: p.id, Call: call.Name, Attempts: attempts, Status: response.StatusCode,
			Problem: problem.Read(response), RetryAfter: problem.RetryAfter(response.Header, p.clock.Now()),
		}
		return failure
	}
	if out == nil || response.StatusCode == http.StatusNoContent {
		return nil
	}
	body, err := io.ReadAll(response.Body) // from memory
	if err == nil {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		return &Error{Kind: ErrBadAnswer, Peer: p.id, Call: call.Name, Attempts: attempts, Status: response.StatusCode, Err: err}
	}
	return nil
}

func (p *Peer) request(ctx context.Context, call Call) (*http.Request, error) {
	method := call.Method
	if method == "" {
		method = http.MethodGet
	}
	var body []byte
	if call.In != nil {
		var err error
		if body, err = json.Marshal(call.In); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
	}
	target := "http://" + p.id + call.Path
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header["Accept"] = []string{"application/json"}
	if p.signer != nil {
		request.Header["Content-Digest"] = []string{signature.Digest(body)}
	}
	if body != nil {
		request.Header["Content-Type"] = []string{"application/json"}
	}
	if call.Tenant != "" {
		request.Header[signature.HeaderTenant] = []string{call.Tenant}
	}
	if call.IdempotencyKey != "" {
		request.Header[signature.HeaderIdempotencyKey] = []string{call.IdempotencyKey}
	}
	return request, nil
}
