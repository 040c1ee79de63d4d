package qdrant

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// The payload of a memory's point. keyMemory holds the whole memory as JSON, so
// that it comes back digit for digit; the others are there to be asked for.
const (
	keyMemory     = "memory"
	keyScope      = "scope"
	keyAgent      = "agent"
	keySubject    = "subject"
	keyLineage    = "lineage"
	keyIdentity   = "identity"
	keyModel      = "model"
	keyValidFrom  = "valid_from"
	keyValidUntil = "valid_until"
	keyExpiresAt  = "expires_at"
	keyTerms      = "terms"
	// keyValues is a list of objects, one a metadata value: path, and for a text, a number or
	// a boolean what it is, in the forms that conditions compare.
	keyValues = "values"
	valPath   = "path"
	valIs     = "is"
	valNumber = "number"
	valTime   = "time"
	// keyRevision is new with each write of the memory; keyRecallRevision with each write of its recalls.
	keyRevision       = "revision"
	keyRecalls        = "recalls"
	keyRecalledAt     = "recalled_at"
	keyRecallRevision = "recall_revision"
	keyRecallLog      = "recall_log"
	// keyVector holds a vector that has another length than the collection's.
	keyVector = "vector"
)

// stored is a memory as it was read, with the revisions to write it back on.
type stored struct {
	memory zerodb.Memory
	revisions
}

// encode makes the point of a memory. dimension is the collection's.
func encode(t wire.Tenant, m *zerodb.Memory, dimension int, r revisions) (*pb.PointStruct, error) {
	document := *m
	document.Recalls, document.LastRecalledAt = 0, time.Time{} // they have keys of their own
	text, err := json.Marshal(document)
	if err != nil {
		return nil, &zerodb.Error{Kind: zerodb.ErrInvalid, Field: "memory", Message: "can't be written as JSON", Err: err}
	}
	weights := zerodb.Weights(m.Content)
	payload := map[string]*pb.Value{
		keyMemory: pb.NewValueString(string(text)), keyScope: pb.NewValueString(m.Scope.String()), keyAgent: pb.NewValueString(m.Agent),
		keySubject: pb.NewValueString(m.Subject), keyLineage: pb.NewValueString(m.Lineage.String()),
		keyIdentity: pb.NewValueString(m.Identity()), keyModel: pb.NewValueString(m.Model), keyValidFrom: timeValue(m.ValidFrom),
		keyTerms: termsValue(weights), keyValues: metadataValues(m.Metadata),
		keyRevision: pb.NewValueString(r.revision), keyRecalls: pb.NewValueInt(int64(r.recalls)),
		keyRecallRevision: pb.NewValueString(r.recallRevision), keyRecallLog: logValue(r.recallLog),
	}
	for key, at := range map[string]time.Time{keyValidUntil: m.ValidUntil, keyExpiresAt: m.ExpiresAt, keyRecalledAt: r.recalledAt} {
		if !at.IsZero() {
			payload[key] = timeValue(at)
		}
	}
	vectors := map[string]*pb.Vector{}
	if index, weight := sparse(weights, nil); len(index) > 0 {
		vectors[wire.TextName] = pb.NewVectorSparse(index, weight)
	}
	switch {
	case m.Vector == nil:
	case len(m.Vector) == dimension:
		vectors[wire.DenseName] = pb.NewVectorDense(m.Vector)
	default:
		payload[keyVector] = pb.NewValueString(base64.StdEncoding.EncodeToString(zerodb.VectorBytes(m.Vector)))
	}
	return &pb.PointStruct{Id: pb.NewID(t.PointID(m.ID).String()), Payload: payload, Vectors: pb.NewVectorsMap(vectors)}, nil
}

// point is what a scroll and a search both return.
type point interface {
	GetPayload() map[string]*pb.Value
	GetVectors() *pb.VectorsOutput
}

func decode(p point) (stored, error) {
	payload := p.GetPayload()
	var s stored
	var err error
	if s.revisions, err = revisionsOf(payload); err != nil {
		return stored{}, err
	}
	if err := json.Unmarshal([]byte(payload[keyMemory].GetStringValue()), &s.memory); err != nil {
		return stored{}, zerodb.Unavailable(err, "a point in Qdrant holds no memory")
	}
	s.memory.Recalls, s.memory.LastRecalledAt = s.recalls, s.recalledAt
	if text := payload[keyVector].GetStringValue(); text != "" {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return stored{}, zerodb.Unavailable(err, "a point in Qdrant holds a vector that is none")
		}
		s.memory.Vector = zerodb.VectorOf(raw)
	} else if v := p.GetVectors().GetVectors().GetVectors()[wire.DenseName]; v != nil {
		if s.memory.Vector = v.GetDense().GetData(); s.memory.Vector == nil {
			s.memory.Vector = v.GetData() //nolint:staticcheck // servers before 1.17 answer in this field
		}
	}
	return s, nil
}

