package dashboard_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// mailAccounts is what is known of the company's own mail account.
type mailAccounts struct {
	mu      sync.Mutex
	own     *channel.Account
	problem error
}

func (m *mailAccounts) Own(context.Context, uuid.UUID, string, time.Time) (*channel.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.own, m.problem
}

func (m *mailAccounts) Refused(uuid.UUID, *channel.Account)         {}
func (m *mailAccounts) Unusable(uuid.UUID, *channel.Account, error) {}

func (m *mailAccounts) set(own *channel.Account, problem error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own, m.problem = own, problem
}

func TestThePagesSayWhoseAccountMailsLeaveBy(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	settings := b.get(t, "/settings")
	settings.shows(t, "Kafe Lakay &lt;bonjou@kafelakay.example&gt;")
	settings.shows(t, "This service’s mail server")
	b.get(t, "/campaigns/new").shows(t, "Sent from bonjou@kafelakay.example")

	b.mail.set(&channel.Account{From: channel.Address{Name: "Ti <b>Machann", Address: "ti@machann.example"}, Version: "1"}, nil)
	settings = b.get(t, "/settings")
	settings.shows(t, "Ti &lt;b&gt;Machann &lt;ti@machann.example&gt;")
	settings.shows(t, "Your company’s own SMTP account")
	form := b.get(t, "/campaigns/new")
	form.shows(t, "Sent from ti@machann.example")
	form.shows(t, `placeholder="Ti &lt;b&gt;Machann"`)
	form.hides(t, "bonjou@kafelakay.example")
	b.mail.set(&channel.Account{Version: "1"}, nil)
	b.get(t, "/settings").shows(t, "Whom the campaign names")

	b.mail.set(nil, &channel.Error{Kind: channel.Temporary, Stage: channel.StageAccount, Hint: "The message waits until Core answers"})
	b.get(t, "/settings").shows(t, "The message waits until Core answers.")
	b.get(t, "/campaigns/new").shows(t, "The message waits until Core answers.")
}
