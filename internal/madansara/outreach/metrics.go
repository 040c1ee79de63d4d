package outreach

import "github.com/prometheus/client_golang/prometheus"

func newMessageCounter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "outreach_messages_total",
		Help: "What became of each attempt to send a message, once it is recorded: sent, failed, unknown, or queued to be tried again.",
	}, []string{"channel", "outcome"})
}

// Collector publishes what became of the messages this process sent.
func (s *Sender) Collector() prometheus.Collector { return s.messages }
