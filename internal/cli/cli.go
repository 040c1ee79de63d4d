package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/engardehq/madansara/internal/config"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

type commands struct {
	Up      upCommand      `cmd:"" help:"Start everything on this machine: database, the four services, demo shop, mailbox."`
	Serve   serveCommand   `cmd:"" help:"Run one service, on the database ENGARDE_DATABASE_URL names."`
	Tenant  tenantCommand  `cmd:"" help:"Make a tenant on this installation, or reset a password."`
	Migrate migrateCommand `cmd:"" help:"Make or update the tables in the database. Run it before serve, at each release."`
	Memory  memoryCommand  `cmd:"" help:"Make, check or move the agents' memory."`
	MCP     mcpCommand     `cmd:"" name:"mcp" help:"Give an AI assistant on this machine the tools of a running service, over standard input and output."`
	Config  configCommand  `cmd:"" help:"Show every environment variable and its value, secrets masked."`
	Version versionCommand `cmd:"" help:"Show the version."`
}

// process is what a command may use of the outside.
type process struct {
	environ        []string
	stdout, stderr io.Writer
}

// usageError is one that the caller can only mend in the command line or the
// environment.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// config reads the environment.
func (p process) config() (config.Config, error) { return p.configOn("") }

// configOn reads the environment; PORT is the given one when it is not set.
func (p process) configOn(port string) (config.Config, error) {
	set := map[string]string{}
	for _, pair := range p.environ {
		name, value, _ := strings.Cut(pair, "=")
		set[name] = value
	}
	if strings.TrimSpace(set["PORT"]) == "" {
		set["PORT"] = port
	}
	cfg, err := config.Load(set)
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// Run executes the command line and returns the exit code. SIGINT and SIGTERM
// end it gracefully; a second one ends it at once.
func Run(args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, process{environ: environ, stdout: stdout, stderr: stderr})
}

func run(ctx context.Context, args []string, p process) int {
	exited := -1
	parser, err := kong.New(&commands{}, kong.Name("madansara"),
		kong.Description("Madan Sara turns an audience into customers."), kong.UsageOnError(),
		kong.Writers(p.stdout, p.stderr), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(p))
	if err != nil {
		return fail(p, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		return fail(p, usageError{fmt.Errorf("%w (see madansara --help)", err)})
	}
	return fail(p, parsed.Run())
}

// fail tells what went wrong, a line each, and returns the exit code.
func fail(p process, err error) int {
	if err == nil {
		return 0
	}
	text := strings.TrimSpace(err.Error())
	if connect := (*pgconn.ConnectError)(nil); errors.As(err, &connect) {
		text += " (is PostgreSQL there, and ENGARDE_DATABASE_URL right?)"
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(p.stderr, "madansara: "+strings.TrimSpace(line))
	}
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// version is set by release builds; else the module's own is used.
var version string

func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return info.Main.Version + " " + setting.Value[:min(12, len(setting.Value))]
		}
	}
	return info.Main.Version
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(p process) error {
	fmt.Fprintln(p.stdout, "madansara", programVersion())
	return nil
}

type configCommand struct{}

// Run prints every variable.
func (configCommand) Run(p process) error {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	for _, line := range cfg.Lines() {
		fmt.Fprintln(p.stdout, line)
	}
	return nil
}
