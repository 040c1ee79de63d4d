package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/onside/robots"
	"github.com/engardehq/madansara/internal/onside/weburl"
	"github.com/engardehq/madansara/internal/ssrf"
)

// Token is what robots.txt files call this crawler.
const Token = "OnsideBot"

// Limits bound one page.
type Limits struct {
	// Bytes of a body that are read, after decompression; a longer one is cut.
	// Googlebot reads as much of a page as DefaultLimits allow.
	Bytes int64
	// Timeout for everything, redirects and robots.txt files included.
	Timeout time.Duration
	// Redirects that are followed.
	Redirects int
}

// DefaultLimits suit a page that a person waits for.
func DefaultLimits() Limits {
	return Limits{Bytes: 2 << 20, Timeout: 20 * time.Second, Redirects: 10}
}

// Config says how to fetch.
type Config struct {
	Guard ssrf.Guard
	// Contact is where a site's owner learns who asks, a URL; it stands in the
	// User-Agent header.
	Contact string
	Clock   clockwork.Clock
	Limits  Limits // zero fields are those of DefaultLimits
}

// Fetcher fetches pages. It may be used concurrently.
type Fetcher struct {
	guard     ssrf.Guard
	clock     clockwork.Clock
	limits    Limits
	agent     string
	transport *ssrf.Transport
	robots    *robotsCache
	pace      *pace
}

// New returns a fetcher. Close it to close its connections.
func New(cfg Config) *Fetcher {
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	defaults := DefaultLimits()
	if cfg.Limits.Bytes == 0 {
		cfg.Limits.Bytes = defaults.Bytes
	}
	if cfg.Limits.Timeout == 0 {
		cfg.Limits.Timeout = defaults.Timeout
	}
	if cfg.Limits.Redirects == 0 {
		cfg.Limits.Redirects = defaults.Redirects
	}
	agent := "Mozilla/5.0 (compatible; " + Token + "/1.0)"
	if cfg.Contact != "" {
		agent = "Mozilla/5.0 (compatible; " + Token + "/1.0; +" + cfg.Contact + ")"
	}
	return &Fetcher{
		guard: cfg.Guard, clock: cfg.Clock, limits: cfg.Limits, agent: agent, transport: cfg.Guard.Transport(),
		robots: newRobotsCache(cfg.Clock), pace: newPace(cfg.Clock),
	}
}

// Close closes the connections that wait for another request.
func (f *Fetcher) Close() { f.transport.CloseIdleConnections() }

// Hop is a redirect on the way to a page.
type Hop struct {
	URL    string `json:"url"`
	Status int    `json:"status" doc:"HTTP status of the redirect"`
	To     string `json:"to" doc:"Where it points"`
}

// Response is what a site answered.
type Response struct {
	URL       *url.URL // as asked for, normalised
	Final     *url.URL // after redirects
	Hops      []Hop    // the redirects in between
	Status    int
	Header    http.Header
	Body      []byte
	FetchedAt time.Time
	// FirstByte is how long the site took to begin its last answer, the
	// connection not included.
	FirstByte time.Duration
	// Left is whether Final was not asked for: the redirect to it was not to be
	// followed. Status is then the redirect's, and there is no body.
	Left bool
	// Truncated is whether Body is only the beginning.
	Truncated bool
	// Compressed is whether the body travelled compressed.
	Compressed bool
	Robots     RobotsFile // of the final URL's host
}

// HasContent reports whether the answer may have a body at all; one that may not is no
// page, whatever its headers say.
func (r *Response) HasContent() bool {
	switch r.Status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		return false
	}
	return true
}

// Get fetches the page at address. A page with an error status is a page; Get's
// own error is an *Error, unless ctx ended.
func (f *Fetcher) Get(ctx context.Context, address *url.URL) (*Response, error) {
	return f.GetFollowing(ctx, address, func(context.Context, *url.URL) (bool, error) { return true, nil })
}

// Follow says whether a redirect to next is followed. It may wait first, for the turn
// of next's host; that does not count towards [Limits.Timeout].
type Follow func(ctx context.Context, next *url.URL) (bool, error)

