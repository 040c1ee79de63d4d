package zerodb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"time"

	"github.com/google/uuid"
)

// CopyReport says what a [Copy] did with one tenant's memories, and how the two sides
// compare after it.
type CopyReport struct {
	Tenant uuid.UUID `json:"tenant"`
	// Read are the memories of the source, Written those of them that the target lacked or
	// had otherwise.
	Read    int `json:"read"`
	Written int `json:"written"`
	// Verified were read again from both sides and have equal fingerprints.
	Verified int `json:"verified"`
	// Missing are in the source only, Different on both sides but not equal, Extra in the
	// target only. The first two are 0 unless something wrote meanwhile. Extra ones stay.
	Missing   int `json:"missing"`
	Different int `json:"different"`
	Extra     int `json:"extra"`
	// Digest is SHA-256 over the source's IDs and fingerprints, in hexadecimal. Two copies of
	// one state have the same.
	Digest string `json:"digest"`
}

// Complete reports whether the target has everything the source has, as the source has it.
func (r *CopyReport) Complete() bool { return r.Missing == 0 && r.Different == 0 }

// Fingerprint is SHA-256 over everything that a memory is, its vector included, save
// how often and when it was last recalled: that is counted behind the searches.
func Fingerprint(m *Memory) ([sha256.Size]byte, error) {
	still := *m
	still.Recalls, still.LastRecalledAt = 0, time.Time{}
	encoded, err := json.Marshal(exportLine{Memory: still, Vector: VectorBytes(m.Vector)})
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("zerodb: memory %s: %w", m.ID, err)
	}
	return sha256.Sum256(encoded), nil
}

// copyPage is how many memories are held at once.
const copyPage = 200

// Copy copies the memories of tenants from one back end to another, as they are: every
// version, expired ones too, with their IDs, times, counts and vectors. Then it reads both
// sides again and compares. It may be repeated: what the target has already is not
// written again, so that a copy that was broken off goes on where it ended, and one that ran beside
// writers is completed by a second. Nothing is deleted on either side. progress, when not
// nil, is called after each page.
//
// It returns a report a tenant, also with an error: those of the tenants it got to.
func Copy(ctx context.Context, from, to Backend, tenants []uuid.UUID, progress func(CopyReport)) ([]CopyReport, error) {
	reports := make([]CopyReport, 0, len(tenants))
	for _, tenant := range tenants {
		report := CopyReport{Tenant: tenant}
		c := copying{from: from, to: to, tenant: tenant, now: stored(time.Now()), report: &report, progress: progress}
		err := c.run(ctx)
		reports = append(reports, report)
		if err != nil {
			return reports, err
		}
	}
	return reports, nil
}

// copying is the copy of one tenant. now is one time for both sides, so that what expires
// meanwhile is not seen differently by the two.
type copying struct {
	from, to Backend
	tenant   uuid.UUID
	now      time.Time
	report   *CopyReport
	progress func(CopyReport)
}

func (c *copying) run(ctx context.Context) error {
	if c.tenant == uuid.Nil {
		return invalid("tenant", "is required")
	}
	for _, expired := range []bool{false, true} {
		pages := c.pages(c.from, expired)
		for {
			page, err := pages.next(ctx)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			c.report.Read += len(page)
			if err := c.write(ctx, page); err != nil {
				return err
			}
			if c.progress != nil {
				c.progress(*c.report)
			}
		}
	}
	digest := sha256.New()
	for _, expired := range []bool{false, true} {
		if err := c.compare(ctx, expired, digest); err != nil {
			return err
		}
	}
	c.report.Digest = hex.EncodeToString(digest.Sum(nil))
	return nil
}

