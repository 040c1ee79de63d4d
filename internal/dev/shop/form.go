package shop

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// form is what a visitor typed, and what is wrong with it, by field.
type form struct {
	Name, Email, Token string
	Consent            bool
	Errors             map[string]string
}

func (f *form) check(field, problem string) {
	if problem == "" {
		return
	}
	if f.Errors == nil {
		f.Errors = map[string]string{}
	}
	f.Errors[field] = problem
}

// readName returns the name and what is wrong with it, if anything.
func readName(text string) (name, problem string) {
	name = strings.TrimSpace(text)
	switch {
	case name == "":
		return name, "Please tell us your name."
	case utf8.RuneCountInString(name) > 100:
		return "", "Please give a name of at most 100 characters."
	case !printable(name):
		return "", "Please use letters only."
	}
	return name, ""
}

// readEmail returns the address and what is wrong with it, if anything.
func readEmail(text string) (email, problem string) {
	email = strings.TrimSpace(text)
	if email == "" {
		return email, "Please give your e-mail address."
	}
	const wrong = "This does not look like an e-mail address, such as rose@example.org."
	if len(email) > 254 || !printable(email) {
		return "", wrong
	}
	parsed, err := mail.ParseAddress(email)
	// ParseAddress takes "Rose <rose@example.org>" and quoted local parts too.
	if err != nil || parsed.Address != email || strings.ContainsAny(email, `"<> `) {
		return email, wrong
	}
	if _, host, _ := strings.Cut(email, "@"); !strings.Contains(strings.Trim(host, "."), ".") {
		return email, wrong
	}
	return email, ""
}

func printable(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
