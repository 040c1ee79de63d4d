// Package ssrftest gives tests a name server of their own: names that are sites
// on this machine, names that point where they must not, names that change.
package ssrftest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// Resolver returns a resolver that asks addresses for those of a name, which
// ends in a dot; none is an unknown name. addresses is called for each query,
// also concurrently.
func Resolver(addresses func(name string) []netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serve(server, addresses)
		return client, nil
	}}
}

// Hosts returns a resolver under which every name is this machine.
func Hosts() *net.Resolver {
	return Resolver(func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
}

// serve answers queries in the form they have over TCP: each after its length.
func serve(conn net.Conn, addresses func(string) []netip.Addr) {
	defer conn.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer, err := reply(query, addresses)
		if err != nil {
			return
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
		if _, err := conn.Write(append(framed, answer...)); err != nil {
			return
		}
	}
}

func reply(query []byte, addresses func(string) []netip.Addr) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	message.Response, message.RecursionAvailable, message.Additionals = true, true, nil
	known := false
	for _, question := range message.Questions {
		for _, address := range addresses(question.Name.String()) {
			known = true
			header := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, Type: question.Type, TTL: 0}
			switch {
			case question.Type == dnsmessage.TypeA && address.Is4():
				message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
			case question.Type == dnsmessage.TypeAAAA && address.Is6():
				message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
			}
		}
	}
	if !known {
		message.RCode = dnsmessage.RCodeNameError
	}
	return message.Pack()
}
