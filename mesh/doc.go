// Package mesh lets services call each other over HTTP in a way that stays
// sensible when things go wrong.
//
//	m, err := mesh.New(mesh.Config{
//		Service: "madan-sara",
//		Peers:   map[string]string{"onside": "http://onside.railway.internal:8001"},
//		Secrets: []string{secret},
//	})
//	analysis, err := m.SEO().Analyze(ctx, mesh.SEORequest{URL: url, TenantUUID: tenant})
//
// [Mesh] calls the peers of one service. A [Peer] takes JSON calls ([Peer.Call]) or
// stands under any HTTP client ([Peer.RoundTrip]). The platform's own calls have
// types: [SEO], [AdIntelligence], [ConversionInsights], [Sync], [Health]; they are
// interfaces, so that users can fake them. [NewServer] is the other end.
//
// # What happens to a call
//
//  1. It gets a slot among the calls under way to its peer, or is refused.
//  2. It gets a deadline: the caller's, or [Config.Timeout] when that is sooner.
//     The body of the answer is part of the call.
//  3. An address is chosen: the peer's name is looked up again every
//     [Config.ResolveEvery], and of its addresses that work, the one that promises
//     the shorter wait of two random ones is taken (package balance). An address
//     that was ejected and may be probed comes first.
//  4. The address's circuit permits the attempt (package breaker).
//  5. The request is signed for this attempt (package signature), and carries
//     the time left and the W3C trace context.
//  6. A read without an answer after [Config.HedgeAfter] is also sent to another address.
//  7. A failed attempt is repeated when all of this holds: repeating it does no
//     harm (an idempotent method, or an Idempotency-Key), the failure may pass (no
//     answer; 408, 425, 429, 502, 503, 504), attempts, time and budget are left. The wait
//     is random up to a bound that doubles, and not shorter than the peer's
//     Retry-After. An address that could not be connected is passed over at once,
//     whatever the method: nothing was sent.
//
// # What counts as a failure of an address
//
// No connection, a broken connection or body, an answer of 5xx except 501, the mesh's own
// timeout, and, if [breaker.Config.SlowAfter] is set, a slow answer. Not: any 4xx; a caller who
// hung up; a deadline that passed when the attempt had less than a second; the loser
// of a hedge.
//
// # Errors
//
// Every error is an *[Error] of one [Kind], for errors.Is: [ErrUnreachable],
// [ErrCircuitOpen], [ErrTimeout], [ErrRefused], [ErrRejected], [ErrCanceled],
// [ErrBadAnswer]. [Error.Temporary] says whether the same call may succeed later.
//
// # What can be seen
//
// Metrics, per peer and call: mesh_calls_total by outcome, mesh_call_seconds,
// mesh_attempts_total by kind (first, retry, failover, hedge, over_budget),
// mesh_circuit_changes_total, mesh_addresses by state, mesh_calls_under_way,
// mesh_peer_healthy. [Mesh.Status] is the part of /health that tells of peers. Changes
// of circuits and of addresses are logged. A server counts what it refuses in
// mesh_calls_refused_total by reason, and logs of each reason at most ten at once and
// then one a second, with left_out: how many it did not.
package mesh
