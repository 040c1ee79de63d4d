package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/mesh/problem"
)

// SEO is what Onside answers.
type SEO interface {
	// Analyze fetches a page and analyses it.
	Analyze(ctx context.Context, request SEORequest) (*SEOAnalysis, error)
}

// AdIntelligence is what Sankore answers.
type AdIntelligence interface {
	// Campaign tells how an advertising campaign of a tenant fares.
	Campaign(ctx context.Context, tenant, campaignID string) (*CampaignIntelligence, error)
}

// ConversionInsights is what Madan Sara answers.
type ConversionInsights interface {
	// Customer tells what is known about a customer of a tenant.
	Customer(ctx context.Context, tenant, customerID string) (*CustomerInsights, error)
	// Campaign tells what an advertising campaign of a tenant earned.
	Campaign(ctx context.Context, tenant string, request CampaignConversionsRequest) (*CampaignConversions, error)
}

// Sync is what Core receives.
type Sync interface {
	// Push gives Core one fact. Core keeps a fact with an id once, however
	// often it is pushed, so that a push may be repeated until it succeeds.
	Push(ctx context.Context, fact SyncFact) (*SyncReceipt, error)
}

// Credentials is what Core gives a service of a tenant's accounts at providers.
type Credentials interface {
	// Integration returns the tenant's enabled integration with a provider, by
	// name; without a name the one called default, else the oldest. Without one the
	// error is [ErrNoIntegration], which is an answer of Core: no other error says
	// that there is none. Each call is on record at Core; keep what it answers for
	// some minutes rather than asking for each message.
	Integration(ctx context.Context, tenant, provider, name string) (*IntegrationCredentials, error)
}

// SEORequest asks for the analysis of a page.
type SEORequest struct {
	URL        string `json:"url"`
	TenantUUID string `json:"tenant_uuid"`
}

// SEOAnalysis is what Onside found on a page.
type SEOAnalysis struct {
	ID               string            `json:"id,omitempty"`
	URL              string            `json:"url"`       // as asked for
	FinalURL         string            `json:"final_url"` // after redirects
	Status           int               `json:"status"`    // HTTP status of the page
	FetchedAt        time.Time         `json:"fetched_at"`
	Title            string            `json:"title"`
	Description      string            `json:"description"`
	Canonical        string            `json:"canonical,omitempty"`
	Language         string            `json:"language,omitempty"` // BCP 47
	Headings         []SEOHeading      `json:"headings"`
	WordCount        int               `json:"word_count"`
	PrimaryKeywords  []SEOKeyword      `json:"primary_keywords"` // the heaviest first
	InternalLinks    int               `json:"internal_links"`
	ExternalLinks    int               `json:"external_links"`
	ImagesWithoutAlt int               `json:"images_without_alt"`
	OpenGraph        map[string]string `json:"open_graph,omitempty"`
	Hreflang         map[string]string `json:"hreflang,omitempty"` // URL by language
	JSONLD           []json.RawMessage `json:"json_ld,omitempty"`
	Audit            SEOAudit          `json:"audit"`
}

// SEOHeading is a heading of a page.
type SEOHeading struct {
	Level int    `json:"level"` // 1 to 6
	Text  string `json:"text"`
}

// SEOKeyword is a word or phrase that a page is about.
type SEOKeyword struct {
	Term   string  `json:"term"`
	Count  int     `json:"count"`
	Weight float64 `json:"weight"` // in [0,1], the page's heaviest is 1
}

// SEOAudit is a page's technical audit.
type SEOAudit struct {
	Score  int        `json:"score"` // 0 to 100
	Checks []SEOCheck `json:"checks"`
}

// SEOCheck is one check of an audit.
type SEOCheck struct {
	ID       string `json:"id"`
	Severity string `json:"severity"` // info, warning, error
	Passed   bool   `json:"passed"`
	Evidence string `json:"evidence,omitempty"`
	Advice   string `json:"advice,omitempty"`
}

// Money is an amount in a currency's minor units, for instance cents.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"` // ISO 4217
}

// Estimate is a value with its 95 % credible interval.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// CustomerInsights is what Madan Sara knows about a customer.
type CustomerInsights struct {
	CustomerID       string     `json:"customer_id"`
	FirstSeenAt      *time.Time `json:"first_seen_at,omitempty"`
	LastSeenAt       *time.Time `json:"last_seen_at,omitempty"`
	Conversions      int        `json:"conversions"`
	Value            []Money    `json:"value"` // one for each currency
	Journey          []Touch    `json:"journey"`
	LastTouches      []Touch    `json:"last_touches"`
	PreferredChannel string     `json:"preferred_channel,omitempty"`
	Propensity       *float64   `json:"propensity,omitempty"` // to convert within 30 days, in [0,1]; absent when unknown
	// PropensityBasis is present with the propensity.
	PropensityBasis *PropensityBasis `json:"propensity_basis,omitempty"`
}

// PropensityBasis is what a propensity was counted from: people who had done about as much.
type PropensityBasis struct {
	People    int64     `json:"people"`
	Converted int64     `json:"converted"` // of them, within 30 days
	CountedAt time.Time `json:"counted_at"`
}

// Touch is one contact of a customer with the company.
type Touch struct {
	At         time.Time `json:"at"`
	Channel    string    `json:"channel"`
	Kind       string    `json:"kind"` // visit, click, message, ...
	CampaignID string    `json:"campaign_id,omitempty"`
}

// SyncFact is one fact for Core.
type SyncFact struct {
	ID         string          `json:"-"` // UUID; travels as the idempotency key
	DataType   string          `json:"-"` // for instance conversion; part of the path
	TenantUUID string          `json:"tenant_uuid"`
	Source     string          `json:"source"` // the service it comes from
	Data       json.RawMessage `json:"data"`
	Timestamp  time.Time       `json:"timestamp"` // when it became true
	// CustomerID is whom the fact is about, in the words of its source; "" for
	// nobody. A source pushes a customer's facts one after another.
	CustomerID string `json:"customer_id,omitempty"`
	// Sequence orders the facts of one tenant, source and customer: each is
	// greater than those before it. It starts at 1; numbers may be missing,
	// because a fact can be discarded at its source. 0 with no customer.
	Sequence int64 `json:"sequence,omitempty"`
}

// SyncReceipt is Core's acknowledgement: the fact is stored.
type SyncReceipt struct {
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"` // whether Core had it already
}

// IntegrationCredentials is a tenant's account at a provider. It prints without
// its credentials.
type IntegrationCredentials struct {
	IntegrationID string            `json:"integration_id"`
	Provider      string            `json:"provider"`
	Name          string            `json:"name"`
	Settings      map[string]string `json:"settings"`
	Credentials   map[string]string `json:"credentials"` // secret
	UpdatedAt     time.Time         `json:"updated_at"`
}

// String leaves the credentials out.
func (c IntegrationCredentials) String() string {
	return "integration " + c.IntegrationID + " with " + c.Provider + " (" + strconv.Itoa(len(c.Credentials)) + " credentials)"
}

// GoString leaves the credentials out.
func (c IntegrationCredentials) GoString() string { return c.String() }

