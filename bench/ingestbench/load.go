package ingestbench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// bodies makes requests as a site's tracker sends them: visitors who come by
// a campaign, see some pages and click. Ten events a session.
func bodies(round, events, size int) [][]byte {
	started := time.Now().UTC().Add(-time.Minute)
	requests := make([][]byte, 0, events/size)
	for first := 0; first < events; first += size {
		var b bytes.Buffer
		if size > 1 {
			b.WriteString(`{"batch":[`)
		}
		for i := first; i < first+size; i++ {
			if i > first {
				b.WriteByte(',')
			}
			writeEvent(&b, round, size, i, started)
		}
		if size > 1 {
			b.WriteString(`]}`)
		}
		requests = append(requests, b.Bytes())
	}
	return requests
}

func writeEvent(b *bytes.Buffer, round, size, i int, started time.Time) {
	session := i / 10
	typ, rest := "page", `"properties":{"title":"Straw hat - The shop"}`
	if i%5 > 2 {
		typ, rest = "track", `"event":"Product Viewed","properties":{"product_id":"hat-17","name":"Straw hat","price":19.90,"currency":"EUR"}`
	}
	fmt.Fprintf(b, `{"type":%q,"messageId":"ajs-%d-%d-%d","anonymousId":"anon-%d-%d-%d","timestamp":%q,%s,`+
		`"context":{"sessionId":"0192f0c1-%04d-7%03d-8000-%012d","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",`+
		`"locale":"fr-FR","library":{"name":"madansara.js","version":"1"},"page":{"url":"https://shop.test/products/hat-17?utm_source=instagram&utm_medium=social&utm_campaign=spring","path":"/products/hat-17","referrer":"https://l.instagram.com/","title":"Straw hat"}}}`,
		typ, round, size, i, round, size, session, started.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), rest, round, size, session)
}

// load sends the requests over keep-alive connections and returns events a
// second and each request's latency. The client is as thin as it can be,
// because it shares the processor with what it measures.
func (b *bench) load(ctx context.Context, requests [][]byte, size, clients int, r *Result) (perSecond float64, latencies []time.Duration, err error) {
	path := "/v1/batch"
	if size == 1 {
		path = "/api/v1/website/track"
	}
	latencies = make([]time.Duration, len(requests))
	var next atomic.Int64
	failures := make(chan error, clients)
	watch := watchResident(r)
	started := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", b.address)
			if err != nil {
				failures <- err
				return
			}
			defer func() { _ = conn.Close() }() // nothing is left on it
			reader := bufio.NewReader(conn)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(requests) {
					return
				}
				sent := time.Now()
				if err := roundTrip(conn, reader, path, requests[i]); err != nil {
					failures <- err
					return
				}
				latencies[i] = time.Since(sent)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(started)
	watch()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("bench: send events: %w", err)
	}
	return float64(len(requests)*size) / elapsed.Seconds(), latencies, nil
}

func roundTrip(conn net.Conn, reader *bufio.Reader, path string, body []byte) error {
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic YmVuY2g6\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, len(body))
	buffers := net.Buffers{head, body}
	if _, err := buffers.WriteTo(conn); err != nil {
		return err //nolint:wrapcheck // load says what it did
	}
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err //nolint:wrapcheck // load says what it did
	}
	defer func() { _ = answer.Body.Close() }() // read to its end
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err //nolint:wrapcheck // load says what it did
	}
	if answer.StatusCode != http.StatusOK || bytes.Contains(text, []byte("rejected")) {
		return fmt.Errorf("answered %s: %s", answer.Status, text)
	}
	return nil
}

// watchResident notes the most memory until the returned function is called.
func watchResident(r *Result) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			r.LoadBytes = max(r.LoadBytes, resident())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}
