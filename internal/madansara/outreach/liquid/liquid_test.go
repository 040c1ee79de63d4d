package liquid_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/outreach/liquid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sample() map[string]any {
	return map[string]any{
		"contact": map[string]any{
			"first_name": "Marie <b>&", "last_name": "O'Neil", "email": "marie@example.com",
			"traits": map[string]any{
				"plan": "gold", "note": "a<\nb", "orders": 3.0, "total": 1234567.5, "vip": true, "none": nil, "signed_up": "2026-02-03T04:05:06Z",
				"cart": []any{map[string]any{"name": "Mango", "price": 250.0}, map[string]any{"name": "Rice", "price": 80.0}},
				"tags": []any{"b", "a", "b", "C"},
			},
		},
		"tenant": map[string]any{"name": "Shop"}, "unsubscribe_url": "https://x.example/u/1?a=1&b=2",
		"now": time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC),
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"plain {} text % }":                         "plain {} text % }",
		"Hi {{ contact.traits.plan }}!":             "Hi gold!",
		"{{ nobody.knows }}|{{ contact.traits.x }}": "|",
		"{{ contact.traits.orders }} {{ contact.traits.total }} {{ contact.traits.vip }} {{ contact.traits.none }}":                "3 1234567.5 true ",
		"{% if contact.traits.orders > 2 and contact.traits.vip %}A{% elsif true %}B{% else %}C{% endif %}":                        "A",
		"{% if contact.traits.orders == 3 %}same{% endif %}":                                                                       "same",
		"{% unless contact.traits.vip %}A{% else %}B{% endunless %}":                                                               "B",
		"{% case contact.traits.plan %}{% when 'tin', 'gold' %}G{% else %}E{% endcase %}":                                          "G",
		"{% case 1 %}{% when 2 %}G{% else %}E{% endcase %}":                                                                        "E",
		"{% for i in contact.traits.cart %}{{ forloop.index }}:{{ i.name }}{% unless forloop.last %}, {% endunless %}{% endfor %}": "1:Mango, 2:Rice",
		"{% for i in nothing %}x{% else %}empty{% endfor %}":                                                                       "empty",
		"{% for i in (1..10) limit:2 offset:3 %}{{ i }}{% endfor %}":                                                               "45",
		"{% for i in (1..10) reversed limit:2 %}{{ i }} {% endfor %}":                                                              "2 1 ",
		"{% for i in (1..5) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}":    "13",
		"{% for i in (1..4) %}{% cycle 'a', 'b' %}{% endfor %}":                                                                    "abab",
		"{% for p in contact.traits.cart[0] %}{{ p[0] }}={{ p[1] }};{% endfor %}":                                                  "name=Mango;price=250;",
		"{% tablerow i in (1..3) cols:2 %}{{ i }}{% endtablerow %}":                                                                `<tr class="row1"><td class="col1">1</td><td class="col2">2</td></tr><tr class="row2"><td class="col1">3</td></tr>`,
		"{% assign x = 'a' | append: 'b' | upcase %}{{ x }}":                                                                       "AB",
		"{% capture x %}-{{ contact.traits.plan }}-{% endcapture %}{{ x }}{{ x }}":                                                 "-gold--gold-",
		"{% comment %}{{ | }} {% if %}{% endcomment %}ok{% raw %}{{ raw }}{% endraw %}":                                            "ok{{ raw }}",
		"a  {%- if true -%}  b  {%- endif -%}  c":                                                                                  "abc",
		"{{ contact.traits.tags | uniq | sort_natural | join: ',' }}":                                                              "a,b,C",
		"{{ contact.traits.cart | sort: 'price' | map: 'name' | join: '+' }}":                                                      "Rice+Mango",
		"{{ contact.traits.cart | where: 'name', 'Rice' | size }} {{ contact.traits.cart | sum: 'price' }}":                        "1 330",
		"{{ contact.traits.cart | first | json }}":                                                                                 `{"name":"Mango","price":250}`,
		"{{ 'a,b,,' | split: ',' | reverse | join }}":                                                                              "b a",
		"{{ contact.traits.signed_up | date: '%d/%m/%Y' }} {{ 'now' | date: '%Y' }} {{ 'x' | date }}":                              "03/02/2026 2026 x",
		"{{ 7 | divided_by: 2 }} {{ 7 | divided_by: 2.5 }} {{ 7 | modulo: 3 }} {{ 1 | plus: 2 | times: 3 }}":                       "3 2.8 1 9",
		"{{ 1.256 | round: 2 }} {{ 1.5 | ceil }} {{ '12' | minus: 2 }} {{ 3 | at_most: 2 }}":                                       "1.26 2 10 2",
		"{{ 'Straße' | truncate: 5 }} {{ 'a b c' | truncatewords: 2 }} {{ 'Liquid' | slice: -3, 2 }}":                              "St... a b... ui",
		"{{ '<p>a</p><br>b' | strip_html }} {{ 'a b&' | url_encode }} {{ 'a+b%zz' | url_decode }}":                                 "ab a+b%26 a+b%zz",
		"{{ '' | default: 'friend' }} {{ contact.traits.plan | replace: 'gold', 'tin' | capitalize }}":                             "friend Tin",
		"{{ (1..3) | join: '-' }}": "1-2-3",
	} {
		parsed, err := liquid.Parse(source)
		require.NoError(t, err, source)
		got, err := parsed.Render(t.Context(), sample())
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
}

