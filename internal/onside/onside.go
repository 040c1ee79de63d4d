// Package onside is the service Onside: search engine optimisation. It analyses
// and audits pages, crawls small sites, and keeps keyword rankings and backlinks.
package onside

import (
	"github.com/danielgtaylor/huma/v2"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/onside/backlink"
	"github.com/engardehq/madansara/internal/onside/crawl"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/ranking"
	"github.com/engardehq/madansara/internal/onside/seo"
	"github.com/engardehq/madansara/internal/ssrf"
)

// Config is what the service needs from outside.
type Config struct {
	DB    *engardedb.DB // as onside_app
	Clock clockwork.Clock
	// Guard says which sites may be reached.
	Guard ssrf.Guard
	// Contact is the URL by which sites' owners learn who visits them.
	Contact string
}

// Service is Onside.
type Service struct {
	fetcher   *fetch.Fetcher
	pages     *seo.Service
	rankings  *ranking.Service
	backlinks *backlink.Service
	crawls    *crawl.Service
}

// New returns the service. Then come RegisterWorkers, the queue that works them,
// UseQueue, and Register. Close it.
func New(cfg Config) *Service {
	fetcher := fetch.New(fetch.Config{Guard: cfg.Guard, Contact: cfg.Contact, Clock: cfg.Clock})
	backlinks := backlink.New(cfg.DB, cfg.Clock, fetcher)
	return &Service{
		fetcher: fetcher, pages: seo.New(cfg.DB, cfg.Clock, fetcher), rankings: ranking.New(cfg.DB, cfg.Clock),
		backlinks: backlinks, crawls: crawl.New(cfg.DB, cfg.Clock, fetcher, backlinks),
	}
}

// RegisterWorkers adds the workers of the service's jobs.
func (s *Service) RegisterWorkers(workers *river.Workers) {
	s.backlinks.RegisterWorkers(workers)
	s.crawls.RegisterWorkers(workers)
}

// Queues are where the service's jobs run. Sites and memory bound how many at a
// time: a page can take 100 MB while it is read.
func Queues() map[string]river.QueueConfig {
	return map[string]river.QueueConfig{crawl.Queue: {MaxWorkers: 2}, backlink.Queue: {MaxWorkers: 1}}
}

// UseQueue sets where the service adds jobs.
func (s *Service) UseQueue(queue *jobs.Queue) {
	s.backlinks.UseQueue(queue)
	s.crawls.UseQueue(queue)
}

// Register adds the service's operations to api.
func (s *Service) Register(api huma.API) {
	s.pages.Register(api)
	s.crawls.Register(api)
	s.rankings.Register(api)
	s.backlinks.Register(api)
}

// Close closes the connections to sites.
func (s *Service) Close() { s.fetcher.Close() }
