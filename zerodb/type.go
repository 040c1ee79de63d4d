package zerodb

import (
	"fmt"
	"strings"
	"time"
)

// Type is a memory's type. It decides how the memory lives and dies.
type Type string

// The six types.
const (
	// Working holds an active task. A new one with the same key replaces it.
	Working Type = "working"
	// ShortTerm holds what matters for a day or two: it expires after 24 to 48 hours.
	ShortTerm Type = "short_term"
	// Episodic holds events, at the time they happened.
	Episodic Type = "episodic"
	// Semantic holds facts. A fact with the same key and another content
	// supersedes the one before, which stays as history.
	Semantic Type = "semantic"
	// Procedural holds how-to. Reported success and failure move its confidence.
	Procedural Type = "procedural"
	// LongTerm holds what proved worth keeping.
	LongTerm Type = "long_term"
)

// Types returns the six types, in the order of a prompt: from what is at hand
// to what is long known.
func Types() []Type {
	return []Type{Working, ShortTerm, Episodic, Semantic, Procedural, LongTerm}
}

// ParseType reads a type's name.
func ParseType(name string) (Type, error) {
	t := Type(name)
	if t.Valid() {
		return t, nil
	}
	names := make([]string, 0, 6)
	for _, known := range Types() {
		names = append(names, string(known))
	}
	return "", invalid("type", fmt.Sprintf("unknown type %.40q: use one of %s", name, strings.Join(names, ", ")))
}

// Valid reports whether t is one of the six.
func (t Type) Valid() bool {
	_, known := lives[t]
	return known
}

// life is how the memories of a type live.
type life struct {
	// ttl is the time to live when none is given, 0 for no end.
	ttl time.Duration
	// minTTL and maxTTL bound a given time to live.
	minTTL, maxTTL time.Duration
	// versioned: another content under the same key supersedes the memory and
	// leaves it as history. Otherwise it replaces it.
	versioned bool
	// merges: a near-duplicate is merged into the memory that is there.
	merges bool
	// halfLife is the age at which [Recency] is one half.
	halfLife time.Duration
	// confidence is what is believed of a memory before any outcome is reported.
	confidence float64
	// promoteAfter recalls make the memory long-term; 0 never.
	promoteAfter int
	// fades: the memory is dropped when its [Strength] falls below dropBelow.
	fades bool
}

const (
	day     = 24 * time.Hour
	shortMT = time.Minute
	longTTL = 10 * 365 * day
)

var lives = map[Type]life{
	Working:    {ttl: 7 * day, minTTL: shortMT, maxTTL: 30 * day, halfLife: day, confidence: 0.9},
	ShortTerm:  {ttl: 36 * time.Hour, minTTL: 24 * time.Hour, maxTTL: 48 * time.Hour, merges: true, halfLife: 12 * time.Hour, confidence: 0.9, promoteAfter: 3},
	Episodic:   {minTTL: shortMT, maxTTL: longTTL, versioned: true, merges: true, halfLife: 14 * day, confidence: 0.9, promoteAfter: 5, fades: true},
	Semantic:   {minTTL: shortMT, maxTTL: longTTL, versioned: true, merges: true, halfLife: 180 * day, confidence: 0.9},
	Procedural: {minTTL: shortMT, maxTTL: longTTL, versioned: true, merges: true, halfLife: 180 * day, confidence: 0.5},
	LongTerm:   {minTTL: shortMT, maxTTL: longTTL, versioned: true, merges: true, halfLife: 365 * day, confidence: 0.9, fades: true},
}

// expiry returns when a memory of this type stored at now ends, the zero time
// for never. ttl 0 is the type's default.
func (t Type) expiry(now time.Time, ttl time.Duration) (time.Time, error) {
	l := lives[t]
	switch {
	case ttl == 0 && l.ttl == 0:
		return time.Time{}, nil
	case ttl == 0:
		ttl = l.ttl
	case ttl < 0:
		return time.Time{}, invalid("ttl", fmt.Sprintf("%s is negative: give a time to live, or 0 for the default of %s memories (%s)", ttl, t, ttlText(l.ttl)))
	case ttl < l.minTTL || ttl > l.maxTTL:
		return time.Time{}, invalid("ttl", fmt.Sprintf("a %s memory lives between %s and %s, not %s (0 is the default: %s)", t, ttlText(l.minTTL), ttlText(l.maxTTL), ttlText(ttl), ttlText(l.ttl)))
	}
	return now.Add(ttl), nil
}

// latestEnd is end, but no later than a memory of this type that is stored at now may last. A type
// whose memories always end takes none without an end.
func (t Type) latestEnd(now, end time.Time) time.Time {
	l := lives[t]
	latest := now.Add(l.maxTTL)
	if end.After(latest) || end.IsZero() && l.ttl > 0 {
		return latest
	}
	return end
}

func ttlText(d time.Duration) string {
	switch {
	case d == 0:
		return "no end"
	case d >= 3*day && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d hours", d/time.Hour)
	default:
		return d.String()
	}
}
