package pgmem

// Compactly makes a back end hold every scope in compact form.
func Compactly(b *Backend) *Backend {
	b.cache.mostWhole = 0
	return b
}
