package adreport

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/money"
)

func date(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func load(t *testing.T, name string) []byte {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return file
}

func TestGoogleAds(t *testing.T) {
	t.Parallel()
	report, err := Read(load(t, "google_en.csv"), Options{})
	require.NoError(t, err)
	require.Equal(t, GoogleAds, report.Platform)
	require.Equal(t, []Row{
		{
			Line: 4, Campaign: "Brand", ExternalID: "1837091", Status: Active, Day: date("2026-07-14"), Currency: "USD",
			Spend: 105000, Impressions: 12100, Clicks: 314, Conversions: 12.83, Revenue: 232005, Budget: 5000, BudgetKind: DailyBudget,
		}, // with the row of another network, line 7
		{
			Line: 5, Campaign: "Brand", ExternalID: "1837091", Status: Active, Day: date("2026-07-15"), Currency: "USD",
			Spend: 9810, Impressions: 1204, Clicks: 29, Conversions: 1, Revenue: 9990, Budget: 5000, BudgetKind: DailyBudget,
		},
		{
			Line: 6, Campaign: `Shoes, boots & "more"`, ExternalID: "1837092", Status: Paused, Day: date("2026-07-14"), Currency: "USD",
			Impressions: 870, Budget: 2000, BudgetKind: DailyBudget,
		},
	}, report.Rows)
	require.Equal(t, 3, report.Refused)
	require.Equal(t, 2, report.Totals)
	require.Equal(t, 9, report.Lines)
	require.Equal(t, []Problem{
		{Line: 10, Value: `Enabled,"Unclosed,USD,50.00,Daily,Eligible,Search,2026-07-16,1837091,60,6,4,0.50,10.00, --`, Message: "A quote is not closed on this line."},
		{Line: 8, Column: "Day", Value: "2026-07-35", Message: "is not a date such as 2026-03-01."},
		{Line: 9, Column: "Cost", Value: "six", Message: "is not a number."},
	}, report.Problems)
}

func TestGoogleAdsInAnotherLanguage(t *testing.T) {
	t.Parallel()
	report, err := Read(load(t, "google_es.csv"), Options{})
	require.NoError(t, err)
	require.Equal(t, "es", report.Language)
	require.Empty(t, report.Problems)
	require.Equal(t, []Row{
		{
			Line: 4, Campaign: "Marca", Status: Active, Day: date("2026-07-01"), Currency: "PEN",
			Spend: 865195, Impressions: 1247, Clicks: 129, Conversions: 3, Revenue: 19980, Budget: 5000, BudgetKind: DailyBudget,
		},
		{
			Line: 5, Campaign: "Marca", Status: Paused, Day: date("2026-07-02"), Currency: "PEN",
			Spend: 1250, Impressions: 1003, Clicks: 20, Budget: 5000, BudgetKind: DailyBudget,
		},
	}, report.Rows)
}

func TestMeta(t *testing.T) {
	t.Parallel()
	report, err := Read(load(t, "meta_en.csv"), Options{})
	require.NoError(t, err)
	require.Equal(t, MetaAds, report.Platform)
	require.Empty(t, report.Problems)
	require.Equal(t, 1, report.Totals)
	require.Equal(t, []Row{
		{
			Line: 3, Campaign: "Summer | Prospecting", ExternalID: "120210000000000001", Status: Active, Day: date("2026-07-01"), Currency: "EUR",
			Spend: 2025, Impressions: 1500, Clicks: 30, Conversions: 2, Revenue: 8025, Budget: 50000, BudgetKind: TotalBudget,
		},
		{
			Line: 4, Campaign: "Summer | Prospecting", ExternalID: "120210000000000001", Status: Active, Day: date("2026-07-02"), Currency: "EUR",
			Spend: 2525, Impressions: 1500, Clicks: 30, Conversions: 1, Revenue: 4025, Budget: 50000, BudgetKind: TotalBudget,
		},
		{Line: 5, Campaign: "Traffic", ExternalID: "120210000000000002", Status: Ended, Day: date("2026-07-02"), Currency: "EUR"},
	}, report.Rows)
}

func TestMetaInAnotherLanguage(t *testing.T) {
	t.Parallel()
	report, err := Read(load(t, "meta_pt.csv"), Options{})
	require.NoError(t, err)
	require.Equal(t, []Row{
		{
			Line: 2, Campaign: "Verão", Status: Active, Day: date("2026-07-01"), Currency: "BRL",
			Spend: 123456, Impressions: 2345, Clicks: 12, Conversions: 3,
		},
		{
			Line: 3, Campaign: "Verão", Status: Active, Day: date("2026-07-02"), Currency: "BRL",
			Spend: 3450, Impressions: 345, Clicks: 2, // clicks are no conversions
		},
	}, report.Rows)
	require.Equal(t, []Problem{{
		Line: 4, Column: "Encerramento dos relatórios", Value: "2026-07-31",
		Message: "is another day than the report's start: break the report down by day.",
	}}, report.Problems)
}

// TestEncodings reads one file as each program would save it.
func TestEncodings(t *testing.T) {
	t.Parallel()
	plain := load(t, "google_es.csv")
	tabs := strings.NewReplacer(`","`, "\t", `",`, "\t", `,"`, "\t", ",", "\t").Replace(
		"Día,Estado de la campaña,Campaña,Código de moneda,Coste,Impr.,Clics\n2026-07-01,Habilitada,Marca,PEN,\"12,50\",1.247,129\n")
	tabs = strings.Replace(tabs, "12\t50", "12,50", 1)
	for name, file := range map[string][]byte{
		"UTF-8 with a mark":  append([]byte("\ufeff"), plain...),
		"Windows-1252":       must(charmap.Windows1252.NewEncoder().Bytes(plain)),
		"old Macintosh ends": []byte(strings.ReplaceAll(string(plain), "\n", "\r")),
		"CRLF":               []byte(strings.ReplaceAll(string(plain), "\n", "\r\n")),
		"UTF-16LE, tabs":     must(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(tabs))),
		"UTF-16BE, tabs":     must(unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(tabs))),
		"UTF-16LE, no mark":  must(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().Bytes([]byte(tabs))),
		"UTF-16BE, no mark":  must(unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().Bytes([]byte(tabs))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Read(file, Options{})
			require.NoError(t, err)
			require.Empty(t, report.Problems)
			require.NotEmpty(t, report.Rows)
			require.Equal(t, "Marca", report.Rows[0].Campaign)
			require.Equal(t, Active, report.Rows[0].Status)
			require.Equal(t, int64(1247), report.Rows[0].Impressions)
		})
	}
}

