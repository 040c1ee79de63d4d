// Package pgmem keeps zerodb's memories in PostgreSQL, under its row-level security.
//
// Searches are exact: every memory that an agent may see is compared. They run in
// the process, over vectors and words that it holds for each scope of each
// tenant (an agent's, a group's, the tenant's), because
// an approximate index over a whole tenant loses most of what a filter on one agent asks for,
// and the database takes several times as long for the same arithmetic.
//
// # Never stale
//
// Each scope has a count of its changes in the database, which changes in the
// same transaction as its memories. A search asks for the counts of the
// scopes it looks into, in one round trip, and meanwhile searches what the process holds of
// them. If that is of an older count, it is brought up to date with the rows that changed since, and
// searched again. So any number of processes may write, and each answers with all that was
// committed before it was asked. Memories are returned as they are held; those larger
// than two kilobytes are read from the database. How often a memory was recalled changes no
// count: a search tells what that was when the memory was read last.
//
// # Bounded
//
// [Config.CacheBytes] bounds what all scopes held take up; those not asked for
// the longest go first. A scope too large for it alone is read from the database in pieces for every search:
// right, but slow.
//
// # In the transaction that causes it
//
// [Backend.StoreTx] stores memories in a transaction of the caller's. They exist when
// it commits. Call it towards the transaction's end: until then nobody else can change
// memories of the same scopes.
//
// pgvector is not used: exact search in the process is faster than it at the sizes that one
// agent's memory has, and its approximate indexes lose recall to the filter.
package pgmem
