package outreach

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

const path = "/api/v1/outreach"

// What several operations take; embedded, they must be exported to be filled in.
type (
	// CampaignPath names the campaign.
	CampaignPath struct {
		ID uuid.UUID `path:"campaign_uuid" format:"uuid"`
	}
	// MessagePath names the message.
	MessagePath struct {
		ID uuid.UUID `path:"message_uuid" format:"uuid"`
	}
	// Page is where a list begins and how long it is.
	Page struct {
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	campaignOutput struct{ Body Campaign }
	messageOutput  struct{ Body Message }
	reportOutput   struct{ Body Report }

	createInput struct{ Body CampaignDraft }
	updateInput struct {
		CampaignPath
		Body CampaignDraft
	}
	pauseInput struct {
		CampaignPath
		Body *struct {
			Reason string `json:"reason,omitempty" maxLength:"500" doc:"Shown with the campaign"`
		}
	}
	listCampaignsInput struct {
		Page
		Status string `query:"status" enum:"draft,running,paused,finished"`
	}
	listCampaignsOutput struct {
		Body struct {
			Campaigns  []Campaign `json:"campaigns"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	listDecisionsInput struct {
		CampaignPath
		Page
		Outcome string `query:"outcome" enum:"send,skip"`
		Code    string `query:"code" maxLength:"50" pattern:"^[a-z_]*$" doc:"Of the reason that decided"`
	}
	listDecisionsOutput struct {
		Body struct {
			Decisions  []DecisionRecord `json:"decisions"`
			NextCursor *uuid.UUID       `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	listMessagesInput struct {
		Page
		Campaign uuid.UUID `query:"campaign_uuid" format:"uuid"`
		Contact  uuid.UUID `query:"contact_uuid" format:"uuid"`
		Status   string    `query:"status" enum:"queued,sending,sent,failed,unknown,cancelled"`
	}
	listMessagesOutput struct {
		Body struct {
			Messages   []Message  `json:"messages"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	resolveInput struct {
		MessagePath
		Body struct {
			Outcome string `json:"outcome" enum:"sent,resend,failed" doc:"It counts as sent, is sent again, or is given up"`
		}
	}
)

// Register adds the outreach operations to api.
func (s *Service) Register(api huma.API) {
	const read, write = "outreach:read", "outreach:write"
	campaigns, one := path+"/campaigns", path+"/campaigns/{campaign_uuid}"
	create := operation("create-campaign", http.MethodPost, campaigns, "Create a campaign as a draft", write)
	create.DefaultStatus = http.StatusCreated
	httpkit.Register(api, create, s.createCampaign)
	httpkit.Register(api, operation("list-campaigns", http.MethodGet, campaigns, "List campaigns, newest first", read), s.listCampaigns)
	httpkit.Register(api, operation("get-campaign", http.MethodGet, one, "Get a campaign", read), s.getCampaign)
	httpkit.Register(api, operation("update-campaign", http.MethodPut, one, "Replace a draft", write), s.updateCampaign)
	httpkit.Register(api, operation("start-campaign", http.MethodPost, one+"/start", "Start a draft or resume a paused campaign", write), s.startCampaign)
	httpkit.Register(api, operation("pause-campaign", http.MethodPost, one+"/pause", "Pause before the next message", write), s.pauseCampaign)
	httpkit.Register(api, operation("get-campaign-status", http.MethodGet, one+"/status", "See how far a campaign has come", read), s.getReport)
	httpkit.Register(api, operation("list-campaign-decisions", http.MethodGet, one+"/decisions", "See why each contact was or was not written to", read), s.listDecisions)
	httpkit.Register(api, operation("list-messages", http.MethodGet, path+"/messages", "List messages, newest first", read), s.listMessages)
	httpkit.Register(api, operation("get-message", http.MethodGet, path+"/messages/{message_uuid}", "Get a message", read), s.getMessage)
	httpkit.Register(api, operation("resolve-message", http.MethodPost, path+"/messages/{message_uuid}/resolve",
		"Decide what a message counts as whose fate is unknown", write), s.resolveMessage)
	s.registerSending(api)
	s.registerMailAccount(api)
}

func operation(id, method, path, summary, scope string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Tags: []string{"outreach"}, Security: httpkit.Scoped(scope),
	}
}

func (s *Service) createCampaign(ctx context.Context, in *createInput) (*campaignOutput, error) {
	campaign, err := s.Create(ctx, httpkit.Tenant(ctx), in.Body)
	return &campaignOutput{Body: campaign}, err
}

func (s *Service) getCampaign(ctx context.Context, in *CampaignPath) (*campaignOutput, error) {
	campaign, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return &campaignOutput{Body: campaign}, err
}

func (s *Service) updateCampaign(ctx context.Context, in *updateInput) (*campaignOutput, error) {
	campaign, err := s.Update(ctx, httpkit.Tenant(ctx), in.ID, in.Body)
	return &campaignOutput{Body: campaign}, err
}

func (s *Service) startCampaign(ctx context.Context, in *CampaignPath) (*campaignOutput, error) {
	campaign, err := s.Start(ctx, httpkit.Tenant(ctx), in.ID)
	return &campaignOutput{Body: campaign}, err
}

func (s *Service) pauseCampaign(ctx context.Context, in *pauseInput) (*campaignOutput, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	campaign, err := s.Pause(ctx, httpkit.Tenant(ctx), in.ID, reason)
	return &campaignOutput{Body: campaign}, err
}

func (s *Service) getReport(ctx context.Context, in *CampaignPath) (*reportOutput, error) {
	report, err := s.Report(ctx, httpkit.Tenant(ctx), in.ID)
	return &reportOutput{Body: report}, err
}

func (s *Service) listCampaigns(ctx context.Context, in *listCampaignsInput) (*listCampaignsOutput, error) {
	campaigns, err := s.List(ctx, httpkit.Tenant(ctx), in.Cursor, CampaignStatus(in.Status), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listCampaignsOutput{}
	out.Body.Campaigns = campaigns
	out.Body.NextCursor = httpkit.NextCursor(campaigns, in.Limit, func(c *Campaign) uuid.UUID { return c.UUID })
	return out, nil
}

func (s *Service) listDecisions(ctx context.Context, in *listDecisionsInput) (*listDecisionsOutput, error) {
	filter := DecisionFilter{Outcome: Outcome(in.Outcome), Code: in.Code}
	decisions, err := s.Decisions(ctx, httpkit.Tenant(ctx), in.ID, filter, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listDecisionsOutput{}
	out.Body.Decisions = decisions
	out.Body.NextCursor = httpkit.NextCursor(decisions, in.Limit, func(d *DecisionRecord) uuid.UUID { return d.Contact })
	return out, nil
}

func (s *Service) listMessages(ctx context.Context, in *listMessagesInput) (*listMessagesOutput, error) {
	filter := MessageFilter{Campaign: in.Campaign, Contact: in.Contact, Status: Status(in.Status)}
	messages, err := s.Messages(ctx, httpkit.Tenant(ctx), filter, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listMessagesOutput{}
	out.Body.Messages = messages
	out.Body.NextCursor = httpkit.NextCursor(messages, in.Limit, func(m *Message) uuid.UUID { return m.UUID })
	return out, nil
}

func (s *Service) getMessage(ctx context.Context, in *MessagePath) (*messageOutput, error) {
	message, err := s.Message(ctx, httpkit.Tenant(ctx), in.ID)
	return &messageOutput{Body: message}, err
}

func (s *Service) resolveMessage(ctx context.Context, in *resolveInput) (*messageOutput, error) {
	principal, _ := httpkit.PrincipalFrom(ctx) // present: the operation is scoped
	message, err := s.Resolve(ctx, httpkit.Tenant(ctx), in.ID, Resolution(in.Body.Outcome), principal.Name)
	return &messageOutput{Body: message}, err
}

type (
	sendInput struct {
		Key  string `header:"Idempotency-Key" maxLength:"200" doc:"A repeated call with this key answers what the first one did"`
		Body SingleSend
	}
	sendOutput     struct{ Body DecisionRecord }
	sendBatchInput struct {
		Key  string `header:"Idempotency-Key" maxLength:"200" doc:"A repeated call with this key answers what the first one did"`
		Body struct {
			Messages []SingleSend `json:"messages" minItems:"1" maxItems:"500"`
		}
	}
	sendBatchOutput struct {
		Body struct {
			Decisions []DecisionRecord `json:"decisions" doc:"In the order of the messages"`
		}
	}
	listSuppressionsInput struct {
		Channel string `query:"channel" maxLength:"50"`
		Cursor  string `query:"cursor" maxLength:"400" doc:"next_cursor of the page before"`
		Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	listSuppressionsOutput struct {
		Body struct {
			Suppressions []Suppression `json:"suppressions"`
			NextCursor   string        `json:"next_cursor,omitempty"`
		}
	}
	suppressInput struct {
		Body struct {
			Channel string `json:"channel,omitempty" enum:"email" default:"email"`
			Address string `json:"address" minLength:"3" maxLength:"254"`
			Reason  string `json:"reason,omitempty" enum:"unsubscribed,bounced,complained,manual" default:"manual"`
		}
	}
	unsuppressInput struct {
		Channel string `query:"channel" maxLength:"50" default:"email"`
		Address string `query:"address" required:"true" minLength:"3" maxLength:"254"`
	}
)

func (s *Service) registerSending(api huma.API) {
	const read, write = "outreach:read", "outreach:write"
	suppressions := path + "/suppressions"
	send := operation("send-message", http.MethodPost, path+"/send", "Send one message to one contact", write)
	send.DefaultStatus = http.StatusAccepted
	httpkit.Register(api, send, s.sendMessage)
	batch := operation("send-messages", http.MethodPost, path+"/send-batch", "Send messages to several contacts, all or none accepted", write)
	batch.DefaultStatus = http.StatusAccepted
	httpkit.Register(api, batch, s.sendMessages)
	httpkit.Register(api, operation("list-suppressions", http.MethodGet, suppressions, "List addresses that are never written to", read), s.listSuppressions)
	httpkit.Register(api, operation("add-suppression", http.MethodPost, suppressions, "Never write to an address again", write), s.addSuppression)
	httpkit.Register(api, operation("remove-suppression", http.MethodDelete, suppressions, "Allow writing to an address again", write), s.removeSuppression)
}

func (s *Service) sendMessage(ctx context.Context, in *sendInput) (*sendOutput, error) {
	decisions, err := s.SendBatch(ctx, httpkit.Tenant(ctx), in.Key, []SingleSend{in.Body})
	if err != nil {
		return nil, err
	}
	return &sendOutput{Body: decisions[0]}, nil
}

func (s *Service) sendMessages(ctx context.Context, in *sendBatchInput) (*sendBatchOutput, error) {
	decisions, err := s.SendBatch(ctx, httpkit.Tenant(ctx), in.Key, in.Body.Messages)
	out := &sendBatchOutput{}
	out.Body.Decisions = decisions
	return out, err
}

func (s *Service) listSuppressions(ctx context.Context, in *listSuppressionsInput) (*listSuppressionsOutput, error) {
	channel, address, found := strings.Cut(in.Cursor, ":")
	if in.Cursor != "" && !found {
		return nil, fault.At("query.cursor", in.Cursor, "is not a next_cursor of this list")
	}
	suppressions, err := s.Suppressions(ctx, httpkit.Tenant(ctx), in.Channel, Suppression{Channel: channel, Address: address}, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listSuppressionsOutput{}
	out.Body.Suppressions = suppressions
	if len(suppressions) == in.Limit {
		last := suppressions[in.Limit-1]
		out.Body.NextCursor = last.Channel + ":" + last.Address
	}
	return out, nil
}

func (s *Service) addSuppression(ctx context.Context, in *suppressInput) (*struct{}, error) {
	return nil, s.Suppress(ctx, httpkit.Tenant(ctx), in.Body.Channel, in.Body.Address, in.Body.Reason)
}

func (s *Service) removeSuppression(ctx context.Context, in *unsuppressInput) (*struct{}, error) {
	return nil, s.Unsuppress(ctx, httpkit.Tenant(ctx), in.Channel, in.Address)
}
