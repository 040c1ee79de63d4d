package dashboard_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACampaignTellsWhatStandsAroundIt(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	shop := seed(t, b, 1)
	path := "/campaigns/" + shop.campaign.String()
	page := b.get(t, path)
	page.shows(t, "blue mountain coffee")
	page.shows(t, "86 of 100, 2 things to mend")
	page.shows(t, "$482.10")
	page.shows(t, "$11.76 ($8.78 to $16.12)")
	page.shows(t, "counted by Madan Sara")
	page.shows(t, "Sankore: It could not be reached.")
	page.shows(t, "This is from 5 h ago.")

	answer := b.post(t, path+"/context", url.Values{"landing_url": {"https://kafelakay.example/other"}})
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	page = b.get(t, path)
	page.shows(t, "Asking Onside")
	page.shows(t, `hx-trigger="every 2s"`)
	page.hides(t, "$482.10")

	answer = b.post(t, path+"/context", url.Values{"landing_url": {"javascript:alert(1)"}})
	require.Equal(t, http.StatusUnprocessableEntity, answer.status)
	answer.shows(t, "must be a page")

	b.post(t, path+"/context", url.Values{})
	b.get(t, path).shows(t, "Not linked yet.")
}
