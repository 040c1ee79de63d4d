// Package qdranttest is a contract server for clients of Qdrant's gRPC interface.
//
// It is not Qdrant. It is built from the protobuf services that the official Go client
// publishes and from Qdrant's reference documentation, for tests where no Qdrant is at
// hand: a real gRPC server on a loopback port that keeps points in memory. What it shows
// is that a client's requests are what the reference asks for and that the client reads
// the answers right; it shows nothing of Qdrant's speed, of its storage, or of what a
// cluster does, and it is exact where Qdrant may approximate.
//
// # Stricter than Qdrant
//
//   - A field that this server does not model is refused by name (Unimplemented), never ignored;
//     so is a field unknown to the protobuf.
//   - A write must set wait to true.
//   - Payload under an indexed key must be of the index's type (Qdrant would leave it out of the index).
//   - In a collection with a tenant index (is_tenant) every operation on points must
//     have the condition that this key equals one value, outermost and under must; every
//     point that is stored must have that value. Only the facet of the tenant key itself is free of it.
//   - Equal scores and equal times come in descending order of IDs, which nobody may rely upon.
//
// As in Qdrant: IDs are UUIDs or unsigned integers; vectors have the length of their
// collection's; filters under strict mode need an index of a fitting type; strict mode's
// limits on filters, limits and batches hold; a wrong API key is refused.
package qdranttest
