package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/dev/postgres"
)

// database is the one named by the environment, or an embedded one.
type database struct {
	url      string
	embedded bool
	server   *postgres.Server // nil for a named one
}

func openDatabase(ctx context.Context, cfg config.Config) (database, error) {
	if url := cfg.Database(); url != "" {
		return database{url: url}, nil
	}
	const name = "engarde"
	server, err := postgres.Start(ctx, postgres.Options{Dir: filepath.Join(cfg.DataDir, "postgres")})
	if errors.Is(err, postgres.ErrInUse) {
		return database{}, fmt.Errorf("the data folder %s is in use by another madansara; stop it, or choose another folder: MADANSARA_DATA_DIR=./data2", cfg.DataDir)
	}
	if err != nil {
		return database{}, err
	}
	if err := server.CreateDatabase(ctx, name); err != nil {
		return database{}, errors.Join(err, server.Stop())
	}
	return database{url: server.URL(name), embedded: true, server: server}, nil
}

// ended is closed when an embedded server has ended; it never is for a named one.
func (d database) ended() <-chan struct{} {
	if d.server == nil {
		return nil
	}
	return d.server.Done()
}

func (d database) stop() error {
	if d.server == nil {
		return nil
	}
	return d.server.Stop()
}

func setDefaultLogger(logger *slog.Logger) { slog.SetDefault(logger) }

// withKeptSecrets gives development secrets of its own, kept in the data folder: links in
// mails live as long as the data, and the services of one folder know each other.
func withKeptSecrets(cfg config.Config) (config.Config, error) {
	if cfg.Environment != config.Development {
		return cfg, nil // a folder that a release replaces must not hold what opens the database's secrets
	}
	text := func() (string, error) { return rand.Text() + rand.Text(), nil }
	for _, secret := range []struct {
		value *config.Secret
		file  string
		make  func() (string, error)
	}{{&cfg.SecretKey, "secret-key", text}, {&cfg.ServiceMeshSecret, "service-mesh-secret", text}, {&cfg.CredentialsKey, "credentials-key", newCredentialsKey}} {
		if *secret.value != "" {
			continue
		}
		kept, err := keptSecret(filepath.Join(cfg.DataDir, secret.file), secret.make)
		if err != nil {
			return cfg, err
		}
		*secret.value = config.Secret(kept)
	}
	return cfg, nil
}

func newCredentialsKey() (string, error) {
	key := make([]byte, 32)
	rand.Read(key)
	return hex.EncodeToString(key), nil
}

// keptSecret returns the content of a file that only we may read; the first
// time, it is what create returns.
func keptSecret(path string, create func() (string, error)) (string, error) {
	content, err := os.ReadFile(path)
	if err == nil && len(content) > 0 {
		return string(content), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	secret, err := create()
	if err != nil {
		return "", err
	}
	return secret, writeSecret(path, secret)
}

// writeSecret replaces the file whole or not at all, whenever we are killed.
func writeSecret(path, secret string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // the embedded database's user must pass through
		return fmt.Errorf("make the data folder: %w", err)
	}
	file, err := os.CreateTemp(dir, ".secret-*") // readable by us only
	if err != nil {
		return fmt.Errorf("write to the data folder: %w", err)
	}
	_, err = file.WriteString(secret)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}
