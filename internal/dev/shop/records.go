package shop

import (
	"sync"
	"time"
)

// maxRecords bounds the orders and the sign-ups kept, each; the oldest go first.
const maxRecords = 1000

// order is one purchase.
type order struct {
	ID, Name, Email string
	Cart            cart
	At              time.Time
}

// signUp is one address left for offers.
type signUp struct {
	Email string
	Told  bool // its page has told the tracker
}

// records is the shop's memory, by the tokens of the pages that show them.
type records struct {
	mu      sync.Mutex
	orders  kept[order]
	signUps kept[signUp]
}

func newRecords() *records {
	return &records{orders: kept[order]{by: map[string]order{}}, signUps: kept[signUp]{by: map[string]signUp{}}}
}

// place keeps the order unless the token has one already: a form sent twice is
// one purchase. It reports whether the order is new.
func (r *records) place(token string, o order) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, placed := r.orders.by[token]; placed {
		return false
	}
	r.orders.keep(token, o)
	return true
}

func (r *records) order(token string) (order, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, found := r.orders.by[token]
	return o, found
}

func (r *records) signedUp(token, email string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signUps.keep(token, signUp{Email: email})
}

// welcome returns the sign-up as it was, and from then on as told.
func (r *records) welcome(token string) (signUp, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, found := r.signUps.by[token]
	if found {
		r.signUps.by[token] = signUp{Email: s.Email, Told: true}
	}
	return s, found
}

// kept is a bounded map.
type kept[T any] struct {
	by  map[string]T
	age []string
}

func (k *kept[T]) keep(token string, value T) {
	k.by[token] = value
	k.age = append(k.age, token)
	if len(k.age) > maxRecords {
		delete(k.by, k.age[0])
		k.age = k.age[1:]
	}
}