func TestHTMLEscapesValues(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"<b>{{ contact.first_name }}</b>":                                       "<b>Marie &lt;b&gt;&amp;</b>",
		"{{ contact.first_name | raw }}":                                        "Marie <b>&",
		"{{ contact.first_name | escape }}":                                     "Marie &lt;b&gt;&amp;",
		"{{ contact.first_name | raw | upcase }}":                               "MARIE &lt;B&gt;&amp;",
		"{{ contact.traits.note | newline_to_br }}":                             "a&lt;<br />\nb",
		"{% capture x %}<i>{{ contact.first_name }}</i>{% endcapture %}{{ x }}": "<i>Marie &lt;b&gt;&amp;</i>",
		`<a href="{{ unsubscribe_url }}">`:                                      `<a href="https://x.example/u/1?a=1&amp;b=2">`,
		"{{ contact.first_name | split: ' ' }}":                                 "Marie&lt;b&gt;&amp;",
		"{{ contact.traits.cart | json }}":                                      `[{&#34;name&#34;:&#34;Mango&#34;,&#34;price&#34;:250},{&#34;name&#34;:&#34;Rice&#34;,&#34;price&#34;:80}]`,
	} {
		parsed, err := liquid.ParseHTML(source)
		require.NoError(t, err, source)
		got, err := parsed.Render(t.Context(), sample())
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
}

func TestParseRefusesWithLineAndReason(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"a\n{% if x %}\nb":                        `line 2: unterminated "if" block`,
		"a\n\n{% endif %}":                        "line 3: endif not inside if",
		"{% for x in y %}{% elsif %}{% endfor %}": "elsif not inside",
		"\n{% include 'x' %}":                     `line 2: there is no tag "include"`,
		"{% render '/etc/passwd' %}":              `line 1: there is no tag "render"`,
		"{{ x | explode }}":                       `line 1: there is no filter "explode"`,
		"{{ x | }}":                               "line 1: syntax error",
		"{{ x":                                    `line 1: "{{" is empty or has no "}}"`,
		"a\n{% if x":                              `line 2: "{%" is empty or has no "%}"`,
		"{{ 99999999999999999999 }}":              "cannot be read",
		"{{ %assign x = 1 }}":                     `line 1: '%' has no meaning`,
		"{{ a; b }}":                              `line 1: ';' has no meaning`,
		"{{ 'abc }}":                              "line 1: a text that starts with ' has no end",
		"{% capture a.b %}{% endcapture %}":       "line 1: capture needs the name",
		"{% for x y %}{% endfor %}":               "line 1: syntax error",
		"{% assign .budget = 1 %}":                "line 1: syntax error",
		"{% raw %}":                               `line 1: "raw" has no "endraw"`,
		"{% comment %} {% endraw %}":              `line 1: "comment" has no "endcomment"`,
		"a\x00b":                                  "line 1: a NUL character",
		"a\xffb":                                  "not valid UTF-8",
		strings.Repeat("x", liquid.MaxSource+1):   "the limit",
		"{{ " + strings.Repeat("(", 40) + "1" + strings.Repeat(")", 40) + " }}": "nested deeper",
		strings.Repeat("{% if true %}", 40) + strings.Repeat("{% endif %}", 40): "nested deeper",
		"{{ '" + strings.Repeat("x", liquid.MaxExpression) + "' }}":             "expression has",
		"{% for i in x %}{% else %}{% else %}{% endfor %}":                      "at most one else",
	} {
		_, err := liquid.Parse(source)
		require.Error(t, err, "%.60q", source)
		require.Equal(t, fault.Invalid, fault.CodeOf(err), "%.60q", source)
		require.ErrorContains(t, err, want, "%.60q", source)
	}
}

