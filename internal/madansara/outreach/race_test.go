package outreach_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// Two processes work on one campaign and write to nobody twice.
func TestTwoProcessesShareACampaign(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Senders = 8
	b.start(t)
	b.workers(t)
	b.contacts(t, 3000)
	c := b.startCampaign(t)
	report := b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Equal(t, 3000, report.Messages[outreach.Sent], asJSON(t, report.Messages))
	require.Equal(t, 3000, b.provider.count())
	require.Len(t, b.provider.accepted, 3000)
}

// However often a campaign is paused and resumed, from several sides at once,
// it ends, with one mail for everybody.
func TestPauseAndResumeRace(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	b.contacts(t, 2500)
	c := b.startCampaign(t)
	var sides sync.WaitGroup
	for range 3 {
		sides.Go(func() {
			for range 25 {
				if rand.IntN(2) == 0 {
					ignoreConflict(t, func() error { _, err := b.service.Pause(t.Context(), b.tenant, c.UUID, "lunch"); return err })
				} else {
					ignoreConflict(t, func() error { _, err := b.service.Start(t.Context(), b.tenant, c.UUID); return err })
				}
			}
		})
	}
	sides.Wait()
	ignoreConflict(t, func() error { _, err := b.service.Start(t.Context(), b.tenant, c.UUID); return err })
	report := b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Equal(t, 2500, report.Messages[outreach.Sent], asJSON(t, report.Messages))
	require.Equal(t, 2500, b.provider.count())
	require.Equal(t, 2500, report.Decided)
}

func ignoreConflict(t *testing.T, do func() error) {
	t.Helper()
	if err := do(); err != nil && fault.CodeOf(err) != fault.Conflict {
		t.Error(err)
	}
}

// A pause holds back everything but what was already in the air.
func TestPauseStopsAtTheNextMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reached, goOn := make(chan struct{}, 1000), make(chan struct{})
	b.provider.answer = func(channel.Message) error {
		reached <- struct{}{}
		<-goOn
		return nil
	}
	b.start(t).contacts(t, 100)
	c := b.startCampaign(t)
	for range b.cfg.Senders {
		<-reached
	}
	paused, err := b.service.Pause(t.Context(), b.tenant, c.UUID, "typo in the subject")
	require.NoError(t, err)
	require.Equal(t, "typo in the subject", paused.PauseReason)
	close(goOn)
	report := b.await(t, c.UUID, func(r outreach.Report) bool { return r.Messages[outreach.Sending] == 0 })
	require.Equal(t, b.cfg.Senders, report.Messages[outreach.Sent])
	require.Equal(t, 100-b.cfg.Senders, report.Messages[outreach.Queued])
	b.awaitJobs(t, 0) // the senders have given up their places
	_, err = b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	require.Equal(t, 100, b.awaitStatus(t, c.UUID, outreach.Finished).Messages[outreach.Sent])
}

func (b *bundle) awaitJobs(t *testing.T, unfinished int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, b.db.Pool().QueryRow(t.Context(), "SELECT count(*) FROM river.river_job WHERE state <> 'completed'").Scan(&n))
		return n == unfinished
	}, time.Minute, 20*time.Millisecond)
}

// Two campaigns that expand at once don't break a contact's frequency cap.
func TestCampaignsAtOnceKeepTheCaps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Policy = outreach.Policy{PerDay: 2, PerWeek: 5, Duplicate: 24 * time.Hour}
	b.start(t).contacts(t, 50)
	var ids []uuid.UUID
	for range 5 {
		b.template = b.newTemplate(t, b.tenant, "About "+uuid.NewString())
		ids = append(ids, b.startCampaign(t).UUID)
	}
	for _, id := range ids {
		b.awaitStatus(t, id, outreach.Finished)
	}
	for address, messages := range b.provider.accepted {
		require.Len(t, messages, 2, address)
	}
}

