// Package apidocs serves a page that shows a service's OpenAPI document: Scalar's
// API reference, vendored (dist/LICENSE.txt names the release; ./update takes
// another), so that it works offline.
package apidocs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"
)

//go:embed dist/index.html
var index []byte

//go:embed dist/init.js
var script []byte

//go:embed dist/LICENSE.txt
var licence []byte

//go:embed dist/scalar.js.gz
var scalar []byte

// Mount serves the page at /docs. The document is expected at /openapi.json.
func Mount(handle func(pattern string, handler http.Handler)) {
	handle("GET /docs", file(index, "text/html; charset=utf-8"))
	handle("GET /docs/init.js", file(script, "text/javascript; charset=utf-8"))
	handle("GET /docs/LICENSE.txt", file(licence, "text/plain; charset=utf-8"))
	handle("GET /docs/scalar.js", compressed(scalar, "text/javascript; charset=utf-8"))
}

func file(content []byte, contentType string) http.Handler {
	tag := tagOf(content)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		describe(w.Header(), contentType, tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}

// compressed serves a file that is kept gzipped: as it is to whoever takes it
// so, which is every browser, unpacked to the others.
func compressed(content []byte, contentType string) http.Handler {
	tag := tagOf(content)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		describe(w.Header(), contentType, tag)
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
			return
		}
		plain, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			http.Error(w, "a vendored file is damaged", http.StatusInternalServerError)
			return
		}
		w.Header().Del("ETag")   // names the packed bytes
		_, _ = io.Copy(w, plain) //nolint:gosec // our own file; a failed write is a client gone
	})
}

func describe(header http.Header, contentType, tag string) {
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-cache") // asked again, answered 304
	header.Set("ETag", tag)
}

func tagOf(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}
