package seo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/onside/audit"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/page"
	"github.com/engardehq/madansara/internal/onside/seo/seodb"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// DeleteBefore deletes at most $3 analyses of the tenant $1 from before $2, with their
// audits, but always keeps the newest of a page: it is what is known of it.
const DeleteBefore = `DELETE FROM seo_analyses WHERE tenant_uuid = $1 AND analysis_uuid IN (
	SELECT o.analysis_uuid FROM seo_analyses o WHERE o.tenant_uuid = $1 AND o.fetched_at < $2 AND EXISTS (
		SELECT FROM seo_analyses n WHERE n.tenant_uuid = $1 AND md5(n.url) = md5(o.url) AND n.url = o.url
			AND (n.fetched_at, n.analysis_uuid) > (o.fetched_at, o.analysis_uuid))
	ORDER BY o.fetched_at LIMIT $3)`

// Service analyses pages and keeps the analyses.
type Service struct {
	db      *engardedb.DB
	clock   clockwork.Clock
	fetcher *fetch.Fetcher
	turns   *turns
}

// New returns a Service on db that fetches with fetcher.
func New(db *engardedb.DB, clock clockwork.Clock, fetcher *fetch.Fetcher) *Service {
	return &Service{db: db, clock: clock, fetcher: fetcher, turns: newTurns(clock)}
}

// Response is how a page was had.
type Response struct {
	Hops        []fetch.Hop `json:"hops" doc:"The redirects before the page"`
	FirstByteMS int64       `json:"first_byte_ms" doc:"Milliseconds until the site began its answer"`
	ContentType string      `json:"content_type"`
	Compressed  bool        `json:"compressed"`
	Truncated   bool        `json:"truncated" doc:"Whether only the beginning of the page was read"`
	RobotsTxt   int         `json:"robots_txt" doc:"HTTP status of the site's robots.txt"`
}

// Analysis is a page with everything that was found on it.
type Analysis struct {
	UUID      uuid.UUID   `json:"analysis_uuid" format:"uuid"`
	URL       string      `json:"url" doc:"As asked for"`
	FinalURL  string      `json:"final_url" doc:"After redirects"`
	Status    int         `json:"status"`
	FetchedAt time.Time   `json:"fetched_at"`
	Response  Response    `json:"response"`
	Page      page.Page   `json:"page"`
	AuditUUID uuid.UUID   `json:"audit_uuid" format:"uuid"`
	Audit     audit.Audit `json:"audit"`
}

// Analyze fetches the page at address, analyses and audits it, and keeps that.
// What is wrong with the address or the site is Invalid; too many of the tenant's pages
// at once are RateLimited, and of all tenants' Unavailable.
func (s *Service) Analyze(ctx context.Context, tenant uuid.UUID, address string) (*Analysis, error) {
	u, err := weburl.Parse(address)
	if err != nil {
		return nil, fault.At("body.url", address, "%s", err)
	}
	if err := s.knowsTenant(ctx, tenant); err != nil {
		return nil, err
	}
	end, err := s.turns.take(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer end()
	analysis, err := s.analyze(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := s.keep(ctx, tenant, analysis); err != nil {
		return nil, fmt.Errorf("keep an analysis: %w", err)
	}
	return analysis, nil
}

// knowsTenant refuses a tenant that is none before anything is fetched for it.
func (s *Service) knowsTenant(ctx context.Context, tenant uuid.UUID) error {
	known := false
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		known, err = seodb.New(tx).TenantExists(ctx, tenant)
		return err
	})
	if err == nil && !known {
		return fault.At("body.tenant_uuid", tenant.String(), "is no tenant")
	}
	return err
}

func (s *Service) analyze(ctx context.Context, u *url.URL) (*Analysis, error) {
	response, err := s.fetcher.Get(ctx, u)
	if err != nil {
		return nil, unavailable(u, err)
	}
	if !response.HasContent() {
		return nil, fault.At("body.url", u.String(), "%s answers with status %d, which has no content: there is no page", response.Final, response.Status)
	}
	read, err := page.Analyze(page.Source{URL: response.Final, Header: response.Header, Body: response.Body})
	switch {
	case errors.Is(err, page.ErrNotHTML):
		return nil, fault.At("body.url", u.String(), "%s answers with %q and status %d, which is no HTML page",
			response.Final, response.Header.Get("Content-Type"), response.Status)
	case err != nil:
		return nil, fault.At("body.url", u.String(), "the page cannot be read: %s", err)
	}
	analysis := &Analysis{
		URL: u.String(), FinalURL: response.Final.String(), Status: response.Status, FetchedAt: response.FetchedAt, Page: *read,
		Response: Response{
			Hops: response.Hops, FirstByteMS: response.FirstByte.Milliseconds(), ContentType: response.Header.Get("Content-Type"),
			Compressed: response.Compressed, Truncated: response.Truncated, RobotsTxt: response.Robots.Status,
		},
		Audit: audit.Run(audit.Of(response, read)),
	}
	if analysis.Response.Hops == nil {
		analysis.Response.Hops = []fetch.Hop{}
	}
	if analysis.UUID, err = uuid.NewV7(); err == nil {
		analysis.AuditUUID, err = uuid.NewV7()
	}
	if err != nil {
		return nil, fmt.Errorf("make an id: %w", err)
	}
	return analysis, nil
}

