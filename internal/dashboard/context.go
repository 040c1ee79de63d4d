package dashboard

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/madansara/insight"
	"github.com/engardehq/madansara/mesh"
)

// peerAnswer is how old a peer's answer is, and why it is no newer.
type peerAnswer struct {
	peer, problem string
	at            *time.Time
}

func (d *Dashboard) linkCampaign(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Section = "campaigns"
	if err := needs(v.CanWrite); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	links := insight.Links{
		LandingURL: strings.TrimSpace(r.PostFormValue("landing_url")), AdCampaignID: strings.TrimSpace(r.PostFormValue("ad_campaign_id")),
	}
	if _, err := d.Insights.LinkCampaign(r.Context(), v.Tenant, id, links); err != nil {
		return err
	}
	http.Redirect(w, r, "/campaigns/"+id.String()+"?done=saved#context", http.StatusSeeOther) //nolint:gosec // a path of ours with an id that was parsed
	return nil
}

// adMoney writes an estimate of money with the interval that holds it 19 times in 20.
func adMoney(e *mesh.Estimate, currency string) string {
	if e == nil {
		return "–"
	}
	minor := func(value float64) string { return amount(int64(math.Round(value)), currency) }
	return minor(e.Value) + " (" + minor(e.Low) + " to " + minor(e.High) + ")"
}

func adRatio(e *mesh.Estimate) string {
	if e == nil {
		return "–"
	}
	ratio := func(value float64) string { return strconv.FormatFloat(value, 'f', 2, 64) }
	return ratio(e.Value) + " (" + ratio(e.Low) + " to " + ratio(e.High) + ")"
}
