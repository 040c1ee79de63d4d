package dashboard_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/conversion"
)

// TestTheOverviewSaysWhatTheAPISays asks both for the same periods.
func TestTheOverviewSaysWhatTheAPISays(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	seed(t, b, 20)
	// What sums that are computed twice would differ in: a refund, another
	// currency, an order without a touch, one not credited yet.
	for i, order := range []struct {
		name, currency string
		minor          int64
	}{{"Order Refunded", "USD", -1890}, {"Order Completed", "EUR", 4200}, {"Order Completed", "USD", 1000}} {
		b.exec(t, b.tenant, `insert into conversion_events (tenant_uuid, conversion_uuid, external_id, name, revenue_minor, currency, occurred_at, received_at, refund_of)
			values ($1, $2, $3, $4, $5, $6, $7, $7, case when $5::bigint < 0 then 'KL-10001' end)`, b.tenant, id(), fmt.Sprint("odd-", i), order.name, order.minor, order.currency, b.clock.Now())
	}
	for _, period := range []string{"from=2026-10-26&to=2026-11-24", "from=2026-11-20&to=2026-11-24", "from=2025-01-01&to=2026-11-24"} {
		page := b.get(t, "/?model=linear&metric=revenue&"+period)
		require.Equal(t, http.StatusOK, page.status, period)
		var stats conversion.Stats
		b.api(t, "/api/v1/conversion/stats?"+period, &stats)
		require.NotZero(t, stats.Total.Conversions)
		page.shows(t, tileOf("Revenue", "$"+decimal(usd(stats.Total.Revenue))), period)
		page.shows(t, tileOf("Conversions", grouped(stats.Total.Conversions)), period)
		page.shows(t, tileOf("Visitors", grouped(stats.Total.Visitors)), period)
		page.shows(t, tileOf("Messages sent", grouped(stats.Total.Messages)), period)
		page.shows(t, fmt.Sprintf(">%.1f%%<", 100**stats.Total.Rate), period)
		page.shows(t, "Earned besides: €42.00.", period)

		var report conversion.Report
		b.api(t, "/api/v1/conversion/attribution?"+period, &report)
		require.Equal(t, usd(stats.Total.Revenue), usd(report.Total.Revenue), "the two reports agree")
		require.Len(t, report.Models, 5)
		require.Equal(t, credits(report), tableOf(t, page.body), period)
		page.shows(t, "3 conversions are being credited", period)
	}
}

// credits are the channels' revenue under every model, and their totals, as
// the page's table has them: "Email first $1.00" and so on.
func credits(report conversion.Report) map[string][]string {
	order := []string{"first_touch", "last_touch", "linear", "time_decay", "position_based"}
	cells := map[string][]string{}
	for i, model := range order {
		for _, of := range report.Models {
			if string(of.Model) != model {
				continue
			}
			for _, channel := range of.Channels {
				if cells[channel.Channel] == nil {
					cells[channel.Channel] = []string{"$0.00", "$0.00", "$0.00", "$0.00", "$0.00"}
				}
				cells[channel.Channel][i] = "$" + decimal(usd(channel.Revenue))
			}
		}
		cells["together"] = append(cells["together"], "$"+decimal(usd(report.Total.Revenue)))
	}
	for channel, row := range cells {
		for i := range row {
			row[i] = strings.Replace(row[i], "$-", "−$", 1)
		}
		cells[channel] = row
	}
	return cells
}

// tableOf reads the attribution table of a page: its rows by channel.
func tableOf(t *testing.T, body string) map[string][]string {
	t.Helper()
	_, section, found := strings.Cut(body, `id="attribution"`)
	require.True(t, found)
	section, _, _ = strings.Cut(section, "</table>")
	rows := map[string][]string{}
	for _, row := range strings.Split(section, `<th scope="row">`)[1:] {
		name, rest, _ := strings.Cut(row, "<")
		channel := strings.ReplaceAll(strings.ToLower(name), " ", "_")
		for _, cell := range strings.Split(rest, `<td class="right">`)[1:] {
			text, _, _ := strings.Cut(cell, "<")
			rows[channel] = append(rows[channel], html.UnescapeString(strings.TrimSpace(text)))
		}
	}
	return rows
}

func tileOf(name, value string) string {
	return `>` + name + `</dt><dd class="value">` + value + `</dd>`
}

func usd(sums []conversion.Money) int64 {
	for _, sum := range sums {
		if sum.Currency == "USD" {
			return sum.Minor
		}
	}
	return 0
}

func decimal(minor int64) string {
	if minor < 0 {
		return "-" + decimal(-minor)
	}
	return grouped(minor/100) + fmt.Sprintf(".%02d", minor%100)
}

func (b *bundle) api(t *testing.T, path string, answer any) {
	t.Helper()
	got := b.get(t, path)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.NoError(t, json.Unmarshal([]byte(got.body), answer))
}
