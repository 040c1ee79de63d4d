package zerodb

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"strings"
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

// ImportService is the provenance's service of a memory that was imported, whatever
// the file says: a file is text that somebody wrote.
const ImportService = "import"

// ImportMetadata is where the metadata of an imported memory tells by whom it was imported,
// when, and what service and source the file names. It is data like the rest, and believed as
// little; a key of this name in the file is replaced.
const ImportMetadata = "import"

// Import stores the memories of an export as they are: with their IDs, times, versions
// and counts. Only their provenance is the import's: its service is [ImportService], its source
// names by, who imports them; what the file says stands under [ImportMetadata]. A
// memory of the same ID is written over, so that an import may be repeated. Vectors of
// another model than the client's are kept out; those memories are embedded later. None
// lives longer from now on than its type may. It returns how many it stored; when it fails
// those before the line named in the error may be stored.
func (t Tenant) Import(ctx context.Context, by string, r io.Reader) (int, error) {
	return t.ImportWith(ctx, by, r, func(_ int, err *Error) error { return err })
}

// ImportWith is Import for files that may have lines that can't be stored: refused is told
// of each, and goes on to the next line by returning nil, or ends the import with the
// error it returns. A line that is no memory at all counts as one; a first line that is no
// header, and a line of more than a megabyte, end every import.
func (t Tenant) ImportWith(ctx context.Context, by string, r io.Reader, refused func(line int, err *Error) error) (int, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	if err := checkName("by", by, true); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	if err := importHeader(lines); err != nil {
		return 0, err
	}
	in := importing{tenant: t, by: by, at: t.client.now(), refused: refused}
	number := 2
	for ; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := in.line(ctx, number, lines.Bytes()); err != nil {
			return in.stored, err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return in.stored, tooLarge(fmt.Sprintf("line %d", number), fmt.Sprintf("is longer than %d bytes, more than any memory takes", maxLine))
	} else if err != nil {
		return in.stored, &Error{Kind: ErrInvalid, Field: "import", Message: "can't be read", Err: err}
	}
	return in.stored, in.flush(ctx)
}

func importHeader(lines *bufio.Scanner) error {
	var header exportHeader
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &header) != nil || header.ZeroDB == 0 {
		return invalid("line 1", "is not the header of an export")
	}
	if header.ZeroDB != exportFormat {
		return invalid("line 1", fmt.Sprintf("the export has format %d, this program reads %d", header.ZeroDB, exportFormat))
	}
	return nil
}

// importing is an import under way.
type importing struct {
	tenant  Tenant
	by      string
	at      time.Time
	refused func(line int, err *Error) error
	stored  int
	page    []*Memory
	numbers []int // of the lines of page
}

func (in *importing) line(ctx context.Context, number int, text []byte) error {
	m, told, err := in.tenant.client.importLine(text)
	if err != nil {
		return in.refuse(number, err)
	}
	in.mark(m, told)
	in.page, in.numbers = append(in.page, m), append(in.numbers, number)
	if len(in.page) < pageSize {
		return nil
	}
	return in.flush(ctx)
}

// mark makes the import the memory's provenance, and what the file says data.
func (in *importing) mark(m *Memory, said Provenance) {
	mark := map[string]any{"by": in.by, "at": in.at.UTC().Format(time.RFC3339)}
	for name, text := range map[string]string{"service": said.Service, "source": said.Source} {
		if checkName(name, text, true) == nil {
			mark[name] = text
		}
	}
	metadata := maps.Clone(m.Metadata)
	if metadata == nil {
		metadata = Metadata{}
	}
	metadata[ImportMetadata] = mark
	m.Metadata = metadata
	// The reference stays: who erases what mentions a thing looks there.
	m.Provenance = Provenance{Service: ImportService, Source: clipName("import by " + in.by), Reference: said.Reference}
}

// said is the provenance that a file tells of a memory; of one that was imported before,
// what the first file told.
func said(m *Memory) Provenance {
	told := m.Provenance
	if before, is := m.Metadata[ImportMetadata].(map[string]any); is && told.Service == ImportService {
		told.Service, _ = before["service"].(string)
		told.Source, _ = before["source"].(string)
	}
	return told
}

// clipName shortens a text to what a name may have.
func clipName(text string) string {
	if len(text) <= MaxName {
		return text
	}
	return strings.ToValidUTF8(text[:MaxName], "")
}

func (in *importing) refuse(number int, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	e.Field = fmt.Sprintf("line %d: %s", number, e.Field)
	return in.refused(number, e)
}

