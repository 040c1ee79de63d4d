// Package channeltest is the suite that every channel's adapter has to pass: a
// campaign relies on nothing but what is tested here.
package channeltest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// Behaviour is what a provider does with one message.
type Behaviour int

// The behaviours a provider in a test must be able to show.
const (
	Accept          Behaviour = iota
	Busy                      // not now
	UnknownAddress            // never to this address
	UnwantedContent           // never this message
	RefusedLogin              // nothing from us
	DropBefore                // the connection ends before the message is complete
	DropAfter                 // the message is taken and the connection ends without an answer
	Silence                   // the message is taken and no answer comes
)

// Provider is the other side: a real server in the test's process.
type Provider interface {
	// Adapter returns an adapter that sends to this provider, with time limits
	// of some tenths of a second.
	Adapter() channel.Adapter
	// Next says what to do with the next messages, one each; then Accept.
	Next(behaviours ...Behaviour)
	// Taken returns the messages taken, by id, in order.
	Taken() []uuid.UUID
	// Stop ends the provider: nobody listens any more.
	Stop()
}

// Run tests the adapter of providers that start returns, a new one each call.
func Run(t *testing.T, start func(t *testing.T) Provider) {
	t.Helper()
	tests := map[string]func(t *testing.T, p Provider){
		"sends one":                      sendsOne,
		"sends many in a session":        sendsMany,
		"says what a failure means":      namesFailures,
		"survives a failure":             survivesFailures,
		"sends nothing when cancelled":   sendsNothingWhenCancelled,
		"fails when nobody listens":      failsWhenNobodyListens,
		"lets no value leave its place":  refusesInjection,
		"is safe for concurrent use":     sendsConcurrently,
		"gives up a silent provider":     givesUpSilence,
		"knows what it does not know":    admitsUncertainty,
		"sends all when cancelled after": staysUsable,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// Message returns a message for tests with an id of its own.
func Message() channel.Message {
	id := uuid.Must(uuid.NewV7())
	return channel.Message{
		UUID: id, Tenant: uuid.MustParse("018f0000-0000-7000-8000-000000000001"),
		From:    channel.Address{Name: "Shop", Address: "hello@shop.example"},
		To:      channel.Address{Name: "Marie", Address: "marie@customer.example"},
		Subject: "Hello", HTML: "<p>Hello</p>", Text: "Hello", UnsubscribeURL: "https://m.example/u/1",
	}
}

func sendsOne(t *testing.T, p Provider) {
	require.NotEmpty(t, p.Adapter().Channel())
	m := Message()
	receipt, err := p.Adapter().Send(t.Context(), m)
	require.NoError(t, err)
	require.NotEmpty(t, receipt.Reply)
	require.False(t, receipt.At.IsZero())
	require.Equal(t, time.UTC, receipt.At.Location())
	require.Equal(t, []uuid.UUID{m.UUID}, p.Taken())
}

func sendsMany(t *testing.T, p Provider) {
	session := open(t, p)
	var sent []uuid.UUID
	for range 20 {
		m := Message()
		sent = append(sent, m.UUID)
		_, err := session.Send(t.Context(), m)
		require.NoError(t, err)
	}
	require.Equal(t, sent, p.Taken())
}

var meanings = map[Behaviour]channel.Kind{
	Busy: channel.Temporary, UnknownAddress: channel.Permanent, UnwantedContent: channel.Rejected,
	RefusedLogin: channel.Misconfigured, DropBefore: channel.Temporary, DropAfter: channel.Uncertain, Silence: channel.Uncertain,
}

func namesFailures(t *testing.T, p Provider) {
	for behaviour, kind := range meanings {
		p.Next(behaviour)
		receipt, err := p.Adapter().Send(t.Context(), Message())
		require.Error(t, err, "behaviour %d", behaviour)
		require.Equal(t, kind, channel.KindOf(err), "behaviour %d: %v", behaviour, err)
		require.Empty(t, receipt)
		var failed *channel.Error
		require.ErrorAs(t, err, &failed)
		require.NotEmpty(t, failed.Stage)
		require.LessOrEqual(t, len(failed.Reply), 500)
	}
}

func survivesFailures(t *testing.T, p Provider) {
	session := open(t, p)
	for behaviour := range meanings {
		if behaviour == RefusedLogin {
			continue // nothing to survive: an operator must act
		}
		p.Next(behaviour)
		_, err := session.Send(t.Context(), Message())
		require.Error(t, err)
		m := Message()
		_, err = session.Send(t.Context(), m)
		require.NoError(t, err, "after behaviour %d", behaviour)
		require.Contains(t, p.Taken(), m.UUID)
	}
}

func admitsUncertainty(t *testing.T, p Provider) {
	session := open(t, p)
	for _, behaviour := range []Behaviour{DropAfter, Silence} {
		p.Next(behaviour)
		m := Message()
		_, err := session.Send(t.Context(), m)
		require.Equal(t, channel.Uncertain, channel.KindOf(err))
		require.Contains(t, p.Taken(), m.UUID, "it was taken, and must not be sent again")
	}
	require.Len(t, p.Taken(), 2, "a message of unknown fate was sent again")
}

func sendsNothingWhenCancelled(t *testing.T, p Provider) {
	ctx, cancel := context.WithCancel(t.Context())
	session := open(t, p)
	cancel()
	_, err := session.Send(ctx, Message())
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, channel.Temporary, channel.KindOf(err))
	_, err = p.Adapter().Send(ctx, Message())
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, p.Taken())
}

