// Package robots reads robots.txt files as RFC 9309 has it, with the two
// extensions that sites rely on: Crawl-delay and Sitemap.
//
// It is our own because the libraries at hand predate the RFC (they match the
// first rule instead of the longest, or pick one group where several name the
// same crawler), and because a file's mistakes are worth showing to its owner.
package robots

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// MaxBytes of a file that are read; RFC 9309 asks for at least 500 KiB.
	MaxBytes = 500 << 10
	// maxProblems of a file that are kept: more of them say nothing new.
	maxProblems = 20
	maxSitemaps = 100
	// maxPath is how much of a URL is matched.
	maxPath = 2048
	// maxDelay bounds a Crawl-delay that no crawl would live to see the end of.
	maxDelay = time.Minute
)

// File is a parsed robots.txt. It is read only, so it may be used concurrently.
type File struct {
	// Sitemaps that the file names, as written.
	Sitemaps []string
	// Problems are what a crawler ignores because it cannot understand it.
	Problems []Problem

	groups []group
}

// Problem is a line that no crawler understands.
type Problem struct {
	Line int // from 1
	Text string
}

// group is the rules for some crawlers.
type group struct {
	agents []string // lower case; "*" is everybody
	rules  []rule
	delay  time.Duration
}

type rule struct {
	allow   bool
	pattern string // normalised
}

// Rules are what a file says to one crawler.
type Rules struct {
	rules []rule
	// Delay the site asks for between two requests, at most a minute; 0 when it
	// does not say.
	Delay time.Duration
}

// Everything allows everything: what a missing file (status 4xx) means.
func Everything() Rules { return Rules{} }

// Nothing forbids everything: what a file that cannot be had (status 5xx, no
// answer) means.
func Nothing() Rules { return Rules{rules: []rule{{pattern: "/"}}} }

// Parse reads a file of which at most [MaxBytes] count. It always succeeds: what
// cannot be understood is in Problems.
func Parse(content []byte) *File {
	content = content[:min(len(content), MaxBytes)]
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	p := parser{file: &File{}}
	number := 0
	for line := range bytes.SplitAfterSeq(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), []byte("\n")) {
		for part := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")) {
			number++
			p.line(number, string(part))
		}
	}
	p.flush()
	return p.file
}

type parser struct {
	file    *File
	current group
	// ruled is whether the current group has rules already, so that the next
	// user-agent line begins another.
	ruled bool
}

func (p *parser) flush() {
	if len(p.current.agents) > 0 {
		p.file.groups = append(p.file.groups, p.current)
	}
	p.current, p.ruled = group{}, false
}

func (p *parser) problem(number int, text string) {
	if len(p.file.Problems) < maxProblems {
		p.file.Problems = append(p.file.Problems, Problem{Line: number, Text: text})
	}
}

