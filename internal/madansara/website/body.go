package website

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

var errReadingTooMuch = errors.New("too many bytes are being read")

// countedReader counts what it reads into a total that many readers share, and
// fails when that passes the limit: however many send at once, what has arrived
// of their bodies is bounded.
type countedReader struct {
	io.Reader

	total *atomic.Int64
	limit int64
	read  int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	if c.total.Add(int64(n)) > c.limit {
		return n, errReadingTooMuch
	}
	return n, err //nolint:wrapcheck // a reader passes errors on as they are
}

func (c *countedReader) release() { c.total.Add(-c.read) }

// readBody reads at most segment.MaxBody bytes, unpacked, of JSON.
func readBody(w http.ResponseWriter, r *http.Request, counted *countedReader, into *bytes.Buffer) error {
	into.Reset()
	if err := checkMediaType(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	if r.ContentLength > segment.MaxBody {
		return tooLarge()
	}
	var from io.Reader = http.MaxBytesReader(w, r.Body, segment.MaxBody)
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		if r.ContentLength > 0 { // not all that is announced need come
			into.Grow(int(min(r.ContentLength, segment.MaxEvent)) + bytes.MinRead)
		}
	case "gzip":
		unpacked, err := gzip.NewReader(from)
		if err != nil {
			return fault.Wrap(err, fault.Malformed, "The body is not gzip, though Content-Encoding says so.")
		}
		from = unpacked
	default:
		return fault.New(fault.Malformed, "Content-Encoding %.40q is not understood; use gzip or none.", encoding)
	}
	// One byte more than is allowed tells a body that is too large.
	counted.Reader = io.LimitReader(from, segment.MaxBody+1)
	n, err := into.ReadFrom(counted)
	var tooMuch *http.MaxBytesError
	switch {
	case errors.Is(err, errReadingTooMuch):
		return fault.New(fault.Unavailable, "More events arrive than the service takes; send them again later.")
	case errors.As(err, &tooMuch), n > segment.MaxBody:
		return tooLarge()
	case err != nil:
		return fault.Wrap(err, fault.Malformed, "The body could not be read to its end.")
	}
	return nil
}

func tooLarge() error {
	return fault.New(fault.TooLarge, "The body has more than %d bytes; send the events in smaller batches.", segment.MaxBody)
}

// checkMediaType takes JSON, and text, as which sendBeacon sends it without
// asking first.
func checkMediaType(header string) error {
	if header == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(header)
	if err != nil || kind != "application/json" && kind != "text/plain" {
		return fault.New(fault.Malformed, "Content-Type %.60q is not understood; send application/json or text/plain.", header)
	}
	return nil
}
