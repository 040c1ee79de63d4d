package outbox

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector publishes what all tenants have not delivered, as the database
// counts it when asked. When it can't say in a second, nothing is published.
func (o *Outbox) Collector() prometheus.Collector { return collector{o} }

// Collector publishes how many pushes this process allows at once.
func (d *Delivery) Collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "outbox_pushes_allowed", Help: "Pushes to Core that may be under way at once: 1 where more bring nothing, and after Core was away.",
	}, func() float64 { return float64(d.pace.limit()) })
}

type collector struct{ outbox *Outbox }

var (
	descFacts = prometheus.NewDesc("outbox_facts", "Facts that Core does not have, of all tenants: pending, or failed until a person replays or discards them.", []string{"status"}, nil)
	descAge   = prometheus.NewDesc("outbox_oldest_pending_seconds", "How long ago the oldest pending fact was recorded; 0 without one.", nil, nil)
)

// Describe implements prometheus.Collector.
func (collector) Describe(to chan<- *prometheus.Desc) {
	to <- descFacts
	to <- descAge
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var pending, failed int64
	var oldest *time.Time
	if err := c.outbox.db.Pool().QueryRow(ctx, "SELECT pending, failed, oldest FROM outbox_totals()").Scan(&pending, &failed, &oldest); err != nil {
		return
	}
	age := 0.0
	if oldest != nil {
		age = max(0, c.outbox.clock.Since(*oldest).Seconds())
	}
	to <- prometheus.MustNewConstMetric(descFacts, prometheus.GaugeValue, float64(pending), "pending")
	to <- prometheus.MustNewConstMetric(descFacts, prometheus.GaugeValue, float64(failed), "failed")
	to <- prometheus.MustNewConstMetric(descAge, prometheus.GaugeValue, age)
}
