package seo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/onside/audit"
	"github.com/engardehq/madansara/internal/onside/seo/seodb"
)

// AuditSummary is an audit in a list.
type AuditSummary struct {
	UUID         uuid.UUID  `json:"audit_uuid" format:"uuid"`
	Kind         string     `json:"kind" enum:"page,site"`
	URL          string     `json:"url" doc:"The page, or the site's first page"`
	AnalysisUUID *uuid.UUID `json:"analysis_uuid,omitempty" format:"uuid" doc:"Of a page"`
	Score        int        `json:"score"`
	Errors       int        `json:"errors" doc:"Failed checks of severity error"`
	Warnings     int        `json:"warnings"`
	CreatedAt    time.Time  `json:"created_at"`
}

// StoredAudit is an audit with its checks.
type StoredAudit struct {
	AuditSummary

	Checks []audit.Check `json:"checks"`
}

// Audits returns up to limit audits older than before (uuid.Max: from the
// newest), of one kind unless it is empty.
func (s *Service) Audits(ctx context.Context, tenant uuid.UUID, kind string, before uuid.UUID, limit int) ([]AuditSummary, error) {
	var rows []seodb.ListAuditsRow
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		rows, err = seodb.New(tx).ListAudits(ctx, seodb.ListAuditsParams{Before: before, Kind: kind, PageSize: int32(limit)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list audits: %w", err)
	}
	summaries := make([]AuditSummary, 0, len(rows))
	for _, row := range rows {
		summaries = append(summaries, AuditSummary{
			UUID: row.AuditUUID, Kind: row.Kind, URL: row.URL, AnalysisUUID: row.AnalysisUUID,
			Score: int(row.Score), Errors: int(row.Errors), Warnings: int(row.Warnings), CreatedAt: row.CreatedAt.UTC(),
		})
	}
	return summaries, nil
}

// Audit returns an audit; a *fault.Error with NotFound when there is none.
func (s *Service) Audit(ctx context.Context, tenant, id uuid.UUID) (*StoredAudit, error) {
	var row seodb.GetAuditRow
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		row, err = seodb.New(tx).GetAudit(ctx, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "There is no audit %s.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read an audit: %w", err)
	}
	stored := &StoredAudit{AuditSummary: AuditSummary{
		UUID: row.AuditUUID, Kind: row.Kind, URL: row.URL, AnalysisUUID: row.AnalysisUUID,
		Score: int(row.Score), Errors: int(row.Errors), Warnings: int(row.Warnings), CreatedAt: row.CreatedAt.UTC(),
	}}
	if err := json.Unmarshal(row.Checks, &stored.Checks); err != nil {
		return nil, fmt.Errorf("read audit %s: %w", id, err)
	}
	return stored, nil
}

func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}
