package insight_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/insight"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/problem"
)

// peers are an Onside and a Sankore that answer over HTTP, or fail as they are told.
type peers struct {
	*mesh.Mesh

	down    atomic.Bool
	refused atomic.Bool
	asked   atomic.Int32
}

func newPeers(t *testing.T) *peers {
	t.Helper()
	p := &peers{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/health"):
			_, _ = w.Write([]byte(`{"status":"healthy"}`))
			return
		case p.down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case p.refused.Load():
			problem.Write(w, problem.New(http.StatusUnprocessableEntity, "robots", "The site's robots.txt forbids it."))
			return
		}
		p.asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/api/v1/seo/analyze" {
			var question mesh.SEORequest
			_ = json.NewDecoder(r.Body).Decode(&question)
			_ = json.NewEncoder(w).Encode(mesh.SEOAnalysis{URL: question.URL, Title: "Spring \u0000sale", PrimaryKeywords: []mesh.SEOKeyword{{Term: "sandals", Count: 3, Weight: 1}}})
			return
		}
		_ = json.NewEncoder(w).Encode(mesh.CampaignIntelligence{Name: "Spring", Spend: mesh.Money{Amount: 1234, Currency: "USD"}})
	}))
	t.Cleanup(server.Close)
	m, err := mesh.New(mesh.Config{
		Service: mesh.MadanSara, Peers: map[string]string{mesh.Onside: server.URL, mesh.Sankore: server.URL}, Secrets: []string{strings.Repeat("m", 32)},
		Retry: mesh.Retry{Attempts: 1},
	})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	p.Mesh = m
	return p
}

func (b *bundle) campaign(t *testing.T) uuid.UUID {
	t.Helper()
	id := uuid.New()
	b.exec(t, `insert into segments (tenant_uuid, segment_uuid, name, rules, created_at, updated_at) values ($1, $2, 's', '{}', $3, $3)`, b.tenant, id, now)
	b.exec(t, `insert into channel_templates (tenant_uuid, template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at)
		values ($1, $2, 'email', 't', '', '', '', $3, $3)`, b.tenant, id, now)
	b.exec(t, `insert into outreach_campaigns (tenant_uuid, campaign_uuid, name, channel, segment_uuid, template_uuid, status, created_at, updated_at)
		values ($1, $2, 'c', 'email', $2, $2, 'draft', $3, $3)`, b.tenant, id, now)
	return id
}

func (b *bundle) asks(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool().QueryRow(t.Context(), "select count(*) from river.river_job where kind = 'ask_peers_about_campaign'").Scan(&n))
	return n
}

func TestWhatStandsAroundACampaign(t *testing.T) {
	t.Parallel()
	b, p := setup(t), newPeers(t)
	asker := insight.NewAsker(b.counter, p)
	campaign := b.campaign(t)
	ctx := context.WithoutCancel(t.Context())

	found, err := b.service.CampaignContext(ctx, b.tenant, campaign)
	require.NoError(t, err)
	require.Nil(t, found.AskedAt)
	require.Zero(t, b.asks(t), "there is nothing to ask about")

	links := insight.Links{LandingURL: "https://shop.example/spring", AdCampaignID: "c-1"}
	_, err = b.service.LinkCampaign(ctx, b.tenant, campaign, links)
	require.NoError(t, err)
	require.Equal(t, 1, b.asks(t))
	require.NoError(t, asker.Ask(ctx, b.tenant, campaign))
	found, err = b.service.CampaignContext(ctx, b.tenant, campaign)
	require.NoError(t, err)
	require.Equal(t, links, found.Links)
	require.Equal(t, "Spring \u0000sale", found.Page.Title, "a page may hold anything")
	require.Equal(t, "sandals", found.Page.PrimaryKeywords[0].Term)
	require.Equal(t, int64(1234), found.Ads.Spend.Amount)
	require.Equal(t, now, found.AskedAt.UTC())
	require.Empty(t, found.PageError+found.AdsError)

	// A peer that cannot be asked leaves what it said before, and the reason.
	b.clock.Advance(2 * time.Hour)
	p.down.Store(true)
	require.Error(t, asker.Ask(ctx, b.tenant, campaign), "so that the job is tried again")
	found, err = b.service.CampaignContext(ctx, b.tenant, campaign)
	require.NoError(t, err)
	require.Equal(t, "sandals", found.Page.PrimaryKeywords[0].Term)
	require.Equal(t, now, found.PageAt.UTC())
	require.NotEmpty(t, found.PageError)
	require.NotEmpty(t, found.AdsError)
	require.NotContains(t, found.PageError, "127.0.0.1")

	// What a peer objects to is told, and asking again would not help.
	p.down.Store(false)
	p.refused.Store(true)
	require.NoError(t, asker.Ask(ctx, b.tenant, campaign))
	found, err = b.service.CampaignContext(ctx, b.tenant, campaign)
	require.NoError(t, err)
	require.Equal(t, "The site's robots.txt forbids it.", found.PageError)

	// Another page: what was learned of the first one goes.
	found, err = b.service.LinkCampaign(ctx, b.tenant, campaign, insight.Links{LandingURL: "https://shop.example/summer", AdCampaignID: "c-1"})
	require.NoError(t, err)
	require.Nil(t, found.Page)
	require.NotNil(t, found.Ads)
	require.Equal(t, 1, b.asks(t), "one question at a time")
}

func TestLinksAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign(t)
	for _, links := range []insight.Links{
		{LandingURL: "ftp://shop.example/"},
		{LandingURL: "shop.example"},
		{LandingURL: "https://user:secret@shop.example/"},
		{LandingURL: "https://shop.example/\x00"},
		{AdCampaignID: "a\nb"},
		{AdCampaignID: "\xff"},
	} {
		_, err := b.service.LinkCampaign(t.Context(), b.tenant, campaign, links)
		require.Equal(t, fault.Invalid, fault.CodeOf(err), "%+q", links)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := b.service.LinkCampaign(t.Context(), b.tenant, uuid.New(), insight.Links{AdCampaignID: "x"})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = b.service.CampaignContext(t.Context(), b.tenant, uuid.New())
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}
