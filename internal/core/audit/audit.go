package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/audit/auditdb"
	"github.com/engardehq/madansara/internal/httpkit"
)

// Act is what somebody did.
type Act struct {
	Action     string // "key.created": a thing, what was done to it
	ObjectType string // "key"
	Object     string // its id
	// Details are what else is worth knowing, never a secret; nil for nothing.
	Details map[string]any
}

// On is an act whose object's type is what the action names first: "key.created"
// is done to a key.
func On(action, object string, details map[string]any) Act {
	kind, _, _ := strings.Cut(action, ".")
	return Act{Action: action, ObjectType: kind, Object: object, Details: details}
}

type actorKey struct{}

type actor struct{ id, name string }

// WithActor says who acts where no request tells: a command or a job.
func WithActor(ctx context.Context, id, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{id, name})
}

// actorOf is whom ctx acts for: who was named, else the request's principal.
func actorOf(ctx context.Context) actor {
	if named, ok := ctx.Value(actorKey{}).(actor); ok {
		return named
	}
	if principal, ok := httpkit.PrincipalFrom(ctx); ok {
		return actor{principal.ID, principal.Name}
	}
	return actor{"system", ""}
}

// Record adds the act to the log of tx's tenant, in tx.
func Record(ctx context.Context, tx engardedb.Tx, at time.Time, act Act) error {
	if act.Details == nil {
		act.Details = map[string]any{}
	}
	details, err := json.Marshal(act.Details)
	if err != nil {
		return fmt.Errorf("audit %s: %w", act.Action, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit %s: %w", act.Action, err)
	}
	who := actorOf(ctx)
	err = auditdb.New(tx).InsertEntry(ctx, auditdb.InsertEntryParams{
		TenantUUID: tx.Tenant(), EntryUUID: id, At: at.UTC(), Actor: who.id, ActorName: who.name,
		Action: act.Action, ObjectType: act.ObjectType, Object: act.Object, Details: details,
		Address: httpkit.ClientIP(ctx), RequestID: httpkit.RequestID(ctx),
	})
	if err != nil {
		return fmt.Errorf("audit %s: %w", act.Action, err)
	}
	return nil
}
