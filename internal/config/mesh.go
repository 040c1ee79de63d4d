package config

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/engardehq/madansara/mesh/signature"
)

// Peers returns every service's base URL by the service's id.
func (c Config) Peers() map[string]string {
	return map[string]string{
		"engarde-core": c.CoreURL, "onside": c.OnsideURL, "madan-sara": c.MadanSaraURL, "sankore": c.SankoreURL,
	}
}

// MeshSecrets returns the secrets that verify calls; the first signs.
func (c Config) MeshSecrets() []string {
	secrets := []string{string(c.ServiceMeshSecret)}
	if c.ServiceMeshSecretPrevious != "" {
		secrets = append(secrets, string(c.ServiceMeshSecretPrevious))
	}
	return secrets
}

// LegacySecrets returns the secrets that let a caller in without a signature: none
// unless that is accepted.
func (c Config) LegacySecrets() []string {
	if !c.ServiceMeshAcceptLegacy {
		return nil
	}
	return []string{string(c.ServiceMeshLegacySecret)}
}

func (c *checker) mesh(cfg Config) {
	shortest := signature.MinSecret
	if cfg.IsProduction() {
		shortest = 32
	}
	deployed := cfg.Environment == Staging || cfg.Environment == Production
	switch {
	case cfg.ServiceMeshSecret == "" && deployed:
		c.badf("SERVICE_MESH_SECRET", "is needed outside development: services sign their calls with it")
	case cfg.ServiceMeshSecret != "" && len(cfg.ServiceMeshSecret) < shortest:
		c.badf("SERVICE_MESH_SECRET", "has %d characters; at least %d are needed", len(cfg.ServiceMeshSecret), shortest)
	}
	if cfg.ServiceMeshSecretPrevious != "" && len(cfg.ServiceMeshSecretPrevious) < shortest {
		c.badf("SERVICE_MESH_SECRET_PREVIOUS", "has %d characters; at least %d are needed", len(cfg.ServiceMeshSecretPrevious), shortest)
	}
	c.legacy(cfg, shortest)
	for _, source := range cfg.ServiceMeshLegacySources {
		if cfg.Peers()[source] == "" {
			c.badf("SERVICE_MESH_LEGACY_SOURCES", "names %q, which is none of engarde-core, onside, madan-sara, sankore", source)
		}
	}
	if cfg.ServiceMeshTimeout <= 0 {
		c.badf("SERVICE_MESH_TIMEOUT", "must be more than 0 seconds")
	}
	c.between("CIRCUIT_BREAKER_THRESHOLD", cfg.CircuitBreakerThreshold, 1, 1000)
	for _, peer := range []struct{ name, url string }{
		{"ENGARDE_CORE_URL", cfg.CoreURL}, {"ONSIDE_URL", cfg.OnsideURL}, {"MADAN_SARA_URL", cfg.MadanSaraURL}, {"SANKORE_URL", cfg.SankoreURL},
	} {
		u, err := url.Parse(peer.url)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			c.badf(peer.name, "is no base URL of the form scheme://host[:port]")
		case cfg.IsProduction() && u.Scheme == "http" && !isPrivate(u.Hostname()):
			c.badf(peer.name, "must be https in production, or a host on a private network (*.railway.internal, loopback)")
		}
	}
}

// legacy checks the secret of the older form, also while that is not accepted: it may
// be by the next start.
func (c *checker) legacy(cfg Config, shortest int) {
	const name = "SERVICE_MESH_LEGACY_SECRET"
	switch secret := cfg.ServiceMeshLegacySecret; {
	case secret == "" && cfg.ServiceMeshAcceptLegacy:
		c.badf(name, "is not set although SERVICE_MESH_ACCEPT_LEGACY is true: the callers let in by it send a secret of their own")
	case secret == "":
	case len(secret) < shortest:
		c.badf(name, "has %d characters; at least %d are needed", len(secret), shortest)
	case secret == cfg.ServiceMeshSecret:
		c.badf(name, "is SERVICE_MESH_SECRET; it travels in a header, and whoever sees it could sign")
	case secret == cfg.ServiceMeshSecretPrevious:
		c.badf(name, "is SERVICE_MESH_SECRET_PREVIOUS; it travels in a header, and whoever sees it could sign")
	}
}

// isPrivate reports whether calls to host do not leave the platform's own network.
func isPrivate(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".railway.internal")
}
