package crawl

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
)

const path = "/api/v1/seo/crawls"

type (
	startInput struct {
		Body struct {
			URL         string `json:"url" minLength:"1" maxLength:"2048" doc:"Where to begin" example:"https://timachann.example/"`
			BacklinksTo string `json:"backlinks_to,omitempty" maxLength:"300" doc:"Keep links from the visited pages to this site as backlinks" example:"timachann.example"`
			MaxPages    int    `json:"max_pages,omitempty" minimum:"1" maximum:"500" default:"100"`
			MaxDepth    *int   `json:"max_depth,omitempty" minimum:"0" maximum:"10" default:"5" doc:"Clicks from the start page"`
			MaxBytes    int64  `json:"max_bytes,omitempty" minimum:"1" maximum:"1000000000" default:"100000000" doc:"Of all pages together"`
			MaxSeconds  int    `json:"max_seconds,omitempty" minimum:"1" maximum:"7200" default:"1800"`
			DelayMS     *int   `json:"delay_ms,omitempty" minimum:"0" maximum:"60000" default:"250" doc:"Milliseconds between two pages; the site's Crawl-delay, if it is longer"`
			UseSitemap  *bool  `json:"use_sitemap,omitempty" default:"true" doc:"Visit the pages of the site's sitemap too"`
		}
	}
	crawlOutput struct{ Body *Crawl }
	oneInput    struct {
		ID uuid.UUID `path:"crawl_uuid" format:"uuid"`
	}
	listInput struct {
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"100" default:"20"`
	}
	listOutput struct {
		Body struct {
			Crawls     []Crawl    `json:"crawls"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	pagesInput struct {
		ID     uuid.UUID `path:"crawl_uuid" format:"uuid"`
		State  string    `query:"state" enum:"queued,done,failed,skipped"`
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"100"`
	}
	pagesOutput struct {
		Body struct {
			Pages      []Page     `json:"pages"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
)

// Register adds the operations on crawls to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary,
			Tags: []string{"crawls"}, Security: httpkit.Scoped(scope),
		}
	}
	const read, write = "seo:read", "seo:write"
	start := op("start-crawl", http.MethodPost, path, "Crawl a small site and audit it", write)
	start.DefaultStatus = http.StatusAccepted
	start.Description = "A job visits the site's pages breadth first, obeys its robots.txt and Crawl-delay, and audits the site when it has ended."
	httpkit.Register(api, start, s.start)
	httpkit.Register(api, op("list-crawls", http.MethodGet, path, "List crawls, newest first", read), s.list)
	httpkit.Register(api, op("get-crawl", http.MethodGet, path+"/{crawl_uuid}", "Get a crawl and how far it has come", read), s.get)
	httpkit.Register(api, op("list-crawl-pages", http.MethodGet, path+"/{crawl_uuid}/pages", "List a crawl's pages", read), s.pages)
	httpkit.Register(api, op("cancel-crawl", http.MethodPost, path+"/{crawl_uuid}/cancel", "End a crawl", write), s.cancel)
	httpkit.Register(api, op("delete-crawl", http.MethodDelete, path+"/{crawl_uuid}", "Delete a crawl that has ended, with its pages and its audit", write), s.delete)
}

func (s *Service) start(ctx context.Context, in *startInput) (*crawlOutput, error) {
	crawl, err := s.Start(ctx, httpkit.Tenant(ctx), in.Body.URL, in.Body.BacklinksTo, Limits{
		MaxPages: in.Body.MaxPages, MaxDepth: given(in.Body.MaxDepth, 5), MaxBytes: in.Body.MaxBytes, MaxSeconds: in.Body.MaxSeconds,
		DelayMS: given(in.Body.DelayMS, 250), UseSitemap: given(in.Body.UseSitemap, true),
	})
	return &crawlOutput{Body: crawl}, err
}

// given is a value for which zero is one too, or what stands for its absence.
func given[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

func (s *Service) get(ctx context.Context, in *oneInput) (*crawlOutput, error) {
	crawl, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return &crawlOutput{Body: crawl}, err
}

func (s *Service) cancel(ctx context.Context, in *oneInput) (*crawlOutput, error) {
	crawl, err := s.Cancel(ctx, httpkit.Tenant(ctx), in.ID)
	return &crawlOutput{Body: crawl}, err
}

func (s *Service) delete(ctx context.Context, in *oneInput) (*struct{}, error) {
	return nil, s.Delete(ctx, httpkit.Tenant(ctx), in.ID)
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before := in.Cursor
	if before == uuid.Nil {
		before = uuid.Max
	}
	crawls, err := s.List(ctx, httpkit.Tenant(ctx), before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Crawls = crawls
	out.Body.NextCursor = httpkit.NextCursor(crawls, in.Limit, func(c *Crawl) uuid.UUID { return c.UUID })
	return out, nil
}

func (s *Service) pages(ctx context.Context, in *pagesInput) (*pagesOutput, error) {
	pages, err := s.Pages(ctx, httpkit.Tenant(ctx), in.ID, in.State, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &pagesOutput{}
	out.Body.Pages = pages
	out.Body.NextCursor = httpkit.NextCursor(pages, in.Limit, func(p *Page) uuid.UUID { return p.UUID })
	return out, nil
}
