package httpkit

// NextCursor returns the cursor of the page after items: what cursor makes of
// the last one. It is nil when items did not fill the page, which is the last.
func NextCursor[T, C any](items []T, limit int, cursor func(*T) C) *C {
	if len(items) < limit || len(items) == 0 {
		return nil
	}
	next := cursor(&items[len(items)-1])
	return &next
}
