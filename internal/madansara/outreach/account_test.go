package outreach_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// book is what is known of tenants' own accounts.
type book struct {
	mu       sync.Mutex
	of       map[uuid.UUID]*channel.Account
	unknown  bool
	entered  map[uuid.UUID]*channel.Account // known when it is asked for anew
	refused  []string                       // versions
	unusable []string
	since    []time.Time
}

func (b *book) Own(_ context.Context, tenant uuid.UUID, _ string, since time.Time) (*channel.Account, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = append(b.since, since)
	if b.unknown {
		return nil, &channel.Error{Kind: channel.Temporary, Stage: channel.StageAccount, Unused: true, Hint: "The message waits", Err: errors.New("Core is away")}
	}
	return b.of[tenant], nil
}

func (b *book) Refused(tenant uuid.UUID, account *channel.Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = append(b.refused, account.Version)
	if b.of[tenant] == account && b.entered[tenant] != nil {
		b.of[tenant] = b.entered[tenant]
	}
}

func (b *book) Unusable(_ uuid.UUID, account *channel.Account, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unusable = append(b.unusable, account.Version)
}

func (b *book) change(fn func(b *book)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn(b)
}

func ownAccount(p *provider, version string) *channel.Account {
	return &channel.Account{Adapter: p, From: channel.Address{Name: "Kafe Lakay", Address: "hello@kafe.example"}, Version: version}
}

// withBook gives the bundle accounts before it starts.
func withBook(t *testing.T, change ...func(c *outreach.Config)) (*bundle, *book) {
	t.Helper()
	b, accounts := setup(t), &book{of: map[uuid.UUID]*channel.Account{}, entered: map[uuid.UUID]*channel.Account{}}
	b.cfg.Accounts, b.cfg.AccountWait = accounts, 20*time.Millisecond
	for _, fn := range change {
		fn(&b.cfg)
	}
	return b.start(t), accounts
}

func refusal() error {
	return &channel.Error{Kind: channel.Misconfigured, Stage: channel.StageLogIn, Unused: true, Reply: "535 no"}
}

// senders are who the provider was told messages come from.
func (p *provider) senders() map[channel.Address]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[channel.Address]int{}
	for _, from := range p.from {
		out[from]++
	}
	return out
}

func (p *provider) openings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

func TestACampaignLeavesByTheTenantsOwnAccount(t *testing.T) {
	t.Parallel()
	b, accounts := withBook(t)
	theirs, others := &provider{}, &provider{}
	accounts.of[b.tenant], accounts.of[uuid.New()] = ownAccount(theirs, "1"), ownAccount(others, "2")
	b.contacts(t, 20)
	c := b.startCampaign(t)
	require.Equal(t, 20, b.awaitStatus(t, c.UUID, outreach.Finished).Messages[outreach.Sent])
	require.Equal(t, map[channel.Address]int{{Name: "Kafe Lakay", Address: "hello@kafe.example"}: 20}, theirs.senders())
	require.Zero(t, b.provider.count()+others.count())
	started := b.report(t, c.UUID).Campaign.StartedAt
	accounts.change(func(a *book) {
		require.False(t, a.since[len(a.since)-1].Before(*started), "what was entered before the start counts")
	})
}

