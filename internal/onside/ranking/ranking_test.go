package ranking_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/onside/onsidetest"
	"github.com/engardehq/madansara/internal/onside/ranking"
)

var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

type bundle struct{ me, other onsidetest.Caller }

func setup(t *testing.T) bundle {
	t.Helper()
	url, db := dbtest.App(t, "onside_app")
	api := onsidetest.NewAPI(ranking.New(db, clockwork.NewFakeClockAt(now)).Register)
	return bundle{me: api.As(t, dbtest.Tenant(t, url)), other: api.As(t, dbtest.Tenant(t, url))}
}

const importPath = "/api/v1/seo/rankings/import?site=https://www.timachann.example/"

func TestFormsOfFiles(t *testing.T) {
	t.Parallel()
	on := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, file := range map[string]string{
		"Search Console":            "Top queries,Clicks,Impressions,CTR,Position\nBlack  castor OIL,12,345,3.48%,4.5\n",
		"Search Console in French":  "Requêtes les plus fréquentes,Clics,Impressions,CTR,Position\nblack castor oil,12,345,\"3,48 %\",\"4,5\"\n",
		"Search Console in Spanish": "Consultas principales;Clics;Impresiones;CTR;Posición\nblack castor oil;12;345;3,48 %;4,5\n", //nolint:misspell // Spanish
		"Search Console, Brazil":    "Principais consultas,Cliques,Impressões,CTR,Posição\nblack castor oil,12,345,3.48%,4.5\n",
	} {
		got, err := ranking.ParseCSV([]byte(file), ranking.Defaults{RankedOn: on}, now)
		require.NoError(t, err, name)
		require.Equal(t, ranking.SearchConsole, got.Format, name)
		require.Empty(t, got.Bad, name)
		require.Len(t, got.Rankings, 1)
		r := got.Rankings[0]
		require.Equal(t, "black castor oil", r.Keyword, name)
		require.InDelta(t, 4.5, r.Position, 0, name)
		require.EqualValues(t, 12, *r.Clicks)
		require.EqualValues(t, 345, *r.Impressions)
		require.Equal(t, ranking.SearchConsole, r.Source)
	}
	got, err := ranking.ParseCSV([]byte("keyword,position,date,device,page,country\na,1,2026-02-01,Mobile,https://A.example,HT\n"), ranking.Defaults{}, now)
	require.NoError(t, err)
	require.Equal(t, "generic", got.Format)
	require.Equal(t, ranking.Ranking{
		Keyword: "a", RankedOn: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Source: "import", Country: "ht", Device: "mobile", Page: "https://a.example/", Position: 1,
	}, got.Rankings[0])
	_, err = ranking.ParseCSV([]byte("keyword,position\na,1"), ranking.Defaults{}, now)
	require.ErrorContains(t, err, "ranked_on")
}

func TestImportReportsEveryRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := "keyword,position,date,clicks,device,page\n" +
		"good,3,2026-03-01,1,,\n" + // 2
		",3,2026-03-01,,,\n" + // 3
		"zero,0,2026-03-01,,,\n" + // 4
		"soon,3,2026-04-01,,,\n" + // 5
		"good,4,2026-03-01,,,\n" + // 6: the same as 2
		"text,first,2026-03-01,,,\n" + // 7
		"minus,1,2026-03-01,-2,,\n" + // 8
		"day,1,01/03/2026,,,\n" + // 9
		"watch,1,2026-03-01,,watch,\n" + // 10
		"page,1,2026-03-01,,,ftp://x\n" + // 11
		"\"two\nlines\",2,2026-03-01,,,\n" + // 12
		strings.Repeat("x", 201) + ",1,2026-03-01,,,\n" + // 14
		"also good,3.5,2026-03-02,0,tablet,https://timachann.example/a\n" // 15
	var out ranking.Outcome
	b.me.Want(200, "POST", importPath, file, &out)
	lines := []int{}
	for _, bad := range out.Errors {
		require.NotEmpty(t, bad.Message)
		lines = append(lines, bad.Line)
	}
	require.Equal(t, []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 14}, lines)
	require.Equal(t, 10, out.Rejected)
	require.Equal(t, 3, out.Imported)
	require.Equal(t, "timachann.example", out.Site)

	b.me.Want(200, "POST", importPath, file, &out)
	require.Equal(t, []int{0, 0, 3}, []int{out.Imported, out.Updated, out.Unchanged}, "a file twice changes nothing")
	b.me.Want(200, "POST", importPath, "keyword,position,date\ngood,2,2026-03-01\nnew,9,2026-03-01\n", &out)
	require.Equal(t, []int{1, 1, 0}, []int{out.Imported, out.Updated, out.Unchanged})

	var list struct {
		Rankings   []ranking.Stored `json:"rankings"`
		NextCursor string           `json:"next_cursor"`
	}
	b.me.Want(200, "GET", "/api/v1/seo/rankings?site=timachann.example&limit=3", nil, &list)
	require.Len(t, list.Rankings, 3)
	b.me.Want(200, "GET", "/api/v1/seo/rankings?limit=3&cursor="+list.NextCursor, nil, &list)
	require.Len(t, list.Rankings, 1)
	b.me.Want(200, "GET", "/api/v1/seo/rankings?keyword=good", nil, &list)
	require.Len(t, list.Rankings, 1)
	require.Equal(t, "2026-03-01", list.Rankings[0].RankedOn)
	require.InDelta(t, 2, list.Rankings[0].Position, 0)
	b.other.Want(200, "GET", "/api/v1/seo/rankings", nil, &list)
	require.Empty(t, list.Rankings)
}

func TestBadImports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.me.Want(422, "POST", importPath, "a,b\n1,2", nil)
	b.me.Want(422, "POST", importPath, "keyword,position\na,1", nil)
	b.me.Want(422, "POST", "/api/v1/seo/rankings/import?site=a%20b&ranked_on=2026-03-01", "keyword,position\na,1", nil)
	b.me.Want(422, "POST", importPath+"&ranked_on=0001-01-01", "keyword,position\na,1", nil)
	b.me.Want(413, "POST", importPath, "keyword,position\n"+strings.Repeat("x", 5<<20), nil)
	one := map[string]any{"keyword": "a", "ranked_on": "2026-03-01", "position": 1}
	b.me.Want(422, "POST", "/api/v1/seo/rankings", map[string]any{"site": "a.example", "rankings": []any{one, one}}, nil)
	b.me.Want(422, "POST", "/api/v1/seo/rankings", map[string]any{"site": "a.example", "rankings": []any{}}, nil)
	b.me.Want(422, "POST", "/api/v1/seo/rankings", map[string]any{"site": "a.example", "rankings": []any{map[string]any{"keyword": " ", "ranked_on": "2026-03-01", "position": 1}}}, nil)
	var list struct{ Rankings []ranking.Stored }
	b.me.Want(200, "GET", "/api/v1/seo/rankings", nil, &list)
	require.Empty(t, list.Rankings, "all or nothing")
}

func (b bundle) push(t *testing.T, day string, positions map[string]float64) {
	t.Helper()
	rankings := []any{}
	for keyword, position := range positions {
		rankings = append(rankings, map[string]any{"keyword": keyword, "ranked_on": day, "position": position, "clicks": 2})
	}
	b.me.Want(200, "POST", "/api/v1/seo/rankings", map[string]any{"site": "timachann.example", "rankings": rankings}, nil)
}

