package dashboard

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"
)

// paging is where a list stands: which page of how many rows.
type paging struct {
	Page  int // from 1
	Total int64
	Path  string
	Query url.Values
}

// maxPage keeps a made-up page number from becoming an endless OFFSET.
const maxPage = 4000

func readPaging(r *http.Request) paging {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	return paging{Page: min(page, maxPage), Path: r.URL.Path, Query: r.URL.Query()}
}

func (p paging) skip() int32 { return int32((p.Page - 1) * pageSize) }

func (p paging) pages() int {
	return int(max(1, (p.Total+pageSize-1)/pageSize))
}

func (p paging) href(page int) string {
	query := maps.Clone(p.Query)
	query.Set("page", strconv.Itoa(page))
	query.Del("done")
	return p.Path + "?" + query.Encode()
}

// trail is where a list stands that is read by cursor: the rows after one.
type trail struct {
	After uuid.UUID // uuid.Nil for the first page
	Next  uuid.UUID // the cursor of the next page; uuid.Nil after the last
	Path  string
	Query url.Values
}

func readTrail(r *http.Request) trail {
	after, err := uuid.Parse(r.URL.Query().Get("after"))
	if err != nil {
		after = uuid.Nil // nothing, or nonsense: the first page
	}
	return trail{After: after, Path: r.URL.Path, Query: r.URL.Query()}
}

// cut keeps one page of rows, of which one more than a page was asked for, and
// notes where the next page begins.
func cut[T any](t *trail, rows []T, id func(T) uuid.UUID) []T {
	if len(rows) > pageSize {
		rows = rows[:pageSize]
		t.Next = id(rows[pageSize-1])
	}
	return rows
}

// href is the page that begins after a row.
func (t trail) href(after uuid.UUID) string {
	query := maps.Clone(t.Query)
	query.Del("done")
	query.Del("after")
	if after != uuid.Nil {
		query.Set("after", after.String())
	}
	return t.Path + "?" + query.Encode()
}