// sparse makes a sparse vector of terms: the index is a hash of the term. Two terms of
// one hash are told apart afterwards, when the text is scored by its own terms.
// factor, when not nil, multiplies a term's weight.
func sparse(weights map[string]float32, factor func(term string) float64) ([]uint32, []float32) {
	byIndex := make(map[uint32]float32, len(weights))
	for term, weight := range weights {
		if factor != nil {
			weight *= float32(factor(term))
		}
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(term)) // never fails
		byIndex[hash.Sum32()] += weight
	}
	index := make([]uint32, 0, len(byIndex))
	for i := range byIndex {
		index = append(index, i)
	}
	slices.Sort(index)
	weight := make([]float32, len(index))
	for at, i := range index {
		weight[at] = byIndex[i]
	}
	return index, weight
}

func termsValue(weights map[string]float32) *pb.Value {
	terms := make([]string, 0, len(weights))
	for term := range weights {
		terms = append(terms, term)
	}
	slices.Sort(terms)
	values := make([]*pb.Value, len(terms))
	for i, term := range terms {
		values[i] = pb.NewValueString(term)
	}
	return pb.NewValueFromList(values...)
}

// timeValue writes a time as Qdrant keeps one: UTC, microseconds.
func timeValue(t time.Time) *pb.Value {
	return pb.NewValueString(micros(t).Format("2006-01-02T15:04:05.000000Z"))
}

var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// micros is t in UTC without what is finer than a microsecond, inside the years
// that can be written. It keeps order, so that what holds for times holds for it;
// equal ones may have been different.
func micros(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Microsecond)
	switch {
	case t.Before(earliest):
		return earliest
	case t.After(latest):
		return latest
	default:
		return t
	}
}

// metadataValues flattens metadata to what conditions ask for: each value that is
// not null, at each dotted path of objects; of a list each element that is no object or list.
func metadataValues(metadata zerodb.Metadata) *pb.Value {
	type entry struct {
		key    string // to sort by
		fields map[string]*pb.Value
	}
	var entries []entry
	add := func(path string, more map[string]*pb.Value) {
		fields := map[string]*pb.Value{valPath: pb.NewValueString(short(path))}
		maps.Copy(fields, more)
		entries = append(entries, entry{path + "\x00" + more[valIs].GetStringValue(), fields})
	}
	var walk func(prefix string, object map[string]any)
	walk = func(prefix string, object map[string]any) {
		for key, value := range object {
			if value == nil || strings.Contains(key, ".") { // a key with a dot can't be asked for
				continue
			}
			path := prefix + key
			switch v := value.(type) {
			case map[string]any:
				add(path, nil)
				walk(path+".", v)
			case []any:
				add(path, nil)
				for _, element := range v {
					if forms := scalarForms(element); forms != nil {
						add(path, forms)
					}
				}
			default:
				add(path, scalarForms(v))
			}
		}
	}
	walk("", metadata)
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	values := make([]*pb.Value, len(entries))
	for i, e := range entries {
		values[i] = pb.NewValueFromFields(e.fields)
	}
	return pb.NewValueFromList(values...)
}

// scalarForms is what conditions compare of a scalar; nil for what is none.
func scalarForms(value any) map[string]*pb.Value {
	token, ok := scalarToken(value)
	if !ok {
		return nil
	}
	forms := map[string]*pb.Value{valIs: pb.NewValueString(token)}
	switch v := value.(type) {
	case float64:
		forms[valNumber] = pb.NewValueDouble(v)
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			forms[valTime] = timeValue(t)
		}
	}
	return forms
}

// scalarToken names a scalar so that two are equal exactly when their names are.
func scalarToken(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return short("t:" + v), true
	case bool:
		return "b:" + strconv.FormatBool(v), true
	case float64:
		if v == 0 {
			v = 0 // minus zero equals zero
		}
		return "n:" + strconv.FormatFloat(v, 'g', -1, 64), true
	default:
		return "", false
	}
}

// short keeps a text that may be long out of an index: its hash stands for it.
func short(text string) string {
	const most = 120
	if len(text) <= most {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "#" + hex.EncodeToString(sum[:])
}

func newRevision() string { return uuid.Must(uuid.NewV7()).String() }
