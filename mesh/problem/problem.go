// Package problem reads and writes error answers as RFC 9457 problem documents
// (application/problem+json).
package problem

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of a problem document.
const ContentType = "application/problem+json"

// MaxBytes bounds what [Read] takes from an answer's body.
const MaxBytes = 64 << 10

// Problem says why a request was refused. Code is for programs: short, stable,
// snake_case. Detail is for people and may change.
type Problem struct { //nolint:errname // the RFC's own word
	Type      string  `json:"type,omitempty"`
	Title     string  `json:"title,omitempty"`
	Status    int     `json:"status,omitempty"`
	Detail    string  `json:"detail,omitempty"`
	Instance  string  `json:"instance,omitempty"`
	Code      string  `json:"code,omitempty"`
	RequestID string  `json:"request_id,omitempty"`
	Errors    []Place `json:"errors,omitempty"`
}

// Place is one wrong place of a request, for instance body.data.currency.
type Place struct {
	Location string `json:"location,omitempty"`
	Message  string `json:"message,omitempty"`
}

// New returns a problem of a status, with the status in words as its title.
func New(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Error makes a problem an error.
func (p *Problem) Error() string {
	text := strconv.Itoa(p.Status)
	if p.Code != "" {
		text += " " + p.Code
	}
	if p.Detail != "" {
		return text + ": " + p.Detail
	}
	if p.Title != "" {
		return text + ": " + p.Title
	}
	return text
}

// Write answers a request with p.
func Write(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(p)
	if err != nil { // a Problem holds nothing that JSON cannot
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller is gone when this fails
}

// Read returns what an error answer's body says. A body that is not a problem
// document yields one made of the status alone: a proxy's page of HTML is no
// use to a program. It reads at most [MaxBytes] and does not close the body.
func Read(response *http.Response) *Problem {
	p := New(response.StatusCode, "", "")
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || (media != ContentType && media != "application/json" && !strings.HasSuffix(media, "+json")) {
		return p
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBytes))
	if err != nil {
		return p
	}
	read := *p
	if json.Unmarshal(body, &read) != nil {
		return p
	}
	read.Status = response.StatusCode // the status line wins over what the body claims
	return &read
}

// RetryAfter returns how long an answer asks its caller to wait, 0 when it does
// not ask. Both forms of the header, seconds and a date, are understood.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// SetRetryAfter asks the caller to wait, in whole seconds, at least one.
func SetRetryAfter(header http.Header, wait time.Duration) {
	seconds := int64((wait + time.Second - 1) / time.Second)
	header.Set("Retry-After", fmt.Sprint(max(1, seconds)))
}
