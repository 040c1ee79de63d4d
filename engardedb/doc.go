// Package engardedb is En Garde's way to its PostgreSQL database.
//
// [Open] builds a pool from the platform's pool variables. [DB.Tenant] is the
// only way to the tables that carry tenant_uuid: it runs a transaction in which
// row-level security shows and accepts rows of that one tenant. The pool's
// sessions run as an application role that owns nothing, so code that forgets
// the tenant sees no row, whatever its WHERE clause says.
package engardedb
