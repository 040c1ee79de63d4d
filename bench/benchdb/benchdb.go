// Package benchdb starts the throw-away PostgreSQL that the benchmarks measure on.
package benchdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/engardehq/madansara/internal/dev/postgres"
	"github.com/engardehq/madansara/internal/migrate"
)

// Database is a migrated database on a server of its own. Unlike the tests' it
// keeps PostgreSQL's defaults: a commit is on the disk.
type Database struct {
	// URL is the superuser's.
	URL string
	// Dir is a folder for what else the benchmark writes; it goes with the database.
	Dir string

	server *postgres.Server
}

// Start starts the server with settings ("name=value") and migrates its
// database. Stop it.
func Start(ctx context.Context, settings ...string) (_ *Database, err error) {
	dir, err := os.MkdirTemp("", "madansara-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	d := &Database{Dir: dir}
	defer func() {
		if err != nil {
			err = fmt.Errorf("bench: %w", errors.Join(err, d.Stop()))
		}
	}()
	// The server's own user must reach the cluster inside.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	d.server, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(dir, "cluster"), Settings: settings})
	if err != nil {
		return nil, err
	}
	if err := d.server.CreateDatabase(ctx, "bench"); err != nil {
		return nil, err
	}
	d.URL = d.server.URL("bench")
	return d, migrate.Up(ctx, d.URL)
}

// Stop ends the server and removes the folder.
func (d *Database) Stop() error {
	var err error
	if d.server != nil {
		err = d.server.Stop()
	}
	return errors.Join(err, os.RemoveAll(d.Dir))
}