func staysUsable(t *testing.T, p Provider) {
	session := open(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := session.Send(ctx, Message())
	require.NoError(t, err)
	cancel()
	_, err = session.Send(t.Context(), Message())
	require.NoError(t, err)
	require.Len(t, p.Taken(), 2)
}

func failsWhenNobodyListens(t *testing.T, p Provider) {
	p.Stop()
	_, err := p.Adapter().Open(t.Context())
	require.Equal(t, channel.Temporary, channel.KindOf(err))
	_, err = p.Adapter().Send(t.Context(), Message())
	require.Equal(t, channel.Temporary, channel.KindOf(err))
}

func givesUpSilence(t *testing.T, p Provider) {
	p.Next(Silence)
	start := time.Now()
	_, err := p.Adapter().Send(t.Context(), Message())
	require.Error(t, err)
	require.Less(t, time.Since(start), 30*time.Second)
}

func refusesInjection(t *testing.T, p Provider) {
	for _, bad := range []string{"a\r\nBcc: x@evil.example", "a\nb", "a\rb", "a\x00b", "\xff"} {
		for name, spoil := range map[string]func(m *channel.Message){
			"subject": func(m *channel.Message) { m.Subject += bad }, "unsubscribe": func(m *channel.Message) { m.UnsubscribeURL += bad },
			"from name": func(m *channel.Message) { m.From.Name += bad }, "from": func(m *channel.Message) { m.From.Address += bad },
			"to name": func(m *channel.Message) { m.To.Name += bad }, "to": func(m *channel.Message) { m.To.Address += bad },
		} {
			m := Message()
			spoil(&m)
			_, err := p.Adapter().Send(t.Context(), m)
			require.Error(t, err, "%s %q", name, bad)
			require.NotEqual(t, channel.Uncertain, channel.KindOf(err))
		}
	}
	require.Empty(t, p.Taken())
}

func sendsConcurrently(t *testing.T, p Provider) {
	const senders = 8
	var all sync.WaitGroup
	errs := make(chan error, senders)
	for range senders {
		all.Go(func() {
			_, err := p.Adapter().Send(t.Context(), Message())
			errs <- err
		})
	}
	all.Wait()
	for range senders {
		require.NoError(t, <-errs)
	}
	require.Len(t, p.Taken(), senders)
}

func open(t *testing.T, p Provider) channel.Session {
	t.Helper()
	session, err := p.Adapter().Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() }) // the provider may have gone first
	return session
}
