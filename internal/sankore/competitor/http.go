package competitor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/sankore/adreport"
)

const path = "/api/v1/competitors"

type (
	adsCSVInput struct {
		Platform   string `query:"platform" required:"true" pattern:"^[a-z][a-z0-9_]{1,31}$" example:"meta_ads"`
		ObservedOn string `query:"observed_on" maxLength:"10" doc:"The day they were seen; without it, today" example:"2026-03-01"`
		Competitor string `query:"competitor" maxLength:"255" doc:"Whose they are, where the list does not say"`
		Dates      string `query:"dates" enum:"dmy,mdy" doc:"For dates that could be either; without it mdy"`
		RawBody    []byte `contentType:"text/csv"`
	}
	shareCSVInput struct {
		Platform   string `query:"platform" default:"google_ads" pattern:"^[a-z][a-z0-9_]{1,31}$"`
		ObservedOn string `query:"observed_on" maxLength:"10" doc:"The day of a report that is not segmented by day" example:"2026-03-01"`
		Dates      string `query:"dates" enum:"dmy,mdy" doc:"For dates that could be either; without it mdy"`
		RawBody    []byte `contentType:"text/csv"`
	}
	adsInput struct {
		Body struct {
			Platform   string  `json:"platform" pattern:"^[a-z][a-z0-9_]{1,31}$" example:"meta_ads"`
			Competitor string  `json:"competitor" minLength:"1" maxLength:"255"`
			ObservedOn string  `json:"observed_on" minLength:"10" maxLength:"10" example:"2026-03-01"`
			Ads        []adDTO `json:"ads" maxItems:"2000" doc:"All of them; none says that the competitor has none"`
		}
	}
	adDTO struct {
		ID        string `json:"id,omitempty" maxLength:"100" doc:"The platform's own; without it an ad that changes is another ad"`
		Headline  string `json:"headline,omitempty" maxLength:"2000"`
		Body      string `json:"body,omitempty" maxLength:"10000"`
		URL       string `json:"url,omitempty" maxLength:"2000"`
		Format    string `json:"format,omitempty" maxLength:"200"`
		StartedOn string `json:"started_on,omitempty" maxLength:"10"`
	}
	sharesInput struct {
		Body struct {
			Platform   string     `json:"platform" pattern:"^[a-z][a-z0-9_]{1,31}$" example:"google_ads"`
			ObservedOn string     `json:"observed_on" minLength:"10" maxLength:"10" example:"2026-03-01"`
			Shares     []shareDTO `json:"shares" minItems:"1" maxItems:"2000"`
		}
	}
	shareDTO struct {
		Competitor string `json:"competitor" minLength:"1" maxLength:"255" doc:"A domain, or you"`
		Share
	}
	importOutput struct {
		Body struct {
			Lines                int                `json:"lines" doc:"Lines or rows that hold anything"`
			Refused              int                `json:"refused"`
			ObservationsNew      int                `json:"observations_new" doc:"Days of a competitor not observed before"`
			ObservationsReplaced int                `json:"observations_replaced" doc:"Observed before, with another result"`
			ObservationsSame     int                `json:"observations_same"`
			Problems             []adreport.Problem `json:"problems"`
		}
	}
	// QueryInput narrows an answer down; exported, because huma reads embedded
	// structs only when they are.
	QueryInput struct {
		Platform   string `query:"platform" maxLength:"32"`
		Competitor string `query:"competitor" maxLength:"255"`
		From       string `query:"from" maxLength:"10" doc:"The first day; without it, 89 days before to" example:"2026-03-01"`
		To         string `query:"to" maxLength:"10" doc:"The last day; without it, today. At most 731 days" example:"2026-03-31"`
	}
	listInput struct {
		After string `query:"after" maxLength:"255" doc:"The competitor that the page before ended with"`
		Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
	}
	listOutput struct {
		Body struct {
			Competitors []Overview `json:"competitors" doc:"In alphabetical order, one for each platform and kind"`
		}
	}
	changesOutput struct {
		Body struct {
			Changes []Step `json:"changes"`
		}
	}
	adsOutput struct {
		Body struct {
			Competitors []Seen `json:"competitors"`
		}
	}
	sharesOutput struct {
		Body struct {
			Shares []Voice `json:"shares"`
		}
	}
)

