package zerodb

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/google/uuid"
)

// exportFormat is the version of the export's format.
const exportFormat = 1

// exportHeader is an export's first line.
type exportHeader struct {
	ZeroDB     int       `json:"zerodb"` // exportFormat
	ExportedAt time.Time `json:"exported_at"`
	Tenant     uuid.UUID `json:"tenant"` // whose it was; an import takes the tenant it is called for
}

// exportLine is every other line: a memory, and its vector as base64 of
// little-endian 32-bit floats.
type exportLine struct {
	Memory
	Vector []byte `json:"vector,omitempty"`
}

// Export writes the tenant's memories, every version of them, as JSON lines: a
// header, then one memory a line by ID, with its vector. It streams: a tenant
// of any size takes the memory of one page. It returns how many it wrote.
func (t Tenant) Export(ctx context.Context, w io.Writer) (int, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(exportHeader{ZeroDB: exportFormat, ExportedAt: t.client.now(), Tenant: t.id}); err != nil {
		return 0, fmt.Errorf("zerodb: write the export: %w", err)
	}
	written := 0
	err := t.each(ctx, Filter{Audience: Audience{Everyone: true}, History: true}, func(page []Memory) error {
		for i := range page {
			if err := encoder.Encode(exportLine{Memory: page[i], Vector: VectorBytes(page[i].Vector)}); err != nil {
				return fmt.Errorf("zerodb: write the export: %w", err)
			}
			written++
		}
		return nil
	})
	if err != nil {
		return written, err
	}
	if err := out.Flush(); err != nil {
		return written, fmt.Errorf("zerodb: write the export: %w", err)
	}
	return written, nil
}

// maxLine bounds a line of an import: a memory with everything at its limit.
const maxLine = 1 << 20

// Import stores the memories of an export as they are: with their IDs, times, versions
// and counts. A memory of the same ID is written over, so that an import may be
// repeated. Vectors of another model than the client's are kept out; those
// memories are embedded later. It returns how many it stored; when it fails those before the
// line named in the error may be stored.
func (t Tenant) Import(ctx context.Context, r io.Reader) (int, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	var header exportHeader
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &header) != nil || header.ZeroDB == 0 {
		return 0, invalid("line 1", "is not the header of an export")
	}
	if header.ZeroDB != exportFormat {
		return 0, invalid("line 1", fmt.Sprintf("the export has format %d, this program reads %d", header.ZeroDB, exportFormat))
	}
	stored := 0
	var page []*Memory
	for number := 2; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		m, err := t.client.importLine(lines.Bytes())
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				e.Field = fmt.Sprintf("line %d: %s", number, e.Field)
			}
			return stored, err
		}
		if page = append(page, m); len(page) == pageSize {
			if err := t.importPage(ctx, page); err != nil {
				return stored, err
			}
			stored += len(page)
			page = nil
		}
	}
	if err := lines.Err(); err != nil {
		return stored, &Error{Kind: ErrInvalid, Field: "import", Message: "can't be read", Err: err}
	}
	if len(page) > 0 {
		if err := t.importPage(ctx, page); err != nil {
			return stored, err
		}
		stored += len(page)
	}
	return stored, nil
}

func (t Tenant) importPage(ctx context.Context, page []*Memory) error {
	err := t.client.backend.Change(ctx, t.id, scopesOf(page), func(ctx context.Context, w Writer) error {
		memories := make([]Memory, len(page))
		for i, m := range page {
			memories[i] = *m
		}
		return w.Put(ctx, memories)
	})
	if err != nil {
		return err
	}
	return t.client.tell(ctx, t.id, page)
}

// importLine reads one memory and holds it to the rules that Store has.
func (c *Client) importLine(line []byte) (*Memory, error) {
	var read exportLine
	if err := json.Unmarshal(line, &read); err != nil {
		return nil, &Error{Kind: ErrInvalid, Field: "memory", Message: "is not a memory in JSON", Err: err}
	}
	m := read.Memory
	item := Item{
		Agent: m.Agent, Type: m.Type, Content: m.Content, Metadata: m.Metadata, Scope: m.Scope, Key: m.Key, Subject: m.Subject,
		Provenance: m.Provenance, Importance: m.Importance, Confidence: m.Prior, ValidFrom: m.ValidFrom,
	}
	checked, err := item.draft(c.now(), nil)
	if err != nil {
		return nil, err
	}
	if m.ID == uuid.Nil || m.CreatedAt.IsZero() || m.ValidFrom.IsZero() {
		return nil, invalid("memory", "has no id, created_at or valid_from")
	}
	if m.Successes < 0 || m.Failures < 0 || m.Mentions < 0 || m.Recalls < 0 {
		return nil, invalid("memory", "has a negative count")
	}
	m.Metadata, m.Scope = checked.Metadata, checked.Scope
	if m.Lineage == uuid.Nil {
		m.Lineage = m.ID
	}
	for _, at := range []*time.Time{&m.LastRecalledAt, &m.CreatedAt, &m.UpdatedAt, &m.ValidFrom, &m.ValidUntil, &m.ExpiresAt} {
		*at = stored(*at)
	}
	return &m, c.importVector(&m, read.Vector)
}

func (c *Client) importVector(m *Memory, encoded []byte) (err error) {
	if c.embedder == nil || m.Model != c.embedder.Model() || len(encoded) == 0 {
		m.Model = ""
		return nil
	}
	if len(encoded) != 4*c.embedder.Dimension() {
		return invalid("vector", fmt.Sprintf("has %d bytes, those of %s have %d", len(encoded), m.Model, 4*c.embedder.Dimension()))
	}
	m.Vector, err = Normalize(VectorOf(encoded))
	return err
}

// VectorBytes encodes a vector as little-endian 32-bit floats, nil for none.
func VectorBytes(v []float32) []byte {
	if v == nil {
		return nil
	}
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// VectorOf decodes what [VectorBytes] encoded; nil for nothing.
func VectorOf(encoded []byte) []float32 {
	if len(encoded) == 0 {
		return nil
	}
	v := make([]float32, len(encoded)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(encoded[4*i:]))
	}
	return v
}
