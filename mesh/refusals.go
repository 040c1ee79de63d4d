package mesh

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/engardehq/madansara/mesh/signature"
)

// Anybody can send what is refused, as often as he likes, and each line of the log
// costs more than the request did. So of each reason only so many lines are written at
// once, and then one a second; reasons are few, and the flood of one hides no other.
const refusalsAtOnce = 10

const refusalEvery = time.Second

// refusals counts the calls that a service refuses, and logs some.
type refusals struct {
	logger *slog.Logger
	clock  clockwork.Clock
	total  *prometheus.CounterVec // reason

	mu     sync.Mutex
	lines  map[signature.Reason]*rate.Limiter
	missed map[signature.Reason]int64 // not logged since the last line
}

func newRefusals(logger *slog.Logger, clock clockwork.Clock, to prometheus.Registerer) (*refusals, error) {
	if clock == nil {
		clock = clockwork.NewRealClock()
	}
	r := &refusals{
		logger: logger, clock: clock,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mesh_calls_refused_total", Help: "Calls that this service refused, by the reason; every one, also those that the log leaves out.",
		}, []string{"reason"}),
		lines: map[signature.Reason]*rate.Limiter{}, missed: map[signature.Reason]int64{},
	}
	if to != nil {
		if err := to.Register(r.total); err != nil {
			return nil, fmt.Errorf("register the count of refusals: %w", err)
		}
	}
	return r, nil
}

// tell is [signature.VerifierConfig]'s Refused.
func (r *refusals) tell(request *http.Request, refusal *signature.Refusal) {
	r.total.WithLabelValues(string(refusal.Reason)).Inc()
	leftOut, logged := r.line(refusal.Reason)
	if !logged {
		return
	}
	attributes := []slog.Attr{
		slog.String("reason", string(refusal.Reason)), slog.Any("error", refusal),
		slog.String("source", clip(request.Header.Get(signature.HeaderSource))), slog.String("method", clip(request.Method)), slog.String("remote", request.RemoteAddr),
	}
	if leftOut > 0 {
		attributes = append(attributes, slog.Int64("left_out", leftOut))
	}
	r.logger.LogAttrs(request.Context(), slog.LevelWarn, "mesh call refused", attributes...)
}

// line says whether a refusal is logged, and how many of its reason were not since the last.
func (r *refusals) line(reason signature.Reason) (leftOut int64, logged bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines[reason]
	if lines == nil {
		lines = rate.NewLimiter(rate.Every(refusalEvery), refusalsAtOnce)
		r.lines[reason] = lines
	}
	if !lines.AllowN(r.clock.Now(), 1) {
		r.missed[reason]++
		return 0, false
	}
	leftOut = r.missed[reason]
	delete(r.missed, reason)
	return leftOut, true
}

// clip bounds what a stranger can write into the log.
func clip(text string) string { return text[:min(len(text), 64)] }
