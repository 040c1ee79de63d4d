package outreach

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/madansara/outreach/template"
	"github.com/engardehq/madansara/internal/madansara/outreach/tracking"
)

// maxCompiled bounds the compiled templates a process keeps.
const maxCompiled = 256

// Letters renders templates, with the message's signed links in them. It is the
// Renderer of production.
type Letters struct {
	signer *tracking.Signer
	clock  clockwork.Clock

	mu       sync.Mutex
	compiled map[version]*template.Compiled
}

// version is a template as it was at one time.
type version struct {
	tenant, template uuid.UUID
	updated          int64
}

// NewLetters returns a Renderer whose links signer makes.
func NewLetters(signer *tracking.Signer, clock clockwork.Clock) *Letters {
	return &Letters{signer: signer, clock: clock, compiled: map[version]*template.Compiled{}}
}

// Render implements Renderer.
func (l *Letters) Render(ctx context.Context, letter Letter) (Content, error) {
	compiled, err := l.compile(letter)
	if err != nil {
		return Content{}, err
	}
	links := l.signer.Message(letter.Tenant, letter.Message)
	vars := template.Variables(
		template.Recipient{
			FirstName: letter.Recipient.FirstName, LastName: letter.Recipient.LastName,
			Email: letter.Recipient.Email, Traits: letter.Recipient.Traits,
		},
		template.Context{
			TenantName: letter.TenantName, CampaignName: letter.CampaignName,
			UnsubscribeURL: links.Unsubscribe(), Now: l.clock.Now().UTC(),
		})
	data := map[string]any{}
	if len(letter.Data) > 0 {
		if err := json.Unmarshal(letter.Data, &data); err != nil {
			return Content{}, fmt.Errorf("read the message's data: %w", err)
		}
	}
	vars["data"] = data
	rendered, err := compiled.Render(ctx, vars)
	if err != nil {
		return Content{}, fmt.Errorf("fill the template: %w", err)
	}
	html := rendered.HTML
	if html != "" {
		html = links.Rewrite(html)
	}
	return Content{Subject: rendered.Subject, HTML: html, Text: rendered.Text, UnsubscribeURL: links.Unsubscribe()}, nil
}

func (l *Letters) compile(letter Letter) (*template.Compiled, error) {
	t := letter.Template
	key := version{tenant: letter.Tenant, template: t.UUID, updated: t.UpdatedAt.UnixNano()}
	l.mu.Lock()
	known := l.compiled[key]
	l.mu.Unlock()
	if known != nil {
		return known, nil
	}
	compiled, err := template.Compile(template.Source{Subject: t.Subject, BodyHTML: t.HTML, BodyText: t.Text})
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.compiled) >= maxCompiled {
		clear(l.compiled) // old versions are never asked for again; current ones compile in no time
	}
	l.compiled[key] = compiled
	return compiled, nil
}
