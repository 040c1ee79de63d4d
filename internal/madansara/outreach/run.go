package outreach

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"golang.org/x/time/rate"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// recordTimeout bounds the commit that records what became of a message after
// the job's own time is up; the queue's margin to take-over is longer.
const recordTimeout = 2 * time.Second

// run is one run of a sender's job.
type run struct {
	*Sender
	job        *river.Job[sendArgs]
	log        *slog.Logger
	campaign   outreachdb.OutreachCampaign // zero for single sends
	tenantName string
	limiter    *rate.Limiter // nil: as fast as it goes
	// text is what the campaign sends; zero for single sends.
	text Template
	// templates of single sends stay as they were when the run began.
	templates map[uuid.UUID]Template
	lines     map[string]*line // open ones, by channel
	// failures in a row; the first success forgets them.
	failures int
	// unreachable is why the run ends early: the provider can't be reached, or
	// nobody knows which one it is.
	unreachable error
	paused      bool
}

func (r *run) work(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	end := r.clock.Now().Add(r.cfg.Slice)
	slice, cancel := context.WithTimeout(ctx, r.cfg.Slice)
	defer cancel()
	if err := r.wait(slice); err != nil {
		return river.JobSnooze(0)
	}
	message, err := r.step(ctx, nil, true)
	for err == nil && message != nil {
		record := r.send(ctx, message)
		record.channel = message.channel
		more := r.unreachable == nil && !r.paused && ctx.Err() == nil && !jobs.Stopping(ctx) &&
			r.clock.Now().Before(end) && r.wait(slice) == nil
		message, err = r.step(ctx, record, more)
		if err == nil && message == nil && !more {
			return r.handOver(ctx)
		}
	}
	if err != nil {
		return err
	}
	return r.finish(ctx)
}

// handOver ends a run whose time is up or that cannot go on.
func (r *run) handOver(ctx context.Context) error {
	if accountUnknown(r.unreachable) {
		return river.JobSnooze(r.cfg.AccountWait)
	}
	if r.unreachable != nil && !r.paused {
		return fmt.Errorf("reach the provider: %w", r.unreachable)
	}
	if r.paused {
		return r.finish(ctx)
	}
	return river.JobSnooze(0)
}

func (r *run) wait(ctx context.Context) error {
	if r.limiter == nil {
		return nil
	}
	return r.limiter.Wait(ctx) //nolint:wrapcheck // only whether the slice ends first matters
}

const abandoned = "The process that was sending this message ended before the mail server's answer was recorded: " +
	"the server may or may not have accepted it. Decide whether it counts as sent, is sent again or is given up."

// begin gives up what an earlier run of this job left in the air, and reads the campaign.
func (r *run) begin(ctx context.Context) error {
	r.templates, r.lines = map[uuid.UUID]Template{}, map[string]*line{}
	args := r.job.Args
	err := r.db.Tenant(ctx, args.Tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		queries := outreachdb.New(tx)
		left, err := queries.AbandonSending(ctx, outreachdb.AbandonSendingParams{Job: r.job.ID, Error: abandoned})
		if err != nil {
			return fmt.Errorf("give up what is in the air: %w", err)
		}
		if left > 0 {
			r.log.WarnContext(ctx, "messages of a sender that died are unknown now", slog.Int64("messages", left))
		}
		if err := tx.QueryRow(ctx, "SELECT name FROM tenants").Scan(&r.tenantName); err != nil {
			return fmt.Errorf("read the tenant's name: %w", err)
		}
		if args.Campaign == uuid.Nil {
			return nil
		}
		if r.campaign, err = queries.GetCampaign(ctx, args.Campaign); err != nil {
			return fmt.Errorf("read the campaign: %w", err)
		}
		return r.readText(ctx, queries)
	})
	if err != nil {
		return err
	}
	if perSecond := int(r.campaign.RatePerSecond); perSecond > 0 {
		// The senders share the rate evenly. The first token is spent here: a
		// run must not begin with a message for free.
		r.limiter = rate.NewLimiter(rate.Limit(float64(perSecond)/float64(slots(r.campaign, r.cfg))), 1)
		r.limiter.Allow()
	}
	return nil
}

// slots is how many senders a campaign has: no more than messages a second, so
// that each sends at least once a second.
func slots(campaign outreachdb.OutreachCampaign, cfg Config) int {
	if campaign.RatePerSecond > 0 {
		return min(cfg.Senders, int(campaign.RatePerSecond))
	}
	return cfg.Senders
}

// record is what became of a message: sent, or something else to be stored.
type record struct {
	channel string
	outcome Status
	sent    *sentMessage
	or      func(ctx context.Context, tx engardedb.Tx) error
}

type sentMessage struct {
	message        uuid.UUID
	at             time.Time
	reply, subject string
}

