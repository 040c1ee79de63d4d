// Package memory is how people, agents and services reach ZeroDB over HTTP:
// /api/v1/memory. The rules are package zerodb's; here are the wire types, the
// documentation, and what an error of zerodb becomes.
//
// The tenant is the caller's own, by its key, log-in or signature. Agents and
// groups are names inside it that the caller gives: another tenant's agent is
// one that this tenant has never heard of.
package memory
