// Package outbox takes facts to Core: each exactly once in effect, a customer's
// in their order, and none lost.
//
// # The way of a fact
//
// [Outbox.AddTx] writes a fact in the transaction of what it tells, and makes
// sure in the same transaction that a job will deliver it. [Delivery] is that
// job, one for each tenant that has something to deliver. It takes customers
// whose turn it is, pushes each one's facts one after another, several customers
// at once, and records what became of them. A fact that was pushed but not
// recorded, because the process died in between, is pushed again: Core knows it
// by its id.
//
// # When a push fails
//
// Either Core is away (unreachable, its circuit open, overloaded): the run ends,
// and the tenant's job puts itself off until Core may be back. It then tries one
// fact before it tries many, so that an outage costs a request now and then,
// however much has piled up. Or Core failed over this fact: it is tried again
// with a growing delay, and only its customer waits. Or Core refuses it for what
// it is: the fact has failed, its customer's later facts wait behind it, and a
// person replays or discards it. See [judge].
//
// # Order
//
// A customer is who the fact was about when it was recorded: a contact, or a
// visitor whom nobody knows yet. When a visitor turns out to be a contact, or a
// contact another one, what waits of the one lines up with what waits of the
// other ([Outbox.MoveTx]), in the order in which both were recorded.
package outbox
