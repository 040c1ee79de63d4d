package outagebench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account"
)

// Rig is Madan Sara and Core as processes of the real program over one
// database, with a [Proxy] on the way from the one to the other.
type Rig struct {
	Madan, Core *Process
	Proxy       *Proxy
	Tenants     []uuid.UUID

	keys     []string // of the tenants
	database string
	client   *http.Client
}

// Start builds the program into dir and starts both processes on a migrated
// database, with a number of tenants. Close the rig in any case.
func Start(ctx context.Context, database, dir string, tenants int) (r *Rig, err error) {
	binary := filepath.Join(dir, "madansara")
	output, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/engardehq/madansara/cmd/madansara").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build: %w: %s", err, output)
	}
	r = &Rig{database: database, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if err := r.addTenants(ctx, tenants); err != nil {
		return nil, err
	}
	core, err := newProcess(ctx, binary, "engarde-core", database, dir)
	if err != nil {
		return nil, err
	}
	if r.Proxy, err = NewProxy(ctx, strings.TrimPrefix(core.URL, "http://")); err != nil {
		return nil, err
	}
	madan, err := newProcess(ctx, binary, "madan-sara", database, dir, "ENGARDE_CORE_URL="+r.Proxy.URL())
	if err != nil {
		return nil, err
	}
	r.Core, r.Madan = core, madan
	if err := r.Core.Start(ctx); err != nil {
		return nil, err
	}
	return r, r.Madan.Start(ctx)
}

// Close ends the processes.
func (r *Rig) Close() {
	for _, p := range []*Process{r.Madan, r.Core} {
		if p != nil {
			p.Kill()
		}
	}
	if r.Proxy != nil {
		r.Proxy.Close()
	}
	r.client.CloseIdleConnections()
}

func (r *Rig) addTenants(ctx context.Context, n int) error {
	config := engardedb.Defaults(r.database)
	config.Role = "engarde_core_app"
	db, err := engardedb.Open(ctx, config)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer db.Close()
	accounts := account.New(db, clockwork.NewRealClock())
	for i := range n {
		tenant, err := accounts.CreateTenant(ctx, account.Tenant{Name: fmt.Sprint("Shop ", i)})
		if err != nil {
			return fmt.Errorf("add a tenant: %w", err)
		}
		key, _, err := accounts.CreateKey(ctx, tenant, account.NewKey{Kind: account.SecretKey, Name: "outage", Scopes: []string{"*"}})
		if err != nil {
			return fmt.Errorf("add a key: %w", err)
		}
		r.Tenants, r.keys = append(r.Tenants, tenant), append(r.keys, key)
	}
	return nil
}

// Track records the n-th conversion over HTTP. It may be repeated: the order's
// number makes it one. Every fifth is another customer's; the tenants take turns.
func (r *Rig) Track(ctx context.Context, n int) error {
	body := fmt.Sprintf(`{"name":"Order Completed","order_id":"order-%d","email":"customer-%d@example.com","revenue":"19.90","currency":"USD"}`, n, n/5)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Madan.URL+"/api/v1/conversion/track", strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("track: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+r.keys[n%len(r.keys)])
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("track: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // it is read to its end
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("track: %d %s: %w", response.StatusCode, answer, errors.Join(err, errStatus))
	}
	return nil
}

var errStatus = errors.New("no success")

// Sample is what Madan Sara's metrics say at one moment.
type Sample struct {
	At       time.Time
	Attempts float64 // requests sent or tried to Core, ever
	Delayed  float64 // attempts that the retry budget forbade
	Pending  float64 // facts in the outbox
	Failed   float64
	Circuit  string // of Core's only address: closed, half_open, open; "" when not known
}

// Sample reads Madan Sara's metrics.
func (r *Rig) Sample(ctx context.Context) (s Sample, err error) {
	s.At = time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Madan.URL+"/metrics", http.NoBody)
	if err != nil {
		return s, fmt.Errorf("metrics: %w", err)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return s, fmt.Errorf("metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // it is read to its end
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return s, fmt.Errorf("metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		return s, fmt.Errorf("metrics: %w", err)
	}
	for _, m := range families["mesh_attempts_total"].GetMetric() {
		if label(m, "peer") != "engarde-core" {
			continue
		}
		if label(m, "kind") == "over_budget" {
			s.Delayed += m.GetCounter().GetValue()
		} else {
			s.Attempts += m.GetCounter().GetValue()
		}
	}
	for _, m := range families["mesh_addresses"].GetMetric() {
		if label(m, "peer") == "engarde-core" && m.GetGauge().GetValue() > 0 {
			s.Circuit = label(m, "circuit")
		}
	}
	for _, m := range families["outbox_facts"].GetMetric() {
		if label(m, "status") == "pending" {
			s.Pending = m.GetGauge().GetValue()
		} else {
			s.Failed = m.GetGauge().GetValue()
		}
	}
	return s, nil
}

func label(m *dto.Metric, name string) string {
	i := slices.IndexFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == name })
	if i < 0 {
		return ""
	}
	return m.GetLabel()[i].GetValue()
}

