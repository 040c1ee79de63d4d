package conversion

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/outbox"
	"github.com/engardehq/madansara/mesh"
)

// Facts takes what Core is to know (outbox.Outbox).
type Facts interface {
	AddTx(ctx context.Context, tx engardedb.Tx, facts ...outbox.Fact) error
	MoveTx(ctx context.Context, tx engardedb.Tx, from, into []uuid.UUID) error
}

// Types of the facts that Core is told.
const (
	factConversion = "conversion"
	factRefund     = "refund"
)

// told is a conversion or a refund as Core is told it.
type told struct {
	ConversionUUID uuid.UUID       `json:"conversion_uuid"`
	Name           string          `json:"name"`
	ExternalID     string          `json:"external_id"`
	RefundOf       string          `json:"refund_of,omitempty"` // the number of the order
	VisitorUUID    *uuid.UUID      `json:"visitor_uuid,omitempty"`
	ContactUUID    *uuid.UUID      `json:"contact_uuid,omitempty"`
	SessionUUID    *uuid.UUID      `json:"session_uuid,omitempty"`
	Revenue        mesh.Money      `json:"revenue"` // negative for a refund
	Properties     json.RawMessage `json:"properties"`
	OccurredAt     time.Time       `json:"occurred_at"`
}

// tell tells Core the new conversions, whose currencies are given: orders first,
// then the refunds, which belong to the customers of their orders and so arrive
// after them.
func (r *Recorder) tell(ctx context.Context, tx engardedb.Tx, cols columns, currencies map[uuid.UUID]string) error {
	if r.facts == nil || len(currencies) == 0 {
		return nil
	}
	buyers, err := buyers(ctx, tx, cols, currencies)
	if err != nil {
		return fmt.Errorf("find whose orders are refunded: %w", err)
	}
	var facts []outbox.Fact
	for i, id := range cols.ids {
		currency, isNew := currencies[id]
		if !isNew {
			continue
		}
		data := told{
			ConversionUUID: id, Name: cols.names[i], ExternalID: cols.externalIDs[i],
			VisitorUUID: cols.visitors[i], ContactUUID: cols.contacts[i], SessionUUID: cols.sessions[i],
			Revenue:    mesh.Money{Amount: cols.revenues[i], Currency: currency},
			Properties: json.RawMessage(cols.properties[i]), OccurredAt: cols.occurredAts[i],
		}
		fact := outbox.Fact{Type: factConversion, Customer: *cmp.Or(data.ContactUUID, data.VisitorUUID, &id), At: data.OccurredAt}
		if of := cols.refundOfs[i]; of != nil {
			fact.Type, data.RefundOf = factRefund, *of
			if buyer, known := buyers[*of]; known {
				fact.Customer = buyer
			}
		}
		fact.Data = data
		facts = append(facts, fact)
	}
	slices.SortStableFunc(facts, func(a, b outbox.Fact) int { // "conversion" comes before "refund"
		return cmp.Or(cmp.Compare(a.Type, b.Type), a.At.Compare(b.At))
	})
	return r.facts.AddTx(ctx, tx, facts...)
}

// buyers returns the customers of the orders that new refunds are for, by the
// orders' numbers.
func buyers(ctx context.Context, tx engardedb.Tx, cols columns, isNew map[uuid.UUID]string) (map[string]uuid.UUID, error) {
	var orders []string
	for i, of := range cols.refundOfs {
		if _, ok := isNew[cols.ids[i]]; ok && of != nil {
			orders = append(orders, *of)
		}
	}
	buyers := make(map[string]uuid.UUID, len(orders))
	if len(orders) == 0 {
		return buyers, nil
	}
	const query = `
		SELECT DISTINCT ON (external_id) external_id, COALESCE(contact_uuid, visitor_uuid, conversion_uuid) FROM conversion_events
		WHERE tenant_uuid = $1 AND external_id = ANY ($2) AND refund_of IS NULL ORDER BY external_id, received_at`
	rows, err := tx.Query(ctx, query, tx.Tenant(), orders)
	if err != nil {
		return nil, err
	}
	var order string
	var buyer uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&order, &buyer}, func() error {
		buyers[order] = buyer
		return nil
	})
	return buyers, err
}

// lineUp makes what waits of a conversion's visitor wait as its contact's, which
// a conversion that has learnt its person shows to be one.
func (r *Recorder) lineUp(ctx context.Context, tx engardedb.Tx, known []completed) error {
	if r.facts == nil {
		return nil
	}
	var visitors, contacts []uuid.UUID
	for _, c := range known {
		if c.Visitor != nil && c.Contact != nil {
			visitors, contacts = append(visitors, *c.Visitor), append(contacts, *c.Contact)
		}
	}
	return r.facts.MoveTx(ctx, tx, visitors, contacts)
}
