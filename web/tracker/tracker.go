// Package tracker serves the script that a site loads to be recorded. Its source
// is TypeScript in src/, bundled into dist/tracker.js, which is committed so that
// building the Go binary needs no Node. README.md says how to put it on a site.
package tracker

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
)

//go:embed dist/tracker.js
var script []byte

// CookieAnonymousID and CookieSessionID are the first-party cookies by which a
// site's own server tells whose purchase it records: the anonymousId and the
// context.sessionId of the visitor's events. Both are absent without consent.
const (
	CookieAnonymousID = "ms_aid"
	CookieSessionID   = "ms_sid"
)

// Handler serves the script at GET and HEAD, whatever the path, to pages of any
// origin. Browsers keep it for an hour, then ask with its ETag.
func Handler() http.Handler {
	sum := sha256.Sum256(script)
	etag := hex.EncodeToString(sum[:8])
	compressed, err := compress(script)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		header.Set("Content-Type", "text/javascript; charset=utf-8")
		header.Set("Cache-Control", "public, max-age=3600, stale-while-revalidate=86400")
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Cross-Origin-Resource-Policy", "cross-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Add("Vary", "Accept-Encoding")
		body := script
		if err == nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			header.Set("Content-Encoding", "gzip")
			// Another encoding is another representation: it has a tag of its own.
			header.Set("ETag", `"`+etag+`-gzip"`)
			body = compressed
		} else {
			header.Set("ETag", `"`+etag+`"`)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

func compress(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress the tracker: %w", err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("compress the tracker: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress the tracker: %w", err)
	}
	return out.Bytes(), nil
}