// flush stores the page. An ID keeps its type and scope for life: a line that
// would move it is refused. Of two lines with one ID the later counts.
func (in *importing) flush(ctx context.Context) error {
	page, numbers := in.page, in.numbers
	in.page, in.numbers = nil, nil
	if len(page) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(page))
	for i, m := range page {
		ids[i] = m.ID
	}
	known := map[uuid.UUID]*Memory{}
	err := in.tenant.client.backend.View(ctx, in.tenant.id, func(ctx context.Context, r Reader) error {
		there, err := r.Get(ctx, ids)
		for i := range there {
			known[there[i].ID] = &there[i]
		}
		return err
	})
	if err != nil {
		return err
	}
	var kept []*Memory
	at := map[uuid.UUID]int{}
	for i, m := range page {
		if there := known[m.ID]; there != nil && (there.Type != m.Type || there.Scope != m.Scope) {
			moved := &Error{Kind: ErrConflict, Field: "id", Message: fmt.Sprintf("is that of a %s memory of %s, which can't become one of another type or scope", there.Type, there.Scope)}
			if err := in.refuse(numbers[i], moved); err != nil {
				return err
			}
			continue
		}
		known[m.ID] = m
		if place, twice := at[m.ID]; twice {
			kept[place] = m
			continue
		}
		at[m.ID] = len(kept)
		kept = append(kept, m)
	}
	if len(kept) == 0 {
		return nil
	}
	if err := in.tenant.importPage(ctx, kept); err != nil {
		return err
	}
	in.stored += len(kept)
	return nil
}

func (t Tenant) importPage(ctx context.Context, page []*Memory) error {
	err := t.client.backend.Change(ctx, t.id, scopesOf(page), func(ctx context.Context, w Writer) error {
		return t.client.putImported(ctx, w, page)
	})
	if err != nil {
		return err
	}
	return t.client.tell(ctx, t.id, page)
}

// putImported stores a page. The file may be older than what is there: what was superseded
// since stays so, and the versions of a key become one history with those that are there.
func (c *Client) putImported(ctx context.Context, w Writer, page []*Memory) error {
	ids := make([]uuid.UUID, len(page))
	put := map[uuid.UUID]Memory{}
	var identities []Identity
	moved := map[Identity][]*Memory{}
	for i, m := range page {
		m := *m
		ids[i], put[m.ID] = m.ID, m
		if m.Key == "" || m.Expired(c.now()) {
			continue
		}
		identity := identityOf(&m)
		if moved[identity] == nil {
			identities = append(identities, identity)
		}
		moved[identity] = append(moved[identity], &m)
	}
	there, err := w.Get(ctx, ids)
	if err != nil {
		return err
	}
	for i := range there {
		// A correction without a key is tied to what it corrected by nothing but this.
		if m := put[there[i].ID]; m.Key == "" && m.SupersededBy == uuid.Nil && there[i].SupersededBy != uuid.Nil {
			m.ValidUntil, m.SupersededBy = there[i].ValidUntil, there[i].SupersededBy
			put[m.ID] = m
		}
	}
	drop, err := c.fileVersions(ctx, w, identities, moved, put)
	if err != nil {
		return err
	}
	return putAndDrop(ctx, w, put, drop)
}

// mostCounted is the greatest count that an import may bring: back ends keep counts in 32
// bits, and there must be room to count on.
const mostCounted = 1_000_000_000

// importLine reads one memory and holds it to the rules that Store has, and
// returns beside it the provenance that the line tells.
func (c *Client) importLine(line []byte) (*Memory, Provenance, error) {
	var read exportLine
	if err := json.Unmarshal(line, &read); err != nil {
		return nil, Provenance{}, &Error{Kind: ErrInvalid, Field: "memory", Message: "is not a memory in JSON", Err: err}
	}
	m := read.Memory
	told := said(&m)
	delete(m.Metadata, ImportMetadata) // it takes no room of the limits, so that what was imported can be again
	item := Item{
		Agent: m.Agent, Type: m.Type, Content: m.Content, Metadata: m.Metadata, Scope: m.Scope, Key: m.Key, Subject: m.Subject,
		Provenance: m.Provenance, Importance: m.Importance, Confidence: m.Prior, ValidFrom: m.ValidFrom,
	}
	checked, err := item.draft(c.now(), nil)
	if err != nil {
		return nil, Provenance{}, err
	}
	if m.ID == uuid.Nil || m.CreatedAt.IsZero() || m.ValidFrom.IsZero() {
		return nil, Provenance{}, invalid("memory", "has no id, created_at or valid_from")
	}
	for _, count := range []int{m.Successes, m.Failures, m.Mentions, m.Recalls} {
		if count < 0 || count > mostCounted {
			return nil, Provenance{}, invalid("memory", fmt.Sprintf("has a count that is not between 0 and %d", mostCounted))
		}
	}
	m.Metadata, m.Scope = checked.Metadata, checked.Scope
	if m.Lineage == uuid.Nil {
		m.Lineage = m.ID
	}
	for _, at := range []*time.Time{&m.LastRecalledAt, &m.CreatedAt, &m.UpdatedAt, &m.ValidFrom, &m.ValidUntil, &m.ExpiresAt} {
		*at = stored(*at)
	}
	m.ExpiresAt = m.Type.latestEnd(c.now(), m.ExpiresAt)
	return &m, told, c.importVector(&m, read.Vector)
}

func (c *Client) importVector(m *Memory, encoded []byte) (err error) {
	if c.embedder == nil || m.Model != c.embedder.Model() || len(encoded) == 0 {
		// Without a vector it may be a text that the model knows nothing about, or a line that
		// claims so: who embeds it finds out.
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
