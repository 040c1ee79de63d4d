package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// The wait before a repetition is random, up to firstWait, then twice that, and so on to longestWait.
const (
	firstWait   = 200 * time.Millisecond
	longestWait = 5 * time.Second
)

// ask sends one request, again if its failure may pass.
func (h *HTTP) ask(ctx context.Context, inputs []string) ([][]float32, error) {
	body, err := h.request(inputs)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		vectors, err := h.attempt(ctx, body, len(inputs))
		var failed *Error
		if err == nil || !errors.As(err, &failed) || !failed.Temporary() || attempt >= h.config.Attempts {
			return vectors, err
		}
		wait := max(rand.N(min(firstWait<<(attempt-1), longestWait)), failed.RetryAfter) //nolint:gosec // spreads load, keeps no secret
		if deadline, ok := ctx.Deadline(); ok && h.config.Clock.Until(deadline) <= wait {
			return nil, err // waiting would only turn this failure into one that says less
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-h.config.Clock.After(wait):
		}
	}
}

func (h *HTTP) request(inputs []string) ([]byte, error) {
	if h.config.Form == FormSimple {
		return json.Marshal(map[string]string{"text": inputs[0]})
	}
	return json.Marshal(struct {
		Model          string   `json:"model"`
		Input          []string `json:"input"`
		EncodingFormat string   `json:"encoding_format"`
	}{h.config.Model, inputs, "float"})
}

func (h *HTTP) attempt(ctx context.Context, body []byte, count int) ([][]float32, error) {
	limited, cancel := context.WithTimeout(ctx, h.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Kind: ErrRejected, Detail: "the request cannot be made", cause: err}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if h.config.APIKey != "" {
		request.Header.Set("Authorization", "Bearer "+h.config.APIKey)
	}
	response, err := h.config.Client.Do(request)
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, h.config.MaxAnswer+1))
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, h.refusal(response, answer)
	}
	if int64(len(answer)) > h.config.MaxAnswer {
		return nil, &Error{Kind: ErrBadAnswer, Detail: fmt.Sprintf("longer than %d bytes", h.config.MaxAnswer)}
	}
	vectors, model, err := h.read(answer, count)
	if err != nil {
		return nil, err
	}
	return vectors, h.agree(vectors, model)
}

// noAnswer tells the caller's own end, which is not the service's failure, from the service's. An
// *url.Error would print the URL, so only what is inside it is kept as the cause.
func noAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	detail := "no connection, or it broke"
	if errors.Is(err, context.DeadlineExceeded) {
		detail = "too slow"
	}
	return &Error{Kind: ErrUnavailable, Detail: detail, cause: errors.Unwrap(err)}
}

// refusal reads a status other than 200. A 429 for a used-up quota does not pass by waiting.
func (h *HTTP) refusal(response *http.Response, body []byte) error {
	var problem struct {
		Error struct {
			Type string `json:"type"`
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &problem) // an error's body is anything; what cannot be read adds no detail
	failed := &Error{Kind: ErrRejected, Status: response.StatusCode, Detail: short(problem.Error.Type)}
	if problem.Error.Code != "" {
		failed.Detail = short(problem.Error.Code)
	}
	switch {
	case problem.Error.Code == "insufficient_quota":
	case response.StatusCode == http.StatusRequestTimeout, response.StatusCode == http.StatusTooEarly,
		response.StatusCode == http.StatusTooManyRequests, response.StatusCode >= 500 && response.StatusCode != http.StatusNotImplemented:
		failed.Kind = ErrUnavailable
		failed.RetryAfter = h.retryAfter(response.Header.Get("Retry-After"))
	}
	return failed
}

func short(s string) string {
	return beginning(s, 64)
}

// retryAfter reads seconds or an HTTP date.
func (h *HTTP) retryAfter(value string) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		const day = 24 * 60 * 60
		return time.Second * time.Duration(min(seconds, day))
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, h.config.Clock.Until(at))
	}
	return 0
}

// read takes the vectors of an answer, in the order of the inputs.
func (h *HTTP) read(body []byte, count int) (vectors [][]float32, model string, err error) {
	type item struct {
		Index     *int     `json:"index"`
		Embedding embedded `json:"embedding"`
	}
	var answer struct {
		Embedding embedded `json:"embedding"`
		Data      []item   `json:"data"`
		Model     string   `json:"model"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, "", &Error{Kind: ErrBadAnswer, Detail: "not the JSON of its form", cause: err}
	}
	if h.config.Form == FormSimple {
		answer.Data = []item{{Index: new(int), Embedding: answer.Embedding}}
	}
	if len(answer.Data) != count {
		return nil, "", &Error{Kind: ErrBadAnswer, Detail: fmt.Sprintf("%d vectors for %d texts", len(answer.Data), count)}
	}
	vectors = make([][]float32, count)
	for _, item := range answer.Data {
		if item.Index == nil || *item.Index < 0 || *item.Index >= count || vectors[*item.Index] != nil {
			return nil, "", &Error{Kind: ErrBadAnswer, Detail: "a vector's index is missing, twice there or none of the request's"}
		}
		if detail := item.Embedding.fault(); detail != "" {
			return nil, "", &Error{Kind: ErrBadAnswer, Index: *item.Index, Detail: detail}
		}
		vectors[*item.Index] = item.Embedding
	}
	return vectors, answer.Model, nil
}

// embedded is a JSON array of numbers and of nothing else: encoding/json by itself reads null as 0.
type embedded []float32

// UnmarshalJSON reads the array.
func (e *embedded) UnmarshalJSON(data []byte) error {
	if len(data) < 2 || data[0] != '[' {
		return errors.New("a vector is an array of numbers")
	}
	*e = (*e)[:0]
	for field := range bytes.SplitSeq(data[1:len(data)-1], []byte{','}) {
		number := string(bytes.TrimSpace(field))
		if number == "" && len(data) == 2 {
			return nil
		}
		x, err := strconv.ParseFloat(number, 32)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range reads as Inf, which fault names
			return fmt.Errorf("a vector is an array of numbers: %w", err)
		}
		*e = append(*e, float32(x))
	}
	return nil
}

// fault says what is wrong with a vector; "" when nothing is.
func (e embedded) fault() string {
	const longest = 16_384
	if len(e) == 0 || len(e) > longest {
		return fmt.Sprintf("a vector of %d numbers", len(e))
	}
	zero := true
	for _, x := range e {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return "a vector with a number that is not finite"
		}
		zero = zero && x == 0
	}
	if zero {
		return "a vector of zeros, which has no direction"
	}
	return ""
}
