// Package config reads the environment into one typed, validated value. A bad
// or contradictory variable is an error that names it, says what is wrong with
// its value and gives an example that works.
package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
)

// Environments.
const (
	Development = "development"
	Staging     = "staging"
	Production  = "production"
)

// Config is everything the environment sets. The example tag is a value that
// works, for error messages.
type Config struct {
	Environment string `env:"ENVIRONMENT" envDefault:"development" example:"production"`
	Port        int    `env:"PORT" envDefault:"8002" example:"8002"`
	LogLevel    string `env:"LOG_LEVEL" envDefault:"info" example:"info"`
	DataDir     string `env:"MADANSARA_DATA_DIR" envDefault:"./data" example:"/var/lib/madansara"`
	// PublicBaseURL is where the world reaches this service; links in mails
	// begin with it. Empty in development is http://localhost:PORT.
	PublicBaseURL string `env:"PUBLIC_BASE_URL" example:"https://madansara.example.com"`
	// CORSOrigins may call the API from a browser, besides PublicBaseURL.
	CORSOrigins []string `env:"CORS_ORIGINS" example:"https://app.example.com,https://admin.example.com"`
	// SecretKey signs the links in mails. Changing it breaks those already sent.
	SecretKey Secret `env:"SECRET_KEY" example:"the output of: openssl rand -hex 32"`
	// CredentialsKey seals tenants' credentials in Core's database; the previous one
	// only opens: set it while a new one is rolled out. Lost keys lose credentials.
	CredentialsKey         Secret `env:"CREDENTIALS_KEY" example:"the output of: openssl rand -hex 32"`
	CredentialsKeyPrevious Secret `env:"CREDENTIALS_KEY_PREVIOUS" example:"the key before this one"`
	// TrustedProxyHops is how many proxies in front append to X-Forwarded-For.
	TrustedProxyHops int `env:"TRUSTED_PROXY_HOPS" envDefault:"0" example:"1"`
	// APIRateLimit and IngestRateLimit are requests a second a caller may make
	// (twice as many at once); 0 is no limit. Ingest also has its back-pressure.
	APIRateLimit    float64 `env:"API_RATE_LIMIT" envDefault:"100" example:"100"`
	IngestRateLimit float64 `env:"INGEST_RATE_LIMIT" envDefault:"0" example:"1000"`

	DatabaseURL       Secret  `env:"ENGARDE_DATABASE_URL" example:"postgres://user:password@host:5432/engarde?sslmode=require"`
	DatabasePublicURL Secret  `env:"DATABASE_PUBLIC_URL" example:"postgres://user:password@host:5432/engarde?sslmode=require"`
	DBPoolSize        int     `env:"DB_POOL_SIZE" envDefault:"5" example:"5"`
	DBMaxOverflow     int     `env:"DB_MAX_OVERFLOW" envDefault:"10" example:"10"`
	DBPoolTimeout     Seconds `env:"DB_POOL_TIMEOUT" envDefault:"30" example:"30"`
	DBPoolRecycle     Seconds `env:"DB_POOL_RECYCLE" envDefault:"3600" example:"3600"`
	SQLEcho           bool    `env:"SQL_ECHO" envDefault:"false" example:"true"`

	// ServiceMeshSecret signs the calls between services. The previous one only
	// verifies: set it while a new one is rolled out.
	ServiceMeshSecret         Secret  `env:"SERVICE_MESH_SECRET" example:"the output of: openssl rand -hex 32"`
	ServiceMeshSecretPrevious Secret  `env:"SERVICE_MESH_SECRET_PREVIOUS" example:"the secret before this one"`
	ServiceMeshTimeout        Seconds `env:"SERVICE_MESH_TIMEOUT" envDefault:"30" example:"30"`
	CircuitBreakerThreshold   int     `env:"CIRCUIT_BREAKER_THRESHOLD" envDefault:"5" example:"5"`
	// ServiceMeshAcceptLegacy lets peers in that send X-Service-Secret instead of
	// signing. That form protects neither the body nor against replay, and its secret
	// travels with every call: it has one of its own, which signs nothing.
	ServiceMeshAcceptLegacy bool   `env:"SERVICE_MESH_ACCEPT_LEGACY" envDefault:"false" example:"true"`
	ServiceMeshLegacySecret Secret `env:"SERVICE_MESH_LEGACY_SECRET" example:"the output of: openssl rand -hex 32"`
	// ServiceMeshLegacySources are whom its holder may say it is. Name only those peers
	// that do not sign yet; a service never takes its own name.
	ServiceMeshLegacySources []string `env:"SERVICE_MESH_LEGACY_SOURCES" envDefault:"engarde-core,onside,madan-sara,sankore" example:"onside,sankore"`
	CoreURL                  string   `env:"ENGARDE_CORE_URL" envDefault:"http://127.0.0.1:8000" example:"http://engarde-core.railway.internal:8000"`
	OnsideURL                string   `env:"ONSIDE_URL" envDefault:"http://127.0.0.1:8001" example:"http://onside.railway.internal:8001"`
	MadanSaraURL             string   `env:"MADAN_SARA_URL" envDefault:"http://127.0.0.1:8002" example:"http://madan-sara.railway.internal:8002"`
	SankoreURL               string   `env:"SANKORE_URL" envDefault:"http://127.0.0.1:8003" example:"http://sankore.railway.internal:8003"`

	// AllowLoopbackURLs lets URLs that tenants choose (pages to analyse, ...) lead to
	// this machine, on any port. Everything else that is not public stays refused.
	AllowLoopbackURLs bool `env:"ALLOW_LOOPBACK_URLS" envDefault:"false" example:"false"`

	// How long things are kept; 0 is for ever. Of a page's analyses the newest stays.
	SEOAnalysesDays int `env:"SEO_ANALYSES_RETENTION_DAYS" envDefault:"90" example:"90"`
	RankingsMonths  int `env:"RANKINGS_RETENTION_MONTHS" envDefault:"25" example:"25"`
	AuditLogMonths  int `env:"AUDIT_LOG_RETENTION_MONTHS" envDefault:"24" example:"24"`

	// ZeroDBURL is the Qdrant that keeps the agents' memories; empty keeps them in PostgreSQL.
	ZeroDBURL    string `env:"ZERODB_URL" example:"http://qdrant.railway.internal:6333"`
	ZeroDBAPIKey Secret `env:"ZERODB_API_KEY" example:"the key that Qdrant was started with"`
	// EmbeddingServiceURL compares meanings; empty uses the built-in embedder.
	EmbeddingServiceURL    string `env:"EMBEDDING_SERVICE_URL" example:"http://embeddings.railway.internal:8080/v1/embeddings"`
	EmbeddingServiceAPIKey Secret `env:"EMBEDDING_SERVICE_API_KEY" example:"the key of the embedding service"`
	EmbeddingModel         string `env:"EMBEDDING_MODEL" example:"text-embedding-3-small"`

	// ENGARDE_*: for programs on somebody's desk that call a running service (mcp).
	EngardeAPIKey  Secret `env:"ENGARDE_API_KEY" example:"a key from the dashboard's Settings (mssk_...)"`
	EngardeBaseURL string `env:"ENGARDE_BASE_URL" example:"http://localhost:8002"`
	EngardeAgent   string `env:"ENGARDE_AGENT" example:"walker_seo_001"`

	SMTPHost     string `env:"SMTP_HOST" example:"smtp.example.com"`
	SMTPPort     int    `env:"SMTP_PORT" envDefault:"587" example:"587"`
	SMTPUsername string `env:"SMTP_USERNAME" example:"mailer"`
	SMTPPassword Secret `env:"SMTP_PASSWORD" example:"the password of SMTP_USERNAME"`
	SMTPTLS      string `env:"SMTP_TLS" envDefault:"starttls" example:"starttls"`
	SMTPFrom     string `env:"SMTP_FROM" example:"Ti Machann <hello@example.com>"`

	// DKIM_*: mails are signed as this domain's. Its DNS publishes the public key
	// as DKIM_SELECTOR._domainkey.DKIM_DOMAIN. Leave them unset where the relay signs.
	DKIMDomain     string `env:"DKIM_DOMAIN" example:"example.com"`
	DKIMSelector   string `env:"DKIM_SELECTOR" example:"madansara1"`
	DKIMPrivateKey Secret `env:"DKIM_PRIVATE_KEY" example:"the output of: openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048"`

	SentryDSN    Secret `env:"SENTRY_DSN" example:"https://key@o1.ingest.sentry.io/1"`
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" example:"http://collector:4318"`
}

