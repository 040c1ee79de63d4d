package zerodb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Erasure asks for all that is known of somebody to be deleted.
type Erasure struct {
	// Subject is whose memories go: those with this Subject. Required.
	Subject string `json:"subject"`
	// Aliases are other names that memories know the same subject by: those with one of
	// them as their Subject go too. Up to 100.
	Aliases []string `json:"aliases,omitempty"`
	// Mentioning are words that name the subject wherever they stand, such as an
	// e-mail address or a phone number: memories whose content, subject, key, provenance or
	// metadata contains one (without regard to case) go too. At least 5 bytes each, up to 20.
	Mentioning []string `json:"mentioning,omitempty"`
}

// ErasureReceipt proves an erasure without repeating what was erased.
type ErasureReceipt struct {
	ID         uuid.UUID    `json:"id"`
	Subject    string       `json:"subject_sha256"` // of the subject, in hexadecimal
	Erased     int          `json:"erased"`
	ByType     map[Type]int `json:"by_type"`
	Agents     []string     `json:"agents"` // whose memories were erased
	Digest     string       `json:"digest"` // SHA-256 over the erased memories' IDs, sorted
	Remaining  int          `json:"remaining"`
	Backend    string       `json:"backend"`
	StartedAt  time.Time    `json:"started_at"`
	FinishedAt time.Time    `json:"finished_at"`
}

// Erase deletes one subject's memories of all types, scopes and agents, every
// version of them. It looks again afterwards: Remaining counts what came back
// meanwhile, 0 for nothing. A memory that speaks of the subject by words that
// were not named can't be known, and stays. Backups of the back end are not touched.
//
// With an error the receipt tells what was erased before it.
func (t Tenant) Erase(ctx context.Context, e Erasure) (ErasureReceipt, error) {
	if err := t.check(); err != nil {
		return ErasureReceipt{}, err
	}
	if err := e.Check(); err != nil {
		return ErasureReceipt{}, err
	}
	sum := sha256.Sum256([]byte(e.Subject))
	receipt := ErasureReceipt{
		ID: uuid.Must(uuid.NewV7()), Subject: hex.EncodeToString(sum[:]), ByType: map[Type]int{},
		Backend: t.client.backend.Name(), StartedAt: t.client.now(),
	}
	var ids []uuid.UUID
	erase := func(page []Memory) error {
		byScope := map[Scope][]*Memory{}
		for i := range page {
			if m := &page[i]; e.concerns(m) {
				byScope[m.Scope] = append(byScope[m.Scope], m)
			}
		}
		for scope, concerned := range byScope {
			err := t.client.backend.Change(ctx, t.id, []Scope{scope}, func(ctx context.Context, w Writer) error {
				return w.Delete(ctx, idsOf(concerned))
			})
			if err != nil {
				return err
			}
			ids = append(ids, idsOf(concerned)...)
			receipt.count(concerned)
		}
		return nil
	}
	err := t.eachOf(ctx, e, erase)
	if err == nil {
		err = t.eachOf(ctx, e, func(page []Memory) error {
			for i := range page {
				if e.concerns(&page[i]) {
					receipt.Remaining++
				}
			}
			return nil
		})
	}
	receipt.Erased, receipt.Digest, receipt.FinishedAt = len(ids), digest(ids), t.client.now()
	slices.Sort(receipt.Agents)
	return receipt, err
}

func idsOf(memories []*Memory) []uuid.UUID {
	ids := make([]uuid.UUID, len(memories))
	for i, m := range memories {
		ids[i] = m.ID
	}
	return ids
}

func (r *ErasureReceipt) count(erased []*Memory) {
	for _, m := range erased {
		r.ByType[m.Type]++
		if !slices.Contains(r.Agents, m.Agent) {
			r.Agents = append(r.Agents, m.Agent)
		}
	}
}

// eachOf pages through what may concern the subject, expired memories too.
func (t Tenant) eachOf(ctx context.Context, e Erasure, fn func([]Memory) error) error {
	subjects := []string{""} // who is mentioned may be so anywhere
	if len(e.Mentioning) == 0 {
		subjects = append(slices.Clone(e.Aliases), e.Subject)
	}
	for _, subject := range subjects {
		for _, expired := range []bool{false, true} {
			filter := Filter{Audience: Audience{Everyone: true}, Subject: subject, History: true, Expired: expired}
			if err := t.each(ctx, filter, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// Check says whether the erasure can be asked for.
func (e *Erasure) Check() error {
	if err := checkName("subject", e.Subject, true); err != nil {
		return err
	}
	if len(e.Aliases) > 100 {
		return invalid("aliases", "give at most 100 names")
	}
	for i, alias := range e.Aliases {
		if err := checkName(fmt.Sprintf("aliases[%d]", i), alias, true); err != nil {
			return err
		}
	}
	if len(e.Mentioning) > 20 {
		return invalid("mentioning", "give at most 20 texts")
	}
	for i, text := range e.Mentioning {
		if len(strings.TrimSpace(text)) < 5 {
			return invalid(fmt.Sprintf("mentioning[%d]", i), "is too short to name somebody: give at least 5 characters")
		}
	}
	return nil
}

func (e *Erasure) concerns(m *Memory) bool {
	if m.Subject == e.Subject || m.Subject != "" && slices.Contains(e.Aliases, m.Subject) {
		return true
	}
	texts := []string{m.Content, m.Subject, m.Key, m.Provenance.Service, m.Provenance.Source, m.Provenance.Reference}
	return slices.ContainsFunc(e.Mentioning, func(named string) bool {
		named = strings.ToLower(named)
		mentioned := func(text string) bool { return strings.Contains(strings.ToLower(text), named) }
		return slices.ContainsFunc(texts, mentioned) || mentions(map[string]any(m.Metadata), named)
	})
}

func mentions(value any, lower string) bool {
	switch v := value.(type) {
	case string:
		return strings.Contains(strings.ToLower(v), lower)
	case float64: // a telephone number that somebody stored as one
		return strings.Contains(strconv.FormatFloat(v, 'f', -1, 64), lower)
	case []any:
		return slices.ContainsFunc(v, func(element any) bool { return mentions(element, lower) })
	case map[string]any:
		for key, element := range v {
			if strings.Contains(strings.ToLower(key), lower) || mentions(element, lower) {
				return true
			}
		}
	}
	return false
}

func digest(ids []uuid.UUID) string {
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	hash := sha256.New()
	for _, id := range ids {
		hash.Write(id[:])
	}
	return hex.EncodeToString(hash.Sum(nil))
}