// hostile templates ask for more time or memory than there is.
var hostile = map[string]string{
	"a billion":              "{% for i in (1..1000000000) %}x{% endfor %}",
	"empty nested":           "{% for a in (1..9000) %}{% for b in (1..9000) %}{% endfor %}{% endfor %}",
	"nested fives":           strings.Repeat("{% for i in (1..50) %}", 8) + strings.Repeat("{% endfor %}", 8),
	"largest range":          "{% for i in (1..9223372036854775806) %}x{% endfor %}",
	"range to list":          "{{ (1..1000000000) | reverse | first }}",
	"range size":             "{% assign r = (1..1000000000) %}{% for i in r reversed %}x{% endfor %}",
	"range joined":           "{{ (1..1000000000) | join: ',' }}",
	"range sorted":           "{% assign x = (1..100000000) | sort %}",
	"doubling text":          "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..60) %}{% assign a = a | append: a %}{% endfor %}",
	"doubling list":          "{% assign a = 'x y' | split: ' ' %}{% for i in (1..60) %}{% assign a = a | concat: a %}{% endfor %}",
	"replace grows":          "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..60) %}{% assign a = a | replace: 'x', a %}{% endfor %}",
	"replace with nothing":   "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..60) %}{% assign a = a | replace: '', a %}{% endfor %}",
	"capture grows":          "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..60) %}{% capture a %}{{ a }}{{ a }}{% endcapture %}{% endfor %}",
	"escape grows":           "{% assign a = '&&&&&&&&&&' %}{% for i in (1..60) %}{% assign a = a | escape | escape | append: a %}{% endfor %}",
	"json of shared":         "{% assign a = 'x' %}{% for i in (1..16) %}{% assign a = a | append: a %}{% endfor %}{% assign l = a | split: ',' %}{% for i in (1..10) %}{% assign l = l | concat: l %}{% endfor %}{{ l | json }}",
	"output":                 "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..14) %}{% assign a = a | append: a %}{% endfor %}{% for i in (1..9000) %}{{ a }}{% endfor %}",
	"many values":            "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..8) %}{% assign a = a | append: a %}{% endfor %}{% for i in (1..9000) %}{% assign x = a | append: 'b' %}{% endfor %}",
	"wide date":              "{{ 'now' | date: '%1000000000Y' }}",
	"split to characters":    "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..12) %}{% assign a = a | append: a %}{% endfor %}{{ a | split: '' | size }}",
	"more than all steps":    "{% for i in (1..9999) %}" + strings.Repeat("{{ i }}{% if i %}{% endif %}", 20) + "{% endfor %}",
	"break outside":          "{% break %}",
	"continue outside":       "x{% continue %}",
	"forged forloop":         "{% assign forloop = contact %}{% cycle 'a', 'b' %}",
	"not a number":           "{{ 'x' | plus: 1 }}",
	"zero":                   "{{ 1 | divided_by: 0 }}",
	"range of text":          "{% for i in ('a'..'b') %}{% endfor %}",
	"offset of text":         "{% for i in (1..2) offset:'x' %}{% endfor %}",
	"maps do not compare":    "{% if contact == contact %}x{% endif %}",
	"too many filter inputs": "{{ 'a' | append: 1, 2, 3, 4 }}",
}

