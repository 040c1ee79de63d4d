package outreach_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

func failing(kind channel.Kind, stage string) error {
	return &channel.Error{Kind: kind, Stage: stage, Reply: "550 <script>no</script>"}
}

func TestATemporaryFailureIsTriedAgainAFewTimes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var hopeless, patient atomic.Int32
	b.provider.answer = func(m channel.Message) error {
		switch {
		case m.To.Address == "person0@example.com":
			hopeless.Add(1)
			return failing(channel.Temporary, "rcpt")
		case m.To.Address == "person1@example.com" && patient.Add(1) < 3:
			return failing(channel.Temporary, "data")
		}
		return nil
	}
	b.start(t).contacts(t, 10)
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 9, report.Messages[outreach.Sent], asJSON(t, report.Messages))
	require.Equal(t, 1, report.Messages[outreach.Failed])
	require.EqualValues(t, b.cfg.MaxAttempts, hopeless.Load())
	failed := b.messages(t, outreach.MessageFilter{Status: outreach.Failed})
	require.Contains(t, failed[0].Error, "550 <script>no</script>")
}

func TestADeadAddressIsSuppressed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.provider.answer = func(m channel.Message) error {
		if m.To.Address == "person3@example.com" {
			return failing(channel.Permanent, "rcpt")
		}
		if m.To.Address == "person4@example.com" {
			return failing(channel.Rejected, "data")
		}
		return nil
	}
	b.start(t).contacts(t, 10)
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 8, report.Messages[outreach.Sent])
	require.Equal(t, 2, report.Messages[outreach.Failed])
	suppressed, err := b.service.Suppressions(t.Context(), b.tenant, "", outreach.Suppression{}, 10)
	require.NoError(t, err)
	require.Len(t, suppressed, 1, "a rejected message is not its recipient's fault")
	require.Equal(t, "person3@example.com", suppressed[0].Address)
	require.Equal(t, "bounced", suppressed[0].Reason)
}

func TestAnUncertainMessageWaitsForAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var asked atomic.Int32
	b.provider.answer = func(m channel.Message) error {
		if m.To.Address != "person2@example.com" {
			return nil
		}
		if asked.Add(1) == 1 {
			return failing(channel.Uncertain, "final dot")
		}
		return nil
	}
	b.start(t).contacts(t, 5)
	c := b.startCampaign(t)
	report := b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Equal(t, 1, report.Messages[outreach.Unknown])
	require.EqualValues(t, 1, asked.Load(), "it is never sent again by itself")

	unknown := b.messages(t, outreach.MessageFilter{Status: outreach.Unknown})[0]
	_, err := b.service.Resolve(t.Context(), b.tenant, unknown.UUID, outreach.SendAgain, "Marie")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.report(t, c.UUID).Messages[outreach.Sent] == 5 }, time.Minute, 20*time.Millisecond)
	b.awaitStatus(t, c.UUID, outreach.Finished)
	m, err := b.service.Message(t.Context(), b.tenant, unknown.UUID)
	require.NoError(t, err)
	require.Equal(t, "Marie", m.ResolvedBy)
}

func TestAWrongSetUpPausesTheCampaignAndLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wrong atomic.Bool
	wrong.Store(true)
	b.provider.open = func() error {
		if wrong.Load() {
			return failing(channel.Misconfigured, "auth")
		}
		return nil
	}
	b.start(t).contacts(t, 20)
	c := b.startCampaign(t)
	report := b.awaitStatus(t, c.UUID, outreach.Paused)
	require.Contains(t, report.Campaign.PauseReason, "not set up right")
	require.Zero(t, b.provider.count())
	wrong.Store(false)
	b.await(t, c.UUID, func(r outreach.Report) bool { return r.Messages[outreach.Sending] == 0 })
	_, err := b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	report = b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Equal(t, 20, report.Messages[outreach.Sent])
	require.Empty(t, report.Campaign.PauseReason)
}

func TestABurstOfFailuresPausesTheCampaign(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.provider.answer = func(channel.Message) error { return failing(channel.Rejected, "data") }
	b.start(t).contacts(t, 200)
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Paused)
	require.Contains(t, report.Campaign.PauseReason, "in a row failed")
	require.LessOrEqual(t, report.Messages[outreach.Failed], b.cfg.Senders*b.cfg.ErrorBurst)
	require.GreaterOrEqual(t, report.Messages[outreach.Queued], 200-b.cfg.Senders*b.cfg.ErrorBurst-b.cfg.Senders)
}

