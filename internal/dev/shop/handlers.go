package shop

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"

	"github.com/engardehq/madansara/web/tracker"
)

func (s *Shop) home(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "home", view{Title: "Ti Machann: from the hills of Haiti"})
}

func (s *Shop) product(w http.ResponseWriter, r *http.Request) {
	p, found := find(r.PathValue("id"))
	if !found {
		s.nothingHere(w, r)
		return
	}
	s.show(w, r, http.StatusOK, "product", view{Title: p.Name + " · Ti Machann", Product: p, Tell: []call{{"track", "Product Viewed", properties(p, 0)}}})
}

func (s *Shop) cart(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "cart", view{Title: "Your basket · Ti Machann"})
}

// changeCart adds to the cart ("add") or sets how many of a product are in it.
func (s *Shop) changeCart(w http.ResponseWriter, r *http.Request) {
	if !s.parse(w, r) {
		return
	}
	p, found := find(r.PostForm.Get("product"))
	quantity, err := strconv.Atoi(r.PostForm.Get("quantity"))
	if !found || err != nil || quantity < 0 || quantity > maxQuantity {
		http.Error(w, "Please choose a product of ours and between 0 and 20 of it.", http.StatusUnprocessableEntity)
		return
	}
	c := readCart(r)
	if r.PostForm.Get("add") != "" {
		quantity += c.quantity(p.ID)
	}
	writeCart(w, r, c.with(p, quantity))
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
}

func (s *Shop) checkout(w http.ResponseWriter, r *http.Request) {
	c := readCart(r)
	if len(c) == 0 {
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return
	}
	started := call{"track", "Checkout Started", map[string]any{"value": json.Number(c.Total().Decimal()), "currency": currency, "products": products(c)}}
	s.show(w, r, http.StatusOK, "checkout", view{Title: "Checkout · Ti Machann", Cart: c, Form: form{Token: newToken()}, Tell: []call{started}})
}

var (
	tokenForm     = regexp.MustCompile(`^[A-Z2-7]{26}$`)
	trackedIDForm = regexp.MustCompile(`^[\w-]{8,64}$`)
)

// order takes the purchase, reports it and shows the thank-you page; the report
// is delivered behind the buyer's back.
func (s *Shop) order(w http.ResponseWriter, r *http.Request) {
	if !s.parse(w, r) {
		return
	}
	token := r.PostForm.Get("token")
	if !tokenForm.MatchString(token) {
		http.Redirect(w, r, "/checkout", http.StatusSeeOther) // not a form of ours: start again
		return
	}
	if _, placed := s.records.order(token); placed {
		showOrder(w, r, token)
		return
	}
	c := readCart(r)
	if len(c) == 0 {
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return
	}
	f := form{Token: token}
	var problem string
	f.Name, problem = readName(r.PostForm.Get("name"))
	f.check("name", problem)
	f.Email, problem = readEmail(r.PostForm.Get("email"))
	f.check("email", problem)
	if f.Errors != nil {
		s.show(w, r, http.StatusUnprocessableEntity, "checkout", view{Title: "Checkout · Ti Machann", Cart: c, Form: f})
		return
	}
	o := order{ID: "TM-" + newToken()[:10], Name: f.Name, Email: f.Email, Cart: c, At: s.config.Clock.Now().UTC()}
	if s.records.place(token, o) {
		s.report(r, o)
	}
	writeCart(w, r, nil)
	showOrder(w, r, token)
}

func showOrder(w http.ResponseWriter, r *http.Request, token string) {
	http.Redirect(w, r, "/order/"+token, http.StatusSeeOther) //nolint:gosec // the token has passed tokenForm: letters and digits of ours
}

// report sends "Order Completed" under the ids of the tracker. A visitor without
// them did not want to be recorded, and isn't.
func (s *Shop) report(r *http.Request, o order) {
	anonymous := trackedID(r, tracker.CookieAnonymousID)
	if anonymous == "" {
		s.config.Logger.InfoContext(r.Context(), "shop: an order of a visitor who is not recorded is not reported", "order_id", o.ID)
		return
	}
	about := map[string]any{
		"traits":    map[string]any{"email": o.Email, "name": o.Name},
		"userAgent": r.UserAgent(),
		"library":   map[string]any{"name": "ti-machann", "version": "1"},
	}
	if session := trackedID(r, tracker.CookieSessionID); session != "" {
		about["sessionId"] = session
	}
	s.reports.add(report{
		MessageID: "order-" + o.ID, AnonymousID: anonymous, Event: "Order Completed", Timestamp: o.At, Context: about,
		Properties: map[string]any{
			"order_id": o.ID, "total": json.Number(o.Cart.Total().Decimal()), "currency": currency, "products": products(o.Cart),
		},
	})
}

func trackedID(r *http.Request, name string) string {
	cookie, err := r.Cookie(name)
	if err != nil || !trackedIDForm.MatchString(cookie.Value) {
		return ""
	}
	return cookie.Value
}

func (s *Shop) thanks(w http.ResponseWriter, r *http.Request) {
	o, found := s.records.order(r.PathValue("token"))
	if !found {
		s.nothingHere(w, r)
		return
	}
	s.show(w, r, http.StatusOK, "thanks", view{Title: "Mèsi! · Ti Machann", Order: o})
}

func (s *Shop) signUp(w http.ResponseWriter, r *http.Request) {
	if !s.parse(w, r) {
		return
	}
	var f form
	var problem string
	f.Email, problem = readEmail(r.PostForm.Get("email"))
	f.check("offer-email", problem)
	if f.Consent = r.PostForm.Get("consent") == "yes"; !f.Consent {
		f.check("consent", "Tick the box, so that we may write to you.")
	}
	if f.Errors != nil {
		s.show(w, r, http.StatusUnprocessableEntity, "home", view{Title: "Ti Machann: from the hills of Haiti", Form: f})
		return
	}
	token := newToken()
	s.records.signedUp(token, f.Email)
	http.Redirect(w, r, "/offers/"+token, http.StatusSeeOther)
}

// welcome tells the tracker who signed up, once: a reload or a bookmark of the
// page says nothing new.
func (s *Shop) welcome(w http.ResponseWriter, r *http.Request) {
	signed, found := s.records.welcome(r.PathValue("token"))
	if !found {
		s.nothingHere(w, r)
		return
	}
	v := view{Title: "Welcome · Ti Machann", Email: signed.Email}
	if !signed.Told {
		v.Tell = []call{
			{"identify", map[string]any{"email": signed.Email, "marketing_consent": true}},
			{"track", "Signed Up", map[string]any{"list": "offers"}},
		}
	}
	s.show(w, r, http.StatusOK, "welcome", v)
}

func (s *Shop) privacy(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "privacy", view{Title: "Your privacy · Ti Machann"})
}

func (s *Shop) nothingHere(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusNotFound, "missing", view{Title: "Not on the stall · Ti Machann"})
}

func (s *Shop) parse(w http.ResponseWriter, r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "This form could not be read.", http.StatusBadRequest)
		return false
	}
	return true
}
