package account

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account/accountdb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// User is a person who may log in.
type User struct {
	Email    string
	Name     string // at most 200 characters
	Role     Role
	Password string // 12 to 1,024 bytes
}

// Person is a user as others may see them.
type Person struct {
	ID          uuid.UUID  `json:"user_uuid"`
	Email       string     `json:"email"`
	Name        string     `json:"name"`
	Role        Role       `json:"role" enum:"owner,admin,marketer,viewer"`
	CreatedAt   time.Time  `json:"created_at"`
	DisabledAt  *time.Time `json:"disabled_at,omitempty" doc:"Since when they cannot log in"`
	LastLoginAt *time.Time `json:"last_login_at,omitempty"`
}

// NewPassword returns a password that nobody can guess, to be told once.
func NewPassword() string { return strings.ToLower(rand.Text()) }

// CreateUser adds a user to the tenant. An e-mail address names one user in
// the whole installation: a second is a Conflict. Whoever asks can only make a
// user who may do no more than themselves.
func (s *Service) CreateUser(ctx context.Context, tenant uuid.UUID, u User) (uuid.UUID, error) {
	id := uuid.Must(uuid.NewV7())
	params, err := s.newUser(ctx, tenant, id, u)
	if err != nil {
		return uuid.Nil, err
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error { return s.insertUser(ctx, tx, params) })
	if isUnique(err) {
		return uuid.Nil, fault.Wrap(err, fault.Conflict, "This e-mail address has a user already.")
	}
	return id, err
}

func (s *Service) newUser(ctx context.Context, tenant, id uuid.UUID, u User) (params accountdb.InsertUserParams, err error) {
	email, err := normalEmail(u.Email)
	if err != nil {
		return params, err
	}
	if _, known := scopesOf[u.Role]; !known {
		return params, fault.At("role", string(u.Role), "is none of owner, admin, marketer, viewer")
	}
	if utf8.RuneCountInString(u.Name) > 200 {
		return params, fault.At("name", u.Name, "must have at most 200 characters")
	}
	if err := mayHandle(ctx, u.Role); err != nil {
		return params, err
	}
	hash, err := s.hasher.hash(ctx, u.Password)
	return accountdb.InsertUserParams{
		TenantUUID: tenant, UserUUID: id, Email: email, Name: u.Name, Role: string(u.Role), PasswordHash: hash, CreatedAt: s.clock.Now().UTC(),
	}, err
}

func (s *Service) insertUser(ctx context.Context, tx engardedb.Tx, params accountdb.InsertUserParams) error {
	if err := accountdb.New(tx).InsertUser(ctx, params); err != nil {
		return err
	}
	return s.record(ctx, tx, "user.created", params.UserUUID, map[string]any{"email": params.Email, "role": params.Role})
}

// mayHandle refuses who may do less than a role to make or change users of that
// role: they could make themselves more than they are. Outside a request nobody asks.
func mayHandle(ctx context.Context, role Role) error {
	principal, asked := httpkit.PrincipalFrom(ctx)
	if !asked {
		return nil
	}
	if slices.ContainsFunc(scopesOf[role], func(scope string) bool { return !principal.Allows(scope) }) {
		return fault.New(fault.Forbidden, "%s may do less than %s and so cannot decide about one.", principal.Name, article(role))
	}
	return nil
}

func article(role Role) string {
	if role == Owner || role == Admin {
		return "an " + string(role)
	}
	return "a " + string(role)
}

func noUser() error { return fault.New(fault.NotFound, "There is no such user.") }

func personOf(row accountdb.GetUserRow) Person {
	return Person{
		ID: row.UserUUID, Email: row.Email, Name: row.Name, Role: Role(row.Role),
		CreatedAt: row.CreatedAt, DisabledAt: row.DisabledAt, LastLoginAt: row.LastLoginAt,
	}
}

// Users lists the tenant's users after the one with that id, in the order in
// which they were made; limit is 1 or more.
func (s *Service) Users(ctx context.Context, tenant, after uuid.UUID, limit int) ([]Person, error) {
	users := []Person{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := accountdb.New(tx).ListUsers(ctx, accountdb.ListUsersParams{TenantUUID: tenant, UserUUID: after, Limit: int32(limit)})
		for _, row := range rows {
			users = append(users, personOf(accountdb.GetUserRow(row)))
		}
		return err
	})
	return users, err
}

// User returns a user.
func (s *Service) User(ctx context.Context, tenant, id uuid.UUID) (user Person, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		user, err = userIn(ctx, tx, id)
		return err
	})
	return user, err
}

