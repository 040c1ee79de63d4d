package pgmem

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// partitionKey names the memories of one scope of one tenant.
type partitionKey struct {
	tenant uuid.UUID
	scope  zerodb.Scope
}

// partition is what the process holds of one scope. Its lock is held for
// reading while it is searched, and for writing while it is brought up to date.
type partition struct {
	key partitionKey

	mu    sync.RWMutex
	index index // nil until loaded
	// changed is the count of the scope's changes that index includes.
	changed int64
	// large: the scope does not fit into the cache; it is read in pieces instead.
	large bool

	dropped atomic.Bool
}

// isDropped reports whether the cache has let the partition go.
func (p *partition) isDropped() bool { return p.dropped.Load() }

// cache holds partitions up to a number of bytes, those asked for latest.
//
// A scope is held whole when there is room for that, up to half of the cache, without letting another
// go; otherwise compact, and room is made for that. A compact one becomes whole when it has been
// asked for so often since others were last that these make room for it: see due. A search over
// all scopes of a tenant is no such asking; and for it no compact index of that tenant is let go, since it needs all of them.
type cache struct {
	limit     int
	mostWhole int // bytes of a whole index at most: half of limit

	mu      sync.Mutex
	byKey   map[partitionKey]*list.Element
	recent  list.List // of *held, the latest in front
	asked   uint64    // how often any scope was asked for
	bytes   int
	evicted int
}

// oftenAsked is how often a compact scope is asked for until it is worth being whole.
const oftenAsked = 10

type held struct {
	partition *partition
	bytes     int // as counted in cache.bytes
	compact   bool
	whole     int // the bytes that a compact index would take up as a whole one; 0: it stays compact
	// asks are the latest times (as cache.asked counts them) that it was asked for.
	asks    [oftenAsked]uint64
	counted int
	due     bool
}

// last is when it was asked for last, often when that was the tenth time before.
func (h *held) last() uint64  { return h.asks[(h.counted+oftenAsked-1)%oftenAsked] }
func (h *held) often() uint64 { return h.asks[h.counted%oftenAsked] }

func newCache(limit int) *cache {
	return &cache{limit: limit, mostWhole: limit / 2, byKey: map[partitionKey]*list.Element{}}
}

// get returns the partition of key, an empty one if none is held, and whether it is due to be made whole.
func (c *cache) get(key partitionKey, everyone bool) (p *partition, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		e = c.recent.PushFront(&held{partition: &partition{key: key}, bytes: partitionBytes})
		c.byKey[key] = e
		c.bytes += partitionBytes
	}
	h, _ := e.Value.(*held)
	if !ok {
		c.evict(h, c.allowed(h, everyone))
		if everyone && c.bytes > c.limit { // not even for its name
			c.letGo(e)
			return h.partition, false
		}
	}
	if everyone {
		return h.partition, false
	}
	c.recent.MoveToFront(e)
	c.asked++
	h.asks[h.counted%oftenAsked] = c.asked
	h.counted++
	if h.compact && h.counted%oftenAsked == 0 {
		h.due = h.whole > 0 && c.canMakeRoom(h)
	}
	return h.partition, h.due
}

// evictions is how often a partition was let go.
func (c *cache) evictions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.evicted
}

// touch counts all scopes of the tenant as needed now, and returns what is held of them.
func (c *cache) touch(tenant uuid.UUID) (list []*partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// From the back, so that they keep their order.
	for e, n := c.recent.Back(), c.recent.Len(); n > 0; n-- {
		before := e.Prev()
		if h, _ := e.Value.(*held); h.partition.key.tenant == tenant {
			c.recent.MoveToFront(e)
			list = append(list, h.partition)
		}
		e = before
	}
	return list
}

// partitionBytes is what a partition takes up that holds nothing.
const partitionBytes = 1000

// most is what one index may take up.
func (c *cache) most(x index) int {
	if isCompact(x) {
		return c.limit
	}
	return c.mostWhole
}

// free is the room that p has if nothing is let go.
func (c *cache) free(p *partition) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	free := c.limit - c.bytes
	if h := c.held(p); h != nil {
		free += h.bytes
	}
	return free - partitionBytes
}

