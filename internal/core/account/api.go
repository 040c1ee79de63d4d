package account

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
)

type keyList struct {
	Body struct {
		Keys []Key `json:"keys"`
	}
}

type newKeyInput struct {
	Body struct {
		Kind      Kind       `json:"kind" enum:"secret,write" doc:"secret authorises the API; write only adds events and may stand in a web page"`
		Name      string     `json:"name" minLength:"1" maxLength:"200" doc:"What the key is used for"`
		Scopes    []string   `json:"scopes,omitempty" maxItems:"20" doc:"What a secret key may do; * is everything. A write key's is always ingest:write"`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When the key stops working; never without it"`
	}
}

type newKeyOutput struct {
	Body struct {
		Key   Key    `json:"key"`
		Token string `json:"token" doc:"What to send; it is shown only now"`
	}
}

type keyInput struct {
	ID uuid.UUID `path:"id" doc:"The key's id"`
}

type rotateInput struct {
	ID   uuid.UUID `path:"id" doc:"The key's id"`
	Body struct {
		Overlap   int        `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" default:"86400" doc:"How long the secret before works too"`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When the key stops working; without it, as before"`
	}
}

// Register adds the operations on keys. They need every scope ("*"): who can
// make keys can do whatever a key can.
func (s *Service) Register(api huma.API) {
	security := httpkit.Scoped("*")
	httpkit.Register(api, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: "/api/v1/keys", Summary: "List API keys and write keys", Tags: []string{"keys"}, Security: security, Metadata: httpkit.NotForServices(),
	}, func(ctx context.Context, _ *struct{}) (*keyList, error) {
		keys, err := s.Keys(ctx, httpkit.Tenant(ctx))
		if err != nil {
			return nil, err
		}
		out := &keyList{}
		out.Body.Keys = keys
		return out, nil
	})
	httpkit.Register(api, huma.Operation{
		OperationID: "create-key", Method: http.MethodPost, Path: "/api/v1/keys", Summary: "Create a key", Tags: []string{"keys"},
		Security: security, Metadata: httpkit.NotForServices(), DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *newKeyInput) (*newKeyOutput, error) {
		token, key, err := s.CreateKey(ctx, httpkit.Tenant(ctx), NewKey(in.Body))
		if err != nil {
			return nil, err
		}
		out := &newKeyOutput{}
		out.Body.Key, out.Body.Token = key, token
		return out, nil
	})
	httpkit.Register(api, huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: "/api/v1/keys/{id}", Summary: "Revoke a key",
		Description: "The key stops working at once in the process that answers, within 15 seconds in all others.", Tags: []string{"keys"}, Security: security, Metadata: httpkit.NotForServices(),
	}, func(ctx context.Context, in *keyInput) (*struct{}, error) {
		return nil, s.RevokeKey(ctx, httpkit.Tenant(ctx), in.ID)
	})
	httpkit.Register(api, huma.Operation{
		OperationID: "rotate-key", Method: http.MethodPost, Path: "/api/v1/keys/{id}/rotate", Summary: "Give a key a new secret",
		Description: "The key keeps its id, name and scopes. The secret before works until the overlap has passed, one before that not any more; " +
			"what changed is in effect at once in the process that answers, within 15 seconds in all others.",
		Tags: []string{"keys"}, Security: security, Metadata: httpkit.NotForServices(),
	}, func(ctx context.Context, in *rotateInput) (*newKeyOutput, error) {
		token, key, err := s.RotateKey(ctx, httpkit.Tenant(ctx), in.ID, time.Duration(in.Body.Overlap)*time.Second, in.Body.ExpiresAt)
		if err != nil {
			return nil, err
		}
		out := &newKeyOutput{}
		out.Body.Key, out.Body.Token = key, token
		return out, nil
	})
}
