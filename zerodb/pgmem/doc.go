// Package pgmem keeps zerodb's memories in PostgreSQL, under its row-level security.
//
// Searches look at every memory that an agent may see. They run in
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
// [Config.CacheBytes] bounds what all scopes held take up. A scope is held whole while there is room, up to half of
// the cache: its searches are exact. Else it is held compact, in about a twelfth of the bytes: two bits a number of
// its vectors, hashes of its words, and what filters ask. A search still looks at every memory that
// its filter admits; those that seem nearest, four times as many as asked for and more where many are alike, are
// compared by their vectors in the database. Words and every cosine returned are exact in both
// forms; a compact one may miss a few of the nearest (measured in bench/memorybench: recall@10 over 0.97).
//
// Scopes not asked for the longest go first. A compact one becomes whole once it was asked for ten times since
// whole ones were, which go for it. A search over all scopes takes what is missing into the cache, lets whole ones
// go if that is needed, and never a compact one of its tenant. What then still does not fit is read from the
// database in pieces for every search: right, but slow.
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
