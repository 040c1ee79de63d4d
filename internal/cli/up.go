package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dev/mailbox"
	"github.com/engardehq/madansara/internal/dev/shop"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/internal/telemetry"
	"github.com/engardehq/madansara/mesh"
)

// ownerEmail logs in to the demo tenant.
const ownerEmail = "owner@timachann.example"

// demoTenant has a fixed id, so that an interrupted first run is taken up again.
var demoTenant = uuid.MustParse("0198c000-0000-7000-8000-00000000de30")

type upCommand struct {
	ShopPort    int `default:"8010" env:"SHOP_PORT" help:"Port of the demo shop."`
	MailboxPort int `default:"8025" env:"MAILBOX_PORT" help:"Port of the mailbox's pages."`
}

// demo is what the first run makes and later runs find again: the file
// demo.json in the data folder, readable by its owner only.
type demo struct {
	Tenant   uuid.UUID `json:"tenant"`
	Password string    `json:"password"`
	APIKey   string    `json:"api_key"`
	WriteKey string    `json:"write_key"`
}

// Run starts everything and runs until it is told to stop.
func (c *upCommand) Run(ctx context.Context, p process) (err error) {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	if cfg.Environment != config.Development {
		return usageError{errors.New("up is for one machine with demo data; elsewhere use: madansara migrate && madansara serve")}
	}
	cfg.AllowLoopbackURLs = true // the demo shop is a site of this machine
	ports, err := c.listen(ctx, cfg)
	if err != nil {
		return err
	}
	defer ports.close()
	database, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop()) }()
	if cfg, err = withKeptSecrets(cfg); err != nil {
		return err
	}
	if err := migrate.Up(ctx, database.url); err != nil {
		return err
	}
	return withTelemetry(ctx, cfg, p, mesh.MadanSara, true, func(t *telemetry.Telemetry) error {
		s := surroundings{cfg: cfg, database: database, ports: ports, telemetry: t}
		return s.run(ctx, p)
	})
}

// ports are taken before anything else is started, so that one in use costs
// nobody a start.
type ports struct {
	services      map[string]net.Listener // by the service's id
	shop, mailbox net.Listener
}

func (c *upCommand) listen(ctx context.Context, cfg config.Config) (ports, error) {
	p, err := listenServices(ctx, cfg)
	if err == nil {
		p.shop, err = listen(ctx, loopback, c.ShopPort, "SHOP_PORT")
	}
	if err == nil && cfg.SMTPHost == "" {
		p.mailbox, err = listen(ctx, loopback, c.MailboxPort, "MAILBOX_PORT")
	}
	if err != nil {
		p.close()
	}
	return p, err
}

func (p ports) close() {
	for _, listener := range append(slices.Collect(maps.Values(p.services)), p.shop, p.mailbox) {
		if listener != nil {
			_ = listener.Close() // whoever served it has closed it already
		}
	}
}

// surroundings are the service and what a first look at it needs.
type surroundings struct {
	cfg       config.Config
	database  database
	ports     ports
	telemetry *telemetry.Telemetry
}

func (s surroundings) run(ctx context.Context, p process) (err error) {
	clock := clockwork.NewRealClock()
	group, groupCtx := errgroup.WithContext(ctx)
	if s.ports.mailbox != nil {
		box, err := mailbox.New(mailbox.Config{Clock: clock}) //nolint:contextcheck // it lives until it is closed
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, box.Close()) }()
		if s.cfg, err = sendTo(s.cfg, box.SMTPAddr()); err != nil {
			return err
		}
		group.Go(func() error {
			return httpkit.Serve(groupCtx, s.ports.mailbox, box.Handler(), time.Second, s.telemetry.Logger)
		})
	}
	services, err := s.services(ctx, p, clock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.close(ctx)) }()
	made, err := makeDemo(ctx, s.cfg, services[mesh.Core].app.Accounts())
	if err != nil {
		return err
	}
	local := fmt.Sprintf("http://localhost:%d", s.cfg.Port)
	store, err := shop.New(shop.Config{ //nolint:contextcheck // it lives until it is closed
		TrackerURL: local + app.TrackerPath, IngestURL: local, WriteKey: made.WriteKey, Clock: clock, Logger: s.telemetry.Logger,
	})
	if err != nil {
		return err
	}
	for id, service := range services {
		group.Go(func() error { return service.app.Serve(groupCtx, s.ports.services[id]) })
	}
	group.Go(func() error {
		served := httpkit.Serve(groupCtx, s.ports.shop, store, time.Second, s.telemetry.Logger)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return errors.Join(served, store.Close(bounded))
	})
	group.Go(func() error { return watch(groupCtx, s.database) })
	s.tell(p, made)
	return group.Wait()
}

