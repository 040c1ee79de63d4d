package httpkit

import (
	"context"
	"errors"
	"log/slog"
)

func logFailure(ctx context.Context, operation string, err error) {
	if callerLeft(ctx, err) {
		return
	}
	slog.ErrorContext(ctx, "operation failed", slog.String("operation", operation), slog.Any("error", err))
}

func logNotReady(ctx context.Context, err error) {
	slog.WarnContext(ctx, "not ready", slog.Any("error", err))
}

// callerLeft reports whether err is nothing but the end of a request whose caller has
// gone. The access log has it; nobody is to be woken for it.
func callerLeft(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
