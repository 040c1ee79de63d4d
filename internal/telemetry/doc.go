// Package telemetry is what operators see of a process: logs with the ids of
// request and trace, Prometheus metrics, OpenTelemetry traces and Sentry errors.
// Traces and errors leave the process only when their destination is configured.
package telemetry
