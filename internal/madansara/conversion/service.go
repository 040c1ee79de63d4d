package conversion

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

// Identity is how a server names the person who converted. At least one is set.
type Identity struct {
	UserID      string // the tenant's own id of the person
	Email       string // lower case, valid
	AnonymousID string // the tracker's id of the browser
}

// Person is who an identity is; at least one is set.
type Person struct {
	ContactUUID *uuid.UUID
	VisitorUUID *uuid.UUID
}

// People knows who an identity is, and adds whom it does not know.
type People interface {
	IdentifyTx(ctx context.Context, tx engardedb.Tx, identity Identity, at time.Time) (Person, error)
}

// Service records and reports conversions.
type Service struct {
	*Recorder

	db          *engardedb.DB
	queue       Queue
	people      People
	attribution *attribution.Service
	clock       clockwork.Clock
}

// New returns a service on db that enqueues on queue, tells facts of what it
// records (nil: nobody) and asks people who converted.
func New(db *engardedb.DB, queue Queue, facts Facts, people People, models *attribution.Service, clock clockwork.Clock) *Service {
	return &Service{
		Recorder: NewRecorder(queue, facts, clock),
		db:       db, queue: queue, people: people, attribution: models, clock: clock,
	}
}
