package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dev/browser"
)

const customer = "rose.jean@example.org"

// TestAVisitorBecomesACustomer is the product's main job, from an empty folder
// to the credit of each touch, by the hands of a visitor and of a marketer.
func TestAVisitorBecomesACustomer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	require.NoError(t, os.Chmod(data, 0o755)) // the database's own user enters it
	madansara := up(t, data)
	chromium := browser.New(t)

	visitor := chromium.Page(t)
	signUp(t, visitor, madansara.url(t, "Shop"))

	marketer := chromium.Page(t)
	marketer.Resize(t, browser.Desktop)
	logIn(t, marketer, madansara)
	startCampaign(t, marketer, madansara.url(t, "Dashboard"), madansara.url(t, "Shop"))

	mail := madansara.awaitMail(t, customer)
	checkMail(t, mail)
	openAndBuy(t, visitor, madansara, mail)

	journey := madansara.awaitConversion(t, customer)
	checkJourney(t, journey)
	checkAttribution(t, madansara)
	checkStatus(t, madansara)
	look(t, marketer, madansara, journey.Customer.ContactUUID)
	unsubscribe(t, madansara, mail)
	require.Empty(t, visitor.Problems())
	require.Empty(t, marketer.Problems())

	tryReadme(t, madansara)
	madansara.stop(t)
}

func signUp(t *testing.T, page *browser.Page, shop string) {
	t.Helper()
	page.Run(t, chromedp.Navigate(shop+"/?utm_source=instagram"))
	page.Follow(t, chromedp.Click(chromedp.CSS(`#stall a[href^="/product/"]`)))
	page.Run(t, chromedp.Navigate(shop+"/#offers"),
		browser.Type(chromedp.ID("offer-email"), customer), chromedp.Click(chromedp.ID("consent")))
	page.Follow(t, chromedp.Click(chromedp.ID("sign-up")))
	page.Screenshot(t, "signed-up")
}

func logIn(t *testing.T, page *browser.Page, madansara *running) {
	t.Helper()
	email, password := madansara.logIn(t)
	page.Run(t, chromedp.Navigate(madansara.url(t, "Dashboard")+"/login"),
		browser.Type(chromedp.ID("email"), email), browser.Type(chromedp.ID("password"), password))
	page.Follow(t, chromedp.Submit(chromedp.ID("password")))
	page.Run(t, chromedp.WaitVisible(chromedp.ID("content")))
}

const letter = `<h1>Hello {{ contact.first_name | default: "friend" }}</h1>
<p>The coffee is still on the stall.</p><p><a id="cta" href="%s/product/coffee">Smell it</a></p>
<p><a href="{{ unsubscribe_url }}">No more letters</a></p>`

// startCampaign does what a marketer does: whom, what, start.
func startCampaign(t *testing.T, page *browser.Page, dashboard, shop string) {
	t.Helper()
	page.Run(t, chromedp.Navigate(dashboard+"/segments/new"), chromedp.WaitVisible(chromedp.CSS("#members-card .person")))
	page.Screenshot(t, "segment")
	page.Run(t, chromedp.Click(chromedp.ID("save")), chromedp.WaitVisible(chromedp.CSS(".notice.good")))

	page.Run(t, chromedp.Navigate(dashboard+"/templates/new"),
		chromedp.SetValue(chromedp.ID("name"), "Coffee is waiting"),
		chromedp.SetValue(chromedp.ID("subject"), "Your coffee is waiting, {{ contact.first_name | default: 'friend' }}"),
		chromedp.SetValue(chromedp.ID("body_html"), fmt.Sprintf(letter, shop)),
		chromedp.Click(chromedp.CSS("#template-form button.primary")), chromedp.WaitVisible(chromedp.CSS(".notice.good")))

	page.Run(t, chromedp.Navigate(dashboard+"/campaigns/new"),
		chromedp.SetValue(chromedp.ID("name"), "Come back for coffee"),
		browser.Type(chromedp.ID("segment"), "Signed"), browser.Type(chromedp.ID("template"), "Coffee"))
	page.Screenshot(t, "campaign")
	page.Follow(t, chromedp.Click(chromedp.CSS("form.card button.primary")))
	page.Run(t, chromedp.Click(chromedp.CSS("[popovertarget=start]")), chromedp.WaitVisible(chromedp.ID("start")))
	page.Follow(t, chromedp.Click(chromedp.CSS("#start button.primary")))
}

type mail struct {
	ID             string `json:"id"`
	To             []string
	Subject        string `json:"subject"`
	Text           string `json:"text"`
	HTML           string `json:"html"`
	UnsubscribeURL string `json:"unsubscribe_url"`
	Headers        []struct{ Name, Value string }
}