func (p *parser) line(number int, line string) {
	line, _, _ = strings.Cut(line, "#")
	line = strings.TrimSpace(line)
	if line == "" {
		return
	}
	key, value, found := strings.Cut(line, ":")
	if !found {
		p.problem(number, "it is not of the form 'name: value'")
		return
	}
	key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
	if !utf8.ValidString(value) {
		p.problem(number, "it is not UTF-8")
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	switch key {
	case "user-agent", "useragent", "user agent":
		if p.ruled {
			p.flush()
		}
		if value == "" {
			p.problem(number, "it names no crawler")
			return
		}
		p.current.agents = append(p.current.agents, productToken(value))
	case "allow", "disallow":
		p.rule(number, key == "allow", value)
	case "crawl-delay":
		p.delay(number, value)
	case "sitemap":
		if len(p.file.Sitemaps) < maxSitemaps && value != "" {
			p.file.Sitemaps = append(p.file.Sitemaps, value)
		}
	case "host", "clean-param", "request-rate", "visit-time", "noindex", "content-signal":
		// Known extensions of others.
	default:
		p.problem(number, "no crawler knows '"+clip(key)+"'")
	}
}

func (p *parser) rule(number int, allow bool, value string) {
	if len(p.current.agents) == 0 {
		p.problem(number, "it stands before any user-agent line, so it is for nobody")
		return
	}
	p.ruled = true
	switch {
	case value == "": // says nothing: an empty Disallow allows everything
	case value[0] != '/' && value[0] != '*' && value[0] != '$':
		p.problem(number, "its path does not begin with '/'")
	default:
		p.current.rules = append(p.current.rules, rule{allow: allow, pattern: normalise(value)})
	}
}

func (p *parser) delay(number int, value string) {
	if len(p.current.agents) == 0 {
		p.problem(number, "it stands before any user-agent line, so it is for nobody")
		return
	}
	p.ruled = true
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || seconds < 0 || math.IsNaN(seconds) {
		p.problem(number, "the delay is not a number of seconds")
		return
	}
	p.current.delay = max(p.current.delay, time.Duration(min(seconds, maxDelay.Seconds())*float64(time.Second)))
}

// productToken is the part of a user-agent line that names the crawler.
func productToken(value string) string {
	value = strings.ToLower(value)
	if strings.HasPrefix(value, "*") {
		return "*"
	}
	for i := range len(value) {
		c := value[i]
		if c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return value[:i]
		}
	}
	return value
}

func clip(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// For returns the rules for the crawler whose product token is token, "OnsideBot"
// for instance: those of all groups that name it, else those for everybody.
func (f *File) For(token string) Rules {
	token = strings.ToLower(token)
	for _, agent := range []string{token, "*"} {
		rules, named := Rules{}, false
		for _, g := range f.groups {
			if slices.Contains(g.agents, agent) {
				named = true
				rules.rules = append(rules.rules, g.rules...)
				rules.Delay = max(rules.Delay, g.delay)
			}
		}
		if named {
			return rules
		}
	}
	return Everything()
}

// Allowed reports whether the path with its query, "/a?b=c", may be fetched: the
// longest rule that matches decides, and among equals the one that allows.
func (r Rules) Allowed(path string) bool {
	if path == "/robots.txt" {
		return true
	}
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	path = normalise(path)
	path = path[:min(len(path), maxPath)]
	longest, allowed := -1, true
	for _, rule := range r.rules {
		length := len(rule.pattern)
		if length < longest || length == longest && (allowed || !rule.allow) {
			continue
		}
		if matches(rule.pattern, path) {
			longest, allowed = length, rule.allow
		}
	}
	return allowed
}

// matches reports whether pattern is a prefix of path, where * stands for any
// characters and $ at the end for the end of path. The texts between the stars
// are found from left to right, each as early as can be, so that it takes about
// len(pattern)+len(path) steps whatever a hostile file holds.
func matches(pattern, path string) bool {
	pattern, anchored := strings.CutSuffix(pattern, "$")
	text, rest, starred := strings.Cut(pattern, "*")
	path, is := strings.CutPrefix(path, text)
	if !is {
		return false
	}
	for starred {
		text, rest, starred = strings.Cut(rest, "*")
		if !starred && anchored {
			return strings.HasSuffix(path, text)
		}
		at := strings.Index(path, text)
		if at < 0 {
			return false
		}
		path = path[at+len(text):]
	}
	return !anchored || path == ""
}

const upperHex = "0123456789ABCDEF"

// normalise writes a path in one form, so that "/é", "/%c3%a9" and "/%C3%A9" are
// the same: octets outside ASCII are percent-encoded, those that need no
// encoding (RFC 3986, unreserved) are decoded, and hex digits are upper case.
func normalise(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			octet := unhex(path[i+1])<<4 | unhex(path[i+2])
			if isUnreserved(octet) {
				out.WriteByte(octet)
			} else {
				out.WriteString(strings.ToUpper(path[i : i+3]))
			}
			i += 2
		case c >= utf8.RuneSelf || c <= ' ':
			out.WriteByte('%')
			out.WriteByte(upperHex[c>>4])
			out.WriteByte(upperHex[c&15])
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
