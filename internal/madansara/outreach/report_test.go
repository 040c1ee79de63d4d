package outreach_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/outreach"
)

func TestManyReportsAreEachCampaignsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	people := b.contacts(t, 3)
	campaigns := []outreach.Campaign{b.campaign(t), b.campaign(t), b.campaign(t)}
	for i, c := range campaigns {
		for _, contact := range people[:i] { // none, one, two
			b.exec(t, b.tenant, `INSERT INTO outreach_messages (tenant_uuid, message_uuid, campaign_uuid, contact_uuid, template_uuid, channel, address, status, not_before, created_at, sent_at)
				VALUES ($1, $2, $3, $4, $5, 'email', 'a@example.com', 'sent', $6, $6, $6)`, b.tenant, uuid.New(), c.UUID, contact, b.template, time.Now())
			b.exec(t, b.tenant, `INSERT INTO outreach_decisions (tenant_uuid, decision_uuid, campaign_uuid, contact_uuid, outcome, channel, reasons, decided_at)
				VALUES ($1, $2, $3, $4, 'send', 'email', '[{"code":"within_frequency_caps","text":"."}]', now())`, b.tenant, uuid.New(), c.UUID, contact)
		}
	}
	newest, err := b.service.Reports(t.Context(), b.tenant, uuid.Nil, 2)
	require.NoError(t, err)
	oldest, err := b.service.Reports(t.Context(), b.tenant, newest[1].Campaign.UUID, 2)
	require.NoError(t, err)
	reports := append(newest, oldest...)
	require.Len(t, reports, 3)
	for i, report := range reports {
		n := 2 - i // the newest first
		require.Equal(t, campaigns[n].UUID, report.Campaign.UUID)
		require.Equal(t, n, report.Messages[outreach.Sent])
		require.Equal(t, n, report.Decided)
		require.Equal(t, b.report(t, campaigns[n].UUID), report, "one report at a time says the same")
		require.Equal(t, []string{"Everybody", "T"}, []string{report.SegmentName, report.TemplateName})
	}
}

func TestAnAddressesSuppressionsAreFound(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	require.NoError(t, b.service.Suppress(t.Context(), b.tenant, "email", "a@example.com", "bounced"))
	require.NoError(t, b.service.Suppress(t.Context(), b.tenant, "email", "b@example.com", "manual"))
	found, err := b.service.SuppressionsOf(t.Context(), b.tenant, " A@Example.com")
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "bounced", found[0].Reason)
}
