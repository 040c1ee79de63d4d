package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/onside/robots"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

const (
	robotsTimeout   = 8 * time.Second
	robotsRedirects = 5 // RFC 9309, 2.3.1.2
	// robotsFresh is how long an answer is used (RFC 9309 allows a day), and
	// robotsRetry how long a failure is: long enough to spare an ailing site,
	// short enough for its owner to try again.
	robotsFresh  = time.Hour
	robotsRetry  = 30 * time.Second
	robotsCached = 1000
	// robotsBytes bounds the text of the files that are kept; parsed, a file of short
	// lines takes ten times as much. A usual one has two kilobytes.
	robotsBytes = 4 << 20
)

// robotsCache keeps the robots.txt files of the hosts last asked.
type robotsCache struct {
	clock clockwork.Clock
	mu    sync.Mutex
	files map[string]cachedRobots // by origin
	bytes int                     // of the files
}

type cachedRobots struct {
	file  RobotsFile
	bytes int
	until time.Time
}

func newRobotsCache(clock clockwork.Clock) *robotsCache {
	return &robotsCache{clock: clock, files: map[string]cachedRobots{}}
}

func (c *robotsCache) get(origin string) (RobotsFile, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cached, is := c.files[origin]
	if !is || !c.clock.Now().Before(cached.until) {
		return RobotsFile{}, false
	}
	return cached.file, true
}

// put keeps a file of so many bytes.
func (c *robotsCache) put(origin string, file RobotsFile, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	c.drop(origin)
	full := func() bool { return len(c.files) >= robotsCached || c.bytes+bytes > robotsBytes }
	if full() {
		for known, cached := range c.files {
			if !now.Before(cached.until) || full() {
				c.drop(known)
			}
		}
	}
	lives := robotsFresh
	if file.Status == 0 || file.Status >= http.StatusInternalServerError {
		lives = robotsRetry
	}
	c.files[origin] = cachedRobots{file: file, bytes: bytes, until: now.Add(lives)}
	c.bytes += bytes
}

// drop forgets a file; its caller holds the lock.
func (c *robotsCache) drop(origin string) {
	c.bytes -= c.files[origin].bytes
	delete(c.files, origin)
}

// allowed returns the robots.txt of address's host, and a Disallowed error when
// it does not allow address.
func (f *Fetcher) allowed(ctx context.Context, address *url.URL) (RobotsFile, error) {
	file, err := f.RobotsOf(ctx, address)
	if err != nil {
		return file, err
	}
	if file.Rules.Allowed(address.RequestURI()) {
		return file, nil
	}
	if file.File == nil {
		return file, newError(Disallowed, address, fmt.Sprintf("its site's robots.txt cannot be had (status %d), and crawlers then stay away", file.Status), nil)
	}
	return file, newError(Disallowed, address, "its site's robots.txt does not allow it to "+Token, nil)
}

// RobotsOf returns the robots.txt file of address's host. A host that cannot be
// reached is an *Error; one that answers with an error is not.
func (f *Fetcher) RobotsOf(ctx context.Context, address *url.URL) (RobotsFile, error) {
	origin := address.Scheme + "://" + address.Host
	if file, is := f.robots.get(origin); is {
		return file, nil
	}
	at := &url.URL{Scheme: address.Scheme, Host: address.Host, Path: "/robots.txt"}
	within, cancel := context.WithTimeout(ctx, robotsTimeout)
	defer cancel()
	file, size, err := f.fetchRobots(within, at)
	if err != nil {
		return RobotsFile{URL: at.String(), Rules: robots.Nothing()}, err
	}
	f.robots.put(origin, file, size)
	return file, nil
}

// fetchRobots follows RFC 9309, 2.3: what is not there (4xx) allows all, what
// cannot be had now (5xx) allows nothing, too many redirects are as not there. size is
// how many bytes of it were kept.
func (f *Fetcher) fetchRobots(ctx context.Context, at *url.URL) (file RobotsFile, size int, err error) {
	file.URL = at.String()
	for range robotsRedirects + 1 {
		response, _, err := f.ask(ctx, at)
		if err != nil {
			return file, 0, err
		}
		file.Status = response.StatusCode
		location := response.Header.Get("Location")
		if isRedirect(response.StatusCode) && location != "" {
			_ = response.Body.Close() // nothing in it counts
			next, err := weburl.Resolve(at, location)
			if err != nil {
				return file, 0, nil //nolint:nilerr // a redirect to nowhere is as no file
			}
			at = next
			continue
		}
		body, _, err := readAtMost(response.Body, robots.MaxBytes)
		_ = response.Body.Close() // it was read as far as it counts
		switch {
		case err != nil:
			return file, 0, failure(ctx, at, err)
		case response.StatusCode == http.StatusTooManyRequests, response.StatusCode >= http.StatusInternalServerError:
			file.Rules = robots.Nothing()
		case response.StatusCode < http.StatusMultipleChoices:
			file.File, size = robots.Parse(body), len(body)
			file.Rules = file.File.For(Token)
		}
		return file, size, nil
	}
	return file, 0, nil
}

// IsDisallowed reports whether err says that robots.txt does not allow a page.
func IsDisallowed(err error) bool {
	failed, is := errors.AsType[*Error](err)
	return is && failed.Kind == Disallowed
}
