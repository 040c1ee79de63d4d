package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/migrate"
)

type tenantCommand struct {
	Create        createTenantCommand  `cmd:"" help:"Make a tenant and its owner, and print the owner's password once."`
	ResetPassword resetPasswordCommand `cmd:"" help:"Give a user a new password, end their sessions, and print it once."`
}

type createTenantCommand struct {
	Name     string `required:"" help:"The company's name."`
	Email    string `required:"" help:"The owner's e-mail address, to log in with."`
	TimeZone string `default:"UTC" help:"The company's time zone, an IANA name such as America/Port-au-Prince."`
	Currency string `default:"USD" help:"The company's currency (ISO 4217)."`
	APIKey   bool   `name:"api-key" help:"Also make an API key that may do everything, and print it once."`
}

// Run makes the tenant.
func (c *createTenantCommand) Run(ctx context.Context, p process) error {
	return withAccounts(ctx, p, func(ctx context.Context, accounts *account.Service) error {
		password := account.NewPassword()
		tenant, _, err := accounts.Found(ctx, account.Tenant{Name: c.Name, TimeZone: c.TimeZone, Currency: c.Currency},
			account.User{Email: c.Email, Role: account.Owner, Password: password})
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%-9s %s\n%-9s %s\n%-9s %s\n", "Tenant", tenant, "Log-in", c.Email, "Password", password)
		if !c.APIKey {
			return nil
		}
		token, _, err := accounts.CreateKey(ctx, tenant, account.NewKey{Kind: account.SecretKey, Name: "First key", Scopes: []string{"*"}})
		if err != nil {
			return fmt.Errorf("the tenant is made, but no key: %w", err)
		}
		fmt.Fprintf(p.stdout, "%-9s %s\n", "API key", token)
		return nil
	})
}

type resetPasswordCommand struct {
	Email string `arg:"" help:"The user's e-mail address."`
}

// Run replaces the password.
func (c *resetPasswordCommand) Run(ctx context.Context, p process) error {
	return withAccounts(ctx, p, func(ctx context.Context, accounts *account.Service) error {
		tenant, user, err := accounts.UserByEmail(ctx, c.Email)
		if err != nil {
			return err
		}
		password := account.NewPassword()
		if err := accounts.SetPassword(ctx, tenant, user, password); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%-9s %s\n%-9s %s\n", "Log-in", c.Email, "Password", password)
		return nil
	})
}

// withAccounts opens the accounts of the database that the environment names; what is
// done is on record as a command's.
func withAccounts(ctx context.Context, p process, do func(context.Context, *account.Service) error) (err error) {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop()) }()
	pool := cfg.Pool(database.url, "engarde_core_app")
	pool.PoolSize, pool.MaxOverflow = 1, 1
	db, err := engardedb.Open(ctx, pool)
	if pgErr := (&pgconn.PgError{}); errors.As(err, &pgErr) && pgErr.Code == "22023" { // no such role
		return migrate.ErrBehind
	}
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrate.Check(ctx, db.Pool(), migrate.CoreRiverSchema); err != nil {
		return err
	}
	return do(audit.WithActor(ctx, "command", "madansara tenant"), account.New(db, clockwork.NewRealClock()))
}
