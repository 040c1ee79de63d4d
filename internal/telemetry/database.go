package telemetry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/engardehq/madansara/engardedb"
)

// WatchPool publishes a pool's numbers under the given name.
func (t *Telemetry) WatchPool(name string, stats func() engardedb.Stats) {
	gauge := func(metric, help string, value func(engardedb.Stats) float64) {
		t.Registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "db_pool_" + metric, Help: help, ConstLabels: prometheus.Labels{"pool": name}},
			func() float64 { return value(stats()) },
		))
	}
	gauge("size", "Connections kept open.", func(s engardedb.Stats) float64 { return float64(s.PoolSize) })
	gauge("checked_out", "Connections in use.", func(s engardedb.Stats) float64 { return float64(s.CheckedOut) })
	gauge("overflow", "Connections open beyond the size.", func(s engardedb.Stats) float64 { return float64(s.Overflow) })
	gauge("waiting", "Callers waiting for a connection.", func(s engardedb.Stats) float64 { return float64(s.Waiting) })
	gauge("acquire_wait_seconds_total", "Time spent waiting for connections.", func(s engardedb.Stats) float64 { return s.AcquireWait.Seconds() })
}

// Watch publishes a number of the process.
func (t *Telemetry) Watch(name, help string, value func() int) {
	t.Registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) },
	))
}

// WatchJobs publishes how many jobs of the queue in schema are in which state.
func (t *Telemetry) WatchJobs(pool *pgxpool.Pool, schema string) {
	t.Registry.MustRegister(jobStates{pool: pool, table: pgx.Identifier{schema, "river_job"}.Sanitize()})
}

type jobStates struct {
	pool  *pgxpool.Pool
	table string
}

var jobsDesc = prometheus.NewDesc("river_jobs", "Jobs that are not finished, by queue and state.", []string{"queue", "state"}, nil)

// Describe names the metric.
func (jobStates) Describe(out chan<- *prometheus.Desc) { out <- jobsDesc }

// Collect counts the jobs; when the database can't say in a second, nothing is published.
func (j jobStates) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	rows, err := j.pool.Query(ctx, `select queue, state::text, count(*) from `+j.table+`
		where state in ('available', 'running', 'retryable', 'scheduled', 'pending', 'discarded') group by 1, 2`)
	if err != nil {
		return
	}
	defer rows.Close()
	for rows.Next() {
		var queue, state string
		var n int64
		if err := rows.Scan(&queue, &state, &n); err != nil {
			return
		}
		out <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(n), queue, state)
	}
}
