// Package processbench measures the real program from outside: how soon
// `madansara up` serves, and how much memory its process holds, idle and under
// load.
package processbench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options size the run; the zero value is the documented one.
type Options struct {
	Clients int           // senders of single events at once, beside half as many of batches (64)
	Load    time.Duration // how long they send (15 s)
	Settle  time.Duration // the quiet before idle memory is read (10 s)
}

// Result is what was measured.
type Result struct {
	FirstStart time.Duration // on an empty folder: the database is made, migrated and filled
	NextStart  time.Duration // on the folder of the first
	IdleBytes  int64         // resident, after Settle
	LoadBytes  int64         // the most ever resident, after the load
	Events     int64         // accepted during the load
	Busy       int64         // requests answered 429 or 503 during the load
	Clients    int
}

// String is the result for people.
func (r Result) String() string {
	const mb = 1 << 20
	return fmt.Sprintf(`madansara up, from its start to a ready service: %s on an empty folder, %s on the next
resident memory of its process: %d MB idle, at most %d MB while %d clients sent %d events (%d requests were asked to come back)
`, r.FirstStart.Round(10*time.Millisecond), r.NextStart.Round(10*time.Millisecond), r.IdleBytes/mb, r.LoadBytes/mb, r.Clients, r.Events, r.Busy)
}

func (o Options) defaults() Options {
	if o.Clients == 0 {
		o.Clients = 64
	}
	if o.Load == 0 {
		o.Load = 15 * time.Second
	}
	if o.Settle == 0 {
		o.Settle = 10 * time.Second
	}
	return o
}

// Run builds the program and measures it in a folder that it removes.
func Run(ctx context.Context, opts Options) (r Result, err error) {
	opts = opts.defaults()
	dir, err := os.MkdirTemp("", "madansara-bench-")
	if err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the database's own user enters it
		return r, fmt.Errorf("bench: %w", err)
	}
	program := filepath.Join(dir, "madansara")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "github.com/engardehq/madansara/cmd/madansara")
	if out, err := build.CombinedOutput(); err != nil {
		return r, fmt.Errorf("bench: build: %w: %s", err, out)
	}
	first, err := start(ctx, program, filepath.Join(dir, "data"))
	if err != nil {
		return r, err
	}
	r.FirstStart = first.ready
	if err := first.stop(); err != nil {
		return r, err
	}
	next, err := start(ctx, program, filepath.Join(dir, "data"))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, next.stop()) }()
	r.NextStart, r.Clients = next.ready, opts.Clients*3/2
	return r, next.measure(ctx, opts, &r)
}

// up is a running `madansara up`.
type up struct {
	cmd   *exec.Cmd
	base  string
	key   string
	ready time.Duration
}

func start(ctx context.Context, program, data string) (*up, error) {
	ports := make([]string, 6)
	for i := range ports {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		_, ports[i], _ = net.SplitHostPort(listener.Addr().String()) // a listener's address has a port
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	u := &up{cmd: exec.CommandContext(context.WithoutCancel(ctx), program, "up"), base: "http://127.0.0.1:" + ports[0]}
	u.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + data, "MADANSARA_DATA_DIR=" + data, "LOG_LEVEL=error",
		"API_RATE_LIMIT=0", "PORT=" + ports[0], "SHOP_PORT=" + ports[1], "MAILBOX_PORT=" + ports[2],
		"ENGARDE_CORE_URL=http://127.0.0.1:" + ports[3], "ONSIDE_URL=http://127.0.0.1:" + ports[4], "SANKORE_URL=http://127.0.0.1:" + ports[5],
	}
	u.cmd.Stderr = os.Stderr
	stdout, err := u.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	began := time.Now()
	if err := u.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start: %w", err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if key, is := strings.CutPrefix(lines.Text(), "Write key"); is {
			u.key = strings.TrimSpace(key)
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }() // it ends with the process
	if u.key == "" {
		return nil, errors.Join(errors.New("bench: madansara up printed no write key"), u.stop())
	}
	ready, err := u.awaitReady(ctx, began)
	if err != nil {
		return nil, errors.Join(err, u.stop())
	}
	u.ready = ready
	return u, nil
}

// awaitReady returns how long after began the service said that it is ready.
func (u *up) awaitReady(ctx context.Context, began time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.base+"/health/ready", nil)
		if err != nil {
			return 0, fmt.Errorf("bench: %w", err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close() // nothing of it is read
			if response.StatusCode == http.StatusOK {
				return time.Since(began), nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, errors.Join(fmt.Errorf("bench: not ready within a minute: %w", ctx.Err()), err)
		}
	}
}

func (u *up) stop() error {
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("bench: stop: %w", err)
	}
	if err := u.cmd.Wait(); err != nil {
		return fmt.Errorf("bench: madansara up ended badly: %w", err)
	}
	return nil
}

func (u *up) measure(ctx context.Context, opts Options, r *Result) (err error) {
	select {
	case <-time.After(opts.Settle):
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
	if r.IdleBytes, err = u.memory("VmRSS"); err != nil {
		return err
	}
	if err := u.load(ctx, opts, r); err != nil {
		return err
	}
	r.LoadBytes, err = u.memory("VmHWM")
	return err
}

// memory reads a line such as "VmRSS:	   41232 kB" of the process's status.
func (u *up) memory(name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", u.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, is := strings.CutPrefix(line, name+":"); is {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err //nolint:wrapcheck // the kernel's own text
		}
	}
	return 0, fmt.Errorf("bench: no %s in the process's status", name)
}

// load sends single events from Clients connections and batches of 100 from
// half as many more.
func (u *up) load(ctx context.Context, opts Options, r *Result) error {
	ctx, cancel := context.WithTimeout(ctx, opts.Load)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * opts.Clients}}
	defer client.CloseIdleConnections()
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		failure error
	)
	for c := range opts.Clients * 3 / 2 {
		size := 1
		if c >= opts.Clients {
			size = 100
		}
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				status, err := u.send(ctx, client, batch(c, n, size))
				mu.Lock()
				switch {
				case ctx.Err() != nil: // cut off by the end of the load
				case err != nil:
					failure = errors.Join(failure, err)
				case status == http.StatusOK:
					r.Events += int64(size)
				case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
					r.Busy++
				default:
					failure = errors.Join(failure, fmt.Errorf("bench: events were answered %d", status))
				}
				failed := failure != nil
				mu.Unlock()
				if failed {
					return
				}
			}
		})
	}
	wg.Wait()
	return failure
}

func batch(client, n, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	for i := range size {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"track","event":"Product Viewed","messageId":"p-%d-%d-%d","anonymousId":"a-%d-%d","properties":{"product_id":"coffee","price":18.90,"currency":"USD"}}`,
			client, n, i, client, n)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func (u *up) send(ctx context.Context, client *http.Client, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.base+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	request.SetBasicAuth(u.key, "")
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err //nolint:wrapcheck // the loop's own client
}
