package embed

import "sync"

// generations remembers what was made for a key, up to twice limit keys: when
// the young ones fill it, the old ones that nobody asked for since go. It is safe for
// concurrent use; two callers may make the same value at one time.
type generations[K comparable, V any] struct {
	limit int

	mu         sync.Mutex
	young, old map[K]V
}

func (g *generations[K, V]) get(k K, of func() V) V {
	if value, ok := g.look(k); ok {
		return value
	}
	value := of()
	g.keep(k, value)
	return value
}

func (g *generations[K, V]) look(k K) (V, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if value, ok := g.young[k]; ok {
		return value, true
	}
	value, ok := g.old[k]
	if ok {
		g.put(k, value)
	}
	return value, ok
}

func (g *generations[K, V]) keep(k K, value V) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.put(k, value)
}

// put is called with the lock held.
func (g *generations[K, V]) put(k K, value V) {
	if g.young == nil || len(g.young) >= g.limit {
		g.old, g.young = g.young, map[K]V{}
	}
	g.young[k] = value
}