// sendTo sends mails to the mailbox instead of out into the world.
func sendTo(cfg config.Config, address string) (config.Config, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return cfg, fmt.Errorf("address of the mailbox: %w", err)
	}
	if cfg.SMTPPort, err = strconv.Atoi(port); err != nil {
		return cfg, fmt.Errorf("address of the mailbox: %w", err)
	}
	cfg.SMTPHost, cfg.SMTPTLS = host, "none"
	cfg.SMTPFrom = "Ti Machann <hello@timachann.example>"
	return cfg, nil
}

// watch fails when the embedded database ends before it is told to.
func watch(ctx context.Context, d database) error {
	select {
	case <-d.ended():
		return errors.New("the embedded PostgreSQL ended; its log is postgres/postgres.log in the data folder")
	case <-ctx.Done():
		return nil
	}
}

// tell prints where everything is, one line each.
func (s surroundings) tell(p process, made demo) {
	lines := [][2]string{
		{"Dashboard", s.cfg.PublicBaseURL + "/"},
		{"Log-in", ownerEmail + "  password: " + made.Password},
		{"Shop", "http://" + hostOf(s.ports.shop) + "/"},
	}
	if s.ports.mailbox != nil {
		lines = append(lines, [2]string{"Mailbox", "http://" + hostOf(s.ports.mailbox) + "/"})
	}
	for _, line := range append(lines, [][2]string{
		{"API docs", s.cfg.PublicBaseURL + "/docs"},
		{"Core", s.cfg.CoreURL + "/docs"},
		{"Onside", s.cfg.OnsideURL + "/docs"},
		{"Sankore", s.cfg.SankoreURL + "/docs"},
		{"API key", made.APIKey},
		{"Write key", made.WriteKey},
	}...) {
		fmt.Fprintf(p.stdout, "%-10s %s\n", line[0], line[1])
	}
}

func hostOf(listener net.Listener) string {
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return listener.Addr().String()
	}
	return "localhost:" + port
}

// makeDemo makes what is missing of the demo tenant. It may be interrupted at
// any point: a database that knows the owner but not our file (or the other way
// round) gets new secrets.
func makeDemo(ctx context.Context, cfg config.Config, accounts *account.Service) (demo, error) {
	path := filepath.Join(cfg.DataDir, "demo.json")
	var made demo
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, &made)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return demo{}, fmt.Errorf("read %s: %w", path, err)
	}
	tenant, user, err := accounts.UserByEmail(ctx, ownerEmail)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		made = demo{}
	case err != nil:
		return demo{}, err
	case made.Tenant == tenant && made.known(ctx, accounts):
		return made, nil
	}
	made = demo{Tenant: demoTenant, Password: strings.ToLower(rand.Text())}
	if tenant == uuid.Nil {
		shop := account.Tenant{ID: demoTenant, Name: "Ti Machann", TimeZone: "America/Port-au-Prince", Currency: "USD"}
		if _, err = accounts.CreateTenant(ctx, shop); err != nil && fault.CodeOf(err) != fault.Conflict { // an interrupted run got this far
			return demo{}, err
		}
		_, err = accounts.CreateUser(ctx, made.Tenant, account.User{Email: ownerEmail, Name: "Ti Machann", Role: account.Owner, Password: made.Password})
	} else {
		err = accounts.SetPassword(ctx, tenant, user, made.Password)
	}
	if err != nil {
		return demo{}, err
	}
	if made.APIKey, _, err = accounts.CreateKey(ctx, made.Tenant, account.NewKey{Kind: account.SecretKey, Name: "Demo", Scopes: []string{"*"}}); err != nil {
		return demo{}, err
	}
	if made.WriteKey, _, err = accounts.CreateKey(ctx, made.Tenant, account.NewKey{Kind: account.WriteKey, Name: "Demo shop"}); err != nil {
		return demo{}, err
	}
	content, err = json.MarshalIndent(made, "", "  ") //nolint:gosec // kept readable by us only, so that the next run can tell it again
	if err != nil {
		return demo{}, fmt.Errorf("write %s: %w", path, err)
	}
	return made, writeSecret(path, string(content))
}

// known reports whether the database still accepts both keys.
func (d demo) known(ctx context.Context, accounts *account.Service) bool {
	for _, token := range []string{d.APIKey, d.WriteKey} {
		principal, err := accounts.Key(ctx, token)
		if err != nil || principal.Tenant != d.Tenant {
			return false
		}
	}
	return true
}
