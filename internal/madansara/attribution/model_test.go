package attribution_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

const day = 24 * time.Hour

var converted = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// touch is a touch of channel, days before the conversion.
func touch(channel string, days float64) attribution.Touch {
	id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, channel, days))
	return attribution.Touch{
		ID: id, Cause: id.String(), Kind: attribution.Visit, Channel: channel,
		At: converted.Add(-time.Duration(days * float64(day))),
	}
}

func journey(touches ...attribution.Touch) attribution.Journey {
	return attribution.Journey{Touches: touches, ConvertedAt: converted}
}

// shares are the weights by channel, in the order of the credits.
func shares(credits []attribution.Credit) (channels []string, weights []float64) {
	for _, credit := range credits {
		channels, weights = append(channels, credit.Touch.Channel), append(weights, credit.Weight)
	}
	return channels, weights
}

func TestModels(t *testing.T) {
	t.Parallel()
	three := journey(touch("social", 14), touch("search", 7), touch("email", 0))
	for _, tc := range []struct {
		model    attribution.Model
		journey  attribution.Journey
		channels []string
		weights  []float64
	}{
		{attribution.FirstTouch, three, []string{"social"}, []float64{1}},
		{attribution.LastTouch, three, []string{"email"}, []float64{1}},
		{attribution.Linear, three, []string{"social", "search", "email"}, []float64{1. / 3, 1. / 3, 1. / 3}},
		{attribution.TimeDecay, three, []string{"social", "search", "email"}, []float64{1. / 7, 2. / 7, 4. / 7}},
		{attribution.PositionBased, three, []string{"social", "search", "email"}, []float64{0.4, 0.2, 0.4}},
		{
			attribution.PositionBased, journey(touch("a", 4), touch("b", 3), touch("c", 2), touch("d", 1)),
			[]string{"a", "b", "c", "d"},
			[]float64{0.4, 0.1, 0.1, 0.4},
		},
		{attribution.PositionBased, journey(touch("a", 2), touch("b", 1)), []string{"a", "b"}, []float64{0.5, 0.5}},
		{attribution.PositionBased, journey(touch("a", 2)), []string{"a"}, []float64{1}},
		{attribution.TimeDecay, journey(touch("a", 2)), []string{"a"}, []float64{1}},
		{attribution.Linear, journey(), nil, nil},
	} {
		channels, weights := shares(attribution.Default(tc.model).Credits(tc.journey, 0))
		require.Equal(t, tc.channels, channels, "%s of %v", tc.model, tc.journey)
		require.InDeltaSlice(t, tc.weights, weights, 1e-12, "%s of %v", tc.model, tc.journey)
	}
}

func TestPositionBasedShares(t *testing.T) {
	t.Parallel()
	s := attribution.Default(attribution.PositionBased)
	s.Parameters.FirstShare, s.Parameters.LastShare = 0.3, 0.7
	channels, weights := shares(s.Credits(journey(touch("a", 3), touch("b", 2), touch("c", 1)), 0))
	require.Equal(t, []string{"a", "c"}, channels, "nothing is left for the middle")
	require.InDeltaSlice(t, []float64{0.3, 0.7}, weights, 1e-12)
}

