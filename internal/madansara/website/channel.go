package website

import (
	"net/url"
	"strings"

	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

// arrival is how a session began: what its channel is decided by.
type arrival struct {
	landing, referrer                       string
	source, medium, campaign, term, content string
	message                                 string // ms_message: the message of ours whose link brought the visitor
}

// newArrival reads an event's page. The page's own utm_ parameters win over
// context.campaign, which some libraries keep from an earlier visit.
func newArrival(s *segment.Source) arrival {
	a := arrival{
		landing: s.URL, referrer: s.Referrer, source: s.Campaign.Source, medium: s.Campaign.Medium,
		campaign: s.Campaign.Name, term: s.Campaign.Term, content: s.Campaign.Content,
	}
	_, query, found := strings.Cut(s.URL, "?")
	if !found {
		return a
	}
	query, _, _ = strings.Cut(query, "#")
	values, err := url.ParseQuery(query)
	if err != nil && len(values) == 0 {
		return a
	}
	for key, field := range map[string]*string{
		"utm_source": &a.source, "utm_medium": &a.medium, "utm_campaign": &a.campaign,
		"utm_term": &a.term, "utm_content": &a.content, "ms_message": &a.message,
	} {
		if value := storableText(values.Get(key)); value != "" {
			*field = value
		}
	}
	if a.source == "" && a.medium == "" {
		a.source, a.medium = fromClickID(values)
	}
	return a
}

// storableText drops what percent-encoding can smuggle past the JSON checks.
func storableText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}

// fromClickID reads the parameter that an ad network adds to its links.
func fromClickID(values url.Values) (source, medium string) {
	switch {
	case values.Get("gclid") != "", values.Get("wbraid") != "", values.Get("gbraid") != "":
		return "google", "cpc"
	case values.Get("msclkid") != "":
		return "bing", "cpc"
	case values.Get("ttclid") != "":
		return "tiktok", "paid"
	case values.Get("fbclid") != "": // on every link out of Facebook, paid or not
		return "facebook", ""
	case values.Get("igshid") != "", values.Get("igsh") != "":
		return "instagram", ""
	}
	return "", ""
}

// networks are the social sources that are a channel of their own, by utm_source
// or by the referrer's domain.
var networks = map[string]string{
	"instagram": "instagram", "ig": "instagram", "instagram.com": "instagram", "l.instagram.com": "instagram",
	"facebook": "facebook", "fb": "facebook", "meta": "facebook", "facebook.com": "facebook", "l.facebook.com": "facebook",
	"lm.facebook.com": "facebook", "m.facebook.com": "facebook", "messenger": "facebook", "messenger.com": "facebook",
	"linkedin": "linkedin", "linkedin.com": "linkedin", "lnkd.in": "linkedin",
	"x": "x", "twitter": "x", "x.com": "x", "twitter.com": "x", "t.co": "x",
	"whatsapp": "whatsapp", "whatsapp.com": "whatsapp", "wa.me": "whatsapp", "web.whatsapp.com": "whatsapp",
	"tiktok": "tiktok", "tiktok.com": "tiktok", "youtube": "youtube", "youtube.com": "youtube", "m.youtube.com": "youtube",
	"pinterest": "pinterest", "pinterest.com": "pinterest", "reddit": "reddit", "reddit.com": "reddit",
	"snapchat": "snapchat", "snapchat.com": "snapchat", "threads": "threads", "threads.net": "threads",
	"telegram": "telegram", "t.me": "telegram",
}

// searchEngines by utm_source or the first label of the referrer's domain (google.fr).
var searchEngines = map[string]bool{
	"google": true, "bing": true, "duckduckgo": true, "yahoo": true, "ecosia": true, "baidu": true, "yandex": true,
	"qwant": true, "brave": true, "startpage": true, "naver": true, "kagi": true,
}

// channel names where a session came from. The rules follow GA4's default
// channel groups, in this order, with each social network a channel by itself:
//
//	email         utm_medium or utm_source is email, e-mail, newsletter or mail
//	sms, push     utm_medium says so
//	affiliate     utm_medium affiliate(s)
//	paid_search   a paid medium (cpc, ppc, paid..., retargeting) and a search engine
//	paid_social   a paid medium and a social network
//	paid_other    any other paid medium
//	display       utm_medium display, banner, cpm, interstitial
//	<network>     utm_source or referrer is a social network: instagram, facebook, ...
//	social        utm_medium social, sm, social-network, of an unknown network
//	organic_search  utm_medium organic, or a search engine
//	referral      utm_medium referral, app or link, or another site's referrer
//	other         utm_ parameters that no rule knows
//	direct        nothing at all
func channel(a arrival) string {
	source, medium := strings.ToLower(strings.TrimSpace(a.source)), strings.ToLower(strings.TrimSpace(a.medium))
	site := foreignHost(a.referrer, a.landing)
	from := source
	if from == "" {
		from = site
	}
	network := networks[from]
	search := isSearch(from)
	switch {
	case isEmail(medium), isEmail(source):
		return "email"
	case medium == "sms", medium == "push":
		return medium
	case medium == "affiliate", medium == "affiliates":
		return "affiliate"
	case isPaid(medium):
		switch {
		case search:
			return "paid_search"
		case network != "":
			return "paid_social"
		}
		return "paid_other"
	case medium == "display", medium == "banner", medium == "cpm", medium == "interstitial", medium == "expandable":
		return "display"
	case network != "":
		return network
	case strings.HasPrefix(medium, "social"), medium == "sm":
		return "social"
	case medium == "organic", search:
		return "organic_search"
	case medium == "referral", medium == "app", medium == "link", source == "" && medium == "" && site != "":
		return "referral"
	case source != "", medium != "", a.campaign != "":
		return "other"
	}
	return "direct"
}

func isEmail(word string) bool {
	switch word {
	case "email", "e-mail", "e_mail", "newsletter", "mail":
		return true
	}
	return false
}

func isPaid(medium string) bool {
	return medium == "cpc" || medium == "ppc" || medium == "cpv" || medium == "cpa" || medium == "retargeting" || strings.HasPrefix(medium, "paid")
}

func isSearch(from string) bool {
	if searchEngines[from] {
		return true
	}
	labels := strings.Split(from, ".")
	for _, label := range labels[:max(0, len(labels)-1)] {
		if searchEngines[label] && label != "mail" {
			return labels[0] != "mail" // a web mail is no search
		}
	}
	return false
}

// foreignHost returns the referrer's host without www., empty when it is the
// landing page's own.
func foreignHost(referrer, landing string) string {
	site := host(referrer)
	if site == host(landing) {
		return ""
	}
	return site
}

func host(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.ToLower(u.Hostname()), "www.")
}