func must(file []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return file
}

func TestFilesThatAreNoReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		code fault.Code
		says string
	}{
		"empty":          {"", fault.Invalid, "No line names a campaign"},
		"prose":          {"Dear Sir,\nplease, find, attached\n", fault.Invalid, "No line names a campaign"},
		"by week":        {"Week,Campaign,Cost,Clicks\n2026-07-06,A,1,2\n", fault.Invalid, "by week"},
		"no day":         {"Campaign,Currency code,Cost,Clicks\nA,USD,1,2\n", fault.Invalid, "column of days"},
		"a workbook":     {"PK\x03\x04\x00\x00\x00\x00 [Content_Types].xml", fault.Malformed, "NUL"},
		"both orders":    {"Day,Campaign,Cost,Clicks\n25/12/2026,A,1,2\n12/25/2026,A,1,2\n", fault.Invalid, "others month-day"},
		"either order":   {"Day,Campaign,Cost,Clicks\n03/04/2026,A,1,2\n", fault.Invalid, "dmy or mdy"},
		"too many lines": {"Day,Campaign,Cost\n" + strings.Repeat("\n", MaxLines), fault.TooLarge, "lines"},
		"too large":      {strings.Repeat("x", MaxBytes+1), fault.TooLarge, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read([]byte(c.file), Options{Currency: "USD"})
			require.Equal(t, c.code, fault.CodeOf(err))
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestBadRowsAreToldByLineAndTheOthersRead(t *testing.T) {
	t.Parallel()
	report, err := Read([]byte(strings.Join([]string{
		"Day,Campaign,Campaign ID,Currency code,Cost,Impr.,Clicks,Conversions",
		"2026-07-01,A,1,USD,1.00,10,1,0",
		"2026-07-01,,1,USD,1.00,10,1,0",
		"soon,A,1,USD,1.00,10,1,0",
		"2026-07-02,A,1,XXX,1.00,10,1,0",
		"2026-07-02,A,1,USD,-1.00,10,1,0",
		"2026-07-02,A,1,USD,1.00,10.5,1,0",
		"2026-07-02,A,1,USD,1.00,99999999999999,1,0",
		"2026-07-02,A,1,USD,1.00,10,1,1e5",
		"2026-07-01,A,1,EUR,1.00,10,1,0",
		"2026-07-03,A,1,USD,1.00,10,1,< 10",
		"2026-07-04",
		"2026-07-05,B,2,USD,2.00,20,2,1",
	}, "\n")), Options{})
	require.NoError(t, err)
	var told []string
	for _, p := range report.Problems {
		told = append(told, fmt.Sprintf("%d %s %t", p.Line, p.Column, p.Imported))
	}
	require.Equal(t, []string{
		"3 Campaign false", "4 Day false", "5 Currency code false", "6 Cost false", "7 Impr. false", "8 Impr. false", "9 Conversions false",
		"10  false", "11 Conversions true", "12 Campaign false",
	}, told)
	require.Equal(t, 9, report.Refused)
	require.Len(t, report.Rows, 3)
	require.Equal(t, "B", report.Rows[2].Campaign)
}

func TestSumsStayInBounds(t *testing.T) {
	t.Parallel()
	line := "2026-07-01,A,USD,9999999999999.00,5\n"
	report, err := Read([]byte("Day,Campaign,Currency code,Cost,Clicks\n"+line+line+line), Options{})
	require.NoError(t, err)
	require.Equal(t, 2, report.Refused)
	require.Equal(t, int64(5), report.Rows[0].Clicks, "all of a refused row, or none")
}

func TestACurrencyIsToldByTheFileOrTheCaller(t *testing.T) {
	t.Parallel()
	const file = "Day,Campaign,Cost,Clicks\n2026-07-01,A,1.50,2\n"
	report, err := Read([]byte(file), Options{})
	require.NoError(t, err)
	require.Equal(t, 1, report.Refused)
	require.Contains(t, report.Problems[0].Message, "query parameter currency")
	report, err = Read([]byte(file), Options{Currency: "JPY"})
	require.NoError(t, err)
	require.Equal(t, int64(2), report.Rows[0].Spend, "of 1.50 yen there are two")
}

func TestDates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-03-01": "2026-03-01", "2026/03/01": "2026-03-01", "20260301": "2026-03-01", "2026-03-01 00:00:00": "2026-03-01",
		"2026-03-01T00:00:00Z": "2026-03-01", "Mar 1, 2026": "2026-03-01", "Sun, Mar 1, 2026": "2026-03-01", "March 1, 2026": "2026-03-01",
		"1 Mar 2026": "2026-03-01", "1. März 2026": "2026-03-01", "01.03.2026": "2026-03-01", "1.3.26": "2026-03-01",
		"1 mars 2026": "2026-03-01", "1 févr. 2026": "2026-02-01", "8 août 2026": "2026-08-08", "1 de marzo de 2026": "2026-03-01",
		"1 de março de 2026": "2026-03-01", "13/02/2026": "2026-02-13", "29.02.2028": "2028-02-29", "1 dic 2026": "2026-12-01",
		"29.02.2026": "", "2026-13-01": "", "0000-01-01": "", "1999-12-31": "", "tomorrow": "", "": "", "3": "", "1/2": "", "99999999999999999999-1-1": "",
	} {
		got, err := readDate(text)
		if want == "" {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		at, err := got.in(DayMonth)
		require.NoError(t, err, text)
		require.Equal(t, want, at.Format(time.DateOnly), text)
	}
}

// locale is one way to write a report.
type locale struct {
	decimal, group, delimiter, language string
}

// TestAReportIsReadAsItWasWritten writes random rows in a random locale and
// reads them back.
func TestAReportIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom([]locale{
			{".", ",", ",", "en"},
			{".", ",", "\t", "en"},
			{",", ".", ";", "de"},
			{",", "\u202f", ",", "fr"},
			{",", ".", ",", "es"},
			{",", ".", "\t", "pt"},
			{".", "'", ";", "de"},
			{",", "", ";", "it"},
		}).Draw(t, "locale")
		names := headings[l.language]
		var file strings.Builder
		line := func(cells ...string) {
			for i, cell := range cells {
				cells[i] = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
			}
			file.WriteString(strings.Join(cells, l.delimiter) + "\n")
		}
		file.WriteString("A title\n")
		line(names[day][0], names[campaign][0], names[externalID][0], names[currency][0], names[spend][0], names[impressions][0], names[clicks][0], names[conversions][0])
		n := rapid.IntRange(2, 12).Draw(t, "rows")
		want := make([]Row, 0, n)
		for i := range n {
			row := Row{
				Line: i + 3, Campaign: rapid.StringMatching(`[A-Za-zé][A-Za-z0-9,;"|]{0,10}[a-z]`).Draw(t, "name"), ExternalID: strconv.Itoa(1000 + i),
				Status: Unknown, Day: date("2026-01-01").AddDate(0, 0, rapid.IntRange(0, 800).Draw(t, "day")), Currency: "EUR",
				Spend: rapid.Int64Range(0, 1e9).Draw(t, "spend"), Impressions: rapid.Int64Range(0, 1e9).Draw(t, "impressions"),
				Clicks: rapid.Int64Range(0, 1e6).Draw(t, "clicks"), Conversions: float64(rapid.IntRange(0, 99999).Draw(t, "conversions")) / 100,
			}
			want = append(want, row)
			line(row.Day.Format(time.DateOnly), row.Campaign, row.ExternalID, "EUR", l.money(row.Spend), l.whole(row.Impressions),
				l.whole(row.Clicks), strings.Replace(strconv.FormatFloat(row.Conversions, 'f', 2, 64), ".", l.decimal, 1))
		}
		report, err := Read([]byte(file.String()), Options{})
		require.NoError(t, err, file.String())
		require.Empty(t, report.Problems, file.String())
		require.Equal(t, want, report.Rows, file.String())
	})
}

