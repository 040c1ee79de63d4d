package integration

import (
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/mesh"
)

// Field is something that a provider needs to know of a tenant.
type Field struct {
	Name     string `json:"name" example:"api_key"`
	Label    string `json:"label" example:"API key"`
	Secret   bool   `json:"secret" doc:"Whether it is a credential, which is never answered, or a setting"`
	Required bool   `json:"required"`
	URL      bool   `json:"url,omitempty" doc:"Whether it must be a public http or https URL"`
	Email    bool   `json:"email,omitempty" doc:"Whether it must be an e-mail address"`
	// Values are all that it may be; empty is anything.
	Values []string `json:"values,omitempty" doc:"What it may be, the first when it is not set"`
	lines  bool     // may have several lines
	place  bool     // decides where the credentials are sent
}

// Provider is a system that tenants have accounts at.
type Provider struct {
	ID     string  `json:"id" example:"sendgrid"`
	Name   string  `json:"name" example:"SendGrid"`
	Fields []Field `json:"fields"`
	// UsedBy are the services that may be given the credentials.
	UsedBy []string `json:"used_by" doc:"The services that work with it, which alone are given the credentials"`
	// ports, when there are any, are those on which the server may answer that the
	// settings host and port name; the first when no port is given.
	ports []uint16
}

const longestValue = 8 << 10 // bytes

// noTLS is for a server on the developer's own machine.
const noTLS = "none"

func needed(name, label string) Field {
	return Field{Name: name, Label: label, Secret: true, Required: true}
}
func optional(name, label string) Field { return Field{Name: name, Label: label, Secret: true} }
func setting(name, label string) Field  { return Field{Name: name, Label: label} }

func must(f Field) Field                    { f.Required = true; return f }
func link(f Field) Field                    { f.URL, f.place = true, true; return f }
func at(f Field) Field                      { f.place = true; return f }
func text(f Field) Field                    { f.lines = true; return f }
func mailbox(f Field) Field                 { f.Email = true; return f }
func oneOf(f Field, values ...string) Field { f.Values = values; return f }

var (
	sara    = []string{mesh.MadanSara}
	sankore = []string{mesh.Sankore}
	onside  = []string{mesh.Onside}
)

// Providers are all there are, by name.
var Providers = []Provider{
	{ID: "anthropic", Name: "Anthropic", UsedBy: sara, Fields: []Field{needed("api_key", "API key")}},
	{ID: "google_ads", Name: "Google Ads", UsedBy: sankore, Fields: []Field{
		must(setting("customer_id", "Customer id")), setting("login_customer_id", "Manager account's id"), must(setting("client_id", "OAuth client id")),
		needed("developer_token", "Developer token"), needed("client_secret", "OAuth client secret"), needed("refresh_token", "OAuth refresh token"),
	}},
	{ID: "google_search_console", Name: "Google Search Console", UsedBy: onside, Fields: []Field{
		must(link(setting("site_url", "Property's URL"))), text(needed("service_account_json", "Service account key (JSON)")),
	}},
	{ID: "hubspot", Name: "HubSpot", UsedBy: sara, Fields: []Field{needed("access_token", "Private app access token")}},
	{ID: "linkedin", Name: "LinkedIn", UsedBy: sara, Fields: []Field{
		must(setting("organization_urn", "Organization URN")), setting("client_id", "Client id"),
		needed("access_token", "Access token"), optional("refresh_token", "Refresh token"), optional("client_secret", "Client secret"),
	}},
	{ID: "meta", Name: "Meta (Facebook, Instagram)", UsedBy: sara, Fields: []Field{
		setting("page_id", "Page id"), setting("instagram_account_id", "Instagram account id"),
		needed("access_token", "Access token"), optional("page_access_token", "Page access token"), optional("app_secret", "App secret"), optional("verify_token", "Webhook verify token"),
	}},
	{ID: "meta_ads", Name: "Meta Ads", UsedBy: sankore, Fields: []Field{
		must(setting("ad_account_id", "Ad account id")), needed("access_token", "Access token"), optional("app_secret", "App secret"),
	}},
	{ID: "salesforce", Name: "Salesforce", UsedBy: sara, Fields: []Field{
		must(link(setting("instance_url", "Instance URL"))), must(setting("client_id", "Consumer key")),
		needed("client_secret", "Consumer secret"), needed("refresh_token", "Refresh token"),
	}},
	{ID: "sendgrid", Name: "SendGrid", UsedBy: sara, Fields: []Field{
		mailbox(setting("from_email", "Sender's address")), setting("from_name", "Sender's name"),
		needed("api_key", "API key"), optional("webhook_verification_key", "Event webhook's verification key"),
	}},
	{ID: "smtp", Name: "SMTP", UsedBy: sara, ports: ssrf.MailPorts, Fields: []Field{
		must(at(setting("host", "Host"))), at(setting("port", "Port")), at(oneOf(setting("tls", "Encryption; tls when the port is 465"), "starttls", "tls", noTLS)),
		setting("username", "User name"), mailbox(setting("from_email", "Sender's address")), setting("from_name", "Sender's name"), optional("password", "Password"),
	}},
	{ID: "webhook", Name: "Webhook", UsedBy: sara, Fields: []Field{
		must(link(setting("url", "URL"))), optional("signing_secret", "Secret that signs the calls"),
	}},
	{ID: "whatsapp", Name: "WhatsApp Business", UsedBy: sara, Fields: []Field{
		must(setting("phone_number_id", "Phone number id")), setting("business_account_id", "Business account id"),
		needed("access_token", "Access token"), optional("app_secret", "App secret"), optional("verify_token", "Webhook verify token"),
	}},
	{ID: "x", Name: "X", UsedBy: sara, Fields: []Field{
		setting("user_id", "User id"), needed("api_key", "API key"), needed("api_secret", "API key secret"),
		needed("access_token", "Access token"), needed("access_token_secret", "Access token secret"), optional("bearer_token", "Bearer token"),
	}},
}

