// Package website takes in what visitors do and keeps it: events, visitors and
// their sessions.
//
// A request's events are validated (package segment), wait in a bounded queue,
// and are written together with whatever else waits for the same tenant: one
// transaction, one commit, many answers. An answer of 200 means committed. A
// message id is stored once, and only the first delivery of it has effects.
package website
