package attribution

import (
	"math"
	"time"
)

// Model names a way to share a conversion out among its touches.
type Model string

// The models, in the order they are listed in.
const (
	FirstTouch    Model = "first_touch"    // all to the first touch: what brought the person
	LastTouch     Model = "last_touch"     // all to the last touch: what closed
	Linear        Model = "linear"         // equal shares
	TimeDecay     Model = "time_decay"     // the nearer the conversion, the more
	PositionBased Model = "position_based" // most to the first and the last, the rest between them
)

// Models lists every model.
func Models() []Model { return []Model{FirstTouch, LastTouch, Linear, TimeDecay, PositionBased} }

// Weights returns the weight of each of touches, in their order. They are not
// negative and sum to 1 (to within 1e-12). touches are what Eligible returned:
// oldest first, none after convertedAt. No touches, no weights.
func (s Settings) Weights(touches []Touch, convertedAt time.Time) []float64 {
	if len(touches) == 0 {
		return nil
	}
	weights := make([]float64, len(touches))
	switch s.Model {
	case FirstTouch:
		weights[0] = 1
	case LastTouch:
		weights[len(weights)-1] = 1
	case TimeDecay:
		s.decay(weights, touches, convertedAt)
	case PositionBased:
		s.byPosition(weights)
	case Linear:
		fallthrough
	default:
		for i := range weights {
			weights[i] = 1
		}
	}
	return normalise(weights)
}

// decay halves a touch's weight for each half-life it lies before the
// conversion: weight = 2^(-age/half-life), the formula of Google Analytics'
// time-decay model, whose default half-life was 7 days too. Ages count from the
// newest touch, which changes no proportion and keeps the newest at 1 where the
// power of a long age would vanish.
func (s Settings) decay(weights []float64, touches []Touch, convertedAt time.Time) {
	halfLife := s.Parameters.HalfLifeDays * float64(24*time.Hour)
	newest := convertedAt.Sub(touches[len(touches)-1].At)
	for i, touch := range touches {
		age := convertedAt.Sub(touch.At) - newest
		weights[i] = math.Exp2(-float64(age) / halfLife)
	}
}

// byPosition gives the first and the last touch their shares and splits what is
// left evenly among those between. One touch has everything; two have no touch
// between them, so their shares are scaled up: 50/50 by default.
func (s Settings) byPosition(weights []float64) {
	first, last := s.Parameters.FirstShare, s.Parameters.LastShare
	between := len(weights) - 2
	for i := range weights {
		weights[i] = max(0, 1-first-last) / float64(max(1, between))
	}
	weights[0], weights[len(weights)-1] = first, last
}

func normalise(weights []float64) []float64 {
	sum := 0.0
	for _, weight := range weights {
		sum += weight
	}
	for i := range weights {
		weights[i] /= sum
	}
	return weights
}
