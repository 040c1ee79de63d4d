package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/httpkit"
)

// API is the HTTP API that the tools call.
type API struct {
	// round makes one call of method, path and body.
	round func(ctx context.Context, method, path string, body []byte) (status int, header http.Header, answer []byte, err error)
	// where names the service for people.
	where string
}

// maxAnswer is more than any operation that a tool calls answers, in bytes.
const maxAnswer = 8 << 20

// callTimeout bounds one call.
const callTimeout = 30 * time.Second

// Remote is the API of a service that runs elsewhere, called with a key.
func Remote(baseURL, key string, client *http.Client) API {
	baseURL = strings.TrimSuffix(baseURL, "/")
	return API{where: baseURL, round: func(ctx context.Context, method, path string, body []byte) (int, http.Header, []byte, error) {
		request, err := http.NewRequestWithContext(ctx, method, baseURL+path, bytes.NewReader(body))
		if err != nil {
			return 0, nil, nil, fmt.Errorf("ENGARDE_BASE_URL: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return 0, nil, nil, unreachable(err)
		}
		defer func() { _ = response.Body.Close() }() // read to its end, or given up
		answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return 0, nil, nil, unreachable(err)
		}
		return response.StatusCode, response.Header, answer, nil
	}}
}

// unreachable keeps the URL out of an error that tells of it already.
func unreachable(err error) error {
	if u, is := errors.AsType[*url.Error](err); is {
		return u.Err
	}
	return err
}

// within is the API of this very process, called for principal. handler answers what is
// authenticated and counted already.
func within(handler http.Handler, principal httpkit.Principal) API {
	return API{where: "the service", round: func(ctx context.Context, method, path string, body []byte) (int, http.Header, []byte, error) {
		request, err := http.NewRequestWithContext(httpkit.WithPrincipal(ctx, principal), method, path, bytes.NewReader(body))
		if err != nil {
			return 0, nil, nil, fmt.Errorf("call the API: %w", err)
		}
		request.Header.Set("Content-Type", "application/json")
		answer := &recorded{header: http.Header{}, status: http.StatusOK}
		handler.ServeHTTP(answer, request)
		return answer.status, answer.header, answer.body.Bytes(), nil
	}}
}

// recorded is an answer kept in memory.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) WriteHeader(status int)      { r.status = status }
func (r *recorded) Write(b []byte) (int, error) { return r.body.Write(b) }

// call makes one call and decodes the answer into out. An error is a sentence for the
// model: what is wrong and what to do.
func (a API) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("the arguments can't be sent: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	status, header, answer, err := a.round(ctx, method, path, body)
	if err != nil {
		return fmt.Errorf("%s can't be reached (%w). Try again in a moment; if it stays so, tell the user that the service is down or its address is wrong", a.where, err)
	}
	if status >= http.StatusBadRequest {
		return refusal(status, header, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s answered something else than Madan Sara's API does: tell the user to check its address", a.where)
	}
	return nil
}

// refusal says what the API's problem means for the caller.
func refusal(status int, header http.Header, answer []byte) error {
	var problem struct {
		Detail    string `json:"detail"`
		RequestID string `json:"request_id"`
		Errors    []struct {
			Location string `json:"location"`
			Message  string `json:"message"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(answer, &problem); err != nil || problem.Detail == "" {
		problem.Detail = http.StatusText(status)
	}
	text := problem.Detail
	for _, e := range problem.Errors {
		if place := strings.TrimPrefix(e.Location, "body."); !strings.Contains(text, e.Message) {
			text += " " + place + ": " + e.Message + "."
		}
	}
	switch {
	case status == http.StatusUnauthorized:
		text += " Tell the user that the API key is wrong, expired or revoked."
	case status == http.StatusForbidden:
		text += " Tell the user: the API key needs that scope."
	case status == http.StatusTooManyRequests:
		text += " Wait " + header.Get("Retry-After") + " seconds, then try again."
	case status >= http.StatusInternalServerError:
		text += " Try again in a moment."
		if problem.RequestID != "" {
			text += " If it stays so, tell the user the request id " + problem.RequestID + "."
		}
	}
	return errors.New(text)
}

// Check asks the service whether the key is accepted: nil also when the key may not read
// memories, for it may do something else.
func (a API) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	status, _, _, err := a.round(ctx, http.MethodGet, "/api/v1/memory/stats", nil)
	switch {
	case err != nil:
		return &UnreachableError{Where: a.where, Err: err}
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s does not accept the key: it is wrong, expired or revoked", a.where)
	case status == http.StatusNotFound:
		return fmt.Errorf("%s is not Madan Sara: there is no memory", a.where)
	}
	return nil
}

// UnreachableError says that a service does not answer, which may pass.
type UnreachableError struct {
	Where string
	Err   error
}

func (e *UnreachableError) Error() string { return e.Where + " does not answer: " + e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }
