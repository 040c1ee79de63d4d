package competitor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/sankore/competitor/competitordb"
)

// Service keeps the tenants' observations. It is safe for concurrent use.
type Service struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// New returns a Service on db, whose sessions run as sankore_app.
func New(db *engardedb.DB, clock clockwork.Clock) *Service { return &Service{db: db, clock: clock} }

// Kind is what is observed.
type Kind string

// The kinds of observation.
const (
	KindAd    Kind = "ad"
	KindShare Kind = "share"
)

// Share is how often a competitor's ads were shown where ours could be.
type Share struct {
	Scope           string `json:"scope,omitempty" doc:"The campaign it is about; empty for the whole account"`
	ImpressionShare *Range `json:"impression_share,omitempty" doc:"The part of the auctions in which it was shown: its share of voice"`
	Overlap         *Range `json:"overlap,omitempty" doc:"How often it was shown when we were"`
	PositionAbove   *Range `json:"position_above,omitempty" doc:"How often it stood above us when both were shown"`
	TopOfPage       *Range `json:"top_of_page,omitempty"`
	AbsoluteTop     *Range `json:"absolute_top,omitempty"`
	Outranking      *Range `json:"outranking,omitempty" doc:"How often we stood above it or were shown alone"`
}

// Observation is all there was to see of a competitor on a platform on a day.
type Observation struct {
	Kind       Kind
	Platform   string
	Competitor string // lower case
	Day        time.Time
	Ads        []Ad    // of KindAd
	Shares     []Share // of KindShare
}

// Written is what became of observations.
type Written struct {
	New      int // days not observed before
	Replaced int // days observed again, with another result
	Same     int // days observed again, with the same
}

// Write keeps observations in one transaction; source is csv or api.
func (s *Service) Write(ctx context.Context, tenant uuid.UUID, observations []Observation, source, by string) (w Written, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := competitordb.New(tx)
		if err := queries.LockObservations(ctx, tenant); err != nil {
			return fmt.Errorf("wait for another import: %w", err)
		}
		for _, o := range observations {
			if err := s.write(ctx, queries, tenant, o, source, by, &w); err != nil {
				return fmt.Errorf("keep what %q was seen to do: %w", o.Competitor, err)
			}
		}
		return nil
	})
	return w, err
}

func (s *Service) write(ctx context.Context, queries *competitordb.Queries, tenant uuid.UUID, o Observation, source, by string, w *Written) error {
	items, err := o.items()
	if err != nil {
		return err
	}
	place := competitordb.ItemsOnParams{Kind: string(o.Kind), Platform: o.Platform, Competitor: o.Competitor, ObservedOn: dateOf(o.Day)}
	known, err := queries.ObservedOn(ctx, competitordb.ObservedOnParams(place))
	if err != nil {
		return fmt.Errorf("look for an observation: %w", err)
	}
	if known {
		before, err := readItems(ctx, queries, place)
		if err != nil {
			return err
		}
		if before.equal(o) {
			w.Same++
			return nil
		}
		if err := queries.DropObservation(ctx, competitordb.DropObservationParams(place)); err != nil {
			return fmt.Errorf("replace an observation: %w", err)
		}
		w.Replaced++
	} else {
		w.New++
	}
	err = queries.WriteObservation(ctx, competitordb.WriteObservationParams{
		TenantUUID: tenant, Kind: place.Kind, Platform: place.Platform, Competitor: place.Competitor, ObservedOn: place.ObservedOn,
		Items: int32(len(items)), Source: source, ImportedBy: by, ImportedAt: s.clock.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("write an observation: %w", err)
	}
	write := competitordb.WriteItemsParams{
		TenantUUID: tenant, Kind: place.Kind, Platform: place.Platform, Competitor: place.Competitor, ObservedOn: place.ObservedOn,
	}
	for _, item := range items {
		write.Keys, write.Contents = append(write.Keys, item.key), append(write.Contents, item.content)
	}
	if err := queries.WriteItems(ctx, write); err != nil {
		return fmt.Errorf("write what was observed: %w", err)
	}
	return nil
}

type item struct{ key, content string }

// items are the observation's rows, each key once: the last of several counts.
func (o Observation) items() ([]item, error) {
	byKey := make(map[string]any)
	for _, ad := range o.Ads {
		byKey[ad.Key] = ad
	}
	for _, share := range o.Shares {
		byKey[strings.ToLower(share.Scope)] = share
	}
	var items []item
	for key, value := range byKey {
		content, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode what was observed: %w", err)
		}
		items = append(items, item{key, string(content)})
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.key, b.key) })
	return items, nil
}

// equal reports whether both saw the same.
func (o Observation) equal(other Observation) bool {
	mine, err := o.items()
	if err != nil {
		return false
	}
	theirs, err := other.items()
	return err == nil && slices.Equal(mine, theirs)
}

func readItems(ctx context.Context, queries *competitordb.Queries, place competitordb.ItemsOnParams) (Observation, error) {
	o := Observation{Kind: Kind(place.Kind), Platform: place.Platform, Competitor: place.Competitor, Day: place.ObservedOn.Time}
	rows, err := queries.ItemsOn(ctx, place)
	if err != nil {
		return o, fmt.Errorf("read what was observed: %w", err)
	}
	for _, row := range rows {
		var ad Ad
		var share Share
		into := any(&ad)
		if o.Kind == KindShare {
			into = &share
		}
		if err := json.Unmarshal(row.Content, into); err != nil {
			return o, fault.Wrap(err, fault.Internal, "An observation cannot be read.")
		}
		if o.Kind == KindShare {
			o.Shares = append(o.Shares, share)
		} else {
			o.Ads = append(o.Ads, ad)
		}
	}
	return o, nil
}

func dateOf(day time.Time) pgtype.Date { return pgtype.Date{Time: day, Valid: true} }

// Query narrows down what is asked for; empty fields do not. Both days are included.
type Query struct {
	Platform, Competitor string
	From, To             time.Time
}

// maxObservations of an answer: two years of five competitors' days.
const maxObservations = 4000

// Step is what changed from one observation of a competitor's ads to the next.
type Step struct {
	Platform   string `json:"platform"`
	Competitor string `json:"competitor"`
	Day        string `json:"day" example:"2026-03-08"`
	Since      string `json:"since,omitempty" doc:"The observation before; absent for the first, whose ads are all new to us"`
	Ads        int    `json:"ads" doc:"How many there were on the day"`
	Changes
}

// Changes returns what changed in the period, for each platform and competitor in
// order of the days. Days without a change are left out.
func (s *Service) Changes(ctx context.Context, tenant uuid.UUID, q Query) (steps []Step, err error) {
	steps = []Step{}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := competitordb.New(tx)
		days, err := queries.Observations(ctx, competitordb.ObservationsParams{
			Kind: string(KindAd), Platform: q.Platform, Competitor: strings.ToLower(q.Competitor), Since: dateOf(q.From), Until: dateOf(q.To), Most: maxObservations,
		})
		if err != nil {
			return fmt.Errorf("read the observations: %w", err)
		}
		var before *Observation
		for _, d := range days {
			now, err := readItems(ctx, queries, competitordb.ItemsOnParams{
				Kind: string(KindAd), Platform: d.Platform, Competitor: d.Competitor, ObservedOn: d.ObservedOn,
			})
			if err != nil {
				return err
			}
			if before != nil && (before.Platform != now.Platform || before.Competitor != now.Competitor) {
				before = nil
			}
			if step := stepTo(before, now); step.Any() && !now.Day.Before(q.From) {
				steps = append(steps, step)
			}
			before = &now
		}
		return nil
	})
	return steps, err
}

func stepTo(before *Observation, now Observation) Step {
	step := Step{Platform: now.Platform, Competitor: now.Competitor, Day: now.Day.Format(time.DateOnly), Ads: len(now.Ads)}
	var old []Ad
	if before != nil {
		step.Since, old = before.Day.Format(time.DateOnly), before.Ads
	}
	step.Changes = Diff(old, now.Ads)
	return step
}

// Ads returns the ads of the last observation of each platform and competitor in
// the period.
func (s *Service) Ads(ctx context.Context, tenant uuid.UUID, q Query) (seen []Seen, err error) {
	seen = []Seen{}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := competitordb.New(tx)
		days, err := queries.Observations(ctx, competitordb.ObservationsParams{
			Kind: string(KindAd), Platform: q.Platform, Competitor: strings.ToLower(q.Competitor), Since: dateOf(q.From), Until: dateOf(q.To), Most: maxObservations,
		})
		if err != nil {
			return fmt.Errorf("read the observations: %w", err)
		}
		for i, d := range days {
			if i+1 < len(days) && days[i+1].Platform == d.Platform && days[i+1].Competitor == d.Competitor {
				continue // a later one follows
			}
			o, err := readItems(ctx, queries, competitordb.ItemsOnParams{Kind: string(KindAd), Platform: d.Platform, Competitor: d.Competitor, ObservedOn: d.ObservedOn})
			if err != nil {
				return err
			}
			if o.Ads == nil {
				o.Ads = []Ad{}
			}
			seen = append(seen, Seen{
				Platform: d.Platform, Competitor: d.Competitor, Day: o.Day.Format(time.DateOnly), Source: d.Source, ImportedBy: d.ImportedBy,
				ImportedAt: d.ImportedAt, Ads: o.Ads,
			})
		}
		return nil
	})
	return seen, err
}

// Seen is a competitor's ads as they were last seen.
type Seen struct {
	Platform   string    `json:"platform"`
	Competitor string    `json:"competitor"`
	Day        string    `json:"day"`
	Source     string    `json:"source" enum:"csv,api"`
	ImportedBy string    `json:"imported_by"`
	ImportedAt time.Time `json:"imported_at"`
	Ads        []Ad      `json:"ads"`
}

// Voice is how a competitor's share moved in a period.
type Voice struct {
	Platform   string     `json:"platform"`
	Competitor string     `json:"competitor"`
	Scope      string     `json:"scope,omitempty" doc:"The campaign it is about; empty for the whole account"`
	First      string     `json:"first" doc:"The first day observed in the period"`
	Last       string     `json:"last" doc:"The last"`
	Movement   *Movement  `json:"movement,omitempty" doc:"Of the impression share from the first day to the last; absent when one of them does not tell it"`
	Days       []VoiceDay `json:"days"`
}

// VoiceDay is a competitor's share on a day.
type VoiceDay struct {
	Day string `json:"day"`
	Share
}

// Voices returns the shares in the period, by platform, competitor and scope.
func (s *Service) Voices(ctx context.Context, tenant uuid.UUID, q Query) (voices []Voice, err error) {
	voices = []Voice{}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := competitordb.New(tx).Shares(ctx, competitordb.SharesParams{
			Platform: q.Platform, Competitor: strings.ToLower(q.Competitor), Since: dateOf(q.From), Until: dateOf(q.To), Most: maxObservations,
		})
		if err != nil {
			return fmt.Errorf("read the shares: %w", err)
		}
		key := ""
		for _, row := range rows {
			day := VoiceDay{Day: row.ObservedOn.Time.Format(time.DateOnly)}
			if err := json.Unmarshal(row.Content, &day.Share); err != nil {
				return fault.Wrap(err, fault.Internal, "A share cannot be read.")
			}
			if next := row.Platform + "\x00" + row.Competitor + "\x00" + row.ItemKey; next != key {
				key = next
				voices = append(voices, Voice{Platform: row.Platform, Competitor: row.Competitor, Scope: day.Scope, First: day.Day})
			}
			v := &voices[len(voices)-1]
			v.Days, v.Last = append(v.Days, day), day.Day
		}
		for i := range voices {
			voices[i].move()
		}
		return nil
	})
	return voices, err
}

func (v *Voice) move() {
	first, last := v.Days[0].ImpressionShare, v.Days[len(v.Days)-1].ImpressionShare
	if first != nil && last != nil && len(v.Days) > 1 {
		m := Move(*first, *last)
		v.Movement = &m
	}
}

// Overview is one line of what is known of a competitor.
type Overview struct {
	Competitor   string `json:"competitor"`
	Platform     string `json:"platform"`
	Kind         Kind   `json:"kind" enum:"ad,share"`
	Observations int    `json:"observations" doc:"Days observed"`
	First        string `json:"first"`
	Last         string `json:"last"`
	Items        int    `json:"items" doc:"Ads, or shares, on the last day"`
}

// Competitors returns up to limit lines, by competitor in alphabetical order,
// after a competitor ("": from the first).
func (s *Service) Competitors(ctx context.Context, tenant uuid.UUID, after string, limit int) (list []Overview, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := competitordb.New(tx).Competitors(ctx, competitordb.CompetitorsParams{After: after, PageSize: int32(limit)})
		if err != nil {
			return fmt.Errorf("list competitors: %w", err)
		}
		list = make([]Overview, len(rows))
		for i, row := range rows {
			list[i] = Overview{
				Competitor: row.Competitor, Platform: row.Platform, Kind: Kind(row.Kind), Observations: int(row.Observations),
				First: row.FirstOn.Time.Format(time.DateOnly), Last: row.LastOn.Time.Format(time.DateOnly), Items: int(row.Items),
			}
		}
		return nil
	})
	return list, err
}
