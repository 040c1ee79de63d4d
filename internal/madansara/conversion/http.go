package conversion

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// Register adds the conversion operations to api.
func (s *Service) Register(api huma.API) {
	read, write := httpkit.Scoped("conversion:read"), httpkit.Scoped("conversion:write")
	tags := []string{"conversion"}
	httpkit.Register(api, huma.Operation{
		OperationID: "track-conversion", Method: http.MethodPost, Path: "/api/v1/conversion/track", Tags: tags, Security: write,
		Summary: "Record a conversion",
		Description: "Reports that a person did what you hoped for: bought, signed up. One order_id is recorded once, however often " +
			"it is reported and whether by your server or the browser; answer and effect of a repetition are the same.",
		MaxBodyBytes: 64 << 10,
	}, s.track)
	httpkit.Register(api, huma.Operation{
		OperationID: "list-conversions", Method: http.MethodGet, Path: "/api/v1/conversion/events", Tags: tags, Security: read,
		Summary: "List conversions, the newest first",
	}, s.listEvents)
	httpkit.Register(api, huma.Operation{
		OperationID: "conversion-stats", Method: http.MethodGet, Path: "/api/v1/conversion/stats", Tags: tags, Security: read,
		Summary: "Visitors, messages, conversions and revenue by day",
	}, s.getStats)
	httpkit.Register(api, huma.Operation{
		OperationID: "customer-journey", Method: http.MethodGet, Path: "/api/v1/conversion/journey/{user_id}", Tags: tags, Security: read,
		Summary: "Everything one customer did, the newest first",
	}, s.getJourney)
	httpkit.Register(api, huma.Operation{
		OperationID: "attribution-report", Method: http.MethodGet, Path: "/api/v1/conversion/attribution", Tags: tags, Security: read,
		Summary: "What earned the conversions, by channel and campaign",
		Description: "Each model's channels, 'unattributed' among them, sum to the total of the period's conversions. " +
			"Opening a mail is not a touch, because mail proxies open every mail.",
	}, s.getAttribution)
	httpkit.Register(api, huma.Operation{
		OperationID: "campaign-conversions", Method: http.MethodGet, Path: "/api/v1/conversion/campaigns/{campaign_id}/conversions", Tags: tags, Security: read,
		Summary: "What an advertising campaign earned, by the day of the touch",
		Description: "Conversions and revenue credited to the visits whose links carry the campaign's name as utm_campaign. A day's are those its " +
			"touches earned, whenever they did: the day that was paid for, as advertising platforms count.",
	}, s.getCampaign)
	httpkit.Register(api, huma.Operation{
		OperationID: "list-attribution-models", Method: http.MethodGet, Path: "/api/v1/conversion/attribution/models", Tags: tags, Security: read,
		Summary: "The attribution models and their parameters",
	}, s.listModels)
	httpkit.Register(api, huma.Operation{
		OperationID: "set-attribution-model", Method: http.MethodPut, Path: "/api/v1/conversion/attribution/models/{model}", Tags: tags, Security: write,
		Summary:     "Change a model's parameters",
		Description: "Conversions from now on are attributed with them at once; a job attributes the earlier ones again, the newest first.",
	}, s.setModel)
}

// at puts a fault's places under prefix ("body."), where they stand in the request.
func at(prefix string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Fields) == 0 {
		return err
	}
	located := fault.At(prefix+f.Fields[0].Location, f.Fields[0].Value, "%s", f.Fields[0].Message)
	located.Err = f.Err
	return located
}

// decimal is a JSON number or a string holding one, kept as it was written:
// money never passes through a float.
type decimal struct{ raw json.RawMessage }

func (d *decimal) UnmarshalJSON(raw []byte) error {
	d.raw = bytes.Clone(raw)
	return nil
}

// Schema describes both forms.
func (decimal) Schema(huma.Registry) *huma.Schema {
	most := 64
	return &huma.Schema{
		OneOf:       []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString, MaxLength: &most}},
		Description: "The revenue in whole units of the currency, as a number or as a string: 19.90. Decimals beyond the currency's are rounded half to even.",
		Examples:    []any{"19.90"},
	}
}

// object is a JSON object kept as it was written, with numbers of any length.
type object struct{ raw json.RawMessage }

func (o *object) UnmarshalJSON(raw []byte) error {
	o.raw = bytes.Clone(raw)
	return nil
}

// Schema describes an object of anything.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "Anything else about it, at most 32 KB."}
}
