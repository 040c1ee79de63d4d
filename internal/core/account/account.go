package account

import (
	"errors"
	"net/mail"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/singleflight"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// Service keeps accounts. It is safe for concurrent use.
type Service struct {
	db       *engardedb.DB
	clock    clockwork.Clock
	hasher   hasher
	keys     *keyCache
	lookups  singleflight.Group
	asking   chan struct{} // one place for each key being looked up
	uses     uses
	byEmail  *httpkit.Limiter
	byOrigin *httpkit.Limiter
}

// New returns the accounts in db. Core's role, engarde_core_app, may do everything;
// another service's may only ask whose a key or a session is ([Service.Key],
// [Service.Session]).
func New(db *engardedb.DB, clock clockwork.Clock) *Service {
	return &Service{
		db: db, clock: clock, hasher: newHasher(), keys: newKeyCache(), asking: make(chan struct{}, 4),
		// Ten guesses at one account, then two a minute; an office behind one
		// address may log in more often than that.
		byEmail:  httpkit.NewLimiter(clock, 2.0/60, 10, 10_000),
		byOrigin: httpkit.NewLimiter(clock, 0.5, 60, 10_000),
	}
}

// Role is what a user may do.
type Role string

// The roles, each including the next.
const (
	Owner    Role = "owner"
	Admin    Role = "admin"
	Marketer Role = "marketer"
	Viewer   Role = "viewer"
)

// Scopes are all there are; a secret key holds some of them, or "*".
var Scopes = []string{
	"website:read", "contacts:read", "contacts:write", "outreach:read", "outreach:write",
	"conversion:read", "conversion:write", "ingest:write", "memory:read", "memory:write", "sync:read", "sync:write",
	"seo:read", "seo:write", "ads:read", "ads:write", "account:read", "account:write", "audit:read",
	"integrations:read", "integrations:write",
}

var scopesOf = map[Role][]string{
	Owner: {"*"},
	Admin: Scopes,
	Marketer: {
		"website:read", "contacts:read", "contacts:write", "outreach:read", "outreach:write", "conversion:read",
		"seo:read", "seo:write", "ads:read", "ads:write", "memory:read", "memory:write",
	},
	Viewer: {"website:read", "contacts:read", "outreach:read", "conversion:read", "seo:read", "ads:read", "memory:read"},
}

func normalEmail(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > 320 {
		return "", fault.At("email", email, "is no e-mail address")
	}
	return email, nil
}

func isUnique(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23505"
}
