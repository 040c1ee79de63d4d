package channel

import (
	"strings"
)

// Account is what a tenant's messages leave by: its own at a provider, or the
// installation's, which every tenant without one shares.
type Account struct {
	Adapter

	// From is who a message comes from that names nobody.
	From Address
	// Domain is the only one that messages may come from: a shared account signs for
	// it, and with any other a tenant could write in somebody else's name. Empty is
	// any, for an account of the tenant's own, whose server has the last word.
	Domain string
	// Version tells a tenant's own account from what it was before it was changed;
	// empty for the installation's.
	Version string
}

// Own reports whether the account is the tenant's own.
func (a *Account) Own() bool { return a.Version != "" }

// Sender returns who a message comes from that is to come from named; without an
// address from the account's own, with a name for it if there is one. What the account
// may not send is Misconfigured.
func (a *Account) Sender(named Address) (Address, error) {
	switch {
	case named.Address == "" && a.From.Address == "":
		return Address{}, &Error{Kind: Misconfigured, Stage: StageAccount, Hint: "The mail account has no sender's address, and the campaign names none"}
	case named.Address == "" && named.Name == "":
		return a.From, nil
	case named.Address == "":
		return Address{Name: named.Name, Address: a.From.Address}, nil
	case !a.MaySend(named.Address):
		return Address{}, &Error{
			Kind: Misconfigured, Stage: StageAccount,
			Hint: "The campaign's from_email is not of @" + a.Domain + ", the only domain that this service's own mail account sends for: change it, or add an SMTP integration of the company's own",
		}
	}
	return named, nil
}

// MaySend reports whether messages may come from address.
func (a *Account) MaySend(address string) bool {
	return a.Domain == "" || strings.EqualFold(DomainOf(address), a.Domain)
}

// DomainOf returns an address's domain.
func DomainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
