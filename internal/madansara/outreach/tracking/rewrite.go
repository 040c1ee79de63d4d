package tracking

import (
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Rewrite returns the message's HTML with its links leading through Click and
// an invisible image added that reports an open. Only http and https links of
// <a> and <area> are changed; the unsubscribe link, mail addresses, anchors and
// links of ours stay. An address that is a script becomes "#": a template's
// author who writes href="{{ contact.traits.website }}" lets the contact choose
// it. Everything else is kept byte for byte.
func (l Links) Rewrite(body string) string {
	var out strings.Builder
	out.Grow(len(body) + len(body)/2)
	pixel := `<img src="` + l.Open() + `" width="1" height="1" alt="" style="display:none">`
	placed := false
	tokens := html.NewTokenizer(strings.NewReader(body))
	for {
		switch tokens.Next() {
		case html.ErrorToken: // the end: a reader in memory has no other error
			// What the tokenizer could not read as a token (an unfinished tag) stays.
			out.Write(tokens.Raw())
			if !placed {
				out.WriteString(pixel)
			}
			return out.String()
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := string(tokens.Raw())
			out.WriteString(l.rewriteTag(raw, tokens))
		case html.EndTagToken:
			raw := string(tokens.Raw())
			name, _ := tokens.TagName()
			if string(name) == "body" && !placed {
				out.WriteString(pixel)
				placed = true
			}
			out.WriteString(raw)
		default:
			out.Write(tokens.Raw())
		}
	}
}

func (l Links) rewriteTag(raw string, tokens *html.Tokenizer) string {
	token := tokens.Token()
	link := token.Data == "a" || token.Data == "area"
	changed := false
	for i, attribute := range token.Attr {
		switch {
		case addresses[attribute.Key] && runs(attribute.Val):
			token.Attr[i].Val = "#"
		case link && attribute.Key == "href" && attribute.Namespace == "" && l.tracks(attribute.Val):
			token.Attr[i].Val = l.Click(strings.TrimSpace(attribute.Val))
		default:
			continue
		}
		changed = true
	}
	if !changed {
		return raw
	}
	return token.String()
}

// tracks reports whether href leads to a page outside that a click can be led through to.
func (l Links) tracks(href string) bool {
	href = strings.TrimSpace(href)
	if len(href) > maxTargetSize || strings.HasPrefix(href, l.signer.base+"/u/") || strings.HasPrefix(href, l.signer.base+"/t/") {
		return false
	}
	target, err := url.Parse(href)
	if err != nil || target.Host == "" || target.User != nil {
		return false
	}
	return target.Scheme == "http" || target.Scheme == "https"
}

// addresses are the attributes that hold one.
var addresses = map[string]bool{
	"href": true, "src": true, "action": true, "formaction": true, "xlink:href": true,
	"background": true, "poster": true, "data": true,
}

// runs reports whether an address is code, or reads the reader's own machine,
// once a browser has dropped the characters that it ignores. Unknown schemes
// pass: they open apps.
func runs(address string) bool {
	scheme, rest, found := strings.Cut(strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, address), ":")
	if !found {
		return false
	}
	switch strings.ToLower(scheme) {
	case "javascript", "vbscript", "livescript", "file", "view-source", "blob", "filesystem":
		return true
	case "data":
		return !strings.HasPrefix(strings.ToLower(rest), "image/")
	}
	return false
}