// room is the room that p has if all is let go that may be let go for it.
func (c *cache) room(p *partition, everyone bool) int {
	if !everyone {
		return c.limit
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.limit - partitionBytes
	for e := c.recent.Front(); e != nil; e = e.Next() {
		if h, _ := e.Value.(*held); h.compact && h.partition != p && h.partition.key.tenant == p.key.tenant {
			room -= h.bytes
		}
	}
	return room
}

// held is the entry of p, nil when it was let go.
func (c *cache) held(p *partition) *held {
	if e, ok := c.byKey[p.key]; ok {
		if h, _ := e.Value.(*held); h.partition == p {
			return h
		}
	}
	return nil
}

// resized tells that a partition has grown or shrunk to x (nil: nothing), and lets others go if
// there is no room. A partition that somebody searches stays in memory until they have finished. It reports false when
// there is no room even so.
func (c *cache) resized(p *partition, x index, everyone bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.held(p)
	if h == nil {
		return true // let go meanwhile
	}
	c.resize(h, x)
	c.evict(h, c.allowed(h, everyone))
	return c.bytes <= c.limit || x == nil || !everyone
}

func (c *cache) resize(h *held, x index) {
	bytes := partitionBytes
	h.compact, h.whole, h.due = false, 0, false
	if x != nil {
		bytes += x.size()
	}
	if x, compact := x.(*compact); compact {
		h.compact, h.whole = true, x.wholeBytes()
	}
	c.bytes += bytes - h.bytes
	h.bytes = bytes
}

// promoted tells that a compact partition is whole now.
func (c *cache) promoted(p *partition, x index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.held(p)
	if h == nil {
		return
	}
	c.resize(h, x)
	c.evict(h, c.yields(h))
	c.evict(h, c.allowed(h, false)) // the estimate was wrong
}

// refuse tells that a compact partition can't be whole.
func (c *cache) refuse(p *partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held(p); h != nil {
		h.whole, h.due = 0, false
	}
}

// canMakeRoom reports whether h can be whole if those let go that yield to it.
func (c *cache) canMakeRoom(h *held) bool {
	if h.whole > c.mostWhole {
		return false
	}
	lacks := h.whole + partitionBytes - h.bytes - (c.limit - c.bytes)
	yields := c.yields(h)
	for e := c.recent.Back(); e != nil && lacks > 0; e = e.Prev() {
		if other, _ := e.Value.(*held); other != h && yields(other) {
			lacks -= other.bytes
		}
	}
	return lacks <= 0
}

// yields says who goes to make h whole: whole ones that were not asked for since h was so often.
func (*cache) yields(h *held) func(*held) bool {
	return func(other *held) bool { return !other.compact && other.last() < h.often() }
}

// allowed says who may go for h.
func (*cache) allowed(h *held, everyone bool) func(*held) bool {
	return func(other *held) bool {
		return !everyone || !other.compact || other.partition.key.tenant != h.partition.key.tenant
	}
}

// evict lets those go that may, the longest not asked for first, until there is room; never h.
func (c *cache) evict(h *held, may func(*held) bool) {
	for e := c.recent.Back(); e != nil && c.bytes > c.limit; {
		last := e
		e = e.Prev()
		other, _ := last.Value.(*held)
		if other == h || !may(other) {
			continue
		}
		c.letGo(last)
		c.evicted++
	}
}

func (c *cache) letGo(e *list.Element) {
	h, _ := c.recent.Remove(e).(*held)
	delete(c.byKey, h.partition.key)
	h.partition.dropped.Store(true)
	c.bytes -= h.bytes
}

// CacheStats tell what a back end holds in the process.
type CacheStats struct {
	Scopes  int `json:"scopes"`
	Compact int `json:"compact"` // scopes of which codes and hashes are held
	Bytes   int `json:"bytes"`   // estimated
	Limit   int `json:"limit"`
	Evicted int `json:"evicted"` // scopes let go since the start, to make room
}

func (c *cache) stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	compact := 0
	for e := c.recent.Front(); e != nil; e = e.Next() {
		if h, _ := e.Value.(*held); h.compact {
			compact++
		}
	}
	return CacheStats{Scopes: c.recent.Len(), Compact: compact, Bytes: c.bytes, Limit: c.limit, Evicted: c.evicted}
}