// LogValue leaves the credentials out.
func (c IntegrationCredentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ErrNoIntegration says that the tenant has no enabled integration with the provider.
var ErrNoIntegration = errors.New("mesh: the tenant has no such integration")

// NoIntegrationAt is the place of the request that Core names, in its answer 404, when
// there is no integration. A 404 without it comes from a wrong address or a proxy.
const NoIntegrationAt = "path.provider"

// SEO returns Onside's calls.
func (m *Mesh) SEO() SEO { return seo{m.Peer(Onside)} }

// AdIntelligence returns Sankore's calls.
func (m *Mesh) AdIntelligence() AdIntelligence { return ads{m.Peer(Sankore)} }

// ConversionInsights returns Madan Sara's calls.
func (m *Mesh) ConversionInsights() ConversionInsights { return insights{m.Peer(MadanSara)} }

// Sync returns Core's calls.
func (m *Mesh) Sync() Sync { return receiver{m.Peer(Core)} }

// Credentials returns Core's calls about integrations.
func (m *Mesh) Credentials() Credentials { return credentials{m.Peer(Core)} }

// Health returns the calls to all services' health.
func (m *Mesh) Health() Health { return m }

type seo struct{ peer *Peer }

func (s seo) Analyze(ctx context.Context, request SEORequest) (*SEOAnalysis, error) {
	analysis := &SEOAnalysis{}
	err := s.peer.Call(ctx, Call{
		Name: "seo.analyze", Method: http.MethodPost, Path: "/api/v1/seo/analyze", Tenant: request.TenantUUID, In: request,
		IdempotencyKey: uuid.NewString(), // so that an attempt that breaks can be repeated
	}, analysis)
	if err != nil {
		return nil, err
	}
	return analysis, nil
}

type ads struct{ peer *Peer }

func (a ads) Campaign(ctx context.Context, tenant, campaignID string) (*CampaignIntelligence, error) {
	intelligence := &CampaignIntelligence{}
	err := a.peer.Call(ctx, Call{
		Name: "ads.intelligence", Path: "/api/v1/campaigns" + Path(campaignID) + "/intelligence", Tenant: tenant,
	}, intelligence)
	if err != nil {
		return nil, err
	}
	return intelligence, nil
}

type insights struct{ peer *Peer }

func (i insights) Customer(ctx context.Context, tenant, customerID string) (*CustomerInsights, error) {
	known := &CustomerInsights{}
	err := i.peer.Call(ctx, Call{
		Name: "conversion.insights", Path: "/api/v1/conversion/customers" + Path(customerID) + "/insights", Tenant: tenant,
	}, known)
	if err != nil {
		return nil, err
	}
	return known, nil
}

func (i insights) Campaign(ctx context.Context, tenant string, request CampaignConversionsRequest) (*CampaignConversions, error) {
	earned := &CampaignConversions{}
	err := i.peer.Call(ctx, Call{
		Name: "conversion.campaign", Path: "/api/v1/conversion/campaigns" + Path(request.CampaignID) + "/conversions",
		Query: request.query(), Tenant: tenant,
	}, earned)
	if err != nil {
		return nil, err
	}
	return earned, nil
}

type receiver struct{ peer *Peer }

func (r receiver) Push(ctx context.Context, fact SyncFact) (*SyncReceipt, error) {
	receipt := &SyncReceipt{}
	err := r.peer.Call(ctx, Call{
		Name: "sync.push", Method: http.MethodPost, Path: "/api/v1/sync" + Path(fact.DataType),
		Tenant: fact.TenantUUID, IdempotencyKey: fact.ID, In: fact,
	}, receipt)
	if err != nil {
		return nil, err
	}
	return receipt, nil
}

type credentials struct{ peer *Peer }

func (c credentials) Integration(ctx context.Context, tenant, provider, name string) (*IntegrationCredentials, error) {
	query := url.Values{}
	if name != "" {
		query.Set("name", name)
	}
	found := &IntegrationCredentials{}
	err := c.peer.Call(ctx, Call{
		Name: "integrations.credentials", Path: "/api/v1/integrations/credentials" + Path(provider), Query: query, Tenant: tenant,
	}, found)
	if saysNoIntegration(err) {
		return nil, fmt.Errorf("%w: %w", ErrNoIntegration, err)
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

func saysNoIntegration(err error) bool {
	failure, is := errors.AsType[*Error](err)
	return is && failure.Status == http.StatusNotFound && failure.Problem != nil &&
		slices.ContainsFunc(failure.Problem.Errors, func(place problem.Place) bool { return place.Location == NoIntegrationAt })
}
