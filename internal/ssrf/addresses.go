package ssrf

import (
	"fmt"
	"net/netip"
)

// block is a range of addresses no tenant's URL may reach.
type block struct {
	prefix netip.Prefix
	is     string
}

// blocks are the IPv4 ranges that are not public, from the IANA IPv4
// Special-Purpose Address Registry (RFC 6890 and later), multicast, and the
// one public address that answers for a cloud's machine. The metadata services
// of AWS, Google, Azure, Oracle and Alibaba (169.254.169.254, 192.0.0.192,
// 100.100.100.200) lie inside.
var blocks = []block{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast"},
}

// global is the only part of IPv6 that is handed out to the public internet.
// Loopback, IPv4-mapped and -compatible, NAT64 (64:ff9b::/96 and
// 64:ff9b:1::/48), unique local (the metadata services' too), link-local,
// site-local and multicast addresses all lie outside it.
var global = netip.MustParsePrefix("2000::/3")

// blocks6 are the parts of global that are not public or that carry an IPv4
// address inside, by which a private one could be reached.
var blocks6 = []block{
	{netip.MustParsePrefix("2001::/23"), "protocol assignments (Teredo among them)"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
}

// forbidden says why address is not of the public internet; "" when it is.
func forbidden(address netip.Addr) string {
	if !address.IsValid() || address.Zone() != "" {
		return "not a public address"
	}
	if address.Is4() {
		return within(blocks, address)
	}
	switch {
	case address == netip.IPv6Loopback():
		return "loopback"
	case address.Is4In6():
		return fmt.Sprintf("the IPv4 address %s in IPv6 form", address.Unmap())
	case !global.Contains(address):
		return "not global unicast"
	}
	return within(blocks6, address)
}

func within(list []block, address netip.Addr) string {
	for _, b := range list {
		if b.prefix.Contains(address) {
			return b.is
		}
	}
	return ""
}
