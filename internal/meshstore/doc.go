// Package meshstore keeps in PostgreSQL what a service must remember of the
// calls it received, so that all its replicas know it: the nonces of signatures
// ([Nonces]) and the answers to idempotent operations ([Operations]).
//
// The tables stand in the schema mesh. A row belongs to the role that the
// service's sessions run as, and the answer to a tenant's operation is seen in
// that tenant's transactions only; row-level security holds both.
//
// Both stores remove what has expired as they write: every 64th write takes
// away up to 1,000 rows of each table, so that the tables stay as large as what
// is alive, whoever left it there.
package meshstore
