// Package integration keeps a tenant's accounts at providers: which there are,
// their settings, and the credentials, which go in and are never answered.
//
// Credentials are encrypted (AES-256-GCM) before they reach the database, under
// a key from the environment, and bound to their tenant and integration: a row
// copied to another place does not open. Whoever asks over the API sees which
// are set and a masked end. A peer service is given them over the mesh alone, if
// the provider is one it works with, and each time is on record.
package integration
