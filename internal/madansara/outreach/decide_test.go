package outreach

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func genFacts(t *rapid.T) (Facts, Policy) {
	f := Facts{
		Address:    rapid.SampledFrom([]string{"", "a@example.com"}).Draw(t, "address"),
		Consent:    rapid.SampledFrom([]string{"", "granted", "granted", "granted", "withdrawn"}).Draw(t, "consent"),
		Suppressed: rapid.SampledFrom([]string{"", "", "", "bounced", "unsubscribed"}).Draw(t, "suppressed"),
		InCampaign: rapid.IntRange(0, 4).Draw(t, "in campaign") == 0,
		SentDay:    rapid.IntRange(0, 5).Draw(t, "day"), ConsentGiven: at,
	}
	f.SentWeek = f.SentDay + rapid.IntRange(0, 5).Draw(t, "week")
	if rapid.IntRange(0, 4).Draw(t, "same") == 0 {
		f.SameSentAt = &at
	}
	return f, Policy{PerDay: rapid.IntRange(1, 5).Draw(t, "per day"), PerWeek: rapid.IntRange(1, 8).Draw(t, "per week"), Duplicate: 24 * time.Hour}
}

// It is sent exactly when every condition holds, and the reason that decided is
// the first that does not.
func TestDecideFollowsEveryRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, p := genFacts(t)
		d := Decide("email", f, p)
		wanted := []struct {
			holds bool
			codes []string
		}{
			{f.Address != "", []string{CodeNoAddress}},
			{f.Consent == "granted", []string{CodeNoConsent, CodeConsentWithdrawn}},
			{f.Suppressed == "", []string{CodeSuppressed}},
			{!f.InCampaign && f.SameSentAt == nil, []string{CodeDuplicate}},
			{f.SentDay < p.PerDay && f.SentWeek < p.PerWeek, []string{CodeDayCap, CodeWeekCap}},
		}
		for i, rule := range wanted {
			if rule.holds {
				continue
			}
			require.Equal(t, Skip, d.Outcome)
			require.Contains(t, rule.codes, d.Code())
			require.Len(t, d.Reasons, i+1, "checks after the deciding one are not made")
			return
		}
		require.Equal(t, Send, d.Outcome)
		require.Equal(t, CodeWithinCaps, d.Code())
		require.Len(t, d.Reasons, len(wanted))
	})
}

// Whoever is not written to would not be, had they had more messages.
func TestMoreMessagesNeverAllowAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, p := genFacts(t)
		if Decide("email", f, p).Outcome == Send {
			return
		}
		f.SentDay += rapid.IntRange(0, 3).Draw(t, "more")
		f.SentWeek += 3
		require.Equal(t, Skip, Decide("email", f, p).Outcome)
	})
}

func TestEveryReasonSaysSomethingToAPerson(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, p := genFacts(t)
		for _, reason := range Decide("email", f, p).Reasons {
			require.NotEmpty(t, reason.Code)
			require.Greater(t, len(reason.Text), 15)
			require.Equal(t, byte('.'), reason.Text[len(reason.Text)-1])
		}
	})
}

// A message that may have been accepted is never queued again, and one that was
// not accepted is never called sent.
func TestJudgeNeverQueuesWhatMayHaveBeenAccepted(t *testing.T) {
	t.Parallel()
	kinds := []channel.Kind{channel.Temporary, channel.Permanent, channel.Rejected, channel.Uncertain, channel.Misconfigured, "new kind"}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		var err error = &channel.Error{
			Kind: kind, Stage: rapid.SampledFrom([]string{"connect", "rcpt", "final dot"}).Draw(t, "stage"),
			RetryAfter: time.Duration(rapid.Int64().Draw(t, "retry after")),
		}
		if rapid.IntRange(0, 9).Draw(t, "classified") == 0 {
			err, kind = errors.New("nobody knows"), channel.Uncertain
		}
		m := &claimed{attempts: rapid.IntRange(1, 100).Draw(t, "attempts")}
		failures := rapid.IntRange(1, 40).Draw(t, "failures")
		cfg := Config{}.withDefaults()
		v := judge(err, m, failures, rapid.IntRange(1, 20).Draw(t, "outages"), cfg, at)

		if !slices.Contains([]channel.Kind{channel.Temporary, channel.Misconfigured, channel.Permanent, channel.Rejected}, kind) {
			require.Equal(t, Unknown, v.status)
		}
		require.Equal(t, kind == channel.Permanent, v.suppress)
		require.NotEqual(t, Sent, v.status)
		require.False(t, v.notBefore.Before(at), "never due before now")
		require.False(t, v.notBefore.After(at.Add(24*time.Hour)), "never put off for ever")
		if kind == channel.Misconfigured {
			require.NotEmpty(t, v.pause)
		}
		if v.status == Queued && !v.uncounted {
			require.Less(t, m.attempts, cfg.MaxAttempts, "attempts are bounded")
		}
		if v.uncounted {
			require.True(t, v.unreachable || v.pause != "", "what does not count ends the run, so it can't go round for ever")
		}
	})
}