// Secret is a value that is never printed whole.
type Secret string

// String masks the value: of a URL only the password and query, of anything
// else all.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(string(s))
	if err != nil || u.Host == "" {
		return "********"
	}
	user := ""
	if u.User != nil {
		user = u.User.Username()
		if _, has := u.User.Password(); has {
			user += ":********"
		} else {
			user = "********" // a DSN's user name is its key
		}
		user += "@"
	}
	query := ""
	if mode := u.Query().Get("sslmode"); mode != "" {
		query = "?sslmode=" + mode
	}
	return u.Scheme + "://" + user + u.Host + u.Path + query
}

// GoString keeps %#v from printing the value.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText keeps encoders from writing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the value.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// Seconds is a duration written as a number of seconds ("30"), or with a unit ("30s").
type Seconds time.Duration

// UnmarshalText reads either form.
func (s *Seconds) UnmarshalText(text []byte) error {
	if seconds, err := strconv.ParseFloat(string(text), 64); err == nil {
		if !(seconds >= 0 && seconds <= 1e9) {
			return errors.New("is no number of seconds between 0 and 1,000,000,000")
		}
		*s = Seconds(seconds * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("is neither a number of seconds nor a duration such as 30s")
	}
	*s = Seconds(d)
	return nil
}

// String writes seconds.
func (s Seconds) String() string {
	return strconv.FormatFloat(time.Duration(s).Seconds(), 'f', -1, 64)
}

// Load reads and checks the given environment (variable to value).
func Load(environment map[string]string) (Config, error) {
	// A variable set to nothing is one not set, as in a copied .env file.
	set := make(map[string]string, len(environment))
	for name, value := range environment {
		if value = strings.TrimSpace(value); value != "" {
			set[name] = value
		}
	}
	var c Config
	if err := env.ParseWithOptions(&c, env.Options{Environment: set}); err != nil {
		return Config{}, readable(err, set)
	}
	if c.PublicBaseURL == "" && c.Environment == Development {
		c.PublicBaseURL = "http://localhost:" + strconv.Itoa(c.Port)
	}
	c.PublicBaseURL = strings.TrimSuffix(c.PublicBaseURL, "/")
	for i := range c.CORSOrigins {
		c.CORSOrigins[i] = strings.TrimSuffix(strings.TrimSpace(c.CORSOrigins[i]), "/")
	}
	for i := range c.ServiceMeshLegacySources {
		c.ServiceMeshLegacySources[i] = strings.TrimSpace(c.ServiceMeshLegacySources[i])
	}
	check := checker{set: set}
	check.application(c)
	check.database(c)
	check.mesh(c)
	check.credentials(c)
	check.memory(c)
	check.mail(c)
	check.observation(c)
	if err := errors.Join(check.problems...); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Database returns the URL to use: empty means the embedded PostgreSQL.
func (c Config) Database() string {
	if c.DatabaseURL != "" {
		return string(c.DatabaseURL)
	}
	return string(c.DatabasePublicURL)
}

// Pool returns the database settings for sessions that run as role.
func (c Config) Pool(url, role string) engardedb.Config {
	return engardedb.Config{
		URL: url, Role: role, PoolSize: c.DBPoolSize, MaxOverflow: c.DBMaxOverflow,
		PoolTimeout: time.Duration(c.DBPoolTimeout), PoolRecycle: time.Duration(c.DBPoolRecycle),
		Echo: c.SQLEcho, ApplicationName: "madansara",
	}
}

// IsProduction reports whether the strict rules apply.
func (c Config) IsProduction() bool { return c.Environment == Production }

// Lines returns every variable as NAME=value, secrets masked, in the order of Config.
func (c Config) Lines() []string {
	var lines []string
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("env")
		value := v.Field(i).Interface()
		if list, ok := value.([]string); ok {
			value = strings.Join(list, ",")
		}
		lines = append(lines, fmt.Sprintf("%s=%v", name, value))
	}
	return lines
}

// readable turns the parser's errors into ours.
func readable(err error, set map[string]string) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return fmt.Errorf("configuration: %w", err)
	}
	var problems []error
	for _, one := range all.Errors {
		var parse env.ParseError
		if !errors.As(one, &parse) {
			problems = append(problems, one)
			continue
		}
		field, found := reflect.TypeFor[Config]().FieldByName(parse.Name)
		if !found {
			problems = append(problems, one)
			continue
		}
		what := map[reflect.Kind]string{reflect.Int: "is no whole number", reflect.Bool: "is neither true nor false", reflect.Float64: "is no number"}[field.Type.Kind()]
		if what == "" {
			what = parse.Err.Error()
		}
		name := field.Tag.Get("env")
		problems = append(problems, fmt.Errorf("%s=%q %s; for example: %s=%s", name, set[name], what, name, field.Tag.Get("example")))
	}
	return errors.Join(problems...)
}

