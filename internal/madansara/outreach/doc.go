// Package outreach writes to people: campaigns over segments, the decision
// about each recipient, and the jobs that send.
//
// A campaign's start expands its segment into decisions, one a contact, with
// reasons. Whom the decision is to send to gets a queued message. Senders claim
// queued messages one at a time; the commit that claims a message says that it
// is being sent before the channel is asked, and the commit that records it as
// sent claims the next. A message whose sender died in between becomes unknown
// and waits for a person: nothing is ever sent twice by itself.
package outreach
