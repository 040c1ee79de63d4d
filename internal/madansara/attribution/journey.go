package attribution

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/money"
)

// Kinds of touch.
const (
	Visit        = "visit"         // a session that came from somewhere
	MessageClick = "message_click" // a click in a message of ours
)

// Direct is the channel of a visit whose origin nobody knows.
const Direct = "direct"

// Touch is one contact of a person with the tenant.
type Touch struct {
	ID      uuid.UUID
	Cause   string // touches with one cause are one: a session, a message
	Kind    string // Visit or MessageClick
	Channel string
	At      time.Time
}

// Journey is what led to a conversion, in any order.
type Journey struct {
	Touches     []Touch
	ConvertedAt time.Time
	// After is the person's previous conversion of the same name, zero if none.
	After time.Time
	// VisitFrom is when the visit began in which they converted; zero if none.
	VisitFrom time.Time
}

// Credit is a touch's part in a conversion.
type Credit struct {
	Touch   Touch
	Weight  float64 // above 0, at most 1
	Revenue int64   // minor units
}

// Credits shares revenue (in minor units) out among the journey's touches.
// Weights sum to 1 and revenues to revenue exactly; touches of weight 0 are left
// out. A journey without an eligible touch has no credit.
func (s Settings) Credits(j Journey, revenue int64) []Credit {
	touches := s.Eligible(j)
	weights := s.Weights(touches, j.ConvertedAt)
	shares := money.Apportion(revenue, weights)
	var credits []Credit
	for i, touch := range touches {
		if weights[i] > 0 {
			credits = append(credits, Credit{Touch: touch, Weight: weights[i], Revenue: shares[i]})
		}
	}
	return credits
}

// Eligible returns the touches the model shares a conversion out among, oldest
// first; touches of the same moment are ordered by their ids.
//
// Touches count from the look-back (inclusive) to the conversion (inclusive), and
// only after the previous conversion. What began the visit in which the person
// converts counts also when the previous conversion lies within that visit: who
// buys twice in a visit came both times through what brought them there. Of these,
// direct visits are dropped unless there is nothing else, as Google Analytics
// does: who types the address had a reason to know it, and that reason is the
// other touches. Then touches of one cause are collapsed into the earliest.
func (s Settings) Eligible(j Journey) []Touch {
	earliest := j.ConvertedAt.Add(-s.lookback())
	touches := make([]Touch, 0, len(j.Touches))
	for _, touch := range j.Touches {
		if !touch.At.Before(earliest) && !touch.At.After(j.ConvertedAt) && j.open(touch) {
			touches = append(touches, touch)
		}
	}
	slices.SortFunc(touches, func(a, b Touch) int {
		return cmp.Or(a.At.Compare(b.At), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return collapse(dropDirect(touches))
}

// open reports whether no earlier conversion closed what the touch began.
func (j Journey) open(touch Touch) bool {
	if j.After.IsZero() || touch.At.After(j.After) {
		return true
	}
	if j.VisitFrom.IsZero() {
		return false
	}
	from := j.VisitFrom
	if touch.Kind == MessageClick {
		from = from.Add(-clickToVisit)
	}
	return !touch.At.Before(from)
}

func dropDirect(touches []Touch) []Touch {
	isDirect := func(touch Touch) bool { return touch.Channel == Direct }
	if !slices.ContainsFunc(touches, func(touch Touch) bool { return !isDirect(touch) }) {
		return touches
	}
	return slices.DeleteFunc(touches, isDirect)
}

// A click in a message and the visit it leads to reach us on two ways, stamped
// by two clocks. Nearer than this, and of one channel, they are one touch.
const clickToVisit = 5 * time.Minute

func collapse(touches []Touch) []Touch {
	var clicks []Touch
	for _, touch := range touches {
		if touch.Kind == MessageClick {
			clicks = append(clicks, touch)
		}
	}
	seen := make(map[string]bool, len(touches))
	return slices.DeleteFunc(touches, func(touch Touch) bool {
		if seen[touch.Cause] {
			return true
		}
		seen[touch.Cause] = true
		return touch.Kind == Visit && slices.ContainsFunc(clicks, func(click Touch) bool {
			return click.Channel == touch.Channel && touch.At.Sub(click.At).Abs() <= clickToVisit
		})
	})
}