func (l locale) whole(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + l.group + text[i:]
	}
	return text
}

func (l locale) money(minor int64) string {
	whole, fraction, _ := strings.Cut(money.Amount{Minor: minor, Currency: "EUR"}.Decimal(), ".")
	n, _ := strconv.ParseInt(whole, 10, 64)
	return l.whole(n) + l.decimal + fraction
}

// TestFilesAreBounded reads what is small as a file and was large once it was taken apart.
func TestFilesAreBounded(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat(",", MaxColumns)
	const head = "Day,Campaign,Currency code,Cost\n"
	for file, want := range map[string]string{
		"Day,Campaign,Currency code,Cost" + wide + "\n2026-07-01,A,USD,1\n": "Line 1 has more than 500 columns",
		"A title\n" + strings.Repeat(";", 4<<20-10):                         "Line 2 has more than 500 columns",
	} {
		_, err := Read([]byte(file), Options{})
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.TooLarge, fault.CodeOf(err))
		_, err = ReadInsights([]byte(file), Options{})
		require.ErrorContains(t, err, want)
	}
	for _, file := range []string{"Page name,Body" + wide, "page_name,body\nA,\"x\n\"" + wide, "page_name;body\n" + strings.Repeat("\"\n\";", MaxColumns+1)} {
		_, err := ReadAds([]byte(file), "", "")
		require.ErrorContains(t, err, "more than 500 columns")
		require.Equal(t, fault.TooLarge, fault.CodeOf(err))
	}
	report, err := Read([]byte(head+"2026-07-01,A,USD,1"+wide+"\n2026-07-01,B,USD,"+strings.Repeat("1", MaxField+1)+"\n2026-07-01,C,USD,2\n"), Options{})
	require.NoError(t, err, "a line costs itself only")
	require.Len(t, report.Rows, 1)
	require.Equal(t, 2, report.Refused)
	require.Contains(t, report.Problems[0].Message, "more than 500 columns")
	require.Contains(t, report.Problems[1].Message, "more than 32768 bytes")
}

// FuzzRead: whatever the bytes, there is an answer whose lines add up.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"google_en.csv", "google_es.csv", "meta_en.csv", "meta_pt.csv"} {
		file, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(file)
	}
	f.Add(must(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte("Day\tCampaign\tCost\n2026-07-01\tA\t1,5\n"))))
	f.Fuzz(func(t *testing.T, file []byte) {
		report, err := Read(file, Options{Currency: "USD", Dates: MonthDay})
		if err != nil {
			require.NotEqual(t, fault.Internal, fault.CodeOf(err))
			return
		}
		require.LessOrEqual(t, report.Refused+report.Totals+len(report.Rows), report.Lines)
		for _, row := range report.Rows {
			require.NotEmpty(t, row.Campaign)
			require.GreaterOrEqual(t, row.Spend, int64(0))
			require.GreaterOrEqual(t, row.Conversions, 0.0)
			require.True(t, exists(row.Day.Year(), int(row.Day.Month()), row.Day.Day()))
		}
	})
}
