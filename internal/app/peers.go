package app

import "github.com/engardehq/madansara/mesh"

// The operations that services call, by their ids. Whoever breaks into one service has what
// that service needs of the others, and neither their campaigns, contacts and keys
// nor the agents' memories to erase.
var (
	// walking is what agents do with the memory, on whichever service they work.
	// Forgetting, erasing, exporting and importing are for people and keys.
	walking = []string{"store-memory", "store-memories", "retrieve-memories", "agent-context", "memory-feedback"}

	// callable says, for each service, what each of the others may call there. What is
	// not in it is refused. The platform's four calls are open to every service, because
	// the peers of other teams make them too.
	callable = map[string]map[string][]string{
		mesh.Core: {
			mesh.MadanSara: {"sync-fact", "read-credentials"},
			mesh.Onside:    {"sync-fact", "read-credentials"},
			mesh.Sankore:   {"sync-fact", "read-credentials"},
		},
		mesh.Onside: {
			mesh.Core:      {"analyze-page"},
			mesh.MadanSara: {"analyze-page"},
			mesh.Sankore:   {"analyze-page"},
		},
		mesh.Sankore: {
			mesh.Core:      {"campaign-intelligence"},
			mesh.MadanSara: {"campaign-intelligence"},
			mesh.Onside:    {"campaign-intelligence"},
		},
		mesh.MadanSara: {
			mesh.Core:    append([]string{"customer-insights"}, walking...),
			mesh.Onside:  append([]string{"customer-insights"}, walking...),
			mesh.Sankore: append([]string{"customer-insights", "campaign-conversions"}, walking...),
		},
	}
)

// operationsFor are the operations of service that caller may call, none for one that is
// not of the platform.
func operationsFor(service, caller string) []string { return callable[service][caller] }
