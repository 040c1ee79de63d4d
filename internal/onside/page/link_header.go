package page

import "strings"

// linkHeader is a link that a header declares (RFC 8288).
type linkHeader struct{ target, rel, hreflang string }

// parseLinkHeader reads Link headers as far as they are well formed.
func parseLinkHeader(lines []string) []linkHeader {
	var links []linkHeader
	for _, line := range lines {
		for len(links) < maxNamed {
			_, rest, found := strings.Cut(line, "<")
			if !found {
				break
			}
			target, rest, found := strings.Cut(rest, ">")
			if !found {
				break
			}
			parameters := rest
			if next := endOfLink(rest); next >= 0 {
				parameters, line = rest[:next], rest[next+1:]
			} else {
				line = ""
			}
			link := linkHeader{target: target}
			for parameter := range strings.SplitSeq(parameters, ";") {
				name, value, _ := strings.Cut(parameter, "=")
				value = strings.Trim(strings.TrimSpace(value), `"`)
				switch strings.ToLower(strings.TrimSpace(name)) {
				case "rel":
					link.rel = strings.ToLower(value)
				case "hreflang":
					link.hreflang = value
				}
			}
			links = append(links, link)
		}
	}
	return links
}

// endOfLink finds the comma that ends a link's parameters; -1 when none does.
func endOfLink(text string) int {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			return i
		}
	}
	return -1
}