func TestWhoACampaignComesFrom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own        bool
		from       channel.Address
		want       channel.Address
		refusedNow bool // when it is drafted
	}{
		"the installation's":            {false, channel.Address{}, channel.Address{Name: "The Shop", Address: "shop@example.com"}, false},
		"the installation's, by a name": {false, channel.Address{Name: "Ti"}, channel.Address{Name: "Ti", Address: "shop@example.com"}, false},
		"the installation's domain":     {false, channel.Address{Name: "Ti", Address: "ti@example.com"}, channel.Address{Name: "Ti", Address: "ti@example.com"}, false},
		"somebody else's":               {false, channel.Address{Address: "ti@bank.example"}, channel.Address{}, true},
		"one's own":                     {true, channel.Address{}, channel.Address{Name: "Kafe Lakay", Address: "hello@kafe.example"}, false},
		"one's own, by a name":          {true, channel.Address{Name: "Ti"}, channel.Address{Name: "Ti", Address: "hello@kafe.example"}, false},
		"one's own, any domain":         {true, channel.Address{Address: "ti@brand.example"}, channel.Address{Address: "ti@brand.example"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, accounts := withBook(t)
			used := b.provider
			if c.own {
				used = &provider{}
				accounts.of[b.tenant] = ownAccount(used, "1")
			}
			b.contacts(t, 1)
			campaign, err := b.service.Create(t.Context(), b.tenant, outreach.CampaignDraft{
				Name: "Spring", Segment: b.segment, Template: b.template, FromName: c.from.Name, FromEmail: c.from.Address,
			})
			if c.refusedNow {
				require.Equal(t, fault.Invalid, fault.CodeOf(err), "%v", err)
				return
			}
			require.NoError(t, err)
			_, err = b.service.Start(t.Context(), b.tenant, campaign.UUID)
			require.NoError(t, err)
			b.awaitStatus(t, campaign.UUID, outreach.Finished)
			require.Equal(t, map[channel.Address]int{c.want: 1}, used.senders())
		})
	}
}

// TestNobodyWritesInAnothersName: a campaign drafted for one's own account does not leave
// by the installation's, with a sender that is not of its domain, when the account goes.
func TestNobodyWritesInAnothersName(t *testing.T) {
	t.Parallel()
	b, accounts := withBook(t)
	accounts.of[b.tenant] = ownAccount(&provider{open: func() error {
		accounts.change(func(a *book) { delete(a.of, b.tenant) })
		return failing(channel.Temporary, channel.StageConnect)
	}}, "1")
	b.contacts(t, 3)
	c, err := b.service.Create(t.Context(), b.tenant, outreach.CampaignDraft{Name: "Spring", Segment: b.segment, Template: b.template, FromEmail: "ceo@bank.example"})
	require.NoError(t, err)
	_, err = b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	report := b.awaitStatus(t, c.UUID, outreach.Paused)
	require.Contains(t, report.Campaign.PauseReason, "not of @example.com")
	require.Zero(t, b.provider.count())
	_, err = b.service.Start(t.Context(), b.tenant, c.UUID)
	require.Equal(t, fault.Conflict, fault.CodeOf(err), "%v", err)
}

func TestMessagesWaitWhileNobodyKnowsTheAccount(t *testing.T) {
	t.Parallel()
	b, accounts := withBook(t, func(c *outreach.Config) { c.Outages = 1 })
	theirs := &provider{}
	accounts.of[b.tenant], accounts.unknown = ownAccount(theirs, "1"), true
	ids := b.contacts(t, 10)
	c := b.startCampaign(t)
	waits := func() bool {
		for _, m := range b.messages(t, outreach.MessageFilter{}) {
			if m.Error != "" {
				return m.Status == outreach.Queued || m.Status == outreach.Sending
			}
		}
		return false
	}
	require.Eventually(t, waits, time.Minute, 10*time.Millisecond)
	accounts.change(func(a *book) { a.since = nil })
	require.Eventually(t, func() bool {
		asked := 0
		accounts.change(func(a *book) { asked = len(a.since) })
		return asked > 20
	}, time.Minute, 10*time.Millisecond, "they look again")
	report := b.report(t, c.UUID)
	require.Equal(t, outreach.Running, report.Campaign.Status, "nothing that the company could do: %s", report.Campaign.PauseReason)
	require.Zero(t, theirs.count()+b.provider.count(), "never by the installation's account")
	_, err := b.service.SendBatch(t.Context(), b.tenant, "", []outreach.SingleSend{{Contact: ids[0], Template: b.newTemplate(t, b.tenant, "Your order")}})
	require.NoError(t, err, "a single send is accepted and waits")
	accounts.change(func(a *book) { a.unknown = false })
	report = b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Equal(t, 10, report.Messages[outreach.Sent])
	require.Eventually(t, func() bool { return theirs.count() == 11 }, time.Minute, 10*time.Millisecond)
	require.Zero(t, b.provider.count())
	for _, m := range b.messages(t, outreach.MessageFilter{}) {
		require.Equal(t, 1, m.Attempts, "waiting is no attempt")
		require.Empty(t, m.Error)
	}
}

func TestARefusedLogInPausesAndIsSaid(t *testing.T) {
	t.Parallel()
	b, accounts := withBook(t)
	theirs := &provider{open: refusal}
	accounts.of[b.tenant] = ownAccount(theirs, "1")
	b.contacts(t, 30)
	c := b.startCampaign(t)
	report := b.awaitStatus(t, c.UUID, outreach.Paused)
	require.Contains(t, report.Campaign.PauseReason, "535 no")
	b.await(t, c.UUID, func(r outreach.Report) bool { return r.Messages[outreach.Sending] == 0 })
	require.Equal(t, 30, b.report(t, c.UUID).Messages[outreach.Queued], "nobody is lost")
	for _, m := range b.messages(t, outreach.MessageFilter{}) {
		require.Zero(t, m.Attempts)
	}
	require.LessOrEqual(t, theirs.openings(), b.cfg.Senders, "the same log-in is not tried twice")
	require.Zero(t, b.provider.count())
	accounts.change(func(a *book) { require.Contains(t, a.unusable, "1") })

	accounts.change(func(a *book) { a.of[b.tenant] = ownAccount(&provider{}, "2") })
	_, err := b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	require.Equal(t, 30, b.awaitStatus(t, c.UUID, outreach.Finished).Messages[outreach.Sent])
}

// TestALogInThatChangedIsRenewed: at the start of a session, and in its middle.
func TestALogInThatChangedIsRenewed(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]int{"at the start": 0, "in the middle": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, accounts := withBook(t, func(c *outreach.Config) { c.Senders = 1 })
			fresh, old := &provider{}, &provider{}
			old.answer = func(channel.Message) error {
				if old.count() >= sent {
					return refusal()
				}
				return nil
			}
			if sent == 0 {
				old.open = refusal
			}
			accounts.of[b.tenant], accounts.entered[b.tenant] = ownAccount(old, "1"), ownAccount(fresh, "2")
			accounts.entered[b.tenant].From.Address = "new@kafe.example"
			b.contacts(t, 20)
			report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
			require.Equal(t, 20, report.Messages[outreach.Sent], asJSON(t, report))
			require.Equal(t, sent, old.count())
			require.Equal(t, map[channel.Address]int{{Name: "Kafe Lakay", Address: "new@kafe.example"}: 20 - sent}, fresh.senders())
			accounts.change(func(a *book) { require.Equal(t, []string{"1"}, a.refused) })
		})
	}
}

// TestAProviderThatCannotBeUsedYetIsWaitedFor: a server that is too busy to greet says
// nothing about the messages.
func TestAProviderThatCannotBeUsedYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.provider.open = func() error {
		if b.provider.opened < 3 {
			return &channel.Error{Kind: channel.Temporary, Stage: "greeting", Unused: true, Reply: "421 too many connections"}
		}
		return nil
	}
	b.cfg.Senders, b.cfg.ErrorBurst, b.cfg.Outages = 1, 2, 10
	b.start(t).contacts(t, 5)
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 5, report.Messages[outreach.Sent], asJSON(t, report))
	for _, m := range b.messages(t, outreach.MessageFilter{}) {
		require.Equal(t, 1, m.Attempts)
	}
}

func TestWithoutAnInstallationsAccount(t *testing.T) {
	t.Parallel()
	b, accounts := withBook(t, func(c *outreach.Config) { c.FromEmail, c.FromName = "", "" })
	ids := b.contacts(t, 1)
	c := b.campaign(t)
	_, err := b.service.Start(t.Context(), b.tenant, c.UUID)
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	single := []outreach.SingleSend{{Contact: ids[0], Template: b.newTemplate(t, b.tenant, "Your order")}}
	_, err = b.service.SendBatch(t.Context(), b.tenant, "", single)
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	theirs := &provider{}
	accounts.change(func(a *book) { a.of[b.tenant] = ownAccount(theirs, "1") })
	_, err = b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	b.awaitStatus(t, c.UUID, outreach.Finished)
	_, err = b.service.SendBatch(t.Context(), b.tenant, "", single)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return theirs.count() == 2 }, time.Minute, 10*time.Millisecond)
}
