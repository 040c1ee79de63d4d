package pgmem

import (
	"container/list"
	"sync"

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
	index *index // nil until loaded
	// changed is the count of the scope's changes that index includes.
	changed int64
	// large: the scope does not fit into the cache; it is read in pieces instead.
	large bool
}

// cache holds partitions up to a number of bytes, those asked for latest.
type cache struct {
	limit int

	mu      sync.Mutex
	byKey   map[partitionKey]*list.Element
	recent  list.List // of *held, the latest in front
	bytes   int
	evicted int
}

type held struct {
	partition *partition
	bytes     int // as counted in cache.bytes
}

func newCache(limit int) *cache {
	return &cache{limit: limit, byKey: map[partitionKey]*list.Element{}}
}

// get returns the partition of key, an empty one if none is held.
func (c *cache) get(key partitionKey) *partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.recent.MoveToFront(e)
		h, _ := e.Value.(*held)
		return h.partition
	}
	p := &partition{key: key}
	c.byKey[key] = c.recent.PushFront(&held{partition: p, bytes: partitionBytes})
	c.bytes += partitionBytes
	c.evict()
	return p
}

// partitionBytes is what a partition takes up that holds nothing.
const partitionBytes = 1000

// resized tells that a partition has grown or shrunk, and lets others go if
// there is no room. A partition that somebody searches stays in memory until they have finished.
func (c *cache) resized(p *partition, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[p.key]
	if !ok {
		return // let go meanwhile
	}
	h, _ := e.Value.(*held)
	if h.partition != p {
		return
	}
	c.bytes += bytes + partitionBytes - h.bytes
	h.bytes = bytes + partitionBytes
	c.evict()
}

func (c *cache) evict() {
	for c.bytes > c.limit && c.recent.Len() > 1 {
		last := c.recent.Back()
		h, _ := c.recent.Remove(last).(*held)
		delete(c.byKey, h.partition.key)
		c.bytes -= h.bytes
		c.evicted++
	}
}

// CacheStats tell what a back end holds in the process.
type CacheStats struct {
	Scopes  int `json:"scopes"`
	Bytes   int `json:"bytes"` // estimated
	Limit   int `json:"limit"`
	Evicted int `json:"evicted"` // scopes let go since the start, to make room
}

func (c *cache) stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheStats{Scopes: c.recent.Len(), Bytes: c.bytes, Limit: c.limit, Evicted: c.evicted}
}
