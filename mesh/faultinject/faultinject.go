// Package faultinject makes a transport misbehave on purpose, for tests and
// staging: latency, failed connections, resets, error answers, slow and cut-off bodies, and
// partitions. What happens to the n-th request is decided by a seed, so that a
// failure found once is found again.
//
// It fits mesh.Config.Wrap:
//
//	faults := faultinject.New(faultinject.Config{Seed: 1, Rules: []faultinject.Rule{{Peer: "onside", Latency: time.Second, Share: 0.1}}})
//	mesh.New(mesh.Config{..., Wrap: faults.Wrap})
package faultinject

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"
)

// Rule says what happens to a share of the requests it fits. All that is set
// happens, in the order of the fields.
type Rule struct {
	Peer    string         // "": any
	Address netip.AddrPort // zero: any
	Path    string         // a prefix; "": any
	Share   float64        // of the requests, in [0,1]; 0 means all

	Latency time.Duration // before the request is sent
	Jitter  time.Duration // random, added to Latency
	Refuse  bool          // the connection is refused: nothing is sent
	Reset   bool          // the request arrives and its answer is lost
	Status  int           // answered with this status; nothing is sent
	// RetryAfter is sent with Status, when not 0.
	RetryAfter time.Duration
	// SlowBody is the wait before each part of the answer's body, of at most 512 bytes.
	SlowBody time.Duration
	// CutBody, when not 0, breaks the answer's body after so many bytes.
	CutBody int64
}

// Config configures [New].
type Config struct {
	Seed  uint64
	Rules []Rule
	Clock clockwork.Clock // nil: the real one
}

// Faults decides what happens to requests. It is safe for concurrent use.
type Faults struct {
	clock clockwork.Clock

	mu          sync.Mutex
	random      *rand.Rand
	rules       []Rule
	partitioned map[string]bool
	injected    int
}

// New returns faults that follow the rules. The first rule that fits and is drawn is followed.
func New(config Config) *Faults {
	if config.Clock == nil {
		config.Clock = clockwork.NewRealClock()
	}
	return &Faults{
		clock: config.Clock, rules: config.Rules, partitioned: map[string]bool{},
		random: rand.New(rand.NewPCG(config.Seed, 0x9e3779b97f4a7c15)), //nolint:gosec // reproducible on purpose
	}
}

// SetRules replaces the rules.
func (f *Faults) SetRules(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = rules
}

// Partition cuts a peer off, whole ("onside") or one address of it
// ("onside/127.0.0.2:8001"): requests vanish and are answered only by their
// caller's deadline.
func (f *Faults) Partition(target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partitioned[target] = true
}

// Heal ends a partition.
func (f *Faults) Heal(target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.partitioned, target)
}

// Injected is how many requests were interfered with.
func (f *Faults) Injected() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.injected
}

// Wrap returns a transport to a peer's address that misbehaves.
func (f *Faults) Wrap(peer string, address netip.AddrPort, next http.RoundTripper) http.RoundTripper {
	return &transport{faults: f, peer: peer, address: address, next: next}
}

type transport struct {
	faults  *Faults
	peer    string
	address netip.AddrPort
	next    http.RoundTripper
}

// draw decides what happens to a request.
func (t *transport) draw(path string) (rule Rule, latency time.Duration, partitioned bool) {
	f := t.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.partitioned[t.peer] || f.partitioned[t.peer+"/"+t.address.String()] {
		f.injected++
		return Rule{}, 0, true
	}
	for _, rule := range f.rules {
		if rule.Peer != "" && rule.Peer != t.peer || rule.Address.IsValid() && rule.Address != t.address || !strings.HasPrefix(path, rule.Path) {
			continue
		}
		// Drawn for every rule that fits, so that the sequence does not depend on shares.
		if draw := f.random.Float64(); rule.Share > 0 && draw >= rule.Share {
			continue
		}
		f.injected++
		latency = rule.Latency
		if rule.Jitter > 0 {
			latency += time.Duration(f.random.Int64N(int64(rule.Jitter)))
		}
		return rule, latency, false
	}
	return Rule{}, 0, false
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	rule, latency, partitioned := t.draw(r.URL.Path)
	if partitioned {
		<-r.Context().Done()
		return nil, t.failure(r, "read", r.Context().Err())
	}
	if err := t.faults.sleep(r.Context(), latency); err != nil {
		return nil, t.failure(r, "read", err)
	}
	switch {
	case rule.Refuse:
		return nil, t.failure(r, "dial", syscall.ECONNREFUSED)
	case rule.Status != 0:
		closeBody(r)
		return answer(r, rule), nil
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if rule.Reset {
		err := response.Body.Close()
		return nil, errors.Join(&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, err)
	}
	if rule.SlowBody > 0 || rule.CutBody > 0 {
		response.Body = &body{ReadCloser: response.Body, ctx: r.Context(), faults: t.faults, rule: rule}
	}
	return response, nil
}

func (t *transport) failure(r *http.Request, op string, err error) error {
	closeBody(r)
	return &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(t.address), Err: err}
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // a transport closes the body; nothing was sent
	}
}

func answer(r *http.Request, rule Rule) *http.Response {
	header := http.Header{"Content-Type": {"application/problem+json"}}
	if rule.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(rule.RetryAfter.Seconds())))
	}
	text := `{"title":"` + http.StatusText(rule.Status) + `","status":` + strconv.Itoa(rule.Status) + `,"code":"fault_injected"}`
	return &http.Response{
		Status: strconv.Itoa(rule.Status) + " " + http.StatusText(rule.Status), StatusCode: rule.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Request: r,
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}
}

func (f *Faults) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := f.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// body is an answer's body that comes slowly or not whole.
type body struct {
	io.ReadCloser

	ctx    context.Context
	faults *Faults
	rule   Rule
	given  int64
}

func (b *body) Read(to []byte) (int, error) {
	if err := b.faults.sleep(b.ctx, b.rule.SlowBody); err != nil {
		return 0, err
	}
	if b.rule.SlowBody > 0 {
		to = to[:min(len(to), 512)]
	}
	if left := b.rule.CutBody - b.given; b.rule.CutBody > 0 {
		if left <= 0 {
			return 0, io.ErrUnexpectedEOF
		}
		to = to[:min(int64(len(to)), left)]
	}
	n, err := b.ReadCloser.Read(to)
	b.given += int64(n)
	return n, err
}