// Arrived is what Core has, as its table says.
type Arrived struct {
	Facts, Orders int // Orders are distinct ones
	Disordered    int // facts that came before an earlier one of the same customer
}

// Arrived counts what Core has of all tenants.
func (r *Rig) Arrived(ctx context.Context) (a Arrived, err error) {
	conn, err := pgx.Connect(ctx, r.database)
	if err != nil {
		return a, fmt.Errorf("look at what Core has: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // it was only read
	const query = `
		SELECT count(*), count(DISTINCT (tenant_uuid, data->>'external_id')), count(*) FILTER (WHERE received_at < before)
		FROM (SELECT *, max(received_at) OVER (PARTITION BY tenant_uuid, customer_id ORDER BY sequence
				ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
			FROM synced_facts WHERE data_type = 'conversion' AND source = 'madan-sara') f`
	if err := conn.QueryRow(ctx, query).Scan(&a.Facts, &a.Orders, &a.Disordered); err != nil {
		return a, fmt.Errorf("look at what Core has: %w", err)
	}
	return a, nil
}

// Process is one service of the real program.
type Process struct {
	URL string

	binary, service string
	environ         []string
	cmd             *exec.Cmd
}

func newProcess(ctx context.Context, binary, service, database, dir string, environ ...string) (*Process, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	p := &Process{URL: "http://" + address, binary: binary, service: service}
	p.environ = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "MADANSARA_DATA_DIR=" + filepath.Join(dir, service), "ENGARDE_DATABASE_URL=" + database,
		"PORT=" + port, "PUBLIC_BASE_URL=" + p.URL, "SECRET_KEY=" + strings.Repeat("5ec4e7", 12), "SERVICE_MESH_SECRET=" + strings.Repeat("3e54", 12),
		"LOG_LEVEL=error", "API_RATE_LIMIT=0",
		// Peers that are not there: only Core is called.
		"ENGARDE_CORE_URL=http://127.0.0.1:1", "ONSIDE_URL=http://127.0.0.1:1", "SANKORE_URL=http://127.0.0.1:1", "MADAN_SARA_URL=http://127.0.0.1:1",
	}, environ...)
	return p, nil
}

// Start starts the process and returns once it is ready.
func (p *Process) Start(ctx context.Context) error {
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.binary, "serve", p.service)
	p.cmd.Env, p.cmd.Stderr = p.environ, os.Stderr
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.service, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); ; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/health/ready", http.NoBody)
		if err != nil {
			return fmt.Errorf("start %s: %w", p.service, err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close() // nothing of it is read
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready within a minute: %w", p.service, errors.Join(ctx.Err(), err))
		}
	}
}

// Kill ends the process as kill -9 does. It does nothing when none runs.
func (p *Process) Kill() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // killed, as it was to be
	p.cmd = nil
}