// Register adds the operations to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		o := huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"competitors"}, Security: httpkit.Scoped(scope),
		}
		if method == http.MethodPost {
			o.MaxBodyBytes = adreport.MaxBytes
		}
		return o
	}
	const read, write = "ads:read", "ads:write"
	ads := op("import-competitor-ads-csv", http.MethodPost, path+"/ads/csv", "Import a list of competitors' ads", write)
	ads.Description = "A list with headings, as the tools for Meta's Ad Library write it (page_name, ad_creative_bodies, ...) or one made by hand " +
		"(advertiser, headline, body, url). It is taken for all the ads that its competitors had on the day."
	httpkit.Register(api, ads, s.importAdsCSV)
	httpkit.Register(api, op("import-competitor-ads", http.MethodPost, path+"/ads", "Say which ads a competitor had on a day", write), s.importAds)
	httpkit.Register(api, op("import-share-of-voice-csv", http.MethodPost, path+"/share/csv", "Import Google Ads' auction insights report, in English", write), s.importShareCSV)
	httpkit.Register(api, op("import-share-of-voice", http.MethodPost, path+"/share", "Say what share competitors had on a day", write), s.importShares)
	httpkit.Register(api, op("list-competitors", http.MethodGet, path, "List competitors with what is known of them", read), s.list)
	httpkit.Register(api, op("competitor-ads", http.MethodGet, path+"/ads", "Competitors' ads as they were last seen", read), s.getAds)
	httpkit.Register(api, op("competitor-changes", http.MethodGet, path+"/changes", "Competitors' ads that are new, gone or changed", read), s.getChanges)
	httpkit.Register(api, op("share-of-voice", http.MethodGet, path+"/share", "Competitors' shares, and how they moved", read), s.getShares)
}

func (s *Service) today() time.Time { return s.clock.Now().UTC().Truncate(24 * time.Hour) }

// observedOn reads the day of an observation, whenever "" is.
func (s *Service) observedOn(location, text string, whenever time.Time) (time.Time, error) {
	if text == "" {
		return whenever, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 2000 || day.After(s.today().AddDate(0, 0, 1)) {
		return day, fault.At(location, text, "must be a day that has come, such as 2026-03-01")
	}
	return day, nil
}

func (s *Service) importAdsCSV(ctx context.Context, in *adsCSVInput) (*importOutput, error) {
	day, err := s.observedOn("query.observed_on", in.ObservedOn, s.today())
	if err != nil {
		return nil, err
	}
	ads, err := adreport.ReadAds(in.RawBody, in.Competitor, adreport.Order(in.Dates))
	if err != nil {
		return nil, err
	}
	return s.imported(ctx, observationsOf(ads, in.Platform, day), "csv", ads.Lines, ads.Refused, ads.Problems)
}

func (s *Service) importShareCSV(ctx context.Context, in *shareCSVInput) (*importOutput, error) {
	day, err := s.observedOn("query.observed_on", in.ObservedOn, time.Time{})
	if err != nil {
		return nil, err
	}
	insights, err := adreport.ReadInsights(in.RawBody, adreport.Options{Dates: adreport.Order(in.Dates)})
	if err != nil {
		return nil, err
	}
	insights.RefuseAfter(s.today().AddDate(0, 0, 1)) // somewhere it is tomorrow already
	observations, err := sharesOf(insights, in.Platform, day)
	if err != nil {
		return nil, err
	}
	return s.imported(ctx, observations, "csv", insights.Lines, insights.Refused, insights.Problems)
}

func (s *Service) importAds(ctx context.Context, in *adsInput) (*importOutput, error) {
	day, err := s.observedOn("body.observed_on", in.Body.ObservedOn, s.today())
	if err != nil {
		return nil, err
	}
	o := Observation{Kind: KindAd, Platform: in.Body.Platform, Competitor: nameOf(in.Body.Competitor), Day: day}
	if o.Competitor == "" {
		return nil, fault.At("body.competitor", in.Body.Competitor, "must name the competitor")
	}
	for i, dto := range in.Body.Ads {
		at := fmt.Sprintf("body.ads[%d]", i)
		if dto.ID == "" && dto.Headline == "" && dto.Body == "" {
			return nil, fault.At(at, nil, "has neither an id nor a text")
		}
		if _, err := time.Parse(time.DateOnly, dto.StartedOn); err != nil && dto.StartedOn != "" {
			return nil, fault.At(at+".started_on", dto.StartedOn, "must be a date such as 2026-03-01")
		}
		ad := Ad{Headline: dto.Headline, Body: dto.Body, URL: dto.URL, Format: dto.Format, StartedOn: dto.StartedOn}
		ad.Key = keyOf(dto.ID, ad)
		o.Ads = append(o.Ads, ad)
	}
	return s.imported(ctx, []Observation{o}, "api", len(in.Body.Ads), 0, nil)
}

func (s *Service) importShares(ctx context.Context, in *sharesInput) (*importOutput, error) {
	day, err := s.observedOn("body.observed_on", in.Body.ObservedOn, s.today())
	if err != nil {
		return nil, err
	}
	var observations []Observation
	index := make(map[string]int)
	for i, dto := range in.Body.Shares {
		name := nameOf(dto.Competitor)
		if name == "" {
			return nil, fault.At(fmt.Sprintf("body.shares[%d].competitor", i), dto.Competitor, "must name the competitor")
		}
		if err := dto.check(fmt.Sprintf("body.shares[%d]", i)); err != nil {
			return nil, err
		}
		j, seen := index[name]
		if !seen {
			j = len(observations)
			index[name] = j
			observations = append(observations, Observation{Kind: KindShare, Platform: in.Body.Platform, Competitor: name, Day: day})
		}
		observations[j].Shares = append(observations[j].Shares, dto.Share)
	}
	return s.imported(ctx, observations, "api", len(in.Body.Shares), 0, nil)
}

func (s Share) check(at string) error {
	if len(s.Scope) > 500 {
		return fault.At(at+".scope", s.Scope, "must be at most 500 bytes")
	}
	for name, r := range map[string]*Range{
		"impression_share": s.ImpressionShare, "overlap": s.Overlap, "position_above": s.PositionAbove,
		"top_of_page": s.TopOfPage, "absolute_top": s.AbsoluteTop, "outranking": s.Outranking,
	} {
		if r != nil && r.Low > r.High {
			return fault.At(at+"."+name, r.Low, "must have low not above high")
		}
	}
	return nil
}

func (s *Service) imported(ctx context.Context, observations []Observation, source string, lines, refused int, problems []adreport.Problem) (*importOutput, error) {
	principal, _ := httpkit.PrincipalFrom(ctx)
	written, err := s.Write(ctx, principal.Tenant, observations, source, principal.Name)
	if err != nil {
		return nil, err
	}
	out := &importOutput{}
	out.Body.Lines, out.Body.Refused, out.Body.Problems = lines, refused, problems
	out.Body.ObservationsNew, out.Body.ObservationsReplaced, out.Body.ObservationsSame = written.New, written.Replaced, written.Same
	if problems == nil {
		out.Body.Problems = []adreport.Problem{}
	}
	return out, nil
}

func (s *Service) query(in QueryInput) (Query, error) {
	q := Query{Platform: in.Platform, Competitor: in.Competitor, To: s.today()}
	for _, f := range []struct {
		location, text string
		into           *time.Time
	}{{"query.to", in.To, &q.To}, {"query.from", in.From, &q.From}} {
		if f.text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, f.text)
		if err != nil || day.Year() < 2000 || day.Year() > 2200 {
			return q, fault.At(f.location, f.text, "must be a date such as 2026-03-01")
		}
		*f.into = day
	}
	if q.From.IsZero() {
		q.From = q.To.AddDate(0, 0, -89)
	}
	switch {
	case q.To.Before(q.From):
		return q, fault.At("query.to", in.To, "must not be before from")
	case q.To.Sub(q.From) > 730*24*time.Hour:
		return q, fault.At("query.from", in.From, "to must be at most 730 days later")
	}
	return q, nil
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	list, err := s.Competitors(ctx, httpkit.Tenant(ctx), strings.ToLower(in.After), in.Limit)
	out := &listOutput{}
	out.Body.Competitors = list
	return out, err
}

func (s *Service) getAds(ctx context.Context, in *struct{ QueryInput }) (*adsOutput, error) {
	q, err := s.query(in.QueryInput)
	if err != nil {
		return nil, err
	}
	out := &adsOutput{}
	out.Body.Competitors, err = s.Ads(ctx, httpkit.Tenant(ctx), q)
	return out, err
}

func (s *Service) getChanges(ctx context.Context, in *struct{ QueryInput }) (*changesOutput, error) {
	q, err := s.query(in.QueryInput)
	if err != nil {
		return nil, err
	}
	out := &changesOutput{}
	out.Body.Changes, err = s.Changes(ctx, httpkit.Tenant(ctx), q)
	return out, err
}

func (s *Service) getShares(ctx context.Context, in *struct{ QueryInput }) (*sharesOutput, error) {
	q, err := s.query(in.QueryInput)
	if err != nil {
		return nil, err
	}
	out := &sharesOutput{}
	out.Body.Shares, err = s.Voices(ctx, httpkit.Tenant(ctx), q)
	return out, err
}
