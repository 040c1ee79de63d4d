package segment

import (
	"net/mail"
	"strings"
	"time"
)

// text reads a string of at most limit bytes, or null.
func (p *parser) text(limit int) string {
	switch p.peek() {
	case '"':
	case 'n':
		p.value()
		return ""
	default:
		p.refusef("must be a string")
		p.value()
		return ""
	}
	text := p.decoded()
	if len(text) > limit {
		p.refusef("has %d bytes; at most %d are taken", len(text), limit)
		return ""
	}
	return text
}

// loose reads a string; what is no string is skipped.
func (p *parser) loose() string {
	if p.peek() != '"' {
		p.value()
		return ""
	}
	return p.decoded()
}

func (p *parser) decoded() string {
	raw, escaped := p.str()
	if escaped {
		raw = unescape(raw)
	}
	return string(raw)
}

// sessionID reads a string, or the number that some libraries send.
func (p *parser) sessionID() string {
	c := p.peek()
	if c == '-' || c >= '0' && c <= '9' {
		return string(p.number())
	}
	id := p.loose()
	if len(id) > MaxID {
		p.refusef("has %d bytes; at most %d are taken", len(id), MaxID)
		return ""
	}
	return id
}

func (p *parser) consent() *bool {
	c := p.peek()
	p.value()
	switch c {
	case 't', 'f':
		given := c == 't'
		return &given
	case 'n':
	default:
		p.refusef("must be true or false")
	}
	return nil
}

// email reads an address and returns it in lower case.
func (p *parser) email() string {
	text := strings.TrimSpace(p.text(MaxID))
	if text == "" {
		return ""
	}
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text || address.Name != "" || !strings.Contains(text[strings.LastIndexByte(text, '@'):], ".") {
		p.refusef("is not an e-mail address")
		return ""
	}
	return strings.ToLower(text)
}

// timeLayouts are the forms of ISO 8601 in use, the usual one first. A time
// without a zone is UTC.
var timeLayouts = [...]string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02",
}

func (p *parser) time() time.Time {
	text := p.text(64)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	p.refusef("is not an ISO 8601 date and time, such as 2026-03-09T10:11:12.345Z")
	return time.Time{}
}