func userIn(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (Person, error) {
	row, err := accountdb.New(tx).GetUser(ctx, accountdb.GetUserParams{TenantUUID: tx.Tenant(), UserUUID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return Person{}, noUser()
	}
	return personOf(row), err
}

// UserChange is what to change of a user; nil fields stay.
type UserChange struct {
	Name     *string `json:"name,omitempty" maxLength:"200"`
	Role     *Role   `json:"role,omitempty" enum:"owner,admin,marketer,viewer"`
	Disabled *bool   `json:"disabled,omitempty" doc:"Disabled users cannot log in; their sessions end"`
}

// UpdateUser changes a user and returns them. A tenant keeps an owner who can
// log in, nobody disables themselves, and nobody decides about who may do more.
func (s *Service) UpdateUser(ctx context.Context, tenant, id uuid.UUID, change UserChange) (user Person, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		// Two owners who demote each other at once must see each other.
		if _, err := accountdb.New(tx).LockTenant(ctx, tenant); err != nil {
			return err
		}
		before, err := userIn(ctx, tx, id)
		if err != nil {
			return err
		}
		after, changed := s.apply(before, change)
		if user = after; len(changed) == 0 {
			return nil
		}
		if err := s.checkChange(ctx, tx, before, after); err != nil {
			return err
		}
		queries := accountdb.New(tx)
		err = queries.UpdateUser(ctx, accountdb.UpdateUserParams{
			TenantUUID: tenant, UserUUID: id, Name: after.Name, Role: string(after.Role), DisabledAt: after.DisabledAt,
		})
		if err != nil {
			return err
		}
		if after.DisabledAt != nil {
			if _, err := queries.DeleteUserSessions(ctx, accountdb.DeleteUserSessionsParams{TenantUUID: tenant, UserUUID: id}); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, "user.updated", id, changed)
	})
	return user, err
}

func (s *Service) apply(user Person, change UserChange) (after Person, changed map[string]any) {
	changed = map[string]any{}
	set(changed, "name", &user.Name, change.Name)
	set(changed, "role", &user.Role, change.Role)
	disabled := user.DisabledAt != nil
	was := disabled
	set(changed, "disabled", &disabled, change.Disabled)
	if disabled != was {
		user.DisabledAt = nil
		if disabled {
			now := s.clock.Now().UTC()
			user.DisabledAt = &now
		}
	}
	return user, changed
}

func (s *Service) checkChange(ctx context.Context, tx engardedb.Tx, before, after Person) error {
	if _, known := scopesOf[after.Role]; !known {
		return fault.At("body.role", string(after.Role), "is none of owner, admin, marketer, viewer")
	}
	if utf8.RuneCountInString(after.Name) > 200 {
		return fault.At("body.name", after.Name, "must have at most 200 characters")
	}
	for _, role := range []Role{before.Role, after.Role} {
		if err := mayHandle(ctx, role); err != nil {
			return err
		}
	}
	if principal, _ := httpkit.PrincipalFrom(ctx); principal.User == after.ID && after.DisabledAt != nil {
		return fault.New(fault.Conflict, "Nobody can disable themselves; ask another owner or admin.")
	}
	if before.Role == Owner && before.DisabledAt == nil && (after.Role != Owner || after.DisabledAt != nil) {
		others, err := accountdb.New(tx).CountOtherOwners(ctx, accountdb.CountOtherOwnersParams{TenantUUID: tx.Tenant(), UserUUID: before.ID})
		if err != nil {
			return err
		}
		if others == 0 {
			return fault.New(fault.Conflict, "This is the last owner who can log in; make somebody else an owner first.")
		}
	}
	return nil
}

// SetPassword replaces a user's password and ends the user's sessions.
func (s *Service) SetPassword(ctx context.Context, tenant, user uuid.UUID, password string) error {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		about, err := userIn(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := mayHandle(ctx, about.Role); err != nil {
			return err
		}
		return s.replacePassword(ctx, tx, user, hash, uuid.Nil)
	})
}

// replacePassword ends the user's sessions but one.
func (s *Service) replacePassword(ctx context.Context, tx engardedb.Tx, user uuid.UUID, hash string, but uuid.UUID) error {
	queries := accountdb.New(tx)
	if _, err := queries.SetPassword(ctx, accountdb.SetPasswordParams{TenantUUID: tx.Tenant(), UserUUID: user, PasswordHash: hash}); err != nil {
		return err
	}
	ended, err := queries.DeleteUserSessions(ctx, accountdb.DeleteUserSessionsParams{TenantUUID: tx.Tenant(), UserUUID: user, But: but})
	if err != nil {
		return err
	}
	return s.record(ctx, tx, "user.password_changed", user, map[string]any{"sessions_ended": ended})
}

// ChangePassword replaces the password of the user who is logged in with that
// session, whose current one must be given, and ends their other sessions.
// Wrong tries count against the limit of log-ins.
func (s *Service) ChangePassword(ctx context.Context, tenant, user, session uuid.UUID, current, wanted string) error {
	if err := checkPassword(wanted); err != nil {
		return err
	}
	var row accountdb.PasswordHashRow
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		row, err = accountdb.New(tx).PasswordHash(ctx, accountdb.PasswordHashParams{TenantUUID: tenant, UserUUID: user})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return noUser()
	}
	if err != nil {
		return err
	}
	if wait, ok := s.byEmail.Take(row.Email); !ok {
		return tooManyTries(wait)
	}
	match, err := s.hasher.matches(ctx, current, row.PasswordHash)
	if err != nil {
		return err
	}
	if !match {
		return fault.At("body.current_password", nil, "is not your password")
	}
	hash, err := s.hasher.hash(ctx, wanted)
	if err != nil {
		return err
	}
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		still, err := accountdb.New(tx).PasswordHash(ctx, accountdb.PasswordHashParams{TenantUUID: tenant, UserUUID: user})
		if errors.Is(err, pgx.ErrNoRows) || err == nil && still.PasswordHash != row.PasswordHash {
			return fault.New(fault.Conflict, "The password was changed by somebody else meanwhile.")
		}
		if err != nil {
			return err
		}
		return s.replacePassword(ctx, tx, user, hash, session)
	})
}
