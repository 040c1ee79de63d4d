package memory

import (
	"context"
	"net/http"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/zerodb"
)

type (
	storeInput  struct{ Body Item }
	storeOutput struct {
		Status int
		Body   Receipt
	}
	batchInput struct {
		Body struct {
			Items []Item `json:"items" minItems:"1" maxItems:"1000"`
		}
	}
	batchOutput struct {
		Body struct {
			Receipts []Receipt `json:"receipts" doc:"One for each item, in their order"`
		}
	}
)

func (s *Service) store(ctx context.Context, in *storeInput) (*storeOutput, error) {
	receipts, err := s.client.Tenant(httpkit.Tenant(ctx)).StoreBatch(ctx, []zerodb.Item{in.Body.item(serviceOf(ctx))})
	if err != nil {
		return nil, faultOf("body.", err)
	}
	out := &storeOutput{Status: http.StatusOK, Body: receiptOf(receipts[0])}
	if receipts[0].Outcome == zerodb.Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (s *Service) storeBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	items := make([]zerodb.Item, len(in.Body.Items))
	for i := range items {
		items[i] = in.Body.Items[i].item(serviceOf(ctx))
	}
	receipts, err := s.client.Tenant(httpkit.Tenant(ctx)).StoreBatch(ctx, items)
	if err != nil {
		return nil, inBatch(err)
	}
	out := &batchOutput{}
	out.Body.Receipts = make([]Receipt, len(receipts))
	for i, r := range receipts {
		out.Body.Receipts[i] = receiptOf(r)
	}
	return out, nil
}

// serviceOf names who stores, as authenticated, for the provenance.
func serviceOf(ctx context.Context) string {
	principal, _ := httpkit.PrincipalFrom(ctx)
	switch {
	case principal.Service != "":
		return principal.Service
	case principal.User != [16]byte{}:
		return "dashboard"
	default:
		return "api"
	}
}
