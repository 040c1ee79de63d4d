// Package account holds En Garde Core's tenants, users, log-in sessions and
// keys, and tells the HTTP side whom a token belongs to.
//
// Secrets are never stored: of a password its argon2id hash, of a session's or
// key's token its SHA-256 (a token is 32 random bytes, so a plain hash cannot
// be guessed backwards).
package account
