// Package outagebench measures what the loss of Core does to Madan Sara: how
// fast its own API answers meanwhile, how many requests the outage costs, and
// how what has piled up is delivered. Its [Rig] also serves the chaos test.
package outagebench

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/bench/benchdb"
)

// Options size the run; the zero value is the documented one.
type Options struct {
	Conversions int // recorded in all (10,000)
}

const (
	warmUp = 200 // conversions recorded before anything is measured
	// mostPerSecond is the rate of the load on a machine that can do more; on
	// another it is a third of what it can.
	mostPerSecond = 100
)

// Phase is a part of the run.
type Phase struct {
	Name       string
	Share      float64       // of the conversions
	P50, P99   time.Duration // of recording one, from when it was due
	Begin, End time.Duration // since the run's start
}

// Result is what was measured.
type Result struct {
	Conversions, PerSecond int
	Phases                 []Phase
	Attempts               float64       // requests sent or tried to Core
	InOutage               float64       // of them while Core was dead
	Drained                time.Duration // from the end of the load until Core had everything
	Arrived                Arrived
	Points                 []Point
}

// String is the result for people.
func (r *Result) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d conversions over HTTP, %d a second, 5 tenants, fsync on, %d cores shared by client, Madan Sara, Core and PostgreSQL\n",
		r.Conversions, r.PerSecond, runtime.NumCPU())
	healthy := r.Phases[0].P99
	for _, p := range r.Phases {
		fmt.Fprintf(&text, "%-22s p50 %6s  p99 %6s  %.2f of the healthy p99\n",
			"Core "+p.Name+":", p.P50.Round(100*time.Microsecond), p.P99.Round(100*time.Microsecond), p.P99.Seconds()/healthy.Seconds())
	}
	fmt.Fprintf(&text, "requests sent or tried to Core: %.0f, %.3f for each conversion; %.0f of them while it was dead\n",
		r.Attempts, r.Attempts/float64(r.Conversions), r.InOutage)
	fmt.Fprintf(&text, "Core has %d facts of %d orders, %d out of order, %s after the last was recorded\n",
		r.Arrived.Facts, r.Arrived.Orders, r.Arrived.Disordered, r.Drained.Round(100*time.Millisecond))
	return text.String()
}

// Files are the recorded samples and the picture of them, by their names.
func (r *Result) Files() map[string][]byte {
	data := Encode(r.Points)
	return map[string][]byte{"outage.csv": data, "outage.svg": Draw(r.Points)}
}

// Run measures in a folder that it removes.
func Run(ctx context.Context, opts Options) (_ *Result, err error) {
	if opts.Conversions == 0 {
		opts.Conversions = 10_000
	}
	database, err := benchdb.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, database.Stop()) }()
	rig, err := Start(ctx, database.URL, database.Dir, 5)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer rig.Close()
	m := &measurement{rig: rig, began: time.Now(), result: &Result{Conversions: opts.Conversions}}
	return m.result, m.run(ctx, opts)
}

// Point is a sample with the phase it belongs to.
type Point struct {
	At       float64 // seconds since the start
	Phase    string
	Recorded int // conversions so far
	Attempts int // requests to Core so far
	Pending  int
	Circuit  string
}

// every is how often samples are taken.
const every = 250 * time.Millisecond

type measurement struct {
	rig    *Rig
	began  time.Time
	result *Result

	mu       sync.Mutex
	phase    string
	recorded int
	took     map[string][]time.Duration
	failed   error
}

func (m *measurement) run(ctx context.Context, opts Options) error {
	if err := m.warm(ctx, opts); err != nil {
		return err
	}
	start, err := m.rig.Sample(ctx)
	if err != nil {
		return err
	}
	m.took, m.began = map[string][]time.Duration{}, time.Now()
	sampling, stop := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { m.sample(sampling, start.Attempts) })
	err = m.load(ctx, opts)
	loaded := time.Now()
	if err == nil {
		m.set("draining")
		err = m.drain(ctx)
	}
	m.result.Drained = time.Since(loaded)
	end, sampleErr := m.rig.Sample(ctx)
	stop()
	sampler.Wait()
	if err := errors.Join(err, sampleErr); err != nil {
		return err
	}
	m.result.Attempts = end.Attempts - start.Attempts
	m.result.Arrived, err = m.rig.Arrived(ctx)
	if err != nil {
		return err
	}
	m.result.Arrived.Facts -= warmUp
	m.result.Arrived.Orders -= warmUp
	if a := m.result.Arrived; a.Facts != opts.Conversions || a.Orders != opts.Conversions {
		return fmt.Errorf("bench: of %d conversions Core has %d facts of %d orders", opts.Conversions, a.Facts, a.Orders)
	}
	return nil
}

