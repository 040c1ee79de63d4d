package mailbox

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // reads mail that is not UTF-8
	"github.com/emersion/go-message/mail"
)

// Mail is one caught mail.
type Mail struct {
	ID         string    `json:"id"`
	ReceivedAt time.Time `json:"received_at"`
	From       string    `json:"from"`   // of the envelope
	To         []string  `json:"to"`     // of the envelope
	Sender     string    `json:"sender"` // the From header, for display
	Subject    string    `json:"subject"`
	Text       string    `json:"text"`
	HTML       string    `json:"html"`
	Headers    []Header  `json:"headers"`
	// UnsubscribeURL is the one-click address of List-Unsubscribe.
	UnsubscribeURL string   `json:"unsubscribe_url,omitempty"`
	Attachments    []string `json:"attachments,omitempty"`
	Problem        string   `json:"problem,omitempty"` // why it could not be read completely
	Size           int      `json:"size"`

	raw []byte
}

// Header is one line of a mail's head, decoded.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const maxParts = 100

// read makes a Mail of any bytes: what is no valid mail is kept raw, with the reason.
func read(id string, at time.Time, from string, to []string, raw []byte) *Mail {
	m := &Mail{ID: id, ReceivedAt: at, From: from, To: to, Sender: from, Size: len(raw), raw: raw}
	reader, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil && !message.IsUnknownCharset(err) {
		m.Problem = clean(err.Error())
		return m
	}
	defer func() { _ = reader.Close() }() // it reads from memory
	for fields := reader.Header.Fields(); fields.Next(); {
		value, err := fields.Text()
		if err != nil {
			value = fields.Value()
		}
		m.Headers = append(m.Headers, Header{Name: fields.Key(), Value: clean(value)})
	}
	if subject, err := reader.Header.Subject(); err == nil {
		m.Subject = clean(subject)
	}
	if senders, err := reader.Header.AddressList("From"); err == nil && len(senders) > 0 {
		m.Sender = senders[0].Address
		if senders[0].Name != "" {
			m.Sender = clean(senders[0].Name) + " <" + senders[0].Address + ">"
		}
	}
	for entry := range strings.SplitSeq(reader.Header.Get("List-Unsubscribe"), ",") {
		if link := strings.Trim(strings.TrimSpace(entry), "<>"); strings.HasPrefix(link, "http") {
			m.UnsubscribeURL = link
			break
		}
	}
	m.readParts(reader)
	return m
}

func (m *Mail) readParts(reader *mail.Reader) {
	for range maxParts {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil && !message.IsUnknownCharset(err) {
			m.Problem = clean(err.Error())
			return
		}
		switch header := part.Header.(type) {
		case *mail.AttachmentHeader:
			name, err := header.Filename()
			if err != nil || name == "" {
				name = "unnamed"
			}
			m.Attachments = append(m.Attachments, clean(name))
		case *mail.InlineHeader:
			body, err := io.ReadAll(part.Body)
			if err != nil {
				m.Problem = clean(err.Error())
			}
			kind, _, _ := header.ContentType() // unreadable: shown as text
			if kind == "text/html" {
				m.HTML += clean(string(body))
			} else {
				m.Text += clean(string(body))
			}
		}
	}
	m.Problem = "it has too many parts"
}

func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func (m *Mail) footprint() int64 { return int64(len(m.raw) + len(m.Text) + len(m.HTML) + 1024) }

func (m *Mail) matches(words []string) bool {
	if len(words) == 0 {
		return true
	}
	all := strings.ToLower(m.Subject + "\n" + m.Sender + "\n" + m.From + "\n" + strings.Join(m.To, "\n") + "\n" + m.Text)
	for _, word := range words {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}
