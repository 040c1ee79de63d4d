package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// api talks to a running `up` as a program with a key does.
type api struct {
	base, key string
	client    *http.Client
}

func (a api) do(t *testing.T, method, address, body string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(a.key, writeKeyPrefix) {
		request.SetBasicAuth(a.key, "")
	} else {
		request.Header.Set("Authorization", "Bearer "+a.key)
	}
	response, err := a.client.Do(request)
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Less(t, response.StatusCode, 400, "%s %s: %s", method, address, answer)
	if into != nil {
		require.NoError(t, json.NewDecoder(bytes.NewReader(answer)).Decode(into), string(answer))
	}
}

const writeKeyPrefix = "mswk_"

func (a api) post(t *testing.T, path, body string, into any) {
	t.Helper()
	a.do(t, http.MethodPost, a.base+path, body, into)
}

func (a api) get(t *testing.T, path string, into any) {
	t.Helper()
	a.do(t, http.MethodGet, a.base+path, "", into)
}

type created struct {
	Segment  string `json:"segment_uuid"`
	Template string `json:"template_uuid"`
	Campaign string `json:"campaign_uuid"`
}

// TestAVisitorBecomesACustomer is the product's main job on the real program:
// a visit, an address, a campaign's mail, a click, a purchase, and who earned it.
func TestAVisitorBecomesACustomer(t *testing.T) {
	t.Parallel()
	w := up(t, dataFolder(t))
	base := strings.TrimSuffix(w.said["Dashboard"], "/")
	client := &http.Client{Timeout: soon, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	site := api{base, w.said["Write key"], client}
	marketer := api{base, w.said["API key"], client}
	shop := w.said["Shop"]

	site.post(t, "/v1/page", `{"anonymousId":"v1","messageId":"p1","context":{"page":{"url":"`+shop+`?utm_source=instagram"}}}`, nil)
	site.post(t, "/v1/identify", `{"anonymousId":"v1","messageId":"i1","traits":{"email":"rose@example.org","firstName":"Rose","marketing_consent":true}}`, nil)
	site.post(t, "/v1/track", `{"anonymousId":"v1","messageId":"t1","event":"Signed Up"}`, nil)

	var made created
	marketer.post(t, "/api/v1/segments", `{"name":"Signed up, did not buy","rules":{"all":[{"event":{"name":"Signed Up"}},{"not":{"conversion":{}}}]}}`, &made)
	marketer.post(t, "/api/v1/outreach/templates", `{"name":"Hello","channel":"email","subject":"Hello {{ contact.first_name }}",
		"body_html":"<p><a href=\"`+shop+`\">Shop</a> <a href=\"{{ unsubscribe_url }}\">No more</a></p>","body_text":""}`, &made)
	marketer.post(t, "/api/v1/outreach/campaigns", `{"name":"Welcome","segment_uuid":"`+made.Segment+`","template_uuid":"`+made.Template+`"}`, &made)
	marketer.post(t, "/api/v1/outreach/campaigns/"+made.Campaign+"/start", "", nil)

	mail := receive(t, api{strings.TrimSuffix(w.said["Mailbox"], "/"), "", client})
	require.Equal(t, "Hello Rose", mail.Subject)
	link := func(pattern string) string {
		found := regexp.MustCompile(regexp.QuoteMeta(base) + pattern).FindString(mail.HTML)
		require.NotEmpty(t, found, mail.HTML)
		return found
	}
	marketer.do(t, http.MethodGet, link(`/t/o/[^"]+`), "", nil)
	landing := follow(t, client, link(`/t/c/[^"]+`))
	require.True(t, strings.HasPrefix(landing, shop), landing)
	site.post(t, "/v1/page", `{"anonymousId":"v1","messageId":"p2","context":{"page":{"url":"`+landing+`"}}}`, nil)
	site.post(t, "/v1/track", `{"anonymousId":"v1","messageId":"t2","event":"Order Completed","properties":{"order_id":"1","revenue":30,"currency":"USD"}}`, nil)

	requireCredits(t, marketer)
	var status struct {
		Opened  int `json:"opened"`
		Clicked int `json:"clicked"`
	}
	marketer.get(t, "/api/v1/outreach/campaigns/"+made.Campaign+"/status", &status)
	require.Equal(t, 1, status.Opened)
	require.Equal(t, 1, status.Clicked)

	marketer.do(t, http.MethodPost, link(`/u/[^"]+`), "List-Unsubscribe=One-Click", nil)
	var suppressed struct {
		Suppressions []struct {
			Address string `json:"address"`
			Reason  string `json:"reason"`
		} `json:"suppressions"`
	}
	marketer.get(t, "/api/v1/outreach/suppressions", &suppressed)
	require.Len(t, suppressed.Suppressions, 1)
	require.Equal(t, "unsubscribed", suppressed.Suppressions[0].Reason)
	require.NoError(t, w.stop(t, syscall.SIGTERM), w.out)
}

type received struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	HTML    string `json:"html"`
}

// receive waits for the one mail.
func receive(t *testing.T, mailbox api) received {
	t.Helper()
	var list struct {
		Messages []received `json:"messages"`
	}
	require.Eventually(t, func() bool {
		mailbox.get(t, "/api/messages", &list)
		return len(list.Messages) == 1
	}, soon, 50*time.Millisecond)
	var mail received
	mailbox.get(t, "/api/messages/"+list.Messages[0].ID, &mail)
	return mail
}

func follow(t *testing.T, client *http.Client, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.Header.Get("Location")
}

// requireCredits waits for the attribution and checks that each of the five
// models gives away the conversion and its money exactly once.
func requireCredits(t *testing.T, marketer api) {
	t.Helper()
	type channel struct {
		Channel string  `json:"channel"`
		Weight  float64 `json:"weight"`
		Revenue []struct {
			Minor int64 `json:"minor"`
		} `json:"revenue"`
	}
	var report struct {
		Pending int `json:"pending"`
		Models  []struct {
			Model    string    `json:"model"`
			Channels []channel `json:"channels"`
		} `json:"models"`
	}
	require.Eventually(t, func() bool {
		marketer.get(t, "/api/v1/conversion/attribution", &report)
		return len(report.Models) == 5 && report.Pending == 0 && len(report.Models[0].Channels) > 0
	}, soon, 50*time.Millisecond)
	winner := map[string]string{}
	for _, model := range report.Models {
		weight, revenue := 0.0, int64(0)
		for _, c := range model.Channels {
			weight += c.Weight
			revenue += c.Revenue[0].Minor
			winner[model.Model] = c.Channel
		}
		require.InDelta(t, 1, weight, 1e-9, model.Model)
		require.EqualValues(t, 3000, revenue, model.Model)
	}
	require.Equal(t, "instagram", winner["first_touch"])
	require.Equal(t, "email", winner["last_touch"])
}
