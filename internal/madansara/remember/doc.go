// Package remember is what Madan Sara remembers by itself for the Walkers: when a
// conversion closes a journey, an event in the memory that every agent of the tenant
// shares says in plain words who bought what and what earned it.
//
// The memory commits with the credits where memories are kept in the same database; where
// they are kept elsewhere a job commits instead, and stores it. Either way one
// conversion is one memory (its key is the conversion's id), however often it is attributed:
// another account of it supersedes the one before. Its subject is the customer, so that erasing the
// customer's memories erases it.
package remember
