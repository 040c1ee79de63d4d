package dashboard

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/insight"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
)

type campaignsPage struct {
	*view
	Rows  []outreach.Report
	Trail trail
}

func (d *Dashboard) campaigns(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Campaigns", "campaigns"
	page := campaignsPage{view: v, Trail: readTrail(r)}
	rows, err := d.Campaigns.Reports(r.Context(), v.Tenant, page.Trail.After, pageSize+1)
	if err != nil {
		return err
	}
	page.Rows = cut(&page.Trail, rows, func(row outreach.Report) uuid.UUID { return row.Campaign.UUID })
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
	Segments  []segment.Segment
	Templates []template.Template
	Mail      outreach.MailAccount
}

func (d *Dashboard) newCampaign(w http.ResponseWriter, r *http.Request, v *view) error {
	query := r.URL.Query()
	return d.showCampaignForm(w, r, v, http.StatusOK, campaignForm{
		Segment: query.Get("segment"), Template: query.Get("template"),
	})
}

func (d *Dashboard) showCampaignForm(w http.ResponseWriter, r *http.Request, v *view, status int, form campaignForm) error {
	v.Title, v.Section, v.Narrow = "New campaign", "campaigns", true
	page := newCampaignPage{view: v, Form: form, Mail: d.mailAccount(r.Context(), v.Tenant)}
	var err error
	if page.Segments, err = d.Segments.List(r.Context(), v.Tenant, uuid.Nil, allOf); err != nil {
		return err
	}
	if page.Templates, err = d.Templates.List(r.Context(), v.Tenant, uuid.Nil, allOf); err != nil {
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
	outreach.Report
	Revenue int64  // what the last touch credits to clicks in its messages, in minor units
	Status  string // the messages shown: a status, "" for all, "skipped"
	Shown   []outreach.Message
	Skipped []outreach.DecisionRecord
	People  map[uuid.UUID]contact.Contact // those of the rows shown
	Trail   trail
	Members int64 // of the segment, for a draft
	Context insight.CampaignContext
}

func (d *Dashboard) campaign(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	page := campaignPage{view: v, Trail: readTrail(r)}
	switch status := r.URL.Query().Get("status"); status {
	case "queued", "sending", "sent", "failed", "unknown", "cancelled", "skipped":
		page.Status = status
	}
	if err := d.loadCampaign(r.Context(), &page, id); err != nil {
		return err
	}
	v.Title, v.Section = page.Campaign.Name, "campaigns"
	return d.render(w, r, http.StatusOK, campaignView(page))
}

func (d *Dashboard) loadCampaign(ctx context.Context, p *campaignPage, id uuid.UUID) error {
	var err error
	if p.Report, err = d.Campaigns.Report(ctx, p.Tenant, id); err != nil {
		return err
	}
	if p.Context, err = d.Insights.CampaignContext(ctx, p.Tenant, id); err != nil {
		return err
	}
	if p.Campaign.Status == outreach.Draft {
		p.Members, err = d.members(ctx, p.Tenant, p.Campaign.Segment)
		return err
	}
	earned, err := d.Conversions.CampaignOutcome(ctx, p.Tenant, id, attribution.LastTouch)
	if err != nil {
		return err
	}
	p.Revenue = minorOf(earned.Revenue, p.Currency)
	return d.loadRecipients(ctx, p, id)
}

// loadRecipients reads the messages or the skipped people of the chosen list.
func (d *Dashboard) loadRecipients(ctx context.Context, p *campaignPage, id uuid.UUID) error {
	var ids []uuid.UUID
	if p.Status == "skipped" {
		rows, err := d.Campaigns.Decisions(ctx, p.Tenant, id, outreach.DecisionFilter{Outcome: outreach.Skip}, p.Trail.After, pageSize+1)
		if err != nil {
			return err
		}
		p.Skipped = cut(&p.Trail, rows, func(row outreach.DecisionRecord) uuid.UUID { return row.Contact })
		for _, row := range p.Skipped {
			ids = append(ids, row.Contact)
		}
	} else {
		filter := outreach.MessageFilter{Campaign: id, Status: outreach.Status(p.Status)}
		rows, err := d.Campaigns.Messages(ctx, p.Tenant, filter, p.Trail.After, pageSize+1)
		if err != nil {
			return err
		}
		p.Shown = cut(&p.Trail, rows, func(row outreach.Message) uuid.UUID { return row.UUID })
		for _, row := range p.Shown {
			ids = append(ids, row.Contact)
		}
	}
	var err error
	p.People, err = d.Contacts.ByID(ctx, p.Tenant, ids)
	return err
}

// members is how many people a segment has now.
func (d *Dashboard) members(ctx context.Context, tenant, id uuid.UUID) (int64, error) {
	chosen, err := d.Segments.Get(ctx, tenant, id)
	if err != nil {
		return 0, err
	}
	n, _, err := d.Segments.Preview(ctx, tenant, chosen.Rules, uuid.Nil, 1)
	return n, err
}

// in is how many messages have that status.
func (p *campaignPage) in(status outreach.Status) int64 { return int64(p.Messages[status]) }

// inList is how many rows a list of the page has.
func (p *campaignPage) inList(list string) int64 {
	switch list {
	case "":
		return p.total()
	case "skipped":
		var n int64
		for _, decision := range p.Decisions {
			if decision.Outcome == outreach.Skip {
				n += int64(decision.Contacts)
			}
		}
		return n
	default:
		return p.in(outreach.Status(list))
	}
}

func (p *campaignPage) total() int64 { return totalOf(p.Report) }

func totalOf(r outreach.Report) int64 {
	n := 0
	for _, messages := range r.Messages {
		n += messages
	}
	return int64(n)
}

// settledOf is how many messages need nothing more.
func settledOf(r outreach.Report) int64 {
	return totalOf(r) - int64(r.Messages[outreach.Queued]+r.Messages[outreach.Sending])
}

func (p *campaignPage) active() bool {
	return p.Campaign.Status == outreach.Running
}

// tabs are the lists a campaign's page offers, empty ones left out.
func (p *campaignPage) tabs() []string {
	tabs := []string{""}
	for _, status := range []string{"unknown", "failed", "sent", "queued", "sending", "cancelled", "skipped"} {
		if p.inList(status) > 0 || p.Status == status {
			tabs = append(tabs, status)
		}
	}
	return tabs
}

func (p *campaignPage) path() string { return "/campaigns/" + p.Campaign.UUID.String() }

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
	n, err := d.members(r.Context(), v.Tenant, id)
	if isUsers(err) {
		return d.render(w, r, http.StatusOK, hint(problemText(err)))
	}
	if err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, hint(plural(n, "person", "people")+" in it now. Who agreed to e-mail is checked for each at the start."))
}