// A sender that was thought dead, but whose mail the server accepted, has the last word.
func TestALateAnswerBeatsUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Senders = 1
	b.start(t).contacts(t, 1)
	b.provider.answer = func(m channel.Message) error {
		return b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			tag, err := tx.Exec(ctx, `UPDATE outreach_messages SET status = 'unknown' WHERE message_uuid = $1 AND status = 'sending'`, m.UUID)
			if err == nil && tag.RowsAffected() != 1 {
				err = errors.New("the message was not marked as being sent before the server was asked")
			}
			return err
		})
	}
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 1, report.Messages[outreach.Sent], asJSON(t, report.Messages))
}

func TestTheRateIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	b.contacts(t, 45)
	c, err := b.service.Create(t.Context(), b.tenant, outreach.CampaignDraft{Name: "Slow", Segment: b.segment, Template: b.template, RatePerSecond: 20})
	require.NoError(t, err)
	began := time.Now()
	_, err = b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Greater(t, time.Since(began), 2*time.Second, "45 messages at 20 a second")
}

// A server that never answers holds a sender no longer than its job may take,
// which is over before another could take the job for stuck; that the message's
// fate is unknown is recorded after the time is up.
func TestASilentServerHoldsNobodyForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Slice, b.cfg.SendTimeout = 500*time.Millisecond, 4*time.Second
	b.provider.hang = func(m channel.Message) bool { return m.To.Address == "person5@example.com" }
	b.start(t).contacts(t, 20)
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 19, report.Messages[outreach.Sent], asJSON(t, report.Messages))
	require.Equal(t, 1, report.Messages[outreach.Unknown])
	unknown := b.messages(t, outreach.MessageFilter{Status: outreach.Unknown})[0]
	require.Contains(t, unknown.Error, "final dot")
}

// A letter that a job's end interrupts was never handed to anybody: the next run
// sends it.
func TestAJobThatEndsWhileRenderingLosesNoMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// The job ends after both together; a message of a busy machine may take all of the second.
	b.cfg.Slice, b.cfg.SendTimeout = 300*time.Millisecond, 4*time.Second
	var interrupted sync.Once
	b.rendering = func(ctx context.Context, letter outreach.Letter) (err error) {
		if letter.Recipient.Email == "person5@example.com" {
			interrupted.Do(func() {
				<-ctx.Done()
				err = ctx.Err()
			})
		}
		return err
	}
	b.start(t).contacts(t, 20)
	report := b.awaitStatus(t, b.startCampaign(t).UUID, outreach.Finished)
	require.Equal(t, 20, report.Messages[outreach.Sent], asJSON(t, report.Messages))
}

// A running campaign is one text: editing its template changes nothing of it,
// and the text that left is what counts as the same content later.
func TestACampaignSendsItsTemplateAsItWasAtTheStart(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	b.contacts(t, 200)
	c := b.campaign(t)
	require.Nil(t, b.report(t, c.UUID).Text)
	b.provider.answer = func(channel.Message) error {
		return &channel.Error{Kind: channel.Misconfigured, Stage: "auth", Err: errors.New("535")}
	}
	_, err := b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	b.awaitStatus(t, c.UUID, outreach.Paused)
	require.False(t, b.report(t, c.UUID).Text.TemplateChanged)
	b.exec(t, b.tenant, "UPDATE channel_templates SET subject = 'Edited', body_html = '<p>Edited</p>', updated_at = now()")

	var subjects sync.Map
	b.provider.answer = func(m channel.Message) error { subjects.Store(m.Subject+m.HTML[:9], true); return nil }
	_, err = b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	report := b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Equal(t, 200, report.Messages[outreach.Sent])
	subjects.Range(func(text, _ any) bool {
		require.Equal(t, "Hello Ti<p>Hi</p>", text)
		return true
	})
	require.Equal(t, "Hello {{ contact.first_name }}", report.Text.Subject)
	require.True(t, report.Text.TemplateChanged)

	b.template = b.newTemplate(t, b.tenant, "Hello {{ contact.first_name }}")
	again := b.startCampaign(t)
	report = b.awaitStatus(t, again.UUID, outreach.Finished)
	require.Equal(t, 0, report.Messages[outreach.Sent], "the same content has just been there")
	require.Equal(t, []outreach.DecisionCount{{Outcome: outreach.Skip, Code: outreach.CodeDuplicate, Contacts: 200}}, report.Decisions)
}
