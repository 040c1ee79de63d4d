// Package signature authenticates HTTP requests between services with HTTP
// Message Signatures (RFC 9421, hmac-sha256).
//
// A [Signer] covers a request's method, path, query, body (through
// Content-Digest, RFC 9530), the sending and the receiving service, the tenant,
// the idempotency key and the deadline, and adds a time and a nonce. A
// [Verifier] refuses a request that leaves one of these out, that was changed on
// the way, that is older than its lifetime, that is meant for another service,
// or that it has seen before.
//
// # Keys
//
// [Keys] holds one key that signs and any that verify. To change a secret
// without downtime, deploy three times: {old, new}, then {new, old}, then {new}.
// In the first step every service learns to verify the new key, in the second
// they sign with it, in the third they forget the old one. A key's id is derived
// from its secret, so that there is nothing else to agree on.
//
// # Replay
//
// A nonce is accepted once while its signature lives (at most the lifetime plus
// the clock skew, 60 s by default). [MemoryNonces] remembers nonces of one
// process. A service with several replicas that keeps them in memory therefore
// accepts a captured request at most once per replica within that time, and once
// more when it is restarted within it; where that matters, give the verifier a [NonceStore] that replicas share (one insert
// into a table with a unique key, or SET NX with an expiry). A store that is full or
// fails refuses the request with 503: it never forgets a nonce early. Requests
// reach the store only after their signature is found right, so that strangers
// cannot fill it.
//
// # Bodies
//
// The digest is checked before the handler sees the body. The body is buffered
// for that, up to [VerifierConfig.MaxBody], and only after the signature is
// found right: a stranger cannot make a service hold his body.
//
// # The older form
//
// [VerifierConfig.LegacySecrets] admits callers that send the secret itself in
// X-Service-Secret with their name in X-Service-Source. It protects neither the
// body nor against replay, so it is off unless asked for, and a request that
// carries a signature is never judged by it. Its secrets are others than those
// that sign: they travel, and end in the logs of what they pass. Whoever has one
// chooses the name it sends, among [VerifierConfig.LegacySources].
package signature
