package account

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// signedIn is the Security of an operation for anybody who is known.
func signedIn() []map[string][]string {
	return []map[string][]string{{httpkit.BearerScheme: {}}, {httpkit.SessionScheme: {}}}
}

type tenantOutput struct{ Body Tenant }

type updateTenantInput struct{ Body TenantChange }

type userOutput struct{ Body Person }

type newUserInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"320" doc:"What they log in with; one user in the whole installation has it"`
		Name     string `json:"name,omitempty" maxLength:"200"`
		Role     Role   `json:"role" enum:"owner,admin,marketer,viewer"`
		Password string `json:"password,omitempty" maxLength:"1024" doc:"12 characters or more; without it one is made and answered once"`
	}
}

type newUserOutput struct {
	Body struct {
		User     Person `json:"user"`
		Password string `json:"one_time_password,omitempty" doc:"A password made for them, shown only now; they can change it"`
	}
}

type listUsersInput struct {
	Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type listUsersOutput struct {
	Body struct {
		Users []Person   `json:"users"`
		Next  *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
	}
}

type userInput struct {
	ID uuid.UUID `path:"user_uuid" format:"uuid"`
}

type updateUserInput struct {
	ID   uuid.UUID `path:"user_uuid" format:"uuid"`
	Body UserChange
}

type passwordOutput struct {
	Body struct {
		Password string `json:"one_time_password" doc:"Shown only now; the user can change it"`
	}
}

// RegisterPeople adds the operations on the tenant, its users and their
// sessions. secure says that the service's origin is https, as its cookies'.
func (s *Service) RegisterPeople(api huma.API, secure bool) {
	op := func(id, method, path, summary string, security []map[string][]string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"accounts"}, Security: security, Metadata: httpkit.NotForServices(),
		}
	}
	read, write := httpkit.Scoped("account:read"), httpkit.Scoped("account:write")
	httpkit.Register(api, op("get-tenant", http.MethodGet, "/api/v1/tenant", "The tenant", read),
		func(ctx context.Context, _ *struct{}) (*tenantOutput, error) {
			tenant, err := s.Tenant(ctx, httpkit.Tenant(ctx))
			return &tenantOutput{tenant}, err
		})
	httpkit.Register(api, op("update-tenant", http.MethodPatch, "/api/v1/tenant", "Change the tenant's name, time zone or currency", write),
		func(ctx context.Context, in *updateTenantInput) (*tenantOutput, error) {
			tenant, err := s.UpdateTenant(ctx, httpkit.Tenant(ctx), in.Body)
			return &tenantOutput{tenant}, err
		})
	httpkit.Register(api, op("list-users", http.MethodGet, "/api/v1/users", "List users, in the order in which they were made", read), s.listUsers)
	create := op("create-user", http.MethodPost, "/api/v1/users", "Add a user", write)
	create.DefaultStatus = http.StatusCreated
	create.Description = "Whoever asks can only add users who may do no more than themselves."
	httpkit.Register(api, create, s.createUser)
	httpkit.Register(api, op("get-user", http.MethodGet, "/api/v1/users/{user_uuid}", "Get a user", read),
		func(ctx context.Context, in *userInput) (*userOutput, error) {
			user, err := s.User(ctx, httpkit.Tenant(ctx), in.ID)
			return &userOutput{user}, err
		})
	update := op("update-user", http.MethodPatch, "/api/v1/users/{user_uuid}", "Change a user's name or role, disable or enable them", write)
	update.Description = "Disabling ends their sessions. A tenant keeps an owner who can log in; nobody disables themselves, or decides about who may do more."
	httpkit.Register(api, update, func(ctx context.Context, in *updateUserInput) (*userOutput, error) {
		user, err := s.UpdateUser(ctx, httpkit.Tenant(ctx), in.ID, in.Body)
		return &userOutput{user}, err
	})
	httpkit.Register(api, op("reset-password", http.MethodPost, "/api/v1/users/{user_uuid}/reset-password", "Give a user a new password and end their sessions", write),
		func(ctx context.Context, in *userInput) (*passwordOutput, error) {
			out := &passwordOutput{}
			out.Body.Password = NewPassword()
			return out, s.SetPassword(ctx, httpkit.Tenant(ctx), in.ID, out.Body.Password)
		})
	httpkit.Register(api, op("end-user-sessions", http.MethodDelete, "/api/v1/users/{user_uuid}/sessions", "End all of a user's sessions", write),
		func(ctx context.Context, in *userInput) (*struct{}, error) {
			return nil, s.EndSessions(ctx, httpkit.Tenant(ctx), in.ID)
		})
	s.registerOwn(api, secure)
}

func (s *Service) listUsers(ctx context.Context, in *listUsersInput) (*listUsersOutput, error) {
	users, err := s.Users(ctx, httpkit.Tenant(ctx), in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listUsersOutput{}
	if len(users) > in.Limit {
		users = users[:in.Limit]
		out.Body.Next = &users[in.Limit-1].ID
	}
	out.Body.Users = users
	return out, nil
}

func (s *Service) createUser(ctx context.Context, in *newUserInput) (*newUserOutput, error) {
	tenant, wanted, out := httpkit.Tenant(ctx), User(in.Body), &newUserOutput{}
	if wanted.Password == "" {
		wanted.Password = NewPassword()
		out.Body.Password = wanted.Password
	}
	id, err := s.CreateUser(ctx, tenant, wanted)
	if err != nil {
		return nil, err
	}
	out.Body.User, err = s.User(ctx, tenant, id)
	return out, err
}

type meOutput struct {
	Body struct {
		TenantUUID uuid.UUID `json:"tenant_uuid"`
		Principal  string    `json:"principal" doc:"What the log and the audit log call it" example:"key 0198c000-0000-7000-8000-00000000de30"`
		Name       string    `json:"name"`
		Scopes     []string  `json:"scopes"`
		User       *Person   `json:"user,omitempty" doc:"Absent for a key"`
	}
}

type changePasswordInput struct {
	Body struct {
		Current string `json:"current_password" maxLength:"1024"`
		New     string `json:"new_password" minLength:"12" maxLength:"1024"`
	}
}

type sessionsOutput struct {
	Body struct {
		Sessions []Session `json:"sessions"`
	}
}

type sessionInput struct {
	ID uuid.UUID `path:"session_uuid" format:"uuid"`
}

type logInInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"320"`
		Password string `json:"password" maxLength:"1024"`
	}
}

type logInOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      struct {
		SessionUUID uuid.UUID `json:"session_uuid"`
		TenantUUID  uuid.UUID `json:"tenant_uuid"`
		UserUUID    uuid.UUID `json:"user_uuid"`
		ExpiresAt   time.Time `json:"expires_at"`
	}
}

// registerOwn adds what everybody may do about themselves.
func (s *Service) registerOwn(api huma.API, secure bool) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"accounts"}, Security: signedIn(), Metadata: httpkit.NotForServices(),
		}
	}
	logIn := op("log-in", http.MethodPost, "/api/v1/sessions", "Log in with an e-mail address and a password")
	logIn.Security, logIn.DefaultStatus = nil, http.StatusCreated
	logIn.Description = "The answer's cookie is the session's only token. Ten tries at one address, then two a minute."
	httpkit.Register(api, logIn, func(ctx context.Context, in *logInInput) (*logInOutput, error) {
		login, err := s.LogIn(ctx, in.Body.Email, in.Body.Password, httpkit.ClientIP(ctx))
		if err != nil {
			return nil, err
		}
		out := &logInOutput{SetCookie: *httpkit.NewSessionCookie(login.Token, int(login.ExpiresAt.Sub(s.clock.Now()).Seconds()), secure)}
		out.Body.SessionUUID, out.Body.TenantUUID, out.Body.UserUUID, out.Body.ExpiresAt = login.Session, login.Tenant, login.User, login.ExpiresAt
		return out, nil
	})
	httpkit.Register(api, op("get-me", http.MethodGet, "/api/v1/me", "Who this request acts for"), s.me)
	password := op("change-password", http.MethodPost, "/api/v1/me/password", "Change your own password")
	password.Description = "Your other sessions end."
	httpkit.Register(api, password, func(ctx context.Context, in *changePasswordInput) (*struct{}, error) {
		me, err := person(ctx)
		if err != nil {
			return nil, err
		}
		return nil, s.ChangePassword(ctx, me.Tenant, me.User, me.Session, in.Body.Current, in.Body.New)
	})
	httpkit.Register(api, op("list-my-sessions", http.MethodGet, "/api/v1/me/sessions", "List your open sessions"),
		func(ctx context.Context, _ *struct{}) (*sessionsOutput, error) {
			me, err := person(ctx)
			if err != nil {
				return nil, err
			}
			out := &sessionsOutput{}
			out.Body.Sessions, err = s.Sessions(ctx, me.Tenant, me.User)
			return out, err
		})
	httpkit.Register(api, op("end-my-session", http.MethodDelete, "/api/v1/me/sessions/{session_uuid}", "End one of your sessions"),
		func(ctx context.Context, in *sessionInput) (*struct{}, error) {
			me, err := person(ctx)
			if err != nil {
				return nil, err
			}
			return nil, s.EndSession(ctx, me.Tenant, me.User, in.ID)
		})
}

// person returns the request's principal, who must be logged in.
func person(ctx context.Context) (httpkit.Principal, error) {
	me, _ := httpkit.PrincipalFrom(ctx)
	if me.User == uuid.Nil {
		return me, fault.New(fault.Forbidden, "This is for people who are logged in; %s is none.", me.Name)
	}
	return me, nil
}

func (s *Service) me(ctx context.Context, _ *struct{}) (*meOutput, error) {
	me, _ := httpkit.PrincipalFrom(ctx)
	out := &meOutput{}
	out.Body.TenantUUID, out.Body.Principal, out.Body.Name, out.Body.Scopes = me.Tenant, me.ID, me.Name, me.Scopes
	if me.User == uuid.Nil {
		return out, nil
	}
	user, err := s.User(ctx, me.Tenant, me.User)
	out.Body.User = &user
	return out, err
}
