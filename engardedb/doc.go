// Package engardedb is En Garde's way to its PostgreSQL database.
//
// [Open] builds a pool from the platform's pool variables. [DB.Tenant] is the
// only way to the tables that carry tenant_uuid: it runs a transaction in which
// row-level security shows and accepts rows of that one tenant
// ([DB.TenantBatch] is its form in one round trip). The pool's
// sessions run as an application role that owns nothing, so code that forgets
// the tenant sees no row, whatever its WHERE clause says.
//
// A session of a privileged user (the tables' owner, a superuser) could leave
// the application role by an explicit SET ROLE. In production let the service's
// URL name a login role that is a member of the application role and of nothing
// else; only migrations need the owner.
package engardedb
