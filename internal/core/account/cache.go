package account

import (
	"container/list"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// keyTTL is how long a key is trusted without asking the database: a
	// revocation is in effect everywhere after this time, in the process that
	// made it at once.
	keyTTL     = 15 * time.Second
	cachedKeys = 10_000
)

// keyCache holds what the database last said about a key, also that there is
// none. The least recently used is forgotten first.
type keyCache struct {
	mu     sync.Mutex
	recent *list.List // of *cachedKey
	byID   map[uuid.UUID]*list.Element
}

type cachedKey struct {
	id     uuid.UUID
	key    *storedKey // nil: there is no such key
	readAt time.Time
}

func newKeyCache() *keyCache {
	return &keyCache{recent: list.New(), byID: map[uuid.UUID]*list.Element{}}
}

// get returns what is known of a key and since when; known is false when nothing
// fresh is.
func (c *keyCache) get(id uuid.UUID, now time.Time) (key *storedKey, readAt time.Time, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.byID[id]
	if !ok {
		return nil, time.Time{}, false
	}
	entry := element.Value.(*cachedKey) //nolint:forcetypeassert // the list holds nothing else
	if now.Sub(entry.readAt) >= keyTTL {
		return nil, time.Time{}, false
	}
	c.recent.MoveToFront(element)
	return entry.key, entry.readAt, true
}

// drop forgets a key: the database is asked at its next use.
func (c *keyCache) drop(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byID[id]; ok {
		c.recent.Remove(element)
		delete(c.byID, id)
	}
}

func (c *keyCache) put(id uuid.UUID, key *storedKey, readAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byID[id]; ok {
		entry := element.Value.(*cachedKey) //nolint:forcetypeassert // the list holds nothing else
		if !readAt.Before(entry.readAt) {   // an older answer may arrive later
			entry.key, entry.readAt = key, readAt
		}
		return
	}
	if c.recent.Len() >= cachedKeys {
		oldest := c.recent.Back()
		c.recent.Remove(oldest)
		delete(c.byID, oldest.Value.(*cachedKey).id) //nolint:forcetypeassert // the list holds nothing else
	}
	c.byID[id] = c.recent.PushFront(&cachedKey{id: id, key: key, readAt: readAt})
}
