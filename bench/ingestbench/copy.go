package ingestbench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// tables are those that ingest writes, in the order their foreign keys want.
var tables = []string{"website_visitors", "website_sessions", "page_views", "website_events", "customer_touchpoints"}

func (b *bench) truncate(ctx context.Context) error {
	if _, err := b.admin.Exec(ctx, "truncate "+strings.Join(tables, ", ")+" cascade"); err != nil {
		return fmt.Errorf("bench: empty the tables: %w", err)
	}
	if _, err := b.admin.Exec(ctx, "checkpoint"); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// copyBack reads every row that ingest wrote, empties the tables, and measures
// how fast pgx copies the same rows into them again, in one transaction.
func (b *bench) copyBack(ctx context.Context, events int) (perSecond float64, err error) {
	type content struct {
		columns []string
		rows    [][]any
	}
	contents := make([]content, len(tables))
	stored := 0
	for i, table := range tables {
		columns, rows, err := b.dump(ctx, table)
		if err != nil {
			return 0, err
		}
		contents[i] = content{columns, rows}
		if table == "page_views" || table == "website_events" {
			stored += len(rows)
		}
	}
	if stored != events {
		return 0, fmt.Errorf("bench: %d events were sent and %d stored", events, stored)
	}
	if err := b.truncate(ctx); err != nil {
		return 0, err
	}
	started := time.Now()
	err = pgx.BeginFunc(ctx, b.admin, func(tx pgx.Tx) error {
		for i, table := range tables {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{table}, contents[i].columns, pgx.CopyFromRows(contents[i].rows)); err != nil {
				return fmt.Errorf("copy %s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return float64(events) / time.Since(started).Seconds(), nil
}

// dump reads a table; jsonb comes as text, which pgx copies as it is.
func (b *bench) dump(ctx context.Context, table string) (columns []string, rows [][]any, err error) {
	var selected string
	err = b.admin.QueryRow(ctx, `
		select array_agg(column_name::text order by ordinal_position),
			string_agg(column_name || case when data_type = 'jsonb' then '::text' else '' end, ', ' order by ordinal_position)
		from information_schema.columns where table_name = $1 and table_schema = 'public'`, table).Scan(&columns, &selected)
	if err != nil {
		return nil, nil, fmt.Errorf("bench: columns of %s: %w", table, err)
	}
	result, err := b.admin.Query(ctx, "select "+selected+" from "+table)
	if err != nil {
		return nil, nil, fmt.Errorf("bench: read %s: %w", table, err)
	}
	rows, err = pgx.CollectRows(result, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		return nil, nil, fmt.Errorf("bench: read %s: %w", table, err)
	}
	return columns, rows, nil
}

// resident is this process's memory, 0 where the system does not tell.
func resident() uint64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(status))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