func (m mail) header(name string) string {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

func (r *running) awaitMail(t *testing.T, to string) (found mail) {
	t.Helper()
	await(t, "a mail", func() bool {
		var list struct{ Messages []mail }
		fetch(t, r.url(t, "Mailbox")+"/api/messages", "", &list)
		for _, m := range list.Messages {
			if len(m.To) == 1 && m.To[0] == to {
				found = m
				return true
			}
		}
		return false
	})
	fetch(t, r.url(t, "Mailbox")+"/api/messages/"+found.ID, "", &found)
	return found
}

func checkMail(t *testing.T, m mail) {
	t.Helper()
	require.Equal(t, "Your coffee is waiting, friend", m.Subject)
	require.Contains(t, m.header("Content-Type"), "multipart/alternative")
	require.Contains(t, m.Text, "still on the stall")
	require.Contains(t, m.HTML, "still on the stall")
	require.Equal(t, "List-Unsubscribe=One-Click", m.header("List-Unsubscribe-Post"), "RFC 8058")
	require.Equal(t, "<"+m.UnsubscribeURL+">", m.header("List-Unsubscribe"))
}

// openAndBuy opens the mail as a reader does, follows its link and buys.
func openAndBuy(t *testing.T, page *browser.Page, madansara *running, m mail) {
	t.Helper()
	page.Run(t, chromedp.Navigate(madansara.url(t, "Mailbox")+"/messages/"+m.ID))
	page.Screenshot(t, "mail")
	link := regexp.MustCompile(`id="cta" href="([^"]+)"`).FindStringSubmatch(m.HTML)
	require.NotNil(t, link, m.HTML)
	page.Run(t, chromedp.Navigate(link[1]), chromedp.WaitVisible(chromedp.ID("add")))
	arrived, err := url.Parse(browser.Eval[string](t, page, "location.href"))
	require.NoError(t, err)
	require.Equal(t, "/product/coffee", arrived.Path)
	require.NotEmpty(t, arrived.Query().Get("ms_message"))
	page.Follow(t, chromedp.Click(chromedp.ID("add")))
	page.Follow(t, chromedp.Click(chromedp.ID("to-checkout")))
	page.Run(t, browser.Type(chromedp.ID("name"), "Rose Jean"), browser.Type(chromedp.ID("email"), customer))
	page.Follow(t, chromedp.Click(chromedp.ID("buy")))
	page.Run(t, chromedp.WaitVisible(chromedp.ID("order-id")))
	page.Screenshot(t, "bought")
}

type journeyAnswer struct {
	Customer struct {
		ContactUUID string   `json:"contact_uuid"`
		Email       string   `json:"email"`
		Visitors    []string `json:"visitors"`
	} `json:"customer"`
	Entries []struct {
		Kind, Title, Channel, URL string
		Revenue                   *struct {
			Minor    json.Number `json:"minor"`
			Currency string      `json:"currency"`
		} `json:"revenue"`
		Credits []struct {
			Model, Channel string
			Weight         float64
			RevenueMinor   int64 `json:"revenue_minor"`
		} `json:"credits"`
	} `json:"entries"`
}

// awaitConversion waits until the order is attributed.
func (r *running) awaitConversion(t *testing.T, who string) (journey journeyAnswer) {
	t.Helper()
	await(t, "an attributed conversion", func() bool {
		journey = journeyAnswer{}
		fetch(t, r.url(t, "Dashboard")+"/api/v1/conversion/journey/"+url.PathEscape(who), r.printed["API key"], &journey)
		for _, e := range journey.Entries {
			if e.Kind == "conversion" && len(e.Credits) > 0 {
				return true
			}
		}
		return false
	})
	return journey
}

// checkJourney sees the anonymous beginning, the mail and the purchase as one
// person's, and the credits of the purchase add up under every model.
func checkJourney(t *testing.T, journey journeyAnswer) {
	t.Helper()
	require.Equal(t, customer, journey.Customer.Email)
	require.Len(t, journey.Customer.Visitors, 1)
	kinds, channels, pages := map[string]int{}, map[string]bool{}, ""
	for _, e := range journey.Entries {
		kinds[e.Kind]++
		if e.Kind == "session" {
			channels[e.Channel] = true
		}
		if e.Kind == "page_view" {
			pages += e.URL + "\n"
		}
		if e.Kind != "conversion" {
			continue
		}
		require.Equal(t, "USD", e.Revenue.Currency)
		revenue, err := e.Revenue.Minor.Int64()
		require.NoError(t, err, "revenue is an integer of minor units")
		require.EqualValues(t, 1890, revenue, "one bag of coffee")
		weights, revenues := map[string]float64{}, map[string]int64{}
		for _, c := range e.Credits {
			weights[c.Model] += c.Weight
			revenues[c.Model] += c.RevenueMinor
		}
		require.Len(t, weights, 5, "five models")
		for model, sum := range weights {
			require.InDelta(t, 1, sum, 1e-9, model)
			require.Equal(t, revenue, revenues[model], model)
		}
	}
	require.Contains(t, pages, "utm_source=instagram", "what happened before the address was known")
	require.True(t, channels["instagram"] || channels["organic_social"] || channels["social"], "channels: %v", channels)
	for _, kind := range []string{"session", "page_view", "event", "touchpoint", "message_sent", "message_opened", "message_clicked"} {
		require.Positive(t, kinds[kind], "%s in the journey; there are %v", kind, kinds)
	}
	require.Equal(t, 1, kinds["conversion"])
}

func checkAttribution(t *testing.T, madansara *running) {
	t.Helper()
	var report struct {
		Total  struct{ Conversions int64 }
		Models []struct {
			Model    string
			Channels []struct {
				Channel string
				Weight  float64
			}
		}
	}
	fetch(t, madansara.url(t, "Dashboard")+"/api/v1/conversion/attribution", madansara.printed["API key"], &report)
	require.EqualValues(t, 1, report.Total.Conversions)
	require.Len(t, report.Models, 5)
	for _, model := range report.Models {
		sum, email, instagram := 0.0, 0.0, 0.0
		for _, channel := range model.Channels {
			sum += channel.Weight
			switch channel.Channel {
			case "email":
				email = channel.Weight
			case "instagram":
				instagram = channel.Weight
			}
		}
		require.InDelta(t, 1, sum, 1e-9, model.Model)
		switch model.Model {
		case "first_touch":
			require.InDelta(t, 1, instagram, 1e-9)
		case "last_touch":
			require.InDelta(t, 1, email, 1e-9)
		default:
			require.Greater(t, email, 0.4, model.Model)
		}
	}
}

// checkStatus: the campaign's own count of opens and clicks is of people.
func checkStatus(t *testing.T, madansara *running) {
	t.Helper()
	api := madansara.url(t, "Dashboard") + "/api/v1/outreach/campaigns"
	var list struct {
		Campaigns []struct {
			Campaign string `json:"campaign_uuid"`
		}
	}
	fetch(t, api, madansara.printed["API key"], &list)
	require.Len(t, list.Campaigns, 1)
	var status struct{ Opened, Clicked int }
	fetch(t, api+"/"+list.Campaigns[0].Campaign+"/status", madansara.printed["API key"], &status)
	require.Equal(t, 1, status.Opened)
	require.Equal(t, 1, status.Clicked)
}

// look opens what the marketer looks at afterwards.
func look(t *testing.T, page *browser.Page, madansara *running, contact string) {
	t.Helper()
	dashboard := madansara.url(t, "Dashboard")
	page.Run(t, chromedp.Navigate(dashboard+"/"), chromedp.WaitVisible(chromedp.CSS("[data-chart] svg")))
	page.Screenshot(t, "overview")
	text := browser.Eval[string](t, page, "document.body.innerText")
	for _, wanted := range []string{"Visitors", "Conversions", "Revenue", "$", "Email"} {
		require.Contains(t, text, wanted)
	}
	page.Run(t, chromedp.Navigate(dashboard+"/customers/"+contact))
	page.Screenshot(t, "journey")
	text = browser.Eval[string](t, page, "document.body.innerText")
	for _, wanted := range []string{customer, "Order Completed", "Opened", "Clicked", "Signed Up"} {
		require.Contains(t, text, wanted)
	}
}

// unsubscribe does what a mail program does for its "unsubscribe" button.
func unsubscribe(t *testing.T, madansara *running, m mail) {
	t.Helper()
	response, err := http.Post(m.UnsubscribeURL, "application/x-www-form-urlencoded", strings.NewReader("List-Unsubscribe=One-Click"))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var body any
	fetch(t, madansara.url(t, "Dashboard")+"/api/v1/outreach/suppressions", madansara.printed["API key"], &body)
	require.Contains(t, fmt.Sprint(body), customer)
}

// tryReadme runs the README's shell examples as they stand.
func tryReadme(t *testing.T, madansara *running) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.GreaterOrEqual(t, len(blocks), 2)
	for _, block := range blocks {
		shell := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", block[1])
		shell.Env = append(os.Environ(), "MADANSARA_URL="+madansara.url(t, "Dashboard"),
			"WRITE_KEY="+madansara.printed["Write key"], "API_KEY="+madansara.printed["API key"])
		out, err := shell.CombinedOutput()
		require.NoError(t, err, "%s\n%s", block[1], out)
	}
}

// await asks until the answer is yes, in this goroutine, so that asking may fail the test.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); !happened(); <-tick.C {
		require.True(t, time.Now().Before(deadline), "%s did not come", what)
	}
}

// fetch asks for JSON, as the API key's owner when there is one.
func fetch(t *testing.T, address, key string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", address, body)
	require.NoError(t, json.Unmarshal(body, into), "%s: %s", address, body)
}
