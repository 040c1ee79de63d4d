package outreach

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Outcome of a decision.
type Outcome string

// The outcomes.
const (
	Send Outcome = "send"
	Skip Outcome = "skip"
)

// Codes of the reasons, in the order in which the checks are made. The last
// reason of a decision is the one that decided.
const (
	CodeReachable        = "reachable"
	CodeNoAddress        = "no_address"
	CodeConsentGranted   = "consent_granted"
	CodeNoConsent        = "no_consent"
	CodeConsentWithdrawn = "consent_withdrawn"
	CodeNotSuppressed    = "not_suppressed"
	CodeSuppressed       = "suppressed"
	CodeNotDuplicate     = "not_duplicate"
	CodeDuplicate        = "duplicate"
	CodeWithinCaps       = "within_frequency_caps"
	CodeDayCap           = "frequency_cap_day"
	CodeWeekCap          = "frequency_cap_week"
)

// Reason is one check of a decision, for programs and for people.
type Reason struct {
	Code string `json:"code" doc:"For programs"`
	Text string `json:"text" doc:"For people"`
}

// Policy bounds how often a tenant's contacts are written to.
type Policy struct {
	PerDay, PerWeek int           // messages to one contact in 24 hours and in 7 days
	Duplicate       time.Duration // how far back the same content counts as a duplicate
}

// DefaultPolicy is what a tenant has that never said anything.
var DefaultPolicy = Policy{PerDay: 2, PerWeek: 5, Duplicate: 24 * time.Hour}

// Facts are what the decision about one contact rests on.
type Facts struct {
	Contact      uuid.UUID
	Address      string     // where the channel reaches the contact; empty for nowhere
	Consent      string     // "granted", "withdrawn", empty for never asked
	Suppressed   string     // why the address is suppressed; empty when it is not
	InCampaign   bool       // this campaign has a message to the contact
	SameSentAt   *time.Time // the latest message of the same content within the look-back
	SentDay      int        // messages of the last 24 hours, on their way or sent
	SentWeek     int        // messages of the last 7 days
	ConsentGiven time.Time  // when Consent was recorded
}

// Decision says whether to write to a contact, and why.
type Decision struct {
	Outcome Outcome
	Reasons []Reason
}

// Code returns the code of the reason that decided.
func (d Decision) Code() string { return d.Reasons[len(d.Reasons)-1].Code }

// Decide goes through the checks in their order until one says no.
func Decide(channel string, f Facts, p Policy) Decision {
	var d Decision
	for _, check := range []func(string, Facts, Policy) (Reason, bool){
		checkReachable, checkConsent, checkSuppression, checkDuplicate, checkFrequency,
	} {
		reason, passed := check(channel, f, p)
		d.Reasons = append(d.Reasons, reason)
		if !passed {
			d.Outcome = Skip
			return d
		}
	}
	d.Outcome = Send
	return d
}

func checkReachable(channel string, f Facts, _ Policy) (Reason, bool) {
	if f.Address == "" {
		return Reason{CodeNoAddress, fmt.Sprintf("The contact has no address on %s.", channel)}, false
	}
	return Reason{CodeReachable, "Reachable at " + f.Address + "."}, true
}

func checkConsent(channel string, f Facts, _ Policy) (Reason, bool) {
	switch f.Consent {
	case "granted":
		return Reason{CodeConsentGranted, fmt.Sprintf("Agreed to %s on %s.", channel, day(f.ConsentGiven))}, true
	case "withdrawn":
		return Reason{CodeConsentWithdrawn, fmt.Sprintf("Withdrew the agreement to %s on %s.", channel, day(f.ConsentGiven))}, false
	default:
		return Reason{CodeNoConsent, fmt.Sprintf("Never agreed to %s.", channel)}, false
	}
}

func checkSuppression(_ string, f Facts, _ Policy) (Reason, bool) {
	if f.Suppressed != "" {
		return Reason{CodeSuppressed, fmt.Sprintf("The address is suppressed: %s.", f.Suppressed)}, false
	}
	return Reason{CodeNotSuppressed, "The address is not suppressed."}, true
}

func checkDuplicate(_ string, f Facts, p Policy) (Reason, bool) {
	switch {
	case f.InCampaign:
		return Reason{CodeDuplicate, "This campaign has written to the contact already."}, false
	case f.SameSentAt != nil:
		return Reason{CodeDuplicate, fmt.Sprintf("The same content went to the contact at %s, within the last %s.",
			f.SameSentAt.UTC().Format("2006-01-02 15:04 UTC"), hours(p.Duplicate))}, false
	}
	return Reason{CodeNotDuplicate, fmt.Sprintf("Nothing of the same content in the last %s.", hours(p.Duplicate))}, true
}

func checkFrequency(_ string, f Facts, p Policy) (Reason, bool) {
	switch {
	case f.SentDay >= p.PerDay:
		return Reason{CodeDayCap, fmt.Sprintf("%d messages in the last 24 hours; at most %d are allowed.", f.SentDay, p.PerDay)}, false
	case f.SentWeek >= p.PerWeek:
		return Reason{CodeWeekCap, fmt.Sprintf("%d messages in the last 7 days; at most %d are allowed.", f.SentWeek, p.PerWeek)}, false
	}
	return Reason{CodeWithinCaps, fmt.Sprintf("%d of %d messages in 24 hours, %d of %d in 7 days.", f.SentDay, p.PerDay, f.SentWeek, p.PerWeek)}, true
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func hours(d time.Duration) string { return fmt.Sprintf("%g hours", d.Hours()) }
