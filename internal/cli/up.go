package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/internal/telemetry"
)

// ownerEmail logs in to the demo tenant.
const ownerEmail = "owner@timachann.example"

// demoTenant has a fixed id, so that an interrupted first run is taken up again.
var demoTenant = uuid.MustParse("0198c000-0000-7000-8000-00000000de30")

type upCommand struct{}

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
	if cfg.IsProduction() {
		return usageError{errors.New("up is for one machine with demo data; in production use: madansara migrate && madansara serve")}
	}
	listener, err := listen(ctx, cfg.Port, "PORT")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // served or not, it is closed by now or unused
	database, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop()) }()
	if cfg, err = withSecretKey(cfg); err != nil {
		return err
	}
	if err := migrate.Up(ctx, database.url); err != nil {
		return err
	}
	return withTelemetry(ctx, cfg, p, true, func(t *telemetry.Telemetry) error {
		service, err := app.New(ctx, app.Options{
			Config: cfg, DatabaseURL: database.url, Version: programVersion(), Telemetry: t, Clock: clockwork.NewRealClock(),
		})
		if err != nil {
			return err
		}
		made, err := makeDemo(ctx, cfg, service.Accounts())
		if err != nil {
			return errors.Join(err, closeService(ctx, service))
		}
		group, groupCtx := errgroup.WithContext(ctx)
		group.Go(func() error { return service.Serve(groupCtx, listener) })
		group.Go(func() error { return watch(groupCtx, database) })
		tell(p, cfg, made)
		return errors.Join(group.Wait(), closeService(ctx, service))
	})
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

func tell(p process, cfg config.Config, made demo) {
	for _, line := range [][2]string{
		{"Dashboard", cfg.PublicBaseURL + "/"},
		{"Log-in", ownerEmail + "  password: " + made.Password},
		{"API docs", cfg.PublicBaseURL + "/docs"},
		{"API key", made.APIKey},
		{"Write key", made.WriteKey},
	} {
		fmt.Fprintf(p.stdout, "%-10s %s\n", line[0], line[1])
	}
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
	content, err = json.MarshalIndent(made, "", "  ")
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
