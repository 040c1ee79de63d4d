// Package seo analyses single pages: it fetches a page, reads it, audits it,
// keeps what it found, and answers it to peers (POST /api/v1/seo/analyze) and to
// whoever asks later.
package seo