type checker struct {
	set      map[string]string
	problems []error
}

// badf records what is wrong with a variable, and an example that works.
func (c *checker) badf(name, format string, args ...any) {
	example := ""
	var value string
	for field := range reflect.TypeFor[Config]().Fields() {
		if field.Tag.Get("env") == name {
			example = field.Tag.Get("example")
			if text, set := c.set[name]; set {
				value = "=" + strconv.Quote(text)
				if field.Type == reflect.TypeFor[Secret]() {
					value = "=" + strconv.Quote(Secret(text).String())
				}
			}
		}
	}
	c.problems = append(c.problems, fmt.Errorf("%s%s %s; for example: %s=%s", name, value, fmt.Sprintf(format, args...), name, example))
}

func (c *checker) oneOf(name, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.badf(name, "is none of %s", strings.Join(allowed, ", "))
	}
}

func (c *checker) between(name string, value, lowest, highest int) {
	if value < lowest || value > highest {
		c.badf(name, "is not between %d and %d", lowest, highest)
	}
}

func (c *checker) application(cfg Config) {
	c.oneOf("ENVIRONMENT", cfg.Environment, Development, Staging, Production)
	c.oneOf("LOG_LEVEL", cfg.LogLevel, "debug", "info", "warn", "error")
	c.between("PORT", cfg.Port, 1, 65535)
	c.between("TRUSTED_PROXY_HOPS", cfg.TrustedProxyHops, 0, 10)
	c.between("SEO_ANALYSES_RETENTION_DAYS", cfg.SEOAnalysesDays, 0, 36500)
	c.between("RANKINGS_RETENTION_MONTHS", cfg.RankingsMonths, 0, 1200)
	if cfg.AuditLogMonths != 0 && (cfg.AuditLogMonths < 12 || cfg.AuditLogMonths > 1200) {
		c.badf("AUDIT_LOG_RETENTION_MONTHS", "is neither 0, for ever, nor between 12 and 1200")
	}
	if !(cfg.APIRateLimit >= 0 && cfg.APIRateLimit <= 1e9) {
		c.badf("API_RATE_LIMIT", "is no rate of 0 or more")
	}
	if !(cfg.IngestRateLimit >= 0 && cfg.IngestRateLimit <= 1e9) {
		c.badf("INGEST_RATE_LIMIT", "is no rate of 0 or more")
	}
	for _, origin := range cfg.CORSOrigins {
		if !isOrigin(origin) {
			c.badf("CORS_ORIGINS", "holds %q, which is no origin (scheme://host[:port]; * is not accepted: the tracker's endpoints take any origin by themselves)", origin)
		}
	}
	deployed := cfg.Environment == Staging || cfg.Environment == Production
	switch {
	case cfg.PublicBaseURL == "" && deployed:
		c.badf("PUBLIC_BASE_URL", "is needed outside development: links in mails begin with it")
	case cfg.PublicBaseURL != "" && !isOrigin(cfg.PublicBaseURL):
		c.badf("PUBLIC_BASE_URL", "is not of the form scheme://host[:port]")
	case cfg.IsProduction() && !strings.HasPrefix(cfg.PublicBaseURL, "https://"):
		c.badf("PUBLIC_BASE_URL", "must be https in production")
	}
	if cfg.AllowLoopbackURLs && deployed {
		c.badf("ALLOW_LOOPBACK_URLS", "is for development: it lets tenants reach what only this machine should")
	}
	switch {
	case cfg.SecretKey == "" && deployed:
		c.badf("SECRET_KEY", "is needed outside development: it signs the links in mails")
	case cfg.SecretKey != "" && len(cfg.SecretKey) < 32:
		c.badf("SECRET_KEY", "has %d characters; at least 32 are needed", len(cfg.SecretKey))
	}
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == ""
}

