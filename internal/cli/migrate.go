package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/engardehq/madansara/internal/migrate"
)

type migrateCommand struct{}

// Run applies what is missing.
func (migrateCommand) Run(ctx context.Context, p process) (err error) {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop()) }()
	if err := migrate.Up(ctx, database.url); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "The database is at this program's schema.")
	return nil
}
