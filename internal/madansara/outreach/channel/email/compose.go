package email

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// Bounds of one mail, far above what reaches an inbox.
const (
	maxHeader = 998     // bytes of a header's value, before encoding
	maxBody   = 4 << 20 // bytes of each part
)

// composed is a mail ready for the wire.
type composed struct {
	from, to string // of the envelope
	utf8     bool   // an address needs SMTPUTF8
	data     []byte
}

// compose writes the mail in RFC 5322 and MIME. An address of the recipient's
// that cannot exist is Permanent; anything else wrong is Rejected.
func compose(cfg Config, m channel.Message, now time.Time) (composed, error) {
	to, err := address(m.To)
	if err != nil {
		return composed{}, &channel.Error{Kind: channel.Permanent, Stage: "compose", Err: fmt.Errorf("recipient: %w", err)}
	}
	from, err := address(m.From)
	if err != nil {
		return composed{}, &channel.Error{Kind: channel.Misconfigured, Stage: "compose", Err: fmt.Errorf("sender: %w", err)}
	}
	if err := check(m); err != nil {
		return composed{}, &channel.Error{Kind: channel.Rejected, Stage: "compose", Err: err}
	}
	data, err := encode(cfg, m, from, to, now)
	if err != nil {
		return composed{}, &channel.Error{Kind: channel.Rejected, Stage: "compose", Err: err}
	}
	envelope := from.Address
	if cfg.ReturnPath != "" {
		envelope = cfg.ReturnPath
	}
	return composed{from: envelope, to: to.Address, utf8: !isASCII(envelope + to.Address), data: data}, nil
}

// check refuses what would leave its place in the mail.
func check(m channel.Message) error {
	if m.UUID == uuid.Nil {
		return errors.New("the message has no id")
	}
	if strings.TrimSpace(m.HTML) == "" && strings.TrimSpace(m.Text) == "" {
		return errors.New("the message is empty")
	}
	for name, value := range map[string]string{"subject": m.Subject, "unsubscribe URL": m.UnsubscribeURL} {
		if err := headerSafe(value); err != nil {
			return fmt.Errorf("the %s %w", name, err)
		}
	}
	if strings.ContainsAny(m.UnsubscribeURL, " <>,") || m.UnsubscribeURL != "" && !strings.HasPrefix(m.UnsubscribeURL, "https://") && !strings.HasPrefix(m.UnsubscribeURL, "http://") {
		return errors.New("the unsubscribe URL is not an http or https address")
	}
	for name, body := range map[string]string{"HTML": m.HTML, "text": m.Text} {
		if len(body) > maxBody {
			return fmt.Errorf("the %s part has more than %d bytes", name, maxBody)
		}
		if !utf8.ValidString(body) || strings.ContainsRune(body, 0) {
			return fmt.Errorf("the %s part is not text", name)
		}
	}
	return nil
}

// headerSafe refuses line ends and other control characters: a header with one
// would be two headers.
func headerSafe(value string) error {
	if len(value) > maxHeader {
		return fmt.Errorf("has more than %d bytes", maxHeader)
	}
	if !utf8.ValidString(value) {
		return errors.New("is not valid UTF-8")
	}
	for _, r := range value {
		if r < ' ' && r != '\t' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\u0085' {
			return errors.New("has a control character")
		}
	}
	return nil
}

func address(a channel.Address) (*mail.Address, error) {
	for _, value := range []string{a.Name, a.Address} {
		if err := headerSafe(value); err != nil {
			return nil, fmt.Errorf("the address %w", err)
		}
	}
	parsed, err := mail.ParseAddress(a.Address)
	if err != nil || parsed.Address != a.Address {
		return nil, fmt.Errorf("%.100q is not a mail address", a.Address)
	}
	at := strings.LastIndexByte(a.Address, '@')
	local, domain := a.Address[:at], a.Address[at+1:]
	if len(local) > 64 || strings.ContainsAny(a.Address, " <>\"\\") {
		return nil, fmt.Errorf("%.100q is not a mail address we send to", a.Address)
	}
	if !isASCII(domain) {
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return nil, fmt.Errorf("%.100q has no valid domain: %w", a.Address, err)
		}
	}
	return &mail.Address{Name: strings.TrimSpace(a.Name), Address: local + "@" + domain}, nil
}

func encode(cfg Config, m channel.Message, from, to *mail.Address, now time.Time) ([]byte, error) {
	msg := gomail.NewMsg(
		gomail.WithNoDefaultUserAgent(),
		gomail.WithEncoding(gomail.EncodingQP),
		// Of the message's own id: the same message has the same bytes.
		gomail.WithBoundary("ms-"+strings.ReplaceAll(m.UUID.String(), "-", "")),
	)
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	msg.SetDateWithValue(now)
	msg.SetMessageIDWithValue(m.UUID.String() + "@" + cfg.Domain)
	if m.UnsubscribeURL != "" {
		// Asks automatic answers (out of office) to stay away.
		msg.SetGenHeader(gomail.HeaderPrecedence, "bulk")
		msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "OOF, AutoReply")
	}
	text := m.Text
	if strings.TrimSpace(text) == "" {
		text = channel.TextOf(m.HTML)
	}
	msg.SetBodyString(gomail.TypeTextPlain, text)
	if strings.TrimSpace(m.HTML) != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var out bytes.Buffer
	out.WriteString(head(m))
	if _, err := msg.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("compose the mail: %w", err)
	}
	return cfg.Signature.sign(out.Bytes())
}

// head is the headers that the library would break (a subject that starts on
// the next line) or put in any order. Their values passed headerSafe.
func head(m channel.Message) string {
	var head strings.Builder
	// Encoded words are at most 75 characters each; one a line.
	head.WriteString("Subject: " + strings.ReplaceAll(mime.QEncoding.Encode("utf-8", m.Subject), "?= =?", "?=\r\n =?") + "\r\n")
	if m.UnsubscribeURL != "" {
		// RFC 8058: both headers, and the URL alone in angle brackets.
		head.WriteString("List-Unsubscribe: <" + m.UnsubscribeURL + ">\r\n")
		head.WriteString("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
	}
	if m.Campaign != uuid.Nil {
		// Gmail's postmaster tools report complaints by these parts.
		head.WriteString("Feedback-ID: " + m.Campaign.String() + ":" + m.Tenant.String() + ":email:madansara\r\n")
	}
	return head.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