func TestEligible(t *testing.T) {
	t.Parallel()
	click := touch("email", 1)
	click.Kind, click.Cause = attribution.MessageClick, "message:1"
	itsVisit := touch("email", 1-1./1440)
	secondClick := touch("email", 0.5)
	secondClick.Kind, secondClick.Cause = attribution.MessageClick, "message:1"
	twin := touch("social", 2)
	twin.ID, twin.Cause = uuid.Max, "another"
	for name, tc := range map[string]struct {
		journey attribution.Journey
		want    []attribution.Touch
	}{
		"oldest first": {
			journey(touch("b", 1), touch("a", 2)),
			[]attribution.Touch{touch("a", 2), touch("b", 1)},
		},
		"the look-back and the conversion are inside": {
			journey(touch("a", 30), touch("b", 0), touch("early", 30.001), touch("late", -0.001)),
			[]attribution.Touch{touch("a", 30), touch("b", 0)},
		},
		"the previous conversion's touches are its own": {
			attribution.Journey{
				Touches:     []attribution.Touch{touch("a", 3), touch("b", 2), touch("c", 1)},
				ConvertedAt: converted, After: converted.Add(-2 * day),
			},
			[]attribution.Touch{touch("c", 1)},
		},
		"what began the visit counts for its second conversion": {
			attribution.Journey{
				Touches:     []attribution.Touch{touch("a", 3), touch("b", 0.02), touch("c", 0.005)},
				ConvertedAt: converted, After: converted.Add(-day / 100), VisitFrom: touch("b", 0.02).At,
			},
			[]attribution.Touch{touch("b", 0.02), touch("c", 0.005)},
		},
		"so does the click that led to the visit": {
			attribution.Journey{
				Touches:     []attribution.Touch{touch("email", 2), click},
				ConvertedAt: converted, After: converted.Add(-day / 100), VisitFrom: click.At.Add(time.Minute),
			},
			[]attribution.Touch{click},
		},
		"direct gives way": {
			journey(touch("direct", 3), touch("search", 2), touch("direct", 1)),
			[]attribution.Touch{touch("search", 2)},
		},
		"direct alone stays": {
			journey(touch("direct", 3), touch("direct", 1)),
			[]attribution.Touch{touch("direct", 3), touch("direct", 1)},
		},
		"direct is alone when the rest is out of the look-back": {
			journey(touch("search", 31), touch("direct", 1)),
			[]attribution.Touch{touch("direct", 1)},
		},
		"one message clicked twice, and its visit": {
			journey(secondClick, itsVisit, click),
			[]attribution.Touch{click},
		},
		"a visit of another channel is its own": {
			journey(click, touch("social", 1.0001)),
			[]attribution.Touch{touch("social", 1.0001), click},
		},
		"the same moment is ordered by id": {
			journey(twin, touch("social", 2)),
			[]attribution.Touch{touch("social", 2), twin},
		},
	} {
		require.Equal(t, tc.want, attribution.Default(attribution.Linear).Eligible(tc.journey), name)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, model := range attribution.Models() {
		require.NoError(t, attribution.Default(model).Validate())
	}
	for name, change := range map[string]func(*attribution.Settings){
		"an unknown model":  func(s *attribution.Settings) { s.Model = "markov" },
		"no look-back":      func(s *attribution.Settings) { s.LookbackDays = 0 },
		"a long look-back":  func(s *attribution.Settings) { s.LookbackDays = 731 },
		"no half-life":      func(s *attribution.Settings) { s.Parameters.HalfLifeDays = 0 },
		"a NaN half-life":   func(s *attribution.Settings) { s.Parameters.HalfLifeDays = math.NaN() },
		"another's share":   func(s *attribution.Settings) { s.Parameters.FirstShare = 0.5 },
		"a day in a minute": func(s *attribution.Settings) { s.Parameters.HalfLifeDays = 0.001 },
	} {
		s := attribution.Default(attribution.TimeDecay)
		change(&s)
		require.Equal(t, fault.Invalid, fault.CodeOf(s.Validate()), name)
	}
	for _, bad := range []attribution.Parameters{
		{FirstShare: 0, LastShare: 1},
		{FirstShare: 0.6, LastShare: 0.6},
		{FirstShare: -1, LastShare: 1},
		{FirstShare: math.NaN(), LastShare: 0.4},
		{FirstShare: 0.4, LastShare: 0.4, HalfLifeDays: 7},
	} {
		s := attribution.Default(attribution.PositionBased)
		s.Parameters = bad
		require.Equal(t, fault.Invalid, fault.CodeOf(s.Validate()), "%+v", bad)
	}
}

func drawSettings(t *rapid.T) attribution.Settings {
	s := attribution.Default(rapid.SampledFrom(attribution.Models()).Draw(t, "model"))
	s.LookbackDays = rapid.IntRange(1, 730).Draw(t, "lookback")
	if s.Model == attribution.TimeDecay {
		s.Parameters.HalfLifeDays = rapid.Float64Range(0.25, 365).Draw(t, "half-life")
	}
	if s.Model == attribution.PositionBased {
		s.Parameters.FirstShare = rapid.Float64Range(0.001, 0.999).Draw(t, "first")
		s.Parameters.LastShare = rapid.Float64Range(0.001, 1-s.Parameters.FirstShare).Draw(t, "last")
	}
	return s
}

func drawJourney(t *rapid.T) attribution.Journey {
	touches := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) attribution.Touch {
		drawn := touch(
			rapid.SampledFrom([]string{"direct", "email", "social", "search"}).Draw(t, "channel"),
			rapid.Float64Range(-1, 900).Draw(t, "days"))
		drawn.ID = uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		drawn.Cause = rapid.SampledFrom([]string{"x", "y", drawn.ID.String()}).Draw(t, "cause")
		drawn.Kind = rapid.SampledFrom([]string{attribution.Visit, attribution.MessageClick}).Draw(t, "kind")
		return drawn
	}), 0, 30).Draw(t, "touches")
	j := journey(touches...)
	if rapid.Bool().Draw(t, "again") {
		j.After = converted.Add(-time.Duration(rapid.Float64Range(0, 900).Draw(t, "since") * float64(day)))
	}
	if rapid.Bool().Draw(t, "visiting") {
		j.VisitFrom = converted.Add(-time.Duration(rapid.Float64Range(0, 1).Draw(t, "visit") * float64(day)))
	}
	return j
}

func TestCreditsAreAWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, j, revenue := drawSettings(t), drawJourney(t), rapid.Int64().Draw(t, "revenue")
		credits := s.Credits(j, revenue)
		require.Equal(t, len(s.Eligible(j)) == 0, len(credits) == 0)
		if len(credits) == 0 {
			return
		}
		weight, sum := 0.0, int64(0)
		for i, credit := range credits {
			weight += credit.Weight
			sum += credit.Revenue
			require.Positive(t, credit.Weight)
			require.LessOrEqual(t, credit.Weight, 1.0)
			require.Contains(t, j.Touches, credit.Touch)
			if i > 0 {
				require.False(t, credit.Touch.At.Before(credits[i-1].Touch.At), "order is kept")
			}
		}
		require.InDelta(t, 1, weight, 1e-12)
		require.Equal(t, revenue, sum)
	})
}

func TestCreditsDependOnTimeDifferencesOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, j := drawSettings(t), drawJourney(t)
		_, before := shares(s.Credits(j, 100))
		shift := time.Duration(rapid.Int64Range(-int64(1000*day), int64(1000*day)).Draw(t, "shift"))
		j.Touches = slices.Clone(j.Touches)
		for i := range j.Touches {
			j.Touches[i].At = j.Touches[i].At.Add(shift)
		}
		j.ConvertedAt = j.ConvertedAt.Add(shift)
		if !j.After.IsZero() {
			j.After = j.After.Add(shift)
		}
		if !j.VisitFrom.IsZero() {
			j.VisitFrom = j.VisitFrom.Add(shift)
		}
		_, after := shares(s.Credits(j, 100))
		require.Equal(t, before, after)
	})
}

func TestCreditsDoNotDependOnTheOrderGiven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, j := drawSettings(t), drawJourney(t)
		ids := make(map[uuid.UUID]bool)
		j.Touches = slices.DeleteFunc(j.Touches, func(touch attribution.Touch) bool {
			repeated := ids[touch.ID]
			ids[touch.ID] = true
			return repeated // ids are keys
		})
		before := s.Credits(j, 12345)
		j.Touches = rapid.Permutation(j.Touches).Draw(t, "order")
		require.Equal(t, before, s.Credits(j, 12345))
	})
}

func TestTouchesOutsideTheWindowChangeNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, j := drawSettings(t), drawJourney(t)
		before := s.Credits(j, 12345)
		days := rapid.OneOf(
			rapid.Float64Range(float64(s.LookbackDays)+0.01, 2000),
			rapid.Float64Range(-1000, -0.01)).Draw(t, "days")
		j.Touches = append(slices.Clone(j.Touches), touch("email", days))
		require.Equal(t, before, s.Credits(j, 12345))
	})
}

func TestTimeDecayGrowsTowardsTheConversion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, j := attribution.Default(attribution.TimeDecay), drawJourney(t)
		s.LookbackDays = rapid.IntRange(1, 730).Draw(t, "lookback")
		s.Parameters.HalfLifeDays = rapid.Float64Range(0.25, 365).Draw(t, "half-life")
		touches := s.Eligible(j)
		weights := s.Weights(touches, j.ConvertedAt)
		for i := 1; i < len(weights); i++ {
			require.GreaterOrEqual(t, weights[i], weights[i-1])
			halfLives := touches[i].At.Sub(touches[i-1].At).Hours() / 24 / s.Parameters.HalfLifeDays
			if weights[i-1] > 1e-200 { // less has lost its digits
				require.InEpsilon(t, math.Exp2(halfLives), weights[i]/weights[i-1], 1e-6)
			}
		}
	})
}

func BenchmarkCreditsOfALongJourney(b *testing.B) {
	touches := make([]attribution.Touch, 1000)
	for i := range touches {
		touches[i] = touch("social", float64(i)*0.03)
		touches[i].Kind = []string{attribution.Visit, attribution.MessageClick}[i%2]
	}
	s := attribution.Default(attribution.TimeDecay)
	for b.Loop() {
		s.Credits(journey(touches...), 1_000_000)
	}
}
