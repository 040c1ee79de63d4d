package memory

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/zerodb"
)

// lines is the media type of JSON lines.
const lines = "application/x-ndjson"

// export streams: the status is sent with the first bytes, and a failure behind them
// breaks the connection, so that what arrived is not taken for whole.
func (s *Service) export(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	tenant := s.client.Tenant(httpkit.Tenant(ctx))
	if _, err := tenant.List(ctx, zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, History: true}, zerodb.Order{}, 1); err != nil {
		return nil, faultOf("", err)
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", lines)
		out.SetHeader("Content-Disposition", `attachment; filename="memories.jsonl"`)
		if _, err := tenant.Export(ctx, out.BodyWriter()); err != nil {
			s.logger.WarnContext(ctx, "an export of memories broke off", slog.Any("error", err))
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// importInput takes the body as it comes.
type importInput struct {
	body io.Reader
}

// Resolve keeps the request's body for the operation to read.
func (in *importInput) Resolve(ctx huma.Context) []error {
	in.body = ctx.BodyReader()
	return nil
}

var _ huma.Resolver = (*importInput)(nil)

// Refused is a line of an import that was not stored.
type Refused struct {
	Line    int    `json:"line" doc:"From 1, the header's"`
	Message string `json:"message"`
}

type importOutput struct {
	Body struct {
		Stored  int       `json:"stored"`
		Refused int       `json:"refused" doc:"Lines that can't be stored"`
		Lines   []Refused `json:"lines" doc:"The first 100 of them, and why"`
	}
}

// How many lines an import tells of, and after how many it gives up: the file is no export.
const (
	mostTold    = 100
	mostRefused = 10_000
)

func (s *Service) load(ctx context.Context, in *importInput) (*importOutput, error) {
	out := &importOutput{}
	out.Body.Lines = []Refused{}
	principal, _ := httpkit.PrincipalFrom(ctx)
	stored, err := s.client.Tenant(principal.Tenant).ImportWith(ctx, principal.ID, in.body, func(line int, err *zerodb.Error) error {
		if out.Body.Refused++; out.Body.Refused > mostRefused {
			return fault.New(fault.Invalid, "More than %d lines can't be stored: this is no export of memories. The first: line %d, %s",
				mostRefused, out.Body.Lines[0].Line, out.Body.Lines[0].Message)
		}
		if len(out.Body.Lines) < mostTold {
			out.Body.Lines = append(out.Body.Lines, Refused{Line: line, Message: err.Field + ": " + err.Message})
		}
		return nil
	})
	out.Body.Stored = stored
	if err != nil {
		return nil, importFault(err, stored)
	}
	return out, nil
}

// importFault says how far the import has come.
func importFault(err error, stored int) error {
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge):
		return fault.Wrap(err, fault.TooLarge, "The import has more than %d bytes; %d memories are stored. Send the rest as a file of its own, with the header.", tooLarge.Limit, stored)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fault.Wrap(err, fault.Malformed, "The import did not arrive in time; %d memories are stored, and repeating it does no harm.", stored)
	}
	return faultOf("body.", err)
}
