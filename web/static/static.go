// Package static embeds the dashboard's browser assets. dist/ is built from
// package.json and src/ by `make generate` and committed; dist/LICENSES.txt
// names what others wrote in it.
package static

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed dist
var embedded embed.FS

// files is dist/ itself; its hash stands in every URL, so that a browser may
// keep a file for ever and still see the next release's.
var files, version = func() (fs.FS, string) {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		return embedded, "0" // only for a name that is no path
	}
	sum := sha256.New()
	entries, err := fs.ReadDir(dist, ".")
	if err != nil {
		return dist, "0" // an embedded folder can be read
	}
	for _, entry := range entries {
		content, err := fs.ReadFile(dist, entry.Name())
		if err != nil {
			continue // an embedded file can be read
		}
		_, _ = sum.Write(content) // a hash takes everything
	}
	return dist, hex.EncodeToString(sum.Sum(nil)[:6])
}()

const prefix = "/static/"

// Path returns the URL path of a file of dist/.
func Path(name string) string { return prefix + version + "/" + name }

// Handler serves what Path names; mount it at "GET /static/".
func Handler() http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, name, found := strings.Cut(strings.TrimPrefix(r.URL.Path, prefix), "/")
		if !found || name == "" {
			http.NotFound(w, r)
			return
		}
		if asked == version {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-cache") // a page of another release asks
		}
		http.StripPrefix(prefix+asked, server).ServeHTTP(w, r)
	})
}