// write writes those of a page that the target lacks or has otherwise.
func (c *copying) write(ctx context.Context, page []Memory) error {
	ids := make([]uuid.UUID, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	there := map[uuid.UUID]*Memory{}
	err := c.to.View(ctx, c.tenant, func(ctx context.Context, r Reader) error {
		found, err := r.Get(ctx, ids)
		for i := range found {
			there[found[i].ID] = &found[i]
		}
		return err
	})
	if err != nil {
		return err
	}
	var open []Memory
	var scoped []*Memory
	for i := range page {
		m := &page[i]
		same, err := equal(m, there[m.ID])
		if err != nil {
			return err
		}
		if !same {
			open, scoped = append(open, *m), append(scoped, m)
		}
	}
	if len(open) == 0 {
		return nil
	}
	err = c.to.Change(ctx, c.tenant, scopesOf(scoped), func(ctx context.Context, w Writer) error { return w.Put(ctx, open) })
	if err == nil {
		c.report.Written += len(open)
	}
	return err
}

// equal compares a memory with the one of its ID in the target, nil for none.
func equal(m, there *Memory) (bool, error) {
	if there == nil {
		return false, nil
	}
	if there.Type != m.Type || there.Scope != m.Scope {
		return false, &Error{Kind: ErrConflict, Field: "id", Message: fmt.Sprintf(
			"memory %s is %s of %s here and %s of %s there: an ID keeps its type and scope for life", m.ID, m.Type, m.Scope, there.Type, there.Scope)}
	}
	a, err := Fingerprint(m)
	if err != nil {
		return false, err
	}
	b, err := Fingerprint(there)
	return a == b, err
}

// compare reads both sides in the order of IDs, side by side.
func (c *copying) compare(ctx context.Context, expired bool, digest hash.Hash) error {
	source, target := c.pages(c.from, expired), c.pages(c.to, expired)
	a, err := source.one(ctx)
	if err != nil {
		return err
	}
	b, err := target.one(ctx)
	if err != nil {
		return err
	}
	for a != nil || b != nil {
		switch {
		case b == nil || a != nil && compareUUIDs(a.ID, b.ID) < 0:
			c.report.Missing++
			if err := addTo(digest, a); err != nil {
				return err
			}
			a, err = source.one(ctx)
		case a == nil || compareUUIDs(a.ID, b.ID) > 0:
			c.report.Extra++
			b, err = target.one(ctx)
		default:
			if err := c.pair(a, b, digest); err != nil {
				return err
			}
			if a, err = source.one(ctx); err == nil {
				b, err = target.one(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pair compares the two of one ID.
func (c *copying) pair(a, b *Memory, digest hash.Hash) error {
	same, err := equal(a, b)
	if err != nil {
		return err
	}
	if same {
		c.report.Verified++
	} else {
		c.report.Different++
	}
	return addTo(digest, a)
}

func addTo(digest hash.Hash, m *Memory) error {
	sum, err := Fingerprint(m)
	digest.Write(m.ID[:])
	digest.Write(sum[:])
	return err
}

func compareUUIDs(a, b uuid.UUID) int {
	for i := range a {
		if a[i] != b[i] {
			return int(a[i]) - int(b[i])
		}
	}
	return 0
}

// pager reads a tenant's memories page by page, by ID.
type pager struct {
	backend Backend
	tenant  uuid.UUID
	now     time.Time
	filter  Filter
	after   uuid.UUID
	ended   bool
	held    []Memory // of the page that one hands out
}

func (c *copying) pages(b Backend, expired bool) *pager {
	filter := Filter{Audience: Audience{Everyone: true}, History: true, Expired: expired}
	return &pager{backend: b, tenant: c.tenant, now: c.now, filter: filter}
}

// next returns the next page, empty at the end.
func (p *pager) next(ctx context.Context) (page []Memory, err error) {
	if p.ended {
		return nil, nil
	}
	err = p.backend.View(ctx, p.tenant, func(ctx context.Context, r Reader) error {
		page, err = r.List(ctx, p.now, p.filter, Order{After: p.after}, copyPage)
		return err
	})
	if p.ended = len(page) < copyPage; len(page) > 0 {
		p.after = page[len(page)-1].ID
	}
	return page, err
}

// one returns the next memory, nil at the end.
func (p *pager) one(ctx context.Context) (*Memory, error) {
	if len(p.held) == 0 {
		var err error
		if p.held, err = p.next(ctx); err != nil || len(p.held) == 0 {
			return nil, err
		}
	}
	m := &p.held[0]
	p.held = p.held[1:]
	return m, nil
}
