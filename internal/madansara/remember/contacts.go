package remember

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
)

// Contacts makes the memory follow what becomes of contacts, by jobs that commit with it.
func Contacts(jobs *memoryjobs.Jobs) contact.Memories { return contacts{jobs} }

type contacts struct{ jobs *memoryjobs.Jobs }

// MergedTx renames the subject: a search that names the person finds what was remembered of
// either. What an agent that knows the old name stores later is still erased with the
// person, because an erasure asks for the old names too.
func (c contacts) MergedTx(ctx context.Context, tx engardedb.Tx, from, into uuid.UUID) error {
	return c.jobs.RenameTx(ctx, tx, Subject(from), Subject(into))
}

// ErasedTx erases by every name that an agent may have called the person, and wherever an address
// stands.
func (c contacts) ErasedTx(ctx context.Context, tx engardedb.Tx, by string, gone contact.Gone) (uuid.UUID, error) {
	return c.jobs.PlanErasureTx(ctx, tx, by, memoryjobs.ContactErased, erasureOf(gone))
}

// Of what zerodb takes at most; who has more names is known by the first of them.
const (
	mostAliases  = 100
	mostMentions = 20
)

func erasureOf(gone contact.Gone) zerodb.Erasure {
	e := zerodb.Erasure{Subject: Subject(gone.UUID), Mentioning: []string{gone.UUID.String()}}
	alias := func(name string) {
		if len(name) <= zerodb.MaxName && name != e.Subject && len(e.Aliases) < mostAliases && !slices.Contains(e.Aliases, name) {
			e.Aliases = append(e.Aliases, name)
		}
	}
	for _, id := range gone.Merged {
		alias(Subject(id))
	}
	for _, identity := range gone.Identities {
		alias("customer:" + identity.Value)
		if identity.Kind == contact.Email {
			alias(identity.Value)
		}
		// A user id may be any number, an address or a phone number is one person's.
		unique := identity.Kind == contact.Email || identity.Kind == "phone"
		if unique && len(identity.Value) >= 5 && len(e.Mentioning) < mostMentions {
			e.Mentioning = append(e.Mentioning, identity.Value)
		}
	}
	return e
}
