package mesh

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

// Deadlines gives each request the time its caller has left, as told in the
// X-Request-Timeout-Ms header, at most longest, which is also what a request
// without the header gets. A request that has no time left is answered 504
// at once: nobody waits for its answer. So is one whose handler gave up,
// without answering, because time ran out.
func Deadlines(longest time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			left := longest
			if value := r.Header.Get(signature.HeaderTimeout); value != "" {
				ms, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					problem.Write(w, problem.New(http.StatusBadRequest, "timeout_malformed", signature.HeaderTimeout+" must be a whole number of milliseconds."))
					return
				}
				if ms <= 0 {
					tooLate(w)
					return
				}
				if ms < longest.Milliseconds() { // compared before it is multiplied, which could overflow
					left = time.Duration(ms) * time.Millisecond
				}
			}
			ctx, cancel := context.WithTimeout(r.Context(), left)
			defer cancel()
			answer := &watched{ResponseWriter: w}
			next.ServeHTTP(answer, r.WithContext(ctx))
			if !answer.begun && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				tooLate(w)
			}
		})
	}
}

func tooLate(w http.ResponseWriter) {
	problem.Write(w, problem.New(http.StatusGatewayTimeout, "deadline_exceeded", "The caller's time ran out before there was an answer."))
}

// watched remembers whether an answer began.
type watched struct {
	http.ResponseWriter

	begun bool
}

func (w *watched) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(data []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController find the writer's other abilities.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// setTimeout tells the peer how long the answer is waited for.
func setTimeout(header http.Header, left time.Duration) {
	header[signature.HeaderTimeout] = []string{strconv.FormatInt(max(0, left.Milliseconds()), 10)}
}
