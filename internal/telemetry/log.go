package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"

	"github.com/getsentry/sentry-go"
	"go.opentelemetry.io/otel/trace"

	"github.com/engardehq/madansara/internal/httpkit"
)

// handler adds the ids of request and trace to each record, and reports errors.
type handler struct {
	slog.Handler

	errors *sentry.Client
}

func newHandler(opts Options, level slog.Level, errors *sentry.Client) slog.Handler {
	out := opts.Output
	if out == nil {
		out = os.Stderr
	}
	options := &slog.HandlerOptions{Level: level}
	if opts.Text {
		return handler{slog.NewTextHandler(out, options), errors}
	}
	return handler{slog.NewJSONHandler(out, options), errors}
}

// Handle writes the record with the ids of its context.
func (h handler) Handle(ctx context.Context, record slog.Record) error {
	record = record.Clone()
	requestID := httpkit.RequestID(ctx)
	if requestID != "" {
		record.AddAttrs(slog.String("request_id", requestID))
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	if h.errors != nil && record.Level >= slog.LevelError {
		h.report(record, requestID)
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs keeps the ids on derived loggers.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.errors}
}

// WithGroup keeps the ids on derived loggers.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.errors}
}

// address matches what an error's text may hold of a person.
var address = regexp.MustCompile(`[^\s"'<>@]+@[^\s"'<>@]+`)

// report sends what failed, and under which request id the log tells more:
// no body, header, address, user or tenant.
func (h handler) report(record slog.Record, requestID string) {
	event := sentry.NewEvent()
	event.Level = sentry.LevelError
	event.Timestamp = record.Time
	event.Message = record.Message
	event.Tags = map[string]string{}
	if requestID != "" {
		event.Tags["request_id"] = requestID
	}
	record.Attrs(func(attr slog.Attr) bool {
		text := address.ReplaceAllString(attr.Value.String(), "[address]")
		switch attr.Key {
		case "error", "panic":
			event.Exception = append(event.Exception, sentry.Exception{Type: fmt.Sprintf("%T", attr.Value.Any()), Value: text})
		case "operation", "job":
			event.Tags[attr.Key] = text
		case "stack":
			event.Contexts["panic"] = sentry.Context{"stack": text}
		}
		return true
	})
	h.errors.CaptureEvent(event, nil, nil)
}
