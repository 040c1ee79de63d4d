package contact

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/outbox"
)

// Facts takes what Core is to know (outbox.Outbox).
type Facts interface {
	AddTx(ctx context.Context, tx engardedb.Tx, facts ...outbox.Fact) error
	MoveTx(ctx context.Context, tx engardedb.Tx, from, into []uuid.UUID) error
}

// ConsentFact is a consent as Core is told it: the latest word of a person for a channel.
type ConsentFact struct {
	ContactUUID uuid.UUID `json:"contact_uuid"`
	Channel     string    `json:"channel"`
	Status      string    `json:"status"` // granted, withdrawn
	Source      string    `json:"source"`
	RecordedAt  time.Time `json:"recorded_at"`
}

// Fact makes a fact for Core of a consent.
func (c ConsentFact) Fact() outbox.Fact {
	return outbox.Fact{Type: "consent", Customer: c.ContactUUID, Data: c, At: c.RecordedAt}
}

// mergeFact tells Core that two contacts are one person.
type mergeFact struct {
	From uuid.UUID `json:"from_contact_uuid"` // is no more
	Into uuid.UUID `json:"into_contact_uuid"`
}

// readConsents keeps the consents whose status a statement changed: saying the
// same again, as many sites do with every identify, is no news.
func (g *graph) readConsents(rows pgx.Rows) error {
	var c ConsentFact
	var before string
	_, err := pgx.ForEachRow(rows, []any{&c.ContactUUID, &c.Channel, &c.Status, &c.Source, &c.RecordedAt, &before}, func() error {
		if c.Status != before {
			g.consents = append(g.consents, c)
		}
		return nil
	})
	return err //nolint:wrapcheck // wrapped where the batch is sent
}

// tell tells Core and the memory what save has changed, and lines up what waits of visitors and
// contacts that turned out to be somebody.
func (g *graph) tell(ctx context.Context, tx engardedb.Tx, followers Followers) error {
	if followers.Memories != nil {
		for _, p := range g.merged {
			if p.isNew {
				continue // nobody has heard of it
			}
			if err := followers.Memories.MergedTx(ctx, tx, p.id, p.root().id); err != nil {
				return err
			}
		}
	}
	facts := followers.Facts
	if facts == nil {
		return nil
	}
	var from, into []uuid.UUID
	var tell []outbox.Fact
	for _, p := range g.merged {
		if p.isNew {
			continue // nobody has heard of it
		}
		from, into = append(from, p.id), append(into, p.root().id)
		tell = append(tell, outbox.Fact{Type: "contact_merge", Customer: p.root().id, Data: mergeFact{p.id, p.root().id}, At: g.now})
	}
	for _, visitor := range g.linked {
		from, into = append(from, visitor), append(into, g.visitors[visitor].root().id)
	}
	for _, c := range g.consents {
		tell = append(tell, c.Fact())
	}
	if err := facts.MoveTx(ctx, tx, from, into); err != nil {
		return err
	}
	return facts.AddTx(ctx, tx, tell...)
}
