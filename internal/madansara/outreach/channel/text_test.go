package channel_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

func TestTextOf(t *testing.T) {
	t.Parallel()
	for html, want := range map[string]string{
		"":                     "\n",
		"<p>One</p><p>Two</p>": "One\n\nTwo\n",
		"a<br>b<div>c</div>d":  "a\nb\nc\nd\n",
		"<ul><li>x<li>y</ul>":  "- x\n- y\n",
		`<a href="https://a.example/x">Shop</a> now`:                                                "Shop (https://a.example/x) now\n",
		`<a href="https://a.example">https://a.example</a>`:                                         "https://a.example\n",
		`<a href="mailto:a@b.example">a@b.example</a><a href="#t">t</a>`:                            "a@b.examplet\n",
		`<a href="https://a.example"><img src=x alt="Banner"></a>`:                                  "Banner (https://a.example)\n",
		"<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>":                           "1 2\n3\n",
		"<style>p{}</style><script>alert(1)</script><title>t</title>hi &lt;b&gt; &amp; caf&eacute;": "hi <b> & café\n",
		"a <b>bold</b>, word":    "a bold, word\n",
		"<h1>T</h1>\n  <p>x\n y": "T\n\nx y\n",
	} {
		require.Equal(t, want, channel.TextOf(html), html)
	}
	deep := strings.Repeat("<div>", 5000) + "x"
	require.NotPanics(t, func() { channel.TextOf(deep) })
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	require.Empty(t, channel.KindOf(nil))
	require.Equal(t, channel.Uncertain, channel.KindOf(errors.New("of unknown origin")))
	require.Equal(t, channel.Permanent, channel.KindOf(fmt.Errorf("send: %w", &channel.Error{Kind: channel.Permanent})))
	require.Equal(t, "permanent failure at rcpt: 550 no", (&channel.Error{Kind: channel.Permanent, Stage: "rcpt", Reply: "550 no"}).Error())
}
