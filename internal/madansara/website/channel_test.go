package website

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

func TestChannel(t *testing.T) {
	t.Parallel()
	const shop = "https://www.shop.test/"
	for _, test := range []struct{ landing, referrer, want string }{
		{shop, "", "direct"},
		{shop, "https://shop.test/other", "direct"},
		{shop, "https://blog.test/post", "referral"},
		{shop, "https://www.google.fr/", "organic_search"},
		{shop, "https://duckduckgo.com/", "organic_search"},
		{shop, "https://mail.google.com/", "referral"},
		{shop, "https://l.instagram.com/", "instagram"},
		{shop, "https://t.co/x", "x"},
		{shop, "::no address::", "direct"},
		{shop + "?utm_source=instagram", "", "instagram"},
		{shop + "?utm_source=IG&utm_medium=Social", "", "instagram"},
		{shop + "?utm_source=instagram&utm_medium=paid_social", "", "paid_social"},
		{shop + "?utm_source=google&utm_medium=cpc", "", "paid_search"},
		{shop + "?gclid=1", "https://www.google.com/", "paid_search"},
		{shop + "?fbclid=1", "", "facebook"},
		{shop + "?utm_source=partner&utm_medium=ppc", "", "paid_other"},
		{shop + "?utm_medium=display", "", "display"},
		{shop + "?utm_medium=email&utm_source=google", "", "email"},
		{shop + "?utm_source=newsletter", "https://www.google.com/", "email"},
		{shop + "?utm_medium=sms", "", "sms"},
		{shop + "?utm_medium=affiliate&utm_source=instagram", "", "affiliate"},
		{shop + "?utm_medium=social&utm_source=mastodon", "", "social"},
		{shop + "?utm_medium=organic", "", "organic_search"},
		{shop + "?utm_medium=referral", "", "referral"},
		{shop + "?utm_campaign=flyer", "", "other"},
		{shop + "?utm_source=flyer#utm_medium=email", "", "other"},
		{shop + "?utm_source=%00%ff", "", "other"},
		{shop + "?%zz&utm_source=facebook", "", "facebook"},
	} {
		require.Equal(t, test.want, channel(newArrival(&segment.Source{URL: test.landing, Referrer: test.referrer})), "%+v", test)
	}
	fromLibrary := &segment.Source{URL: shop, Campaign: segment.Campaign{Source: "linkedin", Medium: "social"}}
	require.Equal(t, "linkedin", channel(newArrival(fromLibrary)))
	fromLibrary.URL += "?utm_source=facebook&ms_message=1"
	a := newArrival(fromLibrary)
	require.Equal(t, "facebook", channel(a), "the page's own parameters win")
	require.Equal(t, "1", a.message)
}

func TestDevice(t *testing.T) {
	t.Parallel()
	for userAgent, want := range map[string]string{
		"": "",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                                   "desktop",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1": "mobile",
		"Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1":          "tablet",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                "bot",
	} {
		require.Equal(t, want, device(userAgent), userAgent)
	}
}