func TestMovement(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.push(t, "2026-01-20", map[string]float64{"long ago": 1})
	b.push(t, "2026-02-01", map[string]float64{"up": 20, "down": 3, "same": 5, "lost": 8, "again": 4})
	b.push(t, "2026-02-03", map[string]float64{"up": 12}) // newer, and before the period's begin
	b.push(t, "2026-02-20", map[string]float64{"between": 2})
	b.push(t, "2026-03-01", map[string]float64{"up": 4, "down": 30, "same": 5, "gained": 7})
	b.push(t, "2026-03-02", map[string]float64{"again": 1})

	var m ranking.Movement
	b.me.Want(200, "GET", "/api/v1/seo/rankings/movement?site=www.timachann.example&from=2026-02-05&to=2026-03-03", nil, &m)
	require.Equal(t, []int{1, 1, 2, 1, 1}, []int{m.Gained, m.Lost, m.Up, m.Down, m.Unchanged})
	moves := map[string]string{}
	for _, move := range m.Moves {
		change := "-"
		if move.Change != nil {
			change = fmt.Sprint(*move.Change)
		}
		moves[move.Keyword] = move.Kind + " " + change
	}
	require.Equal(t, map[string]string{"up": "up 8", "down": "down -27", "gained": "gained -", "lost": "lost -", "again": "up 3"}, moves)
	require.Equal(t, "gained", m.Moves[0].Keyword, "the largest first: from nowhere to 7")
	b.me.Want(200, "GET", "/api/v1/seo/rankings/movement?site=timachann.example&from=2026-02-05&to=2026-03-03&kind=lost&window_days=30", nil, &m)
	require.Equal(t, 2, m.Lost, "with a window of a month, what ranked in January ranked at the begin")
	require.Len(t, m.Moves, 2)
	b.me.Want(422, "GET", "/api/v1/seo/rankings/movement?site=timachann.example&from=2026-03-03&to=2026-03-03", nil, nil)
	b.other.Want(200, "GET", "/api/v1/seo/rankings/movement?site=timachann.example&from=2026-02-05&to=2026-03-03", nil, &m)
	require.Zero(t, m.Gained+m.Lost+m.Up+m.Down+m.Unchanged)

	var history struct{ Days []ranking.Day }
	b.me.Want(200, "GET", "/api/v1/seo/rankings/history?site=timachann.example&keyword=up", nil, &history)
	require.Len(t, history.Days, 3)
	require.Equal(t, "2026-02-01", history.Days[0].RankedOn)
	require.InDelta(t, 4, history.Days[2].Position, 0)
	require.EqualValues(t, 2, *history.Days[2].Clicks)
	b.me.Want(200, "GET", "/api/v1/seo/rankings/history?site=timachann.example&keyword=up&from=2026-02-02&to=2026-02-28", nil, &history)
	require.Len(t, history.Days, 1)
}

func TestImportsAtOnceAgree(t *testing.T) {
	t.Parallel()
	_, db := dbtest.App(t, "onside_app")
	service := ranking.New(db, clockwork.NewFakeClockAt(now))
	tenant := uuid.Must(uuid.NewV7())
	const file = "keyword,position,date\na,1,2026-03-01\nb,2,2026-03-01\n"
	outcomes := make(chan *ranking.Outcome, 4)
	for range cap(outcomes) {
		go func() {
			outcome, err := service.ImportCSV(t.Context(), tenant, "a.example", []byte(file), ranking.Defaults{})
			if err != nil {
				outcome = nil
			}
			outcomes <- outcome
		}()
	}
	imported := 0
	for range cap(outcomes) {
		outcome := <-outcomes
		require.NotNil(t, outcome)
		imported += outcome.Imported
	}
	require.Equal(t, 2, imported)
}

func FuzzParseCSV(f *testing.F) {
	f.Add([]byte("Top queries,Clicks,Impressions,CTR,Position\na,1,2,3%,4\n\"b"))
	f.Add([]byte("keyword;position;date\na;1,5;2026-03-01"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := ranking.ParseCSV(content, ranking.Defaults{RankedOn: now}, now)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, r := range file.Rankings {
			require.True(t, r.Position >= 1 && r.Position <= 1000 && r.Keyword != "")
			key := fmt.Sprint(r.Keyword, r.RankedOn, r.Source, "|", r.Country, "|", r.Device, "|", r.Page)
			require.False(t, seen[key], key)
			seen[key] = true
		}
	})
}
