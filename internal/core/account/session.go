package account

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account/accountdb"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// SessionLife is how long a log-in lasts.
const SessionLife = 7 * 24 * time.Hour

// authTimeout bounds the questions asked before a tenant is known.
const authTimeout = 5 * time.Second

// Login is an open session. Token is its only copy.
type Login struct {
	Token     string
	ExpiresAt time.Time
	Tenant    uuid.UUID
	User      uuid.UUID
	Session   uuid.UUID
}

// LogIn opens a session for the user with that e-mail address and password.
// Wrong ones are Unauthenticated, whichever of the two is wrong; too many tries
// for one address or from one place are RateLimited.
func (s *Service) LogIn(ctx context.Context, email, password, clientIP string) (Login, error) {
	email, err := normalEmail(email)
	if err != nil {
		return Login{}, err
	}
	if wait, ok := s.byOrigin.Take(clientIP); !ok {
		return Login{}, tooManyTries(wait)
	}
	if wait, ok := s.byEmail.Take(email); !ok {
		return Login{}, tooManyTries(wait)
	}
	tenant, user, hash, err := s.userByEmail(ctx, email)
	if err != nil {
		return Login{}, err
	}
	match, err := s.hasher.matches(ctx, password, hash)
	if err != nil {
		return Login{}, err
	}
	if !match || user == uuid.Nil {
		return Login{}, wrongLogIn()
	}
	now := s.clock.Now().UTC()
	login := Login{
		Token: base64.RawURLEncoding.EncodeToString(randomBytes()), ExpiresAt: now.Add(SessionLife), Tenant: tenant, User: user,
		Session: uuid.Must(uuid.NewV7()),
	}
	ctx = audit.WithActor(ctx, userID(user), email)
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return s.openSession(ctx, tx, login, hash, clientIP, now)
	})
	if err != nil {
		return Login{}, err
	}
	return login, nil
}

// openSession keeps a log-in whose password was found to match hash.
func (s *Service) openSession(ctx context.Context, tx engardedb.Tx, login Login, hash, clientIP string, now time.Time) error {
	queries := accountdb.New(tx)
	// This takes the user's row, so that whoever changes the password or disables the
	// user meanwhile either came before, which is seen here, or ends this session too.
	if err := queries.NoteLogIn(ctx, accountdb.NoteLogInParams{TenantUUID: login.Tenant, UserUUID: login.User, LastLoginAt: &now}); err != nil {
		return err
	}
	still, err := queries.PasswordHash(ctx, accountdb.PasswordHashParams{TenantUUID: login.Tenant, UserUUID: login.User})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && still.PasswordHash != hash {
		return wrongLogIn()
	}
	if err != nil {
		return err
	}
	// Each log-in clears what has expired, so the table needs no sweeper.
	if err := queries.DeleteExpiredSessions(ctx, accountdb.DeleteExpiredSessionsParams{TenantUUID: login.Tenant, ExpiresAt: now}); err != nil {
		return err
	}
	err = queries.InsertSession(ctx, accountdb.InsertSessionParams{
		TenantUUID: login.Tenant, TokenHash: hashToken(login.Token), SessionUUID: login.Session, UserUUID: login.User,
		CreatedAt: now, ExpiresAt: login.ExpiresAt, Address: clientIP,
	})
	if err != nil {
		return err
	}
	return s.record(ctx, tx, "session.opened", login.Session, nil)
}

func userID(user uuid.UUID) string { return "user " + user.String() }

func wrongLogIn() error {
	return fault.New(fault.Unauthenticated, "The e-mail address or the password is wrong.")
}

func tooManyTries(wait time.Duration) error {
	return &fault.Error{Code: fault.RateLimited, Message: "Too many log-in attempts; wait a little.", RetryAfter: wait}
}

// userByEmail returns the user's hash, or that of nobody.
func (s *Service) userByEmail(ctx context.Context, email string) (tenant, user uuid.UUID, hash string, err error) {
	ctx, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	err = s.db.Pool().QueryRow(ctx, "select tenant_uuid, user_uuid, password_hash from auth_user_by_email($1)", email).Scan(&tenant, &user, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, uuid.Nil, nobody, nil
	}
	return tenant, user, hash, err
}

