package mailaccount

// Kept is how many answers are in memory.
func Kept(a *Accounts) int {
	a.known.mu.Lock()
	defer a.known.mu.Unlock()
	return a.known.used.Len()
}
