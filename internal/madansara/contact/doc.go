// Package contact knows people: what identifies them, what they are called,
// what they agreed to, and whom never to write to.
//
// A person is a contact; user ids and e-mail addresses are its identities, each
// of one contact. Identities that meet in one event are one person's, so their
// contacts merge into the older one and everything that pointed at the younger
// is repointed ([ResolveTx]), what the agents remember of it included. A visitor belongs to the contact it was first
// identified as; being identified as another person with a user id of its own
// (a shared computer) does not merge the two.
//
// A contact is erased with everything that names it ([Service.Erase]).
package contact