// step is the one commit a message costs: it records what became of the last
// and, when more is wanted, claims the next (nil when nothing is due).
func (r *run) step(ctx context.Context, last *record, more bool) (next *claimed, err error) {
	if last != nil {
		// What became of a message is recorded even when the job's time is up.
		var cancel context.CancelFunc
		ctx, cancel = lasting(ctx)
		defer cancel()
	}
	err = r.db.Tenant(ctx, r.job.Args.Tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		more := more && !r.paused
		if last != nil && last.sent != nil {
			next, err = r.recordAndClaim(ctx, tx, last.sent, more)
			return err
		}
		if last != nil {
			if err := last.or(ctx, tx); err != nil {
				return err
			}
		}
		if more {
			next, err = r.claim(ctx, tx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if last != nil {
		r.messages.WithLabelValues(last.channel, string(last.outcome)).Inc()
	}
	return next, nil
}

// lasting returns a context that outlives ctx by recordTimeout.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(recordTimeout, cancel)
		context.AfterFunc(out, func() { timer.Stop() })
	})
	return out, func() { stop(); cancel() }
}

// send renders and sends one message and returns what is to be recorded about it.
func (r *run) send(ctx context.Context, m *claimed) *record {
	content, err := r.render(ctx, m)
	if err != nil && ctx.Err() != nil {
		return r.interrupted(m, ctx.Err())
	}
	if err != nil {
		return r.failed(m, "", &channel.Error{Kind: channel.Rejected, Stage: "render", Err: err})
	}
	from := channel.Address{Name: r.campaign.FromName, Address: r.campaign.FromEmail}
	receipt, err := r.deliver(ctx, m.channel, from, channel.Message{
		UUID: m.message, Tenant: r.job.Args.Tenant, Campaign: r.job.Args.Campaign,
		To:      channel.Address{Name: m.recipient.displayName(), Address: m.address},
		Subject: content.Subject, HTML: content.HTML, Text: content.Text, UnsubscribeURL: content.UnsubscribeURL,
	})
	if err != nil {
		return r.failed(m, content.Subject, err)
	}
	r.failures = 0
	return &record{outcome: Sent, sent: &sentMessage{message: m.message, at: r.clock.Now().UTC(), reply: receipt.Reply, subject: content.Subject}}
}

// close ends the provider's sessions.
func (r *run) close(ctx context.Context) {
	for name := range r.lines {
		r.hangUp(ctx, name)
	}
}

// hangUp ends the session over a channel, if there is one.
func (r *run) hangUp(ctx context.Context, name string) {
	open := r.lines[name]
	if open == nil {
		return
	}
	delete(r.lines, name)
	if err := open.session.Close(); err != nil {
		// The messages before it are accepted already.
		r.log.DebugContext(ctx, "the provider's session did not end well", slog.String("channel", name), slog.Any("error", err))
	}
}

// finish ends a run that found nothing to send. Under the lock that start,
// resume and single sends take it decides whether the sender is still needed.
func (r *run) finish(ctx context.Context) error {
	var snooze time.Duration
	err := r.db.Tenant(ctx, r.job.Args.Tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		snooze, err = r.finishTx(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if snooze > 0 {
		return river.JobSnooze(snooze)
	}
	return nil
}

// idleWait is how soon a sender looks again that waits for the expansion or for
// a message another sender holds.
const idleWait = 300 * time.Millisecond

// finishTx returns how long to wait, or zero when it completed the job.
func (r *run) finishTx(ctx context.Context, tx engardedb.Tx) (time.Duration, error) {
	queries := outreachdb.New(tx)
	running, expanded := true, true
	if r.job.Args.Campaign == uuid.Nil {
		if err := lockSingleSends(ctx, tx); err != nil {
			return 0, err
		}
	} else {
		campaign, err := queries.LockCampaign(ctx, r.job.Args.Campaign)
		if err != nil {
			return 0, fmt.Errorf("lock the campaign: %w", err)
		}
		running, expanded = campaign.Status == string(Running), campaign.ExpandedAt != nil
	}
	if !running {
		return 0, jobs.Complete(ctx, tx, r.job)
	}
	left, err := workLeft(ctx, tx, r.job.Args.Campaign)
	if err != nil {
		return 0, err
	}
	now := r.clock.Now()
	switch {
	case left.nextDue != nil:
		return max(left.nextDue.Sub(now), idleWait), nil
	case !expanded:
		return idleWait, nil
	case !left.sending && r.job.Args.Campaign != uuid.Nil:
		// Of two last senders the later one sees that nothing is left: the lock
		// puts them in an order.
		err := queries.FinishCampaign(ctx, outreachdb.FinishCampaignParams{CampaignUUID: r.job.Args.Campaign, Now: now.UTC()})
		if err != nil {
			return 0, fmt.Errorf("finish the campaign: %w", err)
		}
	}
	return 0, jobs.Complete(ctx, tx, r.job)
}

// recentErrors counts the runs of the last ten minutes that failed.
func recentErrors(errs []rivertype.AttemptError, now time.Time) int {
	n := 0
	for _, e := range errs {
		if now.Sub(e.At) < 10*time.Minute {
			n++
		}
	}
	return n
}
