// Package template keeps the messages' templates: what a marketer writes is
// checked when it is saved, previewed for a contact, and rendered for each
// recipient of a campaign.
package template

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/liquid"
)

// maxSubject is in characters; a mail's header line has room for no more.
const maxSubject = 500

// Source is a template as its author wrote it.
type Source struct {
	Subject  string
	BodyHTML string
	BodyText string // empty: made from BodyHTML
}

// Compiled is a template ready to render. It is safe for concurrent use.
type Compiled struct {
	subject, html, text *liquid.Template
	source              Source
}

// Compile checks a template. Its error is a *fault.Error of code Invalid whose
// Fields say which part is wrong, at which line and why.
func Compile(source Source) (*Compiled, error) {
	c := &Compiled{source: source}
	var fields []fault.Field
	for _, part := range []struct {
		location string
		source   string
		parse    func(string) (*liquid.Template, error)
		into     **liquid.Template
	}{
		{"body.subject", source.Subject, liquid.Parse, &c.subject},
		{"body.body_html", source.BodyHTML, liquid.ParseHTML, &c.html},
		{"body.body_text", source.BodyText, liquid.Parse, &c.text},
	} {
		parsed, err := part.parse(part.source)
		if err != nil {
			fields = append(fields, fault.Field{Location: part.location, Message: message(err)})
			continue
		}
		*part.into = parsed
	}
	if len(fields) > 0 {
		return nil, &fault.Error{Code: fault.Invalid, Message: fields[0].Location + ": " + fields[0].Message, Fields: fields}
	}
	return c, nil
}

func message(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message
	}
	return err.Error()
}

// Rendered is a template with a recipient's values in it.
type Rendered struct {
	Subject string
	HTML    string
	Text    string
}

// Render fills the template with vars (see Variables).
func (c *Compiled) Render(ctx context.Context, vars map[string]any) (Rendered, error) {
	subject, err := c.subject.Render(ctx, vars)
	if err != nil {
		return Rendered{}, inPart("subject", err)
	}
	html, err := c.html.Render(ctx, vars)
	if err != nil {
		return Rendered{}, inPart("body_html", err)
	}
	text, err := c.text.Render(ctx, vars)
	if err != nil {
		return Rendered{}, inPart("body_text", err)
	}
	if strings.TrimSpace(text) == "" {
		text = channel.TextOf(html)
	}
	return Rendered{Subject: oneLine(subject), HTML: html, Text: text}, nil
}

func inPart(part string, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return fault.Wrap(f.Err, f.Code, "%s: %s", part, f.Message)
	}
	return err
}

// oneLine makes a subject of whatever a template rendered: values may hold line
// ends, and a header may not.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxSubject {
		return string(runes[:maxSubject])
	}
	return s
}

// Warning is something that is allowed in a template and probably not meant.
type Warning struct {
	Part    string `json:"part" enum:"subject,body_html,body_text" doc:"Where in the template"`
	Line    int    `json:"line" doc:"The line there, from 1"`
	Message string `json:"message" doc:"What may be wrong"`
}

// Check reports what is probably not meant, given vars.
func (c *Compiled) Check(vars map[string]any) []Warning {
	warnings := []Warning{}
	for _, part := range []struct {
		name     string
		template *liquid.Template
	}{{"subject", c.subject}, {"body_html", c.html}, {"body_text", c.text}} {
		for _, w := range part.template.Check(vars) {
			warnings = append(warnings, Warning{Part: part.name, Line: w.Line, Message: w.Message})
		}
	}
	for _, body := range []struct{ name, source string }{{"body_html", c.source.BodyHTML}, {"body_text", c.source.BodyText}} {
		if strings.TrimSpace(body.source) != "" && !strings.Contains(body.source, "unsubscribe_url") {
			warnings = append(warnings, Warning{Part: body.name, Line: 1, Message: "it has no {{ unsubscribe_url }}: only the mail program's own button will offer to unsubscribe"})
		}
	}
	return warnings
}

// Recipient is whom a message is rendered for.
type Recipient struct {
	FirstName, LastName, Email string
	Traits                     json.RawMessage // a JSON object
}

// Context is the rest of what a template may use.
type Context struct {
	TenantName     string
	CampaignName   string
	UnsubscribeURL string
	Now            time.Time
}

// Variables are what templates may use: contact.first_name, contact.last_name,
// contact.email, contact.traits.*, tenant.name, campaign.name, unsubscribe_url
// and now.
func Variables(r Recipient, c Context) map[string]any {
	traits := map[string]any{}
	if len(r.Traits) > 0 {
		// Traits were validated when they were stored; anything but an object is
		// no reason not to write to the person.
		if err := json.Unmarshal(r.Traits, &traits); err != nil || traits == nil {
			traits = map[string]any{}
		}
	}
	return map[string]any{
		"contact":         map[string]any{"first_name": r.FirstName, "last_name": r.LastName, "email": r.Email, "traits": traits},
		"tenant":          map[string]any{"name": c.TenantName},
		"campaign":        map[string]any{"name": c.CampaignName},
		"unsubscribe_url": c.UnsubscribeURL,
		"now":             c.Now,
	}
}
