package shop

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/engardehq/madansara/internal/money"
)

const (
	cartCookie  = "ti_cart"
	maxQuantity = 20 // of one product
)

// cart is how many of each product, in the catalogue's order. The visitor's
// cookie holds ids and quantities only; prices are looked up here each time.
type cart []line

type line struct {
	Product  product
	Quantity int
}

// Total is the line's price.
func (l line) Total() money.Amount {
	return money.Amount{Minor: l.Product.Minor * int64(l.Quantity), Currency: currency}
}

// Total is the price of everything.
func (c cart) Total() money.Amount {
	sum := money.Amount{Currency: currency}
	for _, l := range c {
		sum.Minor += l.Total().Minor
	}
	return sum
}

// Count is how many things are in the cart.
func (c cart) Count() int {
	count := 0
	for _, l := range c {
		count += l.Quantity
	}
	return count
}

// with returns the cart with that many of the product, at most maxQuantity; 0
// takes it out.
func (c cart) with(p product, quantity int) cart {
	quantity = max(0, min(quantity, maxQuantity))
	var changed cart
	for _, known := range catalogue {
		have := c.quantity(known.ID)
		if known.ID == p.ID {
			have = quantity
		}
		if have > 0 {
			changed = append(changed, line{Product: known, Quantity: have})
		}
	}
	return changed
}

func (c cart) quantity(id string) int {
	for _, l := range c {
		if l.Product.ID == id {
			return l.Quantity
		}
	}
	return 0
}

// readCart reads the cookie "coffee.2-soap.1" and leaves out whatever in it makes
// no sense: it comes from outside.
func readCart(r *http.Request) cart {
	cookie, err := r.Cookie(cartCookie)
	if err != nil || len(cookie.Value) > 200 {
		return nil
	}
	var c cart
	for part := range strings.SplitSeq(cookie.Value, "-") {
		id, digits, _ := strings.Cut(part, ".")
		p, known := find(id)
		quantity, err := strconv.Atoi(digits)
		if known && err == nil && quantity > 0 {
			c = c.with(p, quantity)
		}
	}
	return c
}

func writeCart(w http.ResponseWriter, r *http.Request, c cart) {
	parts := make([]string, 0, len(c))
	for _, l := range c {
		parts = append(parts, l.Product.ID+"."+strconv.Itoa(l.Quantity))
	}
	cookie := &http.Cookie{ //nolint:gosec // Secure wherever the shop is on https; the demo's own machine has none
		Name: cartCookie, Value: strings.Join(parts, "-"), Path: "/", MaxAge: 30 * 24 * 3600,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
	}
	if len(c) == 0 {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}