// unavailable says why a page cannot be analysed. It is the address's fault, or
// the site's, and never a reason to take this service for ailing.
func unavailable(u *url.URL, err error) error {
	failed, is := errors.AsType[*fetch.Error](err)
	if !is {
		return fmt.Errorf("fetch a page: %w", err)
	}
	f := fault.At("body.url", u.Redacted(), "the page cannot be fetched: %s", failed)
	f.Err = err
	return f
}

func (s *Service) keep(ctx context.Context, tenant uuid.UUID, a *Analysis) error {
	// What is answered is what is kept: the database rejects NUL characters,
	// which only a header could still bring.
	a.Response.ContentType = storable(a.Response.ContentType)
	pageJSON, pageErr := json.Marshal(a.Page)
	responseJSON, responseErr := json.Marshal(a.Response)
	checks, checksErr := json.Marshal(a.Audit.Checks)
	if err := errors.Join(pageErr, responseErr, checksErr); err != nil {
		return err
	}
	faults, warnings := a.Audit.Failed()
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := seodb.New(tx)
		err := queries.InsertAnalysis(ctx, seodb.InsertAnalysisParams{
			TenantUUID: tenant, AnalysisUUID: a.UUID, URL: a.URL, FinalURL: a.FinalURL, Status: int32(a.Status),
			Title: a.Page.Title, Page: pageJSON, Response: responseJSON, FetchedAt: a.FetchedAt,
		})
		if err != nil {
			return err
		}
		return queries.InsertAudit(ctx, seodb.InsertAuditParams{
			TenantUUID: tenant, AuditUUID: a.AuditUUID, URL: a.FinalURL, AnalysisUUID: &a.UUID, Score: int32(a.Audit.Score),
			Errors: int32(faults), Warnings: int32(warnings), Checks: checks, CreatedAt: a.FetchedAt,
		})
	})
}

// Get returns an analysis; a *fault.Error with NotFound when there is none.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (*Analysis, error) {
	var row seodb.GetAnalysisRow
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		row, err = seodb.New(tx).GetAnalysis(ctx, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "There is no analysis %s.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read an analysis: %w", err)
	}
	analysis := &Analysis{
		UUID: row.AnalysisUUID, URL: row.URL, FinalURL: row.FinalURL, Status: int(row.Status), FetchedAt: row.FetchedAt.UTC(),
		AuditUUID: row.AuditUUID, Audit: audit.Audit{Score: int(row.Score)},
	}
	err = errors.Join(json.Unmarshal(row.Page, &analysis.Page), json.Unmarshal(row.Response, &analysis.Response), json.Unmarshal(row.Checks, &analysis.Audit.Checks))
	if err != nil {
		return nil, fmt.Errorf("read analysis %s: %w", id, err)
	}
	return analysis, nil
}

// Summary is an analysis in a list.
type Summary struct {
	UUID      uuid.UUID `json:"analysis_uuid" format:"uuid"`
	URL       string    `json:"url"`
	FinalURL  string    `json:"final_url"`
	Status    int       `json:"status"`
	Title     string    `json:"title"`
	FetchedAt time.Time `json:"fetched_at"`
	AuditUUID uuid.UUID `json:"audit_uuid" format:"uuid"`
	Score     int       `json:"score"`
	Errors    int       `json:"errors" doc:"Failed checks of severity error"`
	Warnings  int       `json:"warnings"`
}

// List returns up to limit analyses older than before (uuid.Max: from the
// newest), those of address only unless it is empty.
func (s *Service) List(ctx context.Context, tenant uuid.UUID, address string, before uuid.UUID, limit int) ([]Summary, error) {
	if address != "" {
		u, err := weburl.Parse(address)
		if err != nil {
			return nil, fault.At("query.url", address, "%s", err)
		}
		address = u.String()
	}
	var rows []seodb.ListAnalysesRow
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		if address == "" {
			rows, err = seodb.New(tx).ListAnalyses(ctx, seodb.ListAnalysesParams{Before: before, PageSize: int32(limit)})
			return err
		}
		of, err := seodb.New(tx).ListAnalysesOf(ctx, seodb.ListAnalysesOfParams{Before: before, URL: address, PageSize: int32(limit)})
		for _, row := range of {
			rows = append(rows, seodb.ListAnalysesRow(row))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list analyses: %w", err)
	}
	summaries := make([]Summary, 0, len(rows))
	for _, row := range rows {
		summaries = append(summaries, Summary{
			UUID: row.AnalysisUUID, URL: row.URL, FinalURL: row.FinalURL, Status: int(row.Status), Title: row.Title, FetchedAt: row.FetchedAt.UTC(),
			AuditUUID: row.AuditUUID, Score: int(row.Score), Errors: int(row.Errors), Warnings: int(row.Warnings),
		})
	}
	return summaries, nil
}

// Delete forgets an analysis and its audit.
func (s *Service) Delete(ctx context.Context, tenant, id uuid.UUID) error {
	var deleted int64
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		deleted, err = seodb.New(tx).DeleteAnalysis(ctx, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete an analysis: %w", err)
	}
	if deleted == 0 {
		return fault.New(fault.NotFound, "There is no analysis %s.", id)
	}
	return nil
}
