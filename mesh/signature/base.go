package signature

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Headers that services exchange.
const (
	HeaderSource         = "X-Service-Source" // the sending service's id
	HeaderTarget         = "X-Service-Target" // the receiving service's id
	HeaderSecret         = "X-Service-Secret" // the older form's
	HeaderTenant         = "X-Tenant-Uuid"
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderTimeout        = "X-Request-Timeout-Ms" // time left to the caller, milliseconds

	headerInput     = "Signature-Input"
	headerSignature = "Signature"
	headerDigest    = "Content-Digest"
)

// label names our signature among those a request may carry.
const label = "mesh"

// tag keeps a signature made for another purpose with the same key from being accepted here (RFC 9421 section 7.2.7).
const tag = "engarde-mesh"

const algorithm = "hmac-sha256"

// required are the components that every signature covers.
var required = []string{"@method", "@path", "@query", "content-digest", "x-service-source", "x-service-target"}

// coveredIfPresent are fields whose value changes what a request does: a
// request that carries one outside its signature is refused.
var coveredIfPresent = []string{"x-tenant-uuid", "idempotency-key", "x-request-timeout-ms"}

// canonicalName saves computing the canonical form of the names above each time.
var canonicalName = func() map[string]string {
	names := map[string]string{}
	for _, name := range slices.Concat(required, coveredIfPresent) {
		names[name] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return names
}()

// appendBase appends the signature base (RFC 9421 section 2.5) of a request.
func appendBase(to []byte, r *http.Request, list *innerList) ([]byte, error) {
	for _, name := range list.items {
		to = appendQuoted(to, name)
		to = append(to, ": "...)
		var err error
		if to, err = appendComponent(to, r, name); err != nil {
			return nil, err
		}
		to = append(to, '\n')
	}
	to = append(to, `"@signature-params": `...)
	return list.append(to), nil
}

func appendComponent(to []byte, r *http.Request, name string) ([]byte, error) {
	switch name {
	case "@method":
		if r.Method == "" {
			return append(to, http.MethodGet...), nil
		}
		return append(to, r.Method...), nil
	case "@authority":
		return append(to, authority(r)...), nil
	case "@path":
		path := r.URL.EscapedPath()
		if path == "" {
			path = "/"
		}
		return append(to, path...), nil
	case "@query":
		to = append(to, '?')
		return append(to, r.URL.RawQuery...), nil
	}
	if strings.HasPrefix(name, "@") {
		return nil, fmt.Errorf("the component %q is not supported", name)
	}
	canonical, known := canonicalName[name]
	if !known {
		canonical = textproto.CanonicalMIMEHeaderKey(name)
	}
	values := r.Header[canonical]
	if len(values) == 0 {
		return nil, fmt.Errorf("the covered field %q is absent", name)
	}
	if known && len(values) > 1 {
		return nil, fmt.Errorf("the field %q occurs more than once", name)
	}
	for i, value := range values {
		if i > 0 {
			to = append(to, ", "...)
		}
		if strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("the field %q holds a line break", name)
		}
		to = append(to, strings.Trim(value, " \t")...)
	}
	return to, nil
}

func authority(r *http.Request) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	host = strings.ToLower(host)
	if r.TLS != nil || r.URL.Scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}
