package account

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"time"
	_ "time/tzdata" // a container without zone files still knows the tenants' zones

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/singleflight"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account/accountdb"
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
	"seo:read", "seo:write", "ads:read", "ads:write", "account:read", "integrations:read", "integrations:write",
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

// Tenant is a customer of the platform.
type Tenant struct {
	ID       uuid.UUID // the zero id: a new one is made
	Name     string    // 1 to 200 characters
	TimeZone string    // an IANA name; "" is UTC
	Currency string    // ISO 4217; "" is USD
}

// CreateTenant adds a tenant and returns its id.
func (s *Service) CreateTenant(ctx context.Context, t Tenant) (uuid.UUID, error) {
	if t.ID == uuid.Nil {
		t.ID = uuid.Must(uuid.NewV7())
	}
	if t.TimeZone == "" {
		t.TimeZone = "UTC"
	}
	if t.Currency == "" {
		t.Currency = "USD"
	}
	if _, err := time.LoadLocation(t.TimeZone); err != nil {
		return uuid.Nil, fault.At("time_zone", t.TimeZone, "is no time zone; use an IANA name such as America/Port-au-Prince")
	}
	err := s.db.Tenant(ctx, t.ID, func(ctx context.Context, tx engardedb.Tx) error {
		return accountdb.New(tx).InsertTenant(ctx, accountdb.InsertTenantParams{
			TenantUUID: t.ID, Name: t.Name, TimeZone: t.TimeZone, Currency: t.Currency, CreatedAt: s.clock.Now().UTC(),
		})
	})
	if isUnique(err) {
		return uuid.Nil, fault.Wrap(err, fault.Conflict, "There is a tenant with this id already.")
	}
	return t.ID, err
}

// User is a person who may log in.
type User struct {
	Email    string
	Name     string
	Role     Role
	Password string // 12 to 1,024 bytes
}

// CreateUser adds a user to the tenant. An e-mail address names one user in
// the whole installation: a second is a Conflict.
func (s *Service) CreateUser(ctx context.Context, tenant uuid.UUID, u User) (uuid.UUID, error) {
	email, err := normalEmail(u.Email)
	if err != nil {
		return uuid.Nil, err
	}
	if _, known := scopesOf[u.Role]; !known {
		return uuid.Nil, fault.At("role", string(u.Role), "is none of owner, admin, marketer, viewer")
	}
	hash, err := s.hasher.hash(ctx, u.Password)
	if err != nil {
		return uuid.Nil, err
	}
	id := uuid.Must(uuid.NewV7())
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return accountdb.New(tx).InsertUser(ctx, accountdb.InsertUserParams{
			TenantUUID: tenant, UserUUID: id, Email: email, Name: u.Name, Role: string(u.Role), PasswordHash: hash, CreatedAt: s.clock.Now().UTC(),
		})
	})
	if isUnique(err) {
		return uuid.Nil, fault.Wrap(err, fault.Conflict, "This e-mail address has a user already.")
	}
	return id, err
}

// SetPassword replaces a user's password and ends the user's sessions.
func (s *Service) SetPassword(ctx context.Context, tenant, user uuid.UUID, password string) error {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := accountdb.New(tx)
		changed, err := queries.SetPassword(ctx, accountdb.SetPasswordParams{TenantUUID: tenant, UserUUID: user, PasswordHash: hash})
		if err != nil {
			return err
		}
		if changed == 0 {
			return fault.New(fault.NotFound, "There is no such user.")
		}
		return queries.DeleteUserSessions(ctx, accountdb.DeleteUserSessionsParams{TenantUUID: tenant, UserUUID: user})
	})
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
