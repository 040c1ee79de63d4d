// Package segment says who a campaign is for: rules over what contacts did, own
// and agreed to, kept as JSON, validated as plain types and compiled to one SQL
// condition in which every value of a rule is a parameter.
//
// What a contact did comes from events that carry its contact_uuid and from
// those of every visitor linked to it, so that a history from before the
// contact was known counts too.
package segment
