package attribution

import (
	"slices"
	"time"

	"github.com/engardehq/madansara/internal/fault"
)

// Settings are a model with a tenant's parameters for it.
type Settings struct {
	Model        Model
	LookbackDays int // 1 to 730
	Parameters   Parameters
}

// Parameters of the models that have any; zero for the others.
type Parameters struct {
	// HalfLifeDays (time_decay): in how many days a touch's weight halves, 0.25 to 365.
	HalfLifeDays float64 `json:"half_life_days,omitempty"`
	// FirstShare and LastShare (position_based): each above 0, together at most 1.
	FirstShare float64 `json:"first_share,omitempty"`
	LastShare  float64 `json:"last_share,omitempty"`
}

const (
	// Google Ads counts conversions up to 30 days after a click by default, and
	// GA4 credits acquisition over the same 30 days. Longer windows (GA4 takes 90
	// for the rest) credit campaigns that the buyer has forgotten.
	defaultLookbackDays = 30
	maxLookbackDays     = 730

	defaultHalfLifeDays = 7
	minHalfLifeDays     = 0.25
	maxHalfLifeDays     = 365

	defaultEndShare = 0.4
)

// Default returns the settings a tenant starts with.
func Default(model Model) Settings {
	s := Settings{Model: model, LookbackDays: defaultLookbackDays}
	switch model {
	case TimeDecay:
		s.Parameters.HalfLifeDays = defaultHalfLifeDays
	case PositionBased:
		s.Parameters.FirstShare, s.Parameters.LastShare = defaultEndShare, defaultEndShare
	case FirstTouch, LastTouch, Linear:
	}
	return s
}

// Validate reports the first parameter that is out of its range or that the
// model does not have.
func (s Settings) Validate() error {
	p := s.Parameters
	switch {
	case !slices.Contains(Models(), s.Model):
		return fault.At("model", s.Model, "must be one of %v", Models())
	case s.LookbackDays < 1 || s.LookbackDays > maxLookbackDays:
		return fault.At("lookback_days", s.LookbackDays, "must be from 1 to %d", maxLookbackDays)
	case s.Model == TimeDecay && !(p.HalfLifeDays >= minHalfLifeDays && p.HalfLifeDays <= maxHalfLifeDays):
		return fault.At("half_life_days", p.HalfLifeDays, "must be from %v to %d", minHalfLifeDays, maxHalfLifeDays)
	case s.Model != TimeDecay && p.HalfLifeDays != 0:
		return fault.At("half_life_days", p.HalfLifeDays, "is a parameter of %s only", TimeDecay)
	case s.Model == PositionBased && !(p.FirstShare > 0 && p.LastShare > 0 && p.FirstShare+p.LastShare <= 1):
		return fault.At("first_share", p.FirstShare, "and last_share must each be above 0 and together at most 1")
	case s.Model != PositionBased && (p.FirstShare != 0 || p.LastShare != 0):
		return fault.At("first_share", p.FirstShare, "and last_share are parameters of %s only", PositionBased)
	}
	return nil
}

func (s Settings) lookback() time.Duration {
	return time.Duration(s.LookbackDays) * 24 * time.Hour
}
