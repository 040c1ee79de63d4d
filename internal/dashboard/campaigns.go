package dashboard

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/outreach"
)

type campaignsPage struct {
	*view
	Rows   []dashboarddb.CampaignsRow
	Paging paging
}

func (d *Dashboard) campaigns(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Campaigns", "campaigns"
	page := campaignsPage{view: v, Paging: readPaging(r)}
	err := d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		var err error
		if page.Paging.Total, err = q.CountCampaigns(ctx); err != nil {
			return err
		}
		page.Rows, err = q.Campaigns(ctx, dashboarddb.CampaignsParams{PageSize: pageSize, Skip: page.Paging.skip()})
		return err
	})
	if err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, campaignsView(page))
}

// campaignForm keeps what was typed.
type campaignForm struct {
	Name, Segment, Template, FromName string
	Wrong                             map[string]string
	Problem                           string
}

type newCampaignPage struct {
	*view
	Form      campaignForm
	Segments  []dashboarddb.SegmentsRow
	Templates []dashboarddb.TemplatesRow
	FromEmail string
}

func (d *Dashboard) newCampaign(w http.ResponseWriter, r *http.Request, v *view) error {
	query := r.URL.Query()
	return d.showCampaignForm(w, r, v, http.StatusOK, campaignForm{
		Segment: query.Get("segment"), Template: query.Get("template"), FromName: d.FromName,
	})
}

func (d *Dashboard) showCampaignForm(w http.ResponseWriter, r *http.Request, v *view, status int, form campaignForm) error {
	v.Title, v.Section, v.Narrow = "New campaign", "campaigns", true
	page := newCampaignPage{view: v, Form: form, FromEmail: d.FromEmail}
	err := d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		var err error
		if page.Segments, err = q.Segments(ctx); err != nil {
			return err
		}
		page.Templates, err = q.Templates(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return d.render(w, r, status, newCampaignView(page))
}

func (d *Dashboard) createCampaign(w http.ResponseWriter, r *http.Request, v *view) error {
	if err := needs(v.CanWrite); err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	form := campaignForm{
		Name: strings.TrimSpace(r.PostFormValue("name")), Segment: r.PostFormValue("segment"),
		Template: r.PostFormValue("template"), FromName: strings.TrimSpace(r.PostFormValue("from_name")), Wrong: map[string]string{},
	}
	draft := outreach.CampaignDraft{Name: form.Name, Channel: "email", FromName: form.FromName}
	var err error
	if draft.Segment, err = uuid.Parse(form.Segment); err != nil {
		form.Wrong["segment"] = "Choose whom to write to."
	}
	if draft.Template, err = uuid.Parse(form.Template); err != nil {
		form.Wrong["template"] = "Choose what to write."
	}
	if n := len([]rune(form.Name)); n == 0 || n > 200 {
		form.Wrong["name"] = "A name has 1 to 200 characters."
	}
	if len([]rune(form.FromName)) > 200 {
		form.Wrong["from_name"] = "At most 200 characters."
	}
	if len(form.Wrong) > 0 {
		return d.showCampaignForm(w, r, v, http.StatusUnprocessableEntity, form)
	}
	campaign, err := d.Campaigns.Create(r.Context(), v.Tenant, draft)
	if isUsers(err) {
		form.Problem = problemText(err)
		return d.showCampaignForm(w, r, v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/campaigns/"+campaign.UUID.String()+"?done=created", http.StatusSeeOther)
	return nil
}

// isUsers reports whether the person who sent the form can mend err.
func isUsers(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Invalid, fault.Malformed, fault.Conflict, fault.NotFound, fault.TooLarge:
		return true
	default:
		return false
	}
}

func needs(allowed bool) error {
	if !allowed {
		return fault.New(fault.Forbidden, "Your role does not allow this; ask an owner of the company.")
	}
	return nil
}

type campaignPage struct {
	*view
	Campaign  dashboarddb.CampaignRow
	Progress  dashboarddb.CampaignProgressRow
	Outcome   dashboarddb.CampaignOutcomeRow
	Decisions []dashboarddb.CampaignDecisionsRow
	Status    string // the messages shown: a status, "" for all, "skipped"
	Messages  []dashboarddb.CampaignMessagesRow
	Skipped   []dashboarddb.CampaignSkippedRow
	Paging    paging
	Members   int64 // of the segment, for a draft
}

func (d *Dashboard) campaign(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	page := campaignPage{view: v, Paging: readPaging(r)}
	switch status := r.URL.Query().Get("status"); status {
	case "queued", "sending", "sent", "failed", "unknown", "cancelled", "skipped":
		page.Status = status
	}
	var rules []byte
	err = d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		if err := page.load(ctx, q, id); err != nil {
			return err
		}
		chosen, err := q.Segment(ctx, page.Campaign.SegmentUUID)
		rules = chosen.Rules
		return err
	})
	if err != nil {
		return err
	}
	if page.Campaign.Status == "draft" {
		if parsed, err := segment.Parse(rules); err == nil { // rules that no longer parse select nobody
			page.Members, _, err = d.Segments.Preview(r.Context(), v.Tenant, parsed, uuid.Nil, 1)
			if err != nil {
				return err
			}
		}
	}
	v.Title, v.Section = page.Campaign.Name, "campaigns"
	return d.render(w, r, http.StatusOK, campaignView(page))
}