// GetFollowing is [Fetcher.Get] for robots, which nobody waits for: follow is asked about
// each redirect. An error of follow's is returned as it is.
func (f *Fetcher) GetFollowing(ctx context.Context, address *url.URL, follow Follow) (*Response, error) {
	page := &Response{URL: address, Final: address}
	seen := map[string]bool{}
	left := f.limits.Timeout
	for {
		seen[page.Final.String()] = true
		began := f.clock.Now()
		next, moved, err := f.within(ctx, page, left)
		left -= f.clock.Since(began)
		if err != nil || !moved {
			return page, err
		}
		if len(page.Hops) > f.limits.Redirects {
			return page, newError(TooManyRedirects, page.Final, fmt.Sprintf("it redirects more than %d times", f.limits.Redirects), nil)
		}
		if seen[next.String()] {
			return page, newError(RedirectLoop, next, "its redirects lead back to it", nil)
		}
		followed, err := follow(ctx, next)
		if err != nil {
			return page, err
		}
		page.Final = next
		if !followed {
			page.Left, page.Status = true, page.Hops[len(page.Hops)-1].Status
			return page, nil
		}
	}
}

// within asks for page.Final, if that may be, within a time.
func (f *Fetcher) within(ctx context.Context, page *Response, left time.Duration) (next *url.URL, moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if err := f.guard.CheckURL(page.Final); err != nil {
		return nil, false, failure(ctx, page.Final, err)
	}
	if page.Robots, err = f.allowed(ctx, page.Final); err != nil {
		return nil, false, err
	}
	return f.hop(ctx, page)
}

// hop asks for page.Final. It returns where that moved to; when it did not, it
// is the page itself, which is then in page.
func (f *Fetcher) hop(ctx context.Context, page *Response) (next *url.URL, moved bool, err error) {
	response, waited, err := f.ask(ctx, page.Final)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = response.Body.Close() }() // it was read as far as it counts
	if location := response.Header.Get("Location"); location != "" && isRedirect(response.StatusCode) {
		next, err = weburl.Resolve(page.Final, location)
		page.Hops = append(page.Hops, Hop{URL: page.Final.String(), Status: response.StatusCode, To: hopTarget(next, location)})
		if err != nil {
			return nil, false, newError(BadRedirect, page.Final, "it redirects to what is not a web address: "+err.Error(), err)
		}
		return next, true, nil
	}
	page.Status, page.Header, page.FirstByte, page.Compressed = response.StatusCode, response.Header, waited, response.Uncompressed
	page.FetchedAt = f.clock.Now().UTC().Truncate(time.Microsecond)
	page.Body, page.Truncated, err = readAtMost(response.Body, f.limits.Bytes)
	if err != nil {
		return nil, false, failure(ctx, page.Final, err)
	}
	return nil, false, nil
}

func hopTarget(next *url.URL, location string) string {
	if next != nil {
		return next.String()
	}
	return clip(location)
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// ask sends one GET request and returns the answer's beginning and how long it took.
func (f *Fetcher) ask(ctx context.Context, address *url.URL) (*http.Response, time.Duration, error) {
	var sent, first time.Time
	trace := &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent = f.clock.Now() },
		GotFirstResponseByte: func() { first = f.clock.Now() },
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, 0, newError(Refused, address, "it cannot be asked for", err)
	}
	request.Header.Set("User-Agent", f.agent)
	request.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.5")
	request.Header.Set("Accept-Language", "en;q=0.8, *;q=0.5")
	response, err := f.transport.RoundTrip(request)
	if err != nil {
		return nil, 0, failure(ctx, address, err)
	}
	if coding := response.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		_ = response.Body.Close() // nobody can read it
		return nil, 0, newError(BadAnswer, address, "its answer is compressed in a way that was not asked for: "+clip(coding), nil)
	}
	return response, max(0, first.Sub(sent)), nil
}

// readAtMost reads up to limit bytes. A body that ends too early, as broken
// servers do, is taken as far as it came.
func readAtMost(from io.Reader, limit int64) (body []byte, truncated bool, err error) {
	body, err = io.ReadAll(io.LimitReader(from, limit+1))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return body, true, nil
	}
	if int64(len(body)) > limit {
		return body[:limit], true, nil
	}
	return body, false, err
}

// RobotsFile is what is known of a host's robots.txt.
type RobotsFile struct {
	URL string
	// Status of the answer; 0 when there was none.
	Status int
	// File is the parsed file; nil when there is none.
	File  *robots.File
	Rules robots.Rules // for this crawler
}
