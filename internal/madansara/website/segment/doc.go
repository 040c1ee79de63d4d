// Package segment reads the events of the Segment HTTP tracking API: track,
// identify, page, screen, group, alias, and batches of them.
//
// It is pure: bytes in, events and refusals out. What it accepts, PostgreSQL's
// jsonb stores. What it does not accept it refuses with the reason and the
// place ("body.batch[3].timestamp"); one bad event of a batch costs only
// itself, as long as the body can be read as JSON at all.
package segment