// warm lets fresh processes do what they do once, and finds out how fast the
// load may be: at a rate that the machine cannot keep up with, healthy or not,
// times would tell of the queue alone.
func (m *measurement) warm(ctx context.Context, opts Options) error {
	const clients = 4
	began := time.Now()
	var group errgroup.Group
	for client := range clients {
		group.Go(func() error {
			for n := client; n < warmUp; n += clients {
				if err := m.rig.Track(ctx, opts.Conversions+n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := errors.Join(group.Wait(), m.drain(ctx)); err != nil {
		return err
	}
	m.result.PerSecond = min(mostPerSecond, max(1, int(warmUp/time.Since(began).Seconds()/3)))
	return nil
}

// load records the conversions at their rate and lets things happen to Core.
func (m *measurement) load(ctx context.Context, opts Options) error {
	phases := []struct {
		Phase
		enter func() error
	}{
		{Phase{Name: "healthy", Share: .25}, func() error { return nil }},
		{Phase{Name: "dead (kill -9)", Share: .30}, func() error { m.rig.Core.Kill(); return nil }},
		{Phase{Name: "back", Share: .20}, func() error { return m.rig.Core.Start(ctx) }},
		{Phase{Name: "slow (+100 ms)", Share: .15}, func() error { m.rig.Proxy.Slow(100 * time.Millisecond); return nil }},
		{Phase{Name: "cut off", Share: .10}, func() error { m.rig.Proxy.Heal(); m.rig.Proxy.Cut(); return nil }},
	}
	var clients sync.WaitGroup
	next, began, attempts := 0, time.Now(), make([]float64, len(phases))
	for i := range phases {
		phase := &phases[i]
		// What happens to Core happens beside the load, which must not wait for it.
		entered := make(chan error, 1)
		go func() {
			before, err := m.rig.Sample(ctx)
			attempts[i] = before.Attempts
			entered <- errors.Join(err, phase.enter())
		}()
		m.set(phase.Name)
		phase.Begin = time.Since(m.began)
		for end := next + int(phase.Share*float64(opts.Conversions)); next < end; next++ {
			n, due := next, began.Add(time.Duration(next)*time.Second/time.Duration(m.result.PerSecond))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return ctx.Err() //nolint:wrapcheck // the caller's own
			}
			clients.Go(func() { m.track(ctx, n, phase.Name, due) })
		}
		phase.End = time.Since(m.began)
		if err := errors.Join(<-entered, m.failure()); err != nil {
			return err
		}
	}
	clients.Wait()
	m.rig.Proxy.Heal()
	for _, phase := range phases {
		phase.P50, phase.P99 = m.quantiles(phase.Name)
		m.result.Phases = append(m.result.Phases, phase.Phase)
	}
	m.result.InOutage = attempts[2] - attempts[1]
	return m.failure()
}

func (m *measurement) track(ctx context.Context, n int, phase string, due time.Time) {
	err := m.rig.Track(ctx, n)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recorded++
	m.took[phase] = append(m.took[phase], time.Since(due))
	if err != nil && m.failed == nil {
		m.failed = err
	}
}

func (m *measurement) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

func (m *measurement) quantiles(phase string) (p50, p99 time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	took := m.took[phase]
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

func (m *measurement) set(phase string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase = phase
}

// drain returns when Core has everything.
func (m *measurement) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for tick := time.Tick(every / 2); ; {
		s, err := m.rig.Sample(ctx)
		if err != nil {
			return err
		}
		if s.Failed > 0 {
			return fmt.Errorf("bench: Core refused %.0f facts", s.Failed)
		}
		if s.Pending == 0 {
			return nil
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return fmt.Errorf("bench: %.0f facts are not delivered: %w", s.Pending, ctx.Err())
		}
	}
}

func (m *measurement) sample(ctx context.Context, attempts float64) {
	for tick := time.Tick(every); ; {
		s, err := m.rig.Sample(ctx)
		if err == nil {
			m.mu.Lock()
			m.result.Points = append(m.result.Points, Point{
				At: s.At.Sub(m.began).Round(time.Millisecond).Seconds(), Phase: m.phase, Recorded: m.recorded,
				Attempts: int(s.Attempts - attempts), Pending: int(s.Pending), Circuit: s.Circuit,
			})
			m.mu.Unlock()
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return
		}
	}
}

var columns = []string{"seconds", "phase", "recorded", "attempts", "pending", "circuit"}

// Encode writes points as CSV.
func Encode(points []Point) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(columns) // a buffer takes everything
	for _, p := range points {
		_ = w.Write([]string{
			strconv.FormatFloat(p.At, 'f', 3, 64), p.Phase, strconv.Itoa(p.Recorded), strconv.Itoa(p.Attempts), strconv.Itoa(p.Pending), p.Circuit,
		})
	}
	w.Flush()
	return out.Bytes()
}

// Decode reads what Encode wrote.
func Decode(data []byte) ([]Point, error) {
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(rows) == 0 || !slices.Equal(rows[0], columns) {
		return nil, fmt.Errorf("bench: these are no samples: %w", errors.Join(err, errColumns))
	}
	points := make([]Point, 0, len(rows)-1)
	for _, row := range rows[1:] {
		at, err := strconv.ParseFloat(row[0], 64)
		numbers := [3]int{}
		for i := range numbers {
			var bad error
			numbers[i], bad = strconv.Atoi(row[2+i])
			err = errors.Join(err, bad)
		}
		if err != nil {
			return nil, fmt.Errorf("bench: a sample: %w", err)
		}
		points = append(points, Point{At: at, Phase: row[1], Recorded: numbers[0], Attempts: numbers[1], Pending: numbers[2], Circuit: row[5]})
	}
	return points, nil
}

var errColumns = errors.New("other columns")