func providerOf(id string) (Provider, bool) {
	index := slices.IndexFunc(Providers, func(p Provider) bool { return p.ID == id })
	if index < 0 {
		return Provider{}, false
	}
	return Providers[index], true
}

// check says what is wrong with the values of the provider's settings, or of its
// credentials. Its errors do not show a credential.
func (p Provider) check(values map[string]string, secret bool, guard ssrf.Guard) error {
	where := "body.settings."
	if secret {
		where = "body.credentials."
	}
	known := map[string]bool{}
	for _, field := range p.Fields {
		if field.Secret != secret {
			continue
		}
		known[field.Name] = true
		value, set := values[field.Name]
		if !set {
			if field.Required {
				return fault.At(where+field.Name, nil, "is needed: the %s of %s", strings.ToLower(field.Label), p.Name)
			}
			continue
		}
		if problem := field.problem(value, guard); problem != "" {
			return fault.At(where+field.Name, nil, "%s", problem)
		}
	}
	if len(p.ports) > 0 && !secret {
		if err := p.checkServer(values, guard); err != nil {
			return err
		}
	}
	for name := range values {
		if !known[name] {
			return fault.At(strings.TrimSuffix(where, "."), nil, "%s has no %q here; GET /api/v1/integrations/providers lists what it has", p.Name, name)
		}
	}
	return nil
}

// checkServer refuses a server that a tenant may not have us connect to. A name is not
// resolved here: whoever connects does so by [ssrf.Guard.Dialer] with the same ports,
// which judges the address.
func (p Provider) checkServer(values map[string]string, guard ssrf.Guard) error {
	port := uint64(p.ports[0])
	if text, set := values["port"]; set {
		var err error
		if port, err = strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
			return fault.At("body.settings.port", nil, "is no port between 1 and 65535")
		}
	}
	guard.Ports = p.ports
	host := values["host"]
	if reason, refused := ssrf.Refused(guard.CheckHost(host, p.ports[0])); refused {
		return fault.At("body.settings.host", nil, "may not be used: %s", reason)
	}
	if reason, refused := ssrf.Refused(guard.CheckHost(host, uint16(port))); refused {
		return fault.At("body.settings.port", nil, "may not be used: %s", reason)
	}
	if values["tls"] == noTLS && (!guard.AllowLoopback || !ssrf.IsLoopback(host)) {
		return fault.At("body.settings.tls", nil, "mail and the password leave this machine encrypted: use starttls or tls")
	}
	return nil
}

// moves reports whether the credentials would be sent elsewhere with the settings after
// than with those before.
func (p Provider) moves(before, after map[string]string) bool {
	return slices.ContainsFunc(p.Fields, func(f Field) bool { return f.place && before[f.Name] != after[f.Name] })
}

// problem says what is wrong with a value, "" for nothing.
func (f Field) problem(value string, guard ssrf.Guard) string {
	switch {
	case value == "":
		return "is empty; leave out what is not known"
	case len(value) > longestValue:
		return "is longer than 8 KiB"
	case !utf8.ValidString(value) || strings.ContainsFunc(value, f.unfit):
		return "holds a character that cannot be sent, such as a line break"
	case strings.TrimSpace(value) != value && !f.lines:
		return "begins or ends with a blank"
	case f.Email && !isAddress(value):
		return "is no e-mail address, such as hello@example.com"
	case len(f.Values) > 0 && !slices.Contains(f.Values, value):
		return "is none of " + strings.Join(f.Values, ", ")
	case !f.URL:
		return ""
	}
	address, err := url.Parse(value)
	if err != nil {
		return "is no URL"
	}
	if reason, refused := ssrf.Refused(guard.CheckURL(address)); refused {
		return "may not be used: " + reason
	}
	return ""
}

func isAddress(value string) bool {
	parsed, err := mail.ParseAddress(value)
	return err == nil && parsed.Address == value
}

// unfit reports whether a value may not hold a character: one that would end a header.
func (f Field) unfit(r rune) bool {
	if f.lines && strings.ContainsRune("\n\r\t", r) {
		return false
	}
	return unicode.IsControl(r)
}

// hint is what may be shown of a credential: its last four characters where it
// is so long that they do not help to guess it.
func hint(value string) string {
	if utf8.RuneCountInString(value) < 20 {
		return "…"
	}
	runes := []rune(strings.TrimSpace(value))
	end := runes[len(runes)-4:]
	if slices.ContainsFunc(end, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "…"
	}
	return "…" + string(end)
}
