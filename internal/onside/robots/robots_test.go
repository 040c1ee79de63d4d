package robots_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/onside/robots"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file    string
		allowed []string
		refused []string
	}{
		"nothing":               {"", []string{"/", "/a"}, nil},
		"everybody out":         {"User-agent: *\nDisallow: /", []string{"/robots.txt"}, []string{"/", "/a", "/a?b"}},
		"empty disallow":        {"User-agent: *\nDisallow:", []string{"/"}, nil},
		"a prefix":              {"User-agent: *\nDisallow: /private", []string{"/", "/public", "/priv"}, []string{"/private", "/private/a", "/privateer"}},
		"case of paths":         {"User-agent: *\nDisallow: /Private", []string{"/private"}, []string{"/Private"}},
		"case of names":         {"USER-AGENT: onsidebot\nDISALLOW: /a", nil, []string{"/a"}},
		"our group only":        {"User-agent: *\nDisallow: /\nUser-agent: OnsideBot\nDisallow: /a", []string{"/", "/b"}, []string{"/a"}},
		"our groups together":   {"User-agent: OnsideBot\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\nUser-agent: onsidebot\nDisallow: /b", []string{"/c"}, []string{"/a", "/b"}},
		"several to a group":    {"User-agent: a\nUser-agent: OnsideBot\nDisallow: /a", []string{"/b"}, []string{"/a"}},
		"version in the name":   {"User-agent: OnsideBot/1.2\nDisallow: /a", nil, []string{"/a"}},
		"another's name":        {"User-agent: OnsideBotX\nDisallow: /", []string{"/a"}, nil},
		"the longest wins":      {"User-agent: *\nDisallow: /a\nAllow: /a/b", []string{"/a/b", "/a/b/c"}, []string{"/a", "/a/c"}},
		"order does not matter": {"User-agent: *\nAllow: /a/b\nDisallow: /a", []string{"/a/b"}, []string{"/a/c"}},
		"allow wins a tie":      {"User-agent: *\nDisallow: /a\nAllow: /a", []string{"/a"}, nil},
		"wildcard":              {"User-agent: *\nDisallow: /*.php", []string{"/a.html"}, []string{"/a.php", "/b/c.php?d", "/.php5"}},
		"end":                   {"User-agent: *\nDisallow: /*.php$", []string{"/a.php?b", "/a.php5"}, []string{"/a.php"}},
		"dollar inside":         {"User-agent: *\nDisallow: /a$b", []string{"/a"}, []string{"/a$b"}},
		"end alone":             {"User-agent: *\nDisallow: /$", []string{"/a"}, []string{"/"}},
		"query":                 {"User-agent: *\nDisallow: /*?sort=", []string{"/a?b"}, []string{"/a?sort=x"}},
		"percent-encoding":      {"User-agent: *\nDisallow: /caf%C3%A9\nDisallow: /%7Ejoe\nDisallow: /a%2fb", []string{"/a/b"}, []string{"/café", "/caf%c3%a9", "/~joe", "/a%2Fb"}},
		"comments":              {"User-agent: * # all\nDisallow: /a # private\n# Disallow: /b", []string{"/b"}, []string{"/a"}},
		"byte order mark":       {"\xef\xbb\xbfUser-agent: *\nDisallow: /a", nil, []string{"/a"}},
		"old Mac lines":         {"User-agent: *\rDisallow: /a\r\rAllow: /b", []string{"/b"}, []string{"/a"}},
		"DOS lines":             {"User-agent: *\r\nDisallow: /a\r\n", []string{"/b"}, []string{"/a"}},
		"rules for nobody":      {"Disallow: /\nUser-agent: *\nDisallow: /a", []string{"/b"}, []string{"/a"}},
		"sitemap between":       {"User-agent: *\nSitemap: https://a.example/s.xml\nUser-agent: x\nDisallow: /a", nil, []string{"/a"}},
		"an HTML page":          {"<html><body>404: not found</body></html>", []string{"/"}, nil},
		"ends with a star":      {"User-agent: *\nDisallow: /a*", []string{"/b"}, []string{"/a", "/ab"}},
		"a star, then the end":  {"User-agent: *\nDisallow: /a*$", []string{"/b"}, []string{"/a", "/ab"}},
		"the last of two":       {"User-agent: *\nDisallow: /*ab*b$", []string{"/ab", "/abbc"}, []string{"/abb", "/xabcb", "/abab"}},
		"no part twice":         {"User-agent: *\nDisallow: /*aa*aa$", []string{"/aaa"}, []string{"/aaaa"}},
		"many stars":            {"User-agent: *\nDisallow: /" + strings.Repeat("*a", 500) + "b", []string{"/" + strings.Repeat("a", 2000)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := robots.Parse([]byte(test.file)).For("OnsideBot")
			for _, path := range test.allowed {
				require.True(t, rules.Allowed(path), path)
			}
			for _, path := range test.refused {
				require.False(t, rules.Allowed(path), path)
			}
		})
	}
	require.True(t, robots.Everything().Allowed("/a"))
	require.False(t, robots.Nothing().Allowed("/a"))
}

