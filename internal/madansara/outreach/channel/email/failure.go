package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"time"
	"unicode/utf8"

	smtp "github.com/emersion/go-smtp"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/ssrf"
)

// greylistDelay is when a server that asked to come back is asked again.
const greylistDelay = 5 * time.Minute

// failure says what err at a stage means. Before the final dot a lost
// connection is Temporary: the server has not got the whole message.
func failure(stage string, err error) *channel.Error {
	failed := &channel.Error{Kind: channel.Temporary, Stage: stage, Err: err}
	var reply *smtp.SMTPError
	var raw *textproto.Error
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &reply):
		failed.Kind = kindOf(stage, reply)
		failed.Reply = replyText(reply.Code, reply.EnhancedCode, reply.Message)
		if failed.Kind == channel.Temporary && isGreylisting(reply) {
			failed.RetryAfter = greylistDelay
		}
	case errors.As(err, &raw): // during STARTTLS's plain-text part
		failed.Reply = clip(fmt.Sprintf("%d %s", raw.Code, raw.Msg))
		if raw.Code >= 500 {
			failed.Kind = channel.Misconfigured
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case isRefusedTarget(err), errors.Is(err, errNoSTARTTLS), errors.Is(err, errNoAuth), errors.As(err, &certificate), errors.As(err, &authority):
		failed.Kind = channel.Misconfigured
	}
	return failed
}

func isRefusedTarget(err error) bool {
	_, refused := ssrf.Refused(err)
	return refused
}

// kindOf reads a server's refusal. Enhanced codes (RFC 3463) say more than the
// basic ones, and the stage says whose fault it is.
func kindOf(stage string, e *smtp.SMTPError) channel.Kind {
	subject, detail := e.EnhancedCode[1], e.EnhancedCode[2]
	known := e.EnhancedCode[0] == 5 || e.EnhancedCode[0] == 4
	switch {
	case e.Code < 500:
		return channel.Temporary
	case e.Code == 530, e.Code == 534, e.Code == 535, e.Code == 538, stage == channel.StageLogIn, stage == "greeting", stage == channel.StageConnect:
		return channel.Misconfigured
	case known && subject == 1 && (detail == 7 || detail == 8):
		return channel.Misconfigured // our sender address is not accepted
	case known && subject == 1, known && subject == 2 && detail == 1, known && subject == 2 && detail == 0 && stage == "rcpt":
		return channel.Permanent // no such address; disabled mailbox
	case known && subject == 3 && detail == 4, known && subject == 2 && detail == 3, e.Code == 552:
		return channel.Rejected // too big, or no room: this message, not this person
	case strings.Contains(strings.ToLower(e.Message), "relay"):
		return channel.Misconfigured // we may not send through this server
	case stage == "mail":
		return channel.Misconfigured
	case known && subject == 7:
		return channel.Rejected // policy: spam, block list, DMARC
	case stage == "rcpt":
		return channel.Permanent
	default:
		return channel.Rejected
	}
}

func isGreylisting(e *smtp.SMTPError) bool {
	message := strings.ToLower(e.Message)
	return strings.Contains(message, "greylist") || strings.Contains(message, "graylist") ||
		e.EnhancedCode == smtp.EnhancedCode{4, 7, 1} && (e.Code == 450 || e.Code == 451)
}

func replyText(code int, enhanced smtp.EnhancedCode, message string) string {
	if enhanced != (smtp.EnhancedCode{}) && enhanced != smtp.NoEnhancedCode && enhanced != smtp.EnhancedCodeNotSet {
		return clip(fmt.Sprintf("%d %d.%d.%d %s", code, enhanced[0], enhanced[1], enhanced[2], message))
	}
	return clip(fmt.Sprintf("%d %s", code, message))
}

const maxReply = 500

// clip makes a server's words fit to store and show: one line of valid text.
func clip(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) <= maxReply {
		return s
	}
	s = s[:maxReply]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
