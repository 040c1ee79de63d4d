// Package mailaccount finds the mail accounts that tenants have of their own: the SMTP
// integration that a tenant entered in Core, asked for over the mesh.
//
// What Core answers, that there is none included, is kept in memory for some minutes, so
// that a campaign of ten thousand asks once. While Core is away, what it answered last
// goes on for a bounded time; after that, and when it never answered, nobody knows whose
// account a message is to leave by, and the message waits: the installation's account is
// for tenants that Core says have none.
package mailaccount