// fewestConnections leaves requests and jobs one each beside the job queue's listener.
const fewestConnections = 3

func (c *checker) database(cfg Config) {
	c.between("DB_POOL_SIZE", cfg.DBPoolSize, 1, 1000)
	c.between("DB_MAX_OVERFLOW", cfg.DBMaxOverflow, 0, 1000)
	if total := cfg.DBPoolSize + cfg.DBMaxOverflow; cfg.DBPoolSize >= 1 && cfg.DBMaxOverflow >= 0 && total < fewestConnections {
		c.badf("DB_MAX_OVERFLOW", "allows %d connections together with DB_POOL_SIZE=%d; the job queue listens on one, so at least %d are needed",
			total, cfg.DBPoolSize, fewestConnections)
	}
	if cfg.DBPoolTimeout <= 0 {
		c.badf("DB_POOL_TIMEOUT", "must be more than 0 seconds")
	}
	if cfg.DBPoolRecycle <= 0 {
		c.badf("DB_POOL_RECYCLE", "must be more than 0 seconds")
	}
	name := "ENGARDE_DATABASE_URL"
	if cfg.DatabaseURL == "" && cfg.DatabasePublicURL != "" {
		name = "DATABASE_PUBLIC_URL"
	}
	text := cfg.Database()
	if text == "" {
		if cfg.IsProduction() {
			c.badf(name, "is needed in production: the embedded PostgreSQL is for development")
		}
		return
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Host == "" {
		c.badf(name, "is no PostgreSQL URL")
		return
	}
	parsed, err := pgx.ParseConfig(text)
	if err != nil {
		c.badf(name, "cannot be used (%s)", reason(err))
		return
	}
	if cfg.IsProduction() && !alwaysTLS(parsed) {
		c.badf(name, "allows a connection without TLS, which production does not; add sslmode=require (or verify-full)")
	}
}

// reason is an error's innermost text: pgx puts the (redacted) URL before it.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

func alwaysTLS(cfg *pgx.ConnConfig) bool {
	configs := []*tls.Config{cfg.TLSConfig}
	for _, fallback := range cfg.Fallbacks {
		configs = append(configs, fallback.TLSConfig)
	}
	for _, one := range configs {
		if one == nil {
			return false
		}
	}
	return true
}

func (c *checker) mail(cfg Config) {
	c.between("SMTP_PORT", cfg.SMTPPort, 1, 65535)
	c.oneOf("SMTP_TLS", cfg.SMTPTLS, "starttls", "tls", "none")
	c.signing(cfg)
	if cfg.SMTPHost == "" {
		for _, name := range []string{"SMTP_PORT", "SMTP_USERNAME", "SMTP_PASSWORD", "SMTP_TLS", "SMTP_FROM", "DKIM_DOMAIN"} {
			if _, set := c.set[name]; set {
				c.badf("SMTP_HOST", "is not set although %s is", name)
				break
			}
		}
		return
	}
	if strings.ContainsAny(cfg.SMTPHost, ":/ ") && net.ParseIP(cfg.SMTPHost) == nil {
		c.badf("SMTP_HOST", "is no host name; the port goes into SMTP_PORT")
	}
	if _, err := mail.ParseAddress(cfg.SMTPFrom); err != nil {
		c.badf("SMTP_FROM", "must be the address mails come from when SMTP_HOST is set")
	}
	if (cfg.SMTPUsername == "") != (cfg.SMTPPassword == "") {
		name, other := "SMTP_PASSWORD", "SMTP_USERNAME"
		if cfg.SMTPUsername == "" {
			name, other = other, name
		}
		c.badf(name, "is not set although %s is", other)
	}
	if cfg.SMTPTLS == "none" && cfg.SMTPUsername != "" {
		c.badf("SMTP_TLS", "would send SMTP_PASSWORD in the clear; use starttls or tls")
	}
}

func (c *checker) observation(cfg Config) {
	if u, err := url.Parse(string(cfg.SentryDSN)); cfg.SentryDSN != "" && (err != nil || u.User == nil || u.Host == "") {
		c.badf("SENTRY_DSN", "is no DSN")
	}
	if u, err := url.Parse(cfg.OTLPEndpoint); cfg.OTLPEndpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		c.badf("OTEL_EXPORTER_OTLP_ENDPOINT", "is no http(s) URL")
	}
}