// UserByEmail returns the tenant and id of the user with that address; NotFound without one.
func (s *Service) UserByEmail(ctx context.Context, email string) (tenant, user uuid.UUID, err error) {
	if email, err = normalEmail(email); err != nil {
		return uuid.Nil, uuid.Nil, err
	}
	tenant, user, _, err = s.userByEmail(ctx, email)
	if err == nil && user == uuid.Nil {
		err = fault.New(fault.NotFound, "There is no user with this e-mail address.")
	}
	return tenant, user, err
}

// LogOut ends the session; an unknown token is ended already.
func (s *Service) LogOut(ctx context.Context, token string) error {
	session, err := s.Session(ctx, token)
	if fault.CodeOf(err) == fault.Unauthenticated {
		return nil
	}
	if err != nil {
		return err
	}
	return s.EndSession(audit.WithActor(ctx, session.ID, session.Name), session.Tenant, session.User, session.Session)
}

// Session describes a log-in session without its token.
type Session struct {
	ID        uuid.UUID `json:"session_uuid"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Address   string    `json:"address,omitempty" doc:"Where the log-in came from: an IPv4 address or an IPv6 /64 network"`
	Current   bool      `json:"current" doc:"Whether this request uses it"`
}

// Sessions lists a user's open sessions, the newest first, at most 200.
func (s *Service) Sessions(ctx context.Context, tenant, user uuid.UUID) ([]Session, error) {
	current, _ := httpkit.PrincipalFrom(ctx)
	sessions := []Session{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := accountdb.New(tx).ListSessions(ctx, accountdb.ListSessionsParams{TenantUUID: tenant, UserUUID: user, ExpiresAt: s.clock.Now().UTC()})
		for _, row := range rows {
			sessions = append(sessions, Session{
				ID: row.SessionUUID, CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, Address: row.Address, Current: row.SessionUUID == current.Session,
			})
		}
		return err
	})
	return sessions, err
}

// EndSession ends one of a user's sessions; NotFound when it has ended.
func (s *Service) EndSession(ctx context.Context, tenant, user, session uuid.UUID) error {
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		ended, err := accountdb.New(tx).DeleteSession(ctx, accountdb.DeleteSessionParams{TenantUUID: tenant, UserUUID: user, SessionUUID: session})
		if err != nil {
			return err
		}
		if ended == 0 {
			return fault.New(fault.NotFound, "There is no such session.")
		}
		return s.record(ctx, tx, "session.ended", session, nil)
	})
}

// EndSessions ends all of a user's sessions, by somebody who may do no less
// than the user.
func (s *Service) EndSessions(ctx context.Context, tenant, user uuid.UUID) error {
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		about, err := userIn(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := mayHandle(ctx, about.Role); err != nil {
			return err
		}
		ended, err := accountdb.New(tx).DeleteUserSessions(ctx, accountdb.DeleteUserSessionsParams{TenantUUID: tenant, UserUUID: user})
		if err != nil {
			return err
		}
		return s.record(ctx, tx, "user.sessions_ended", user, map[string]any{"sessions_ended": ended})
	})
}

// Session returns whom a log-in session belongs to.
func (s *Service) Session(ctx context.Context, token string) (httpkit.Principal, error) {
	ended := fault.New(fault.Unauthenticated, "This session has ended; log in again.")
	if len(token) != base64.RawURLEncoding.EncodedLen(32) {
		return httpkit.Principal{}, ended
	}
	ctx, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	var (
		p       httpkit.Principal
		role    Role
		expires time.Time
	)
	err := s.db.Pool().QueryRow(ctx, "select tenant_uuid, user_uuid, email, role, expires_at, session_uuid from auth_session($1)", hashToken(token)).
		Scan(&p.Tenant, &p.User, &p.Name, &role, &expires, &p.Session)
	if errors.Is(err, pgx.ErrNoRows) {
		return httpkit.Principal{}, ended
	}
	if err != nil {
		return httpkit.Principal{}, err
	}
	if !s.clock.Now().Before(expires) {
		return httpkit.Principal{}, ended
	}
	p.ID = userID(p.User)
	p.Scopes = scopesOf[role]
	return p, nil
}
