// Package postgres runs a private PostgreSQL server for development, tests and
// benchmarks: one folder, one process, which ends with ours however we end.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrInUse says that another process runs a server on the folder.
var ErrInUse = errors.New("the data folder is in use by another process")

// startTimeout allows for crash recovery of a large cluster.
const startTimeout = 60 * time.Second

// Options say where and how the server runs.
type Options struct {
	// Dir holds the cluster; it is created when missing.
	Dir string
	// Settings are postgresql.conf values that win over ours, such as "fsync=off".
	Settings []string
	// Binaries is the folder of initdb and postgres; empty searches for it.
	Binaries string
}

// Server is a running PostgreSQL.
type Server struct {
	lock *os.File
	cmd  *exec.Cmd
	done chan struct{}
	url  string
	log  string
}

// Start makes the cluster if there is none and starts its server. It returns
// ErrInUse when another live process has started one on the same folder.
func Start(ctx context.Context, opts Options) (_ *Server, err error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	owner, err := clusterOwner()
	if err != nil {
		return nil, err
	}
	if err := makeDir(dir, owner); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	binaries, err := findBinaries(ctx, opts.Binaries)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := initCluster(ctx, binaries, data, owner); err != nil {
		return nil, err
	}
	if err := stopOrphan(ctx, data); err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{
		lock: lock, log: filepath.Join(dir, "postgres.log"), done: make(chan struct{}),
		url: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port),
	}
	if err := s.launch(binaries, data, port, owner, opts.Settings); err != nil {
		return nil, err
	}
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// URL returns the superuser's connection URL of the given database.
func (s *Server) URL(database string) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url
	}
	u.Path = "/" + database
	return u.String()
}

// CreateDatabase creates the database if it does not exist.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("embedded PostgreSQL: connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to lose on this connection
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("embedded PostgreSQL: look for database %s: %w", name, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("embedded PostgreSQL: create database %s: %w", name, err)
	}
	return nil
}

// Done is closed when the server has ended, wanted or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server ("fast": open transactions are rolled back) and waits.
func (s *Server) Stop() error {
	err := s.cmd.Process.Signal(syscall.SIGINT)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.done
	return errors.Join(err, s.lock.Close())
}

func (s *Server) launch(binaries, data string, port int, owner *identity, settings []string) error {
	args := []string{
		"-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "shared_buffers=128MB",
		"-c", "timezone=UTC", "-c", "log_timezone=UTC",
	}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("embedded PostgreSQL: open its log: %w", err)
	}
	defer func() { _ = log.Close() }()                                 // the server has its own descriptor
	s.cmd = exec.Command(filepath.Join(binaries, "postgres"), args...) //nolint:noctx // it is stopped by a signal, never killed by a context
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	started := make(chan error)
	runAs(s.cmd, owner, data)
	go superviseProcess(s.cmd, started, s.done)
	if err := <-started; err != nil {
		return fmt.Errorf("embedded PostgreSQL: start: %w", err)
	}
	return nil
}

func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			return fmt.Errorf("embedded PostgreSQL ended while starting; see %s: %s", s.log, lastLines(s.log))
		case <-ctx.Done():
			return fmt.Errorf("embedded PostgreSQL did not answer in %s; see %s: %w", startTimeout, s.log, err)
		case <-tick.C:
		}
	}
}

func lastLines(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("embedded PostgreSQL: find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of a TCP listener
	return port, l.Close()
}
