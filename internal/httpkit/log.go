package httpkit

import (
	"context"
	"log/slog"
)

func logFailure(ctx context.Context, operation string, err error) {
	slog.ErrorContext(ctx, "operation failed", slog.String("operation", operation), slog.Any("error", err))
}

func logNotReady(ctx context.Context, err error) {
	slog.WarnContext(ctx, "not ready", slog.Any("error", err))
}