func TestDelaysSitemapsAndProblems(t *testing.T) {
	t.Parallel()
	file := robots.Parse([]byte(`
User-agent: OnsideBot
Crawl-delay: 2.5
Sitemap: https://a.example/one.xml

User-agent: *
Crawl-delay: 86400
Disalow: /a
nonsense
Disallow: a
Crawl-delay: soon
Sitemap: /two.xml
`))
	require.Equal(t, 2500*time.Millisecond, file.For("onsidebot").Delay)
	require.Equal(t, time.Minute, file.For("another").Delay)
	require.Equal(t, []string{"https://a.example/one.xml", "/two.xml"}, file.Sitemaps)
	lines := []int{}
	for _, problem := range file.Problems {
		lines = append(lines, problem.Line)
	}
	require.Equal(t, []int{8, 9, 10, 11}, lines)
}

func TestLongFilesAreCut(t *testing.T) {
	t.Parallel()
	file := strings.Repeat("# a comment\n", robots.MaxBytes/12+1) + "User-agent: *\nDisallow: /"
	require.True(t, robots.Parse([]byte(file)).For("x").Allowed("/a"))
}

// TestAHostileFileTakesNoTime would take seconds for each path if a rule took steps
// in proportion to its own length times the path's.
func TestAHostileFileTakesNoTime(t *testing.T) {
	t.Parallel()
	const half = 1000
	rule := "Disallow: /*" + strings.Repeat("a", half) + "b\n"
	rules := robots.Parse([]byte("User-agent: *\n" + strings.Repeat(rule, (robots.MaxBytes-20)/len(rule)))).For("OnsideBot")
	path := "/" + strings.Repeat("a", 2*half)
	started := time.Now()
	for range 20 {
		require.True(t, rules.Allowed(path))
	}
	require.Less(t, time.Since(started), 5*time.Second)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"User-agent: *\nDisallow: /*a*$\nAllow: /%zz\nCrawl-delay: NaN", "\xff\xfe\x00:\r\r\n::", "user-agent:\ndisallow:/\nsitemap:"} {
		f.Add([]byte(seed), "/a?b=%C3")
	}
	f.Fuzz(func(t *testing.T, content []byte, path string) {
		file := robots.Parse(content)
		rules := file.For("OnsideBot")
		if !rules.Allowed(path) {
			require.NotEmpty(t, content)
		}
		require.GreaterOrEqual(t, rules.Delay, time.Duration(0))
		require.LessOrEqual(t, rules.Delay, time.Minute)
		// Who is shut out of everything is shut out of any path.
		strict := robots.Parse([]byte("User-agent: OnsideBot\nDisallow: /")).For("OnsideBot")
		require.Equal(t, path == "/robots.txt", strict.Allowed(path))
	})
}
