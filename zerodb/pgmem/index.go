package pgmem

import (
	"math"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// index holds what a search needs of a set of memories: [whole], or [compact]. It is not safe for
// concurrent use; a partition guards it.
//
// Rows are only added. A memory that changes gets a new row and its old one dies;
// the partition builds the index anew when half of it is dead.
type index interface {
	// read does what adding a memory takes and needs no guard, and returns the rest, which
	// puts it in place of the one with its ID.
	read(stored *indexed) (add func())
	remove(id uuid.UUID)
	// memory returns the memory of that ID when it is kept, nil otherwise.
	memory(id uuid.UUID) (*zerodb.Memory, error)
	// count adds the index to the statistics that the words' weights depend on.
	count(f *finder)
	// find adds the index's best to the candidates.
	find(f *finder)
	// size is the bytes that it takes up, estimated.
	size() int
	// wasteful reports whether building the index anew would free much.
	wasteful() bool
}

const typeCount = 6

// stamp is what a filter asks of a memory.
type stamp struct {
	id                             uuid.UUID
	validFrom, validUntil, expires int64 // microseconds; never is none
	agent                          uint32
	typ                            uint8 // number of the type
	dead                           bool
}

func stampOf(m *zerodb.Memory, agent uint32) stamp {
	return stamp{id: m.ID, validFrom: m.ValidFrom.UnixMicro(), validUntil: end(m.ValidUntil), expires: end(m.ExpiresAt), agent: agent, typ: typeNumber(m.Type)}
}

var types = zerodb.Types()

func typeNumber(t zerodb.Type) uint8 {
	for i, known := range types {
		if known == t {
			return uint8(i)
		}
	}
	return 0 // the table's check lets no other in
}

// never is later than every time.
const never = math.MaxInt64

// end is the time in microseconds, never for none.
func end(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixMicro()
}

// names are numbered as they come.
type names map[string]uint32

// number returns the number of a name, and the bytes that it takes up if it is new.
func (n names) number(name string) (number uint32, bytes int) {
	number, known := n[name]
	if known {
		return number, 0
	}
	number = uint32(len(n))
	n[name] = number
	return number, len(name) + 48
}

// putAll adds memories: what needs no guard is done by as many goroutines as there are processors.
func putAll(x index, memories []indexed) {
	adds := make([]func(), len(memories))
	workers := min(runtime.GOMAXPROCS(0), len(memories)/64+1)
	done := make(chan struct{})
	for w := range workers {
		go func() {
			for i := w; i < len(memories); i += workers {
				adds[i] = x.read(&memories[i])
			}
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
	for _, add := range adds {
		add()
	}
}
