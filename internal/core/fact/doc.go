// Package fact is where the other services' facts arrive and are asked for:
// Core's side of the sync.
//
// A fact is kept once. Its id is the sender's, and the row's unique key carries
// it, so that whatever is sent again (after a lost answer, a crash of either
// side, a forgotten idempotency store) changes nothing and is acknowledged as a
// duplicate. Facts are never changed; what is known of a customer is the newest
// fact of each kind, so that a late old one cannot undo a newer one.
package fact