func (p *campaignPage) load(ctx context.Context, q *dashboarddb.Queries, id uuid.UUID) error {
	var err error
	if p.Campaign, err = q.Campaign(ctx, id); err != nil {
		return err
	}
	if p.Progress, err = q.CampaignProgress(ctx, id); err != nil {
		return err
	}
	if p.Outcome, err = q.CampaignOutcome(ctx, dashboarddb.CampaignOutcomeParams{CampaignUUID: id, Currency: p.Currency}); err != nil {
		return err
	}
	if p.Decisions, err = q.CampaignDecisions(ctx, id); err != nil {
		return err
	}
	p.Paging.Total = p.inStatus(p.Status)
	if p.Status == "skipped" {
		p.Skipped, err = q.CampaignSkipped(ctx, dashboarddb.CampaignSkippedParams{CampaignUUID: id, PageSize: pageSize, Skip: p.Paging.skip()})
		return err
	}
	p.Messages, err = q.CampaignMessages(ctx, dashboarddb.CampaignMessagesParams{
		CampaignUUID: id, Status: p.Status, PageSize: pageSize, Skip: p.Paging.skip(),
	})
	return err
}

// inStatus is how many messages have that status.
func (p *campaignPage) inStatus(status string) int64 {
	counts := map[string]int64{
		"": p.Progress.Total, "queued": p.Progress.Queued, "sending": p.Progress.Sending, "sent": p.Progress.Sent,
		"failed": p.Progress.Failed, "unknown": p.Progress.Unknown, "cancelled": p.Progress.Cancelled, "skipped": p.skipped(),
	}
	return counts[status]
}

func (p *campaignPage) skipped() int64 {
	var n int64
	for _, decision := range p.Decisions {
		if decision.Outcome == "skip" {
			n += decision.Recipients
		}
	}
	return n
}

// settled is how many messages need nothing more.
func (p *campaignPage) settled() int64 {
	return p.Progress.Sent + p.Progress.Failed + p.Progress.Unknown + p.Progress.Cancelled
}

func (p *campaignPage) active() bool {
	return p.Campaign.Status == "running"
}

// tabs are the lists a campaign's page offers, empty ones left out.
func (p *campaignPage) tabs() []string {
	tabs := []string{""}
	for _, status := range []string{"unknown", "failed", "sent", "queued", "sending", "cancelled", "skipped"} {
		if p.inStatus(status) > 0 || p.Status == status {
			tabs = append(tabs, status)
		}
	}
	return tabs
}

func (p *campaignPage) path() string { return "/campaigns/" + p.Campaign.CampaignUUID.String() }

// reasons say a decision's code as a person would.
var reasons = map[string]string{
	outreach.CodeNoAddress:        "No e-mail address",
	outreach.CodeNoConsent:        "Never agreed to e-mail",
	outreach.CodeConsentWithdrawn: "Withdrew their consent",
	outreach.CodeSuppressed:       "Address unsubscribed, bounced or complained",
	outreach.CodeDuplicate:        "Had the same content already",
	outreach.CodeDayCap:           "Had enough messages today",
	outreach.CodeWeekCap:          "Had enough messages this week",
	outreach.CodeWithinCaps:       "All checks passed",
}

func reasonName(code string) string {
	if name, known := reasons[code]; known {
		return name
	}
	return channelName(code)
}

func (d *Dashboard) startCampaign(w http.ResponseWriter, r *http.Request, v *view) error {
	return d.change(w, r, v, "started", func(ctx context.Context, id uuid.UUID) error {
		_, err := d.Campaigns.Start(ctx, v.Tenant, id)
		return err
	})
}

func (d *Dashboard) pauseCampaign(w http.ResponseWriter, r *http.Request, v *view) error {
	return d.change(w, r, v, "paused", func(ctx context.Context, id uuid.UUID) error {
		_, err := d.Campaigns.Pause(ctx, v.Tenant, id, "Paused by "+v.User+".")
		return err
	})
}

// change does one thing to the campaign of the path and returns to its page.
func (d *Dashboard) change(w http.ResponseWriter, r *http.Request, v *view, done string, fn func(context.Context, uuid.UUID) error) error {
	v.Section = "campaigns"
	if err := needs(v.CanWrite); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := fn(r.Context(), id); err != nil {
		return err
	}
	http.Redirect(w, r, "/campaigns/"+id.String()+"?done="+done, http.StatusSeeOther) //nolint:gosec // a path of ours with an id that was parsed
	return nil
}

func (d *Dashboard) resolveMessage(w http.ResponseWriter, r *http.Request, v *view) error {
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
	message, err := d.Campaigns.Resolve(r.Context(), v.Tenant, id, outreach.Resolution(r.PostFormValue("outcome")), v.User)
	if err != nil {
		return err
	}
	target := "/campaigns"
	if message.Campaign != nil {
		target += "/" + message.Campaign.String()
	}
	http.Redirect(w, r, target+"?status=unknown&done=resolved", http.StatusSeeOther)
	return nil
}

// segmentCount answers how many people a segment has now, as a line of text.
func (d *Dashboard) segmentCount(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := uuid.Parse(r.URL.Query().Get("segment"))
	if err != nil {
		return d.render(w, r, http.StatusOK, hint("")) // nothing is chosen yet
	}
	var rules []byte
	err = d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		chosen, err := q.Segment(ctx, id)
		rules = chosen.Rules
		return err
	})
	if err != nil {
		return err
	}
	parsed, err := segment.Parse(rules)
	if err != nil {
		return d.render(w, r, http.StatusOK, hint(problemText(err)))
	}
	n, _, err := d.Segments.Preview(r.Context(), v.Tenant, parsed, uuid.Nil, 1)
	if err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, hint(plural(n, "person", "people")+" in it now. Who agreed to e-mail is checked for each at the start."))
}
