package outreach_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/outreach"
)

func TestACampaignWritesToEverybodyOnce(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	ids := b.contacts(t, 250)
	c := b.startCampaign(t)

	report := b.awaitStatus(t, c.UUID, outreach.Finished)
	require.Equal(t, 250, report.Messages[outreach.Sent], asJSON(t, report))
	require.Len(t, b.provider.accepted, 250)
	for address, messages := range b.provider.accepted {
		require.Len(t, messages, 1, address)
	}
	require.InDelta(t, 1, report.Progress, 0)
	decisions, err := b.service.Decisions(t.Context(), b.tenant, c.UUID, outreach.DecisionFilter{}, ids[0], 5)
	require.NoError(t, err)
	require.Equal(t, ids[1], decisions[0].Contact)
	require.Len(t, decisions[0].Reasons, 5)
	message, err := b.service.Message(t.Context(), b.tenant, decisions[0].Decision)
	require.NoError(t, err)
	require.Equal(t, "Hello Ti", message.Subject)
	require.Equal(t, "250 ok", message.ProviderReply)
	require.NotNil(t, message.SentAt)
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.metrics)
	metrics, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, metrics, 1)
	require.Len(t, metrics[0].GetMetric(), 1, "nothing but sent")
	require.InDelta(t, 250, metrics[0].GetMetric()[0].GetCounter().GetValue(), 0)
}
