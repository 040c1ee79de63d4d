package outreach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// verdict is what a failure means for the message and its campaign.
type verdict struct {
	status      Status
	notBefore   time.Time // when the message may be tried again
	uncounted   bool      // the attempt does not count against the message
	suppress    bool      // the address is dead
	pause       string    // why the campaign stops; empty when it goes on
	unreachable bool
}

// judge is the rule for failures; failures counts this one and those right before it.
func judge(err error, m *claimed, failures, outages int, cfg Config, now time.Time) verdict {
	var e *channel.Error
	if !errors.As(err, &e) {
		e = &channel.Error{Kind: channel.KindOf(err)}
	}
	v := verdict{status: Failed, notBefore: now}
	switch e.Kind {
	case channel.Temporary:
		v.status = Queued
		if accountUnknown(e) {
			v.uncounted, v.unreachable = true, true
			return v // it waits for as long as it takes: nobody of the company can do anything
		}
		if e.Unused || e.Stage == channel.StageConnect {
			v.uncounted, v.unreachable = true, true
			if outages >= cfg.Outages {
				v.pause = fmt.Sprintf("The provider could not be reached in %d attempts: %s", outages, short(err))
			}
			return v
		}
		v.notBefore = now.Add(backOff(m.attempts, e.RetryAfter, cfg.RetryAfter))
		if m.attempts >= cfg.MaxAttempts {
			v.status = Failed
		}
	case channel.Permanent:
		v.suppress = true
	case channel.Rejected:
	case channel.Misconfigured:
		v.status, v.uncounted = Queued, true
		v.pause = "Sending is not set up right: " + short(err)
		return v
	default: // channel.Uncertain, and what nobody classified
		v.status = Unknown
	}
	if failures >= cfg.ErrorBurst {
		v.pause = fmt.Sprintf("%d messages in a row failed, the last one with: %s", failures, short(err))
	}
	return v
}

// accountUnknown reports whether nothing can be sent because nobody knows whose account
// it would leave by.
func accountUnknown(err error) bool {
	e, is := errors.AsType[*channel.Error](err)
	return is && e.Kind == channel.Temporary && e.Stage == channel.StageAccount
}

// backOff doubles from first with every attempt, up to an hour, and waits at
// least as long as the provider asked, up to a day.
func backOff(attempts int, asked, first time.Duration) time.Duration {
	wait := min(first<<min(max(attempts-1, 0), 12), time.Hour)
	return max(wait, min(asked, 24*time.Hour))
}

// failed returns what is to be recorded about a message that was not accepted,
// or about which nobody knows.
func (r *run) failed(m *claimed, subject string, cause error) *record {
	r.failures++
	outages := recentErrors(r.job.Errors, r.clock.Now()) + 1
	v := judge(cause, m, r.failures, outages, r.cfg, r.clock.Now().UTC())
	if v.unreachable {
		r.unreachable = cause
	}
	single := r.job.Args.Campaign == uuid.Nil
	if v.pause != "" && single {
		// There is no campaign to pause; the message waits like any other.
		v.pause, v.notBefore = "", r.clock.Now().UTC().Add(backOff(m.attempts, 0, r.cfg.RetryAfter))
		r.unreachable = cause
	}
	r.paused = v.pause != ""
	return &record{outcome: v.status, or: func(ctx context.Context, tx engardedb.Tx) error {
		return r.recordFailure(ctx, tx, m, subject, cause, v)
	}}
}

// interrupted returns what is to be recorded about a message whose sender ran
// out of time before it was handed to the provider: it waits as before.
func (r *run) interrupted(m *claimed, cause error) *record {
	v := verdict{status: Queued, notBefore: r.clock.Now().UTC(), uncounted: true}
	return &record{outcome: v.status, or: func(ctx context.Context, tx engardedb.Tx) error {
		return r.recordFailure(ctx, tx, m, "", fmt.Errorf("the sender's time ended before the message was sent: %w", cause), v)
	}}
}

func (r *run) recordFailure(ctx context.Context, tx engardedb.Tx, m *claimed, subject string, cause error, v verdict) error {
	queries := outreachdb.New(tx)
	uncounted := 0
	if v.uncounted {
		uncounted = 1
	}
	_, err := queries.RecordUnsent(ctx, outreachdb.RecordUnsentParams{
		MessageUUID: m.message, Job: r.job.ID, Status: string(v.status), Error: short(cause),
		NotBefore: v.notBefore, Uncounted: int32(uncounted), Subject: subject,
	})
	if err != nil {
		return fmt.Errorf("record a failed message: %w", err)
	}
	now := r.clock.Now().UTC()
	if v.suppress {
		err := queries.Suppress(ctx, outreachdb.SuppressParams{
			TenantUUID: tx.Tenant(), Channel: m.channel, Address: m.address, Reason: "bounced", CreatedAt: now,
		})
		if err != nil {
			return fmt.Errorf("suppress an address: %w", err)
		}
	}
	if v.pause != "" {
		r.log.WarnContext(ctx, "campaign paused", slog.String("reason", v.pause))
		_, err := queries.PauseCampaign(ctx, outreachdb.PauseCampaignParams{
			CampaignUUID: r.job.Args.Campaign, PauseReason: v.pause, UpdatedAt: now,
		})
		if err != nil {
			return fmt.Errorf("pause the campaign: %w", err)
		}
	}
	return nil
}

// short is an error's text as it is stored: valid, and no longer than a person reads.
func short(err error) string { return clip(err.Error(), 500) }
