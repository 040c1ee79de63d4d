package attribution

import "github.com/google/uuid"

// AttributeArgs asks for the credits of one conversion to be worked out (again).
type AttributeArgs struct {
	TenantUUID     uuid.UUID `json:"tenant_uuid"`
	ConversionUUID uuid.UUID `json:"conversion_uuid"`
}

// Kind names the job in the queue.
func (AttributeArgs) Kind() string { return "attribute_conversion" }
