package conversion_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/outbox"
	"github.com/engardehq/madansara/internal/money"
)

// Core is told each conversion and refund once, in the transaction that records
// it, and a refund as its order's customer's.
func TestCoreIsToldConversionsAndRefunds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	facts := outbox.New(b.db, b.queue, b.clock)
	b.recorder = conversion.NewRecorder(b.queue, facts, b.clock)
	visitor, contact := uuid.New(), uuid.New()
	order := conversion.Conversion{
		Name: "Order Completed", ExternalID: "A-1", VisitorUUID: &visitor, Amount: money.Amount{Minor: 1990, Currency: "EUR"},
		Properties: json.RawMessage(`{"coupon":"LAKAY"}`), OccurredAt: noon, ReceivedAt: noon.Add(time.Second),
	}
	refund := conversion.Conversion{
		Name: "Order Refunded", ExternalID: "R-1", RefundOf: "A-1", Amount: money.Amount{Minor: 500, Currency: "EUR"},
		OccurredAt: noon.Add(-time.Hour), ReceivedAt: noon.Add(time.Second),
	}
	recorded := b.record(t, refund, order, order)
	b.record(t, order, refund) // again
	told, err := facts.List(t.Context(), b.tenant, outbox.Filter{Status: "pending"}, 0, 100)
	require.NoError(t, err)
	require.Len(t, told, 2)
	require.Equal(t, []string{"refund", "conversion"}, []string{told[0].Type, told[1].Type}, "the latest first")
	for _, fact := range told {
		require.Equal(t, visitor, fact.CustomerUUID)
	}
	require.JSONEq(t, `{
		"conversion_uuid":"`+recorded[1].ConversionUUID.String()+`", "name":"Order Completed", "external_id":"A-1", "visitor_uuid":"`+visitor.String()+`",
		"revenue":{"amount":1990,"currency":"EUR"}, "properties":{"coupon":"LAKAY"}, "occurred_at":"2026-03-10T12:00:00Z"}`, string(told[1].Data))
	require.JSONEq(t, `{
		"conversion_uuid":"`+recorded[0].ConversionUUID.String()+`", "name":"Order Refunded", "external_id":"R-1", "refund_of":"A-1",
		"revenue":{"amount":-500,"currency":"EUR"}, "properties":{}, "occurred_at":"2026-03-10T11:00:00Z"}`, string(told[0].Data))

	// Nothing is told of what is rolled back.
	err = b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		order.ExternalID = "A-2"
		_, err := b.recorder.RecordTx(ctx, tx, []conversion.Conversion{order})
		require.NoError(t, err)
		return context.Canceled
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 2, one[int](t, b, "SELECT count(*) FROM outbox_facts"))

	// The shop's server names the contact of the order: what waits of the
	// browser's visitor waits as the contact's now.
	order.ExternalID, order.VisitorUUID, order.ContactUUID = "A-1", nil, &contact
	b.record(t, order)
	require.Equal(t, 2, one[int](t, b, "SELECT count(*) FROM outbox_facts WHERE lane_uuid = $1", contact))
}
