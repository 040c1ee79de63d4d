package outreach_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/tracking"
)

// bundle is one tenant with a template, a segment of everybody and the service.
type bundle struct {
	url      string
	db       *engardedb.DB
	tenant   uuid.UUID
	service  *outreach.Service
	queue    *jobs.Queue
	provider *provider
	segment  uuid.UUID
	template uuid.UUID
	cfg      outreach.Config
	// rendering, when set, is called before each letter is rendered.
	metrics   prometheus.Collector
	rendering func(ctx context.Context, letter outreach.Letter) error
}

// renderer is the real one behind a bundle's rendering.
type renderer struct {
	outreach.Renderer

	before func(ctx context.Context, letter outreach.Letter) error
}

func (r renderer) Render(ctx context.Context, letter outreach.Letter) (outreach.Content, error) {
	if r.before != nil {
		if err := r.before(ctx, letter); err != nil {
			return outreach.Content{}, err
		}
	}
	return r.Renderer.Render(ctx, letter)
}

var testConfig = outreach.Config{
	Senders: 4, Slice: 2 * time.Second, MaxAttempts: 3, RetryAfter: 10 * time.Millisecond, ErrorBurst: 5, Outages: 3,
	FromEmail: "shop@example.com", FromName: "The Shop", Logger: slog.New(slog.DiscardHandler),
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{provider: &provider{}, cfg: testConfig}
	b.url, b.db = dbtest.App(t, "madan_sara_app")
	b.tenant = dbtest.Tenant(t, b.url)
	b.segment, b.template = b.newSegment(t, b.tenant, `{"created":{"after":"2000-01-01T00:00:00Z"}}`), b.newTemplate(t, b.tenant, "Hello {{ contact.first_name }}")
	return b
}

// start runs a process's worth of workers until the test ends.
func (b *bundle) start(t *testing.T) *bundle {
	t.Helper()
	b.queue = b.workers(t)
	b.service = outreach.New(b.db, b.queue, clockwork.NewRealClock(), b.cfg)
	return b
}

func (b *bundle) workers(t *testing.T) *jobs.Queue {
	t.Helper()
	db := dbtest.Pool(t, b.url, "madan_sara_app")
	signer, err := tracking.NewSigner([]byte("0123456789abcdef0123456789abcdef"), "https://example.com")
	require.NoError(t, err)
	clock := clockwork.NewRealClock()
	workers := river.NewWorkers()
	sender := outreach.NewSender(db, clock, renderer{outreach.NewLetters(signer, clock), b.rendering}, []channel.Adapter{b.provider}, b.cfg)
	require.NoError(t, sender.RegisterWorkers(workers))
	b.metrics = sender.Collector()
	queue, err := jobs.New(db, jobs.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{outreach.Queue: {MaxWorkers: 10}},
		PollInterval: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, queue.Stop(ctx))
	})
	return queue
}

func (b *bundle) newSegment(t *testing.T, tenant uuid.UUID, rules string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	b.exec(t, tenant, "INSERT INTO segments VALUES ($1, $2, 'Everybody', $3, now(), now())", tenant, id, rules)
	return id
}

func (b *bundle) newTemplate(t *testing.T, tenant uuid.UUID, subject string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	b.exec(t, tenant, "INSERT INTO channel_templates VALUES ($1, $2, 'email', 'T', $3, '<p>Hi</p>', '', now(), now())", tenant, id, subject)
	return id
}

// contacts adds n contacts who agreed to e-mail.
func (b *bundle) contacts(t *testing.T, n int) []uuid.UUID {
	t.Helper()
	ids, emails := make([]uuid.UUID, n), make([]string, n)
	for i := range n {
		ids[i] = uuid.Must(uuid.NewV7())
		emails[i] = fmt.Sprintf("person%d@example.com", i)
	}
	b.exec(t, b.tenant, `INSERT INTO contacts (tenant_uuid, contact_uuid, email, first_name, created_at, updated_at)
		SELECT $1, id, email, 'Ti', now(), now() FROM unnest($2::uuid[], $3::text[]) AS c (id, email)`, b.tenant, ids, emails)
	b.exec(t, b.tenant, `INSERT INTO consents (tenant_uuid, contact_uuid, channel, status, source, recorded_at)
		SELECT $1, id, 'email', 'granted', 'test', now() FROM unnest($2::uuid[]) AS c (id)`, b.tenant, ids)
	return ids
}

func (b *bundle) exec(t *testing.T, tenant uuid.UUID, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}))
}

func (b *bundle) campaign(t *testing.T) outreach.Campaign {
	t.Helper()
	c, err := b.service.Create(t.Context(), b.tenant, outreach.CampaignDraft{Name: "Spring", Segment: b.segment, Template: b.template})
	require.NoError(t, err)
	return c
}

func (b *bundle) startCampaign(t *testing.T) outreach.Campaign {
	t.Helper()
	c := b.campaign(t)
	_, err := b.service.Start(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	return c
}

func (b *bundle) report(t *testing.T, id uuid.UUID) outreach.Report {
	t.Helper()
	report, err := b.service.Report(t.Context(), b.tenant, id)
	require.NoError(t, err)
	return report
}

// await waits until the campaign's report is as wanted and returns it.
func (b *bundle) await(t *testing.T, id uuid.UUID, wanted func(outreach.Report) bool) outreach.Report {
	t.Helper()
	var report outreach.Report
	require.Eventually(t, func() bool {
		report = b.report(t, id)
		return wanted(report)
	}, 5*time.Minute, 20*time.Millisecond) // patience, not a measure of speed
	return report
}

func (b *bundle) awaitStatus(t *testing.T, id uuid.UUID, status outreach.CampaignStatus) outreach.Report {
	t.Helper()
	var report outreach.Report
	require.Eventually(t, func() bool {
		report = b.report(t, id)
		return report.Campaign.Status == status
	}, 5*time.Minute, 20*time.Millisecond) // patience, not a measure of speed
	return report
}

// provider is a channel whose answers the test scripts, and which counts what it accepted.
type provider struct {
	mu       sync.Mutex
	accepted map[string][]uuid.UUID // message ids by address
	from     []channel.Address      // of those accepted
	// answer is asked before a message is accepted.
	answer func(m channel.Message) error
	// hang says of which messages the provider never answers.
	hang   func(m channel.Message) bool
	opened int
	open   func() error
}

func (p *provider) Channel() string { return "email" }

func (p *provider) Open(context.Context) (channel.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	if p.open != nil {
		if err := p.open(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *provider) Close() error { return nil }

func (p *provider) Send(ctx context.Context, m channel.Message) (channel.Receipt, error) {
	if p.hang != nil && p.hang(m) {
		<-ctx.Done()
		return channel.Receipt{}, &channel.Error{Kind: channel.Uncertain, Stage: "final dot", Err: ctx.Err()}
	}
	if p.answer != nil {
		if err := p.answer(m); err != nil {
			return channel.Receipt{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accepted == nil {
		p.accepted = map[string][]uuid.UUID{}
	}
	p.accepted[m.To.Address] = append(p.accepted[m.To.Address], m.UUID)
	p.from = append(p.from, m.From)
	return channel.Receipt{Reply: "250 ok", At: time.Now()}, nil
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, messages := range p.accepted {
		n += len(messages)
	}
	return n
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}
