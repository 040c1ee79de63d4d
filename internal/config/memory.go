package config

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

func (c *checker) memory(cfg Config) {
	for _, service := range []struct {
		name, url string
		key       Secret
		keyName   string
		schemes   []string
	}{
		{"ZERODB_URL", cfg.ZeroDBURL, cfg.ZeroDBAPIKey, "ZERODB_API_KEY", []string{"http", "https", "grpc", "grpcs"}},
		{"EMBEDDING_SERVICE_URL", cfg.EmbeddingServiceURL, cfg.EmbeddingServiceAPIKey, "EMBEDDING_SERVICE_API_KEY", []string{"http", "https"}},
		{"ENGARDE_BASE_URL", cfg.EngardeBaseURL, "", "", []string{"http", "https"}},
	} {
		if service.url == "" {
			if service.key != "" {
				c.badf(service.name, "is not set although %s is", service.keyName)
			}
			continue
		}
		u, err := url.Parse(service.url)
		switch {
		case err != nil || !slices.Contains(service.schemes, u.Scheme) || u.Hostname() == "":
			c.badf(service.name, "is no URL of the form %s://host[:port]", strings.Join(service.schemes, " or "))
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			c.badf(service.name, "holds more than scheme, host and path; a key goes into its own variable")
		case !strings.HasSuffix(u.Scheme, "s") && cfg.IsProduction() && !isPrivate(u.Hostname()) && strings.Contains(u.Hostname(), "."):
			c.badf(service.name, "must be https in production, or a host on a private network (*.railway.internal, a container's name, loopback)")
		}
	}
	if cfg.EmbeddingModel != "" && cfg.EmbeddingServiceURL == "" {
		c.badf("EMBEDDING_SERVICE_URL", "is not set although EMBEDDING_MODEL is: the built-in embedder has one model")
	}
	if agent := cfg.EngardeAgent; len(agent) > 200 || !utf8.ValidString(agent) || strings.ContainsFunc(agent, func(r rune) bool { return r < ' ' }) {
		c.badf("ENGARDE_AGENT", "is no name of up to 200 bytes in one line")
	}
}