func TestAnOutageIsWaitedOutAndThenPauses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var down atomic.Bool
	down.Store(true)
	b.provider.open = func() error {
		if down.Load() {
			return failing(channel.Temporary, "connect")
		}
		return nil
	}
	b.start(t).contacts(t, 20)
	c := b.startCampaign(t)
	report := b.awaitStatus(t, c.UUID, outreach.Paused)
	require.Contains(t, report.Campaign.PauseReason, "could not be reached")
	b.await(t, c.UUID, func(r outreach.Report) bool { return r.Messages[outreach.Sending] == 0 })
	for _, m := range b.messages(t, outreach.MessageFilter{}) {
		require.Zero(t, m.Attempts, "an outage is not the messages' fault")
	}
	down.Store(false)
	_, err := b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	require.Equal(t, 20, b.awaitStatus(t, c.UUID, outreach.Finished).Messages[outreach.Sent])
}

func TestATemplateThatCannotBeRenderedFailsItsMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template = b.newTemplate(t, b.tenant, "{% for i in (1..100000000) %}{% for j in (1..100000000) %}x{% endfor %}{% endfor %}")
	b.start(t).contacts(t, 3)
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 3, report.Messages[outreach.Failed], asJSON(t, report.Messages))
	require.Zero(t, b.provider.count())
}

// Whoever unsubscribes or is suppressed after the decision is not written to.
func TestConsentIsAskedAgainBeforeTheMessageLeaves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Senders = 1
	b.start(t)
	ids := b.contacts(t, 30)
	var first atomic.Bool
	b.provider.answer = func(channel.Message) error {
		if !first.CompareAndSwap(false, true) {
			return nil
		}
		return b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE consents SET status = 'withdrawn' WHERE contact_uuid = $1`, ids[10])
			_, err2 := tx.Exec(ctx, `INSERT INTO suppressions VALUES ($1, 'email', 'person20@example.com', 'complained', now())`, b.tenant)
			return errors.Join(err, err2)
		})
	}
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 2, report.Messages[outreach.Cancelled], asJSON(t, report.Messages))
	require.Equal(t, 28, report.Messages[outreach.Sent])
	require.NotContains(t, b.provider.accepted, "person10@example.com")
	require.NotContains(t, b.provider.accepted, "person20@example.com")
}

func TestPipelineSkipsWithReasons(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	ids := b.contacts(t, 7)
	b.exec(t, b.tenant, `UPDATE contacts SET email = NULL WHERE contact_uuid = $1`, ids[0])
	b.exec(t, b.tenant, `DELETE FROM consents WHERE contact_uuid = $1`, ids[1])
	b.exec(t, b.tenant, `UPDATE consents SET status = 'withdrawn' WHERE contact_uuid = $1`, ids[2])
	require.NoError(t, b.service.Suppress(t.Context(), b.tenant, "email", " PERSON3@example.com ", "manual"))
	b.past(t, ids[4], b.template, time.Hour)
	for range 2 {
		b.past(t, ids[5], b.newTemplate(t, b.tenant, uuid.NewString()), time.Hour)
	}
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	got := map[string]int{}
	for _, d := range report.Decisions {
		got[d.Code] += d.Contacts
	}
	require.Equal(t, map[string]int{
		outreach.CodeNoAddress: 1, outreach.CodeNoConsent: 1, outreach.CodeConsentWithdrawn: 1, outreach.CodeSuppressed: 1,
		outreach.CodeDuplicate: 1, outreach.CodeDayCap: 1, outreach.CodeWithinCaps: 1,
	}, got)
	require.Equal(t, []string{"person6@example.com"}, keys(b.provider.accepted))

	// A second campaign of the same content finds the mail of the first.
	second := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Zero(t, second.Messages[outreach.Sent])
}

func (b *bundle) past(t *testing.T, contact, template uuid.UUID, ago time.Duration) {
	t.Helper()
	b.exec(t, b.tenant, `INSERT INTO outreach_messages (tenant_uuid, message_uuid, contact_uuid, template_uuid, channel, address, status, not_before, created_at, sent_at)
		VALUES ($1, $2, $3, $4, 'email', 'x@example.com', 'sent', $5, $5, $5)`, b.tenant, uuid.New(), contact, template, time.Now().Add(-ago))
}

func keys(m map[string][]uuid.UUID) (out []string) {
	for key := range m {
		out = append(out, key)
	}
	return out
}

func TestLongErrorsAreClipped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.provider.answer = func(channel.Message) error {
		return &channel.Error{Kind: channel.Rejected, Stage: "data", Err: errors.New(strings.Repeat("é\x00", 10_000))}
	}
	b.start(t).contacts(t, 1)
	b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.LessOrEqual(t, len(b.messages(t, outreach.MessageFilter{})[0].Error), 500)
}