func TestHostileTemplatesEndAtOnce(t *testing.T) {
	t.Parallel()
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, parse := range []func(string) (*liquid.Template, error){liquid.Parse, liquid.ParseHTML} {
				parsed, err := parse(source)
				require.NoError(t, err)
				start := time.Now()
				_, err = parsed.Render(t.Context(), sample())
				require.Error(t, err)
				require.Equal(t, fault.Invalid, fault.CodeOf(err), err)
				require.ErrorContains(t, err, "line 1: ")
				require.Less(t, time.Since(start), liquid.MaxTime+3*time.Second)
			}
		})
	}
}

func TestRenderStopsWithItsContext(t *testing.T) {
	t.Parallel()
	parsed, err := liquid.Parse("a{% for i in (1..9000) %}{{ i }}{% endfor %}")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = parsed.Render(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRenderLeavesVariablesAlone(t *testing.T) {
	t.Parallel()
	vars := sample()
	parsed, err := liquid.Parse("{% assign contact = 1 %}{% assign x = tenant %}{{ contact }}{% assign t = y.list | reverse | sort %}")
	require.NoError(t, err)
	vars["y"] = map[string]any{"list": []any{2, 1, 3}}
	for range 2 {
		got, err := parsed.Render(t.Context(), vars)
		require.NoError(t, err)
		require.Equal(t, "1", got)
	}
	require.Equal(t, []any{2, 1, 3}, vars["y"].(map[string]any)["list"])
	require.NotContains(t, vars, "x")
}

func TestCheckNamesUndefinedVariables(t *testing.T) {
	t.Parallel()
	parsed, err := liquid.ParseHTML("{{ contact.frist_name }}\n{% assign mine = 1 %}{{ mine }}{% for item in contact.traits.cart %}{{ item.name }} {{ forloop.index }}{% endfor %}\n" +
		"{% if contact.traits.missing == 'x y.z' %}{{ nobody | default: 'you' }}{% endif %}{{ nobody }}{{ contact.traits.tags.size }}{{ contact.traits.cart[0].name }}")
	require.NoError(t, err)
	var got []string
	for _, w := range parsed.Check(sample()) {
		got = append(got, fmt.Sprintf("%d %s", w.Line, w.Message))
	}
	require.Equal(t, []string{
		"1 contact.frist_name has no value here and renders as nothing",
		"3 contact.traits.missing has no value here and renders as nothing",
		"3 nobody has no value here and renders as nothing",
	}, got)
}

func FuzzRender(f *testing.F) {
	for _, source := range hostile {
		f.Add(source, "x")
	}
	f.Add("{{ contact.first_name | truncate: 3 | date }}{% tablerow i in x cols:2 %}{{i}}{% endtablerow %}", "2026-01-01")
	f.Add("{% for i in (-9223372036854775807..9223372036854775806) %}{{ i }}{% endfor %}", "")
	f.Add("{% case x %}{% when 'a' or 'b' %}{% endcase %}{{ x[0].y['z'] | slice: -1, 5 | where: 'a' | sum }}", "")
	f.Fuzz(func(t *testing.T, source, value string) {
		for _, parse := range []func(string) (*liquid.Template, error){liquid.Parse, liquid.ParseHTML} {
			parsed, err := parse(source)
			if err != nil {
				require.Equal(t, fault.Invalid, fault.CodeOf(err))
				continue
			}
			vars := sample()
			vars["x"] = value
			vars["list"] = []any{value, 1.5, nil, []any{value}}
			parsed.Check(vars)
			start := time.Now()
			got, err := parsed.Render(t.Context(), vars)
			require.Less(t, time.Since(start), liquid.MaxTime+5*time.Second)
			require.LessOrEqual(t, len(got), liquid.MaxOutput)
			if err != nil {
				require.Equal(t, fault.Invalid, fault.CodeOf(err), err)
			}
		}
	})
}
