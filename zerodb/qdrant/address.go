package qdrant

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/engardehq/madansara/zerodb"
)

// address is where the gRPC interface is.
type address struct {
	host string
	port int
	tls  bool
}

// Ports that Qdrant listens on when nothing else is said.
const (
	restPort = 6333
	grpcPort = 6334
)

// parseURL derives the gRPC address from the URL of the REST interface:
//
//	http://qdrant:6333            qdrant:6334
//	http://qdrant                 qdrant:6334
//	https://x.cloud.qdrant.io     x.cloud.qdrant.io:6334 with TLS (443 and 80 count as no port)
//	http://localhost:16333        localhost:16334: the port after the REST port
//	http://qdrant:6334            qdrant:6334: that is the gRPC port already
//	grpc://host:7000              host:7000 as it stands; grpcs:// with TLS
func parseURL(raw string) (address, error) {
	wrong := func(problem string) (address, error) {
		return address{}, &zerodb.Error{Kind: zerodb.ErrInvalid, Field: "ZERODB_URL", Message: problem + "; a working example: http://qdrant:6333"}
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" {
		return wrong("is no URL of a Qdrant server") // the URL itself may hold a password, and is not repeated
	}
	if u.User != nil {
		return wrong("has a user in it: give the key as ZERODB_API_KEY")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return wrong("has a path or a query: give scheme, host and port only")
	}
	a := address{host: u.Hostname()}
	if a.host == "" {
		return wrong("names no host")
	}
	port := 0
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65534 {
			return wrong(fmt.Sprintf("has port %.10s: give one from 1 to 65534", text))
		}
	}
	switch u.Scheme {
	case "grpc", "grpcs":
		a.tls, a.port = u.Scheme == "grpcs", port
		if port == 0 {
			a.port = grpcPort
		}
		return a, nil
	case "http", "https":
		a.tls = u.Scheme == "https"
	default:
		return wrong(fmt.Sprintf("has scheme %.20q: use http, https, grpc or grpcs", u.Scheme))
	}
	switch port {
	case 0, 80, 443, restPort, grpcPort:
		a.port = grpcPort
	default:
		a.port = port + 1
	}
	return a, nil
}

// private reports whether a host's name can only mean a private network: a key may go there unencrypted.
func (a address) private() bool {
	if ip, err := netip.ParseAddr(a.host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	for _, suffix := range []string{".internal", ".local", ".localhost", ".lan", ".svc"} {
		if strings.HasSuffix(a.host, suffix) {
			return true
		}
	}
	return !strings.Contains(a.host, ".")
}

// dialHost is the host in the form that a host and port are joined from.
func (a address) dialHost() string {
	if strings.Contains(a.host, ":") {
		return "[" + a.host + "]"
	}
	return a.host
}

// String is "qdrant:6334".
func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }
