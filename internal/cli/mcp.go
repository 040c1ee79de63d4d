package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/engardehq/madansara/internal/mcpserver"
)

type mcpCommand struct {
	Agent string `help:"Whose memories are meant when a call names no agent; otherwise ENGARDE_AGENT, or assistant." placeholder:"NAME"`
}

// Run speaks MCP over standard input and output until the input ends. Whatever people should
// read goes to standard error.
func (c *mcpCommand) Run(ctx context.Context, p process) error {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	var missing []error
	if cfg.EngardeBaseURL == "" {
		missing = append(missing, errors.New("ENGARDE_BASE_URL is not set: it is the address of a running Madan Sara; for example: ENGARDE_BASE_URL=http://localhost:8002"))
	}
	if cfg.EngardeAPIKey == "" {
		missing = append(missing, errors.New("ENGARDE_API_KEY is not set: make a key in the dashboard under Settings; for example: ENGARDE_API_KEY=mssk_YOUR_KEY"))
	}
	if err := errors.Join(missing...); err != nil {
		return usageError{err}
	}
	api := mcpserver.Remote(cfg.EngardeBaseURL, string(cfg.EngardeAPIKey), &http.Client{})
	// A service that is only starting may answer the first call: that is said, and no reason to end.
	if err := api.Check(ctx); errors.As(err, new(*mcpserver.UnreachableError)) {
		fmt.Fprintln(p.stderr, "madansara:", err)
	} else if err != nil {
		return usageError{fmt.Errorf("ENGARDE_API_KEY, ENGARDE_BASE_URL: %w", err)}
	}
	server := mcpserver.New(api, mcpserver.Options{Version: programVersion(), Agent: cmp.Or(c.Agent, cfg.EngardeAgent, "assistant")})
	if err := server.Run(ctx, &mcp.StdioTransport{}); err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("speak MCP: %w", err)
	}
	return nil
}
