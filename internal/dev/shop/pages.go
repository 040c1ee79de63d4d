package shop

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"

	"github.com/engardehq/madansara/internal/money"
)

//go:embed pages
var sources embed.FS

type pages map[string]*template.Template

func parsePages() (pages, error) {
	parsed := pages{}
	functions := template.FuncMap{"price": price}
	for _, name := range []string{"home", "product", "cart", "checkout", "thanks", "welcome", "privacy", "missing"} {
		page, err := template.New("layout.html").Funcs(functions).ParseFS(sources, "pages/layout.html", "pages/offers.html", "pages/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("shop: page %s: %w", name, err)
		}
		parsed[name] = page
	}
	return parsed, nil
}

func price(a money.Amount) string { return "$" + a.Decimal() }

// view is what a page shows.
type view struct {
	Title    string
	Catalog  []product
	Product  product
	Cart     cart
	Form     form
	Order    order
	Email    string
	Tell     []call // what the page tells the tracker once
	Tracker  string
	Ingest   string
	WriteKey string
}

// call is a call of the tracker, such as ["track", "Product Viewed", {...}].
type call []any

// Calls is Tell as the page's script reads it.
func (v view) Calls() (string, error) {
	if len(v.Tell) == 0 {
		return "", nil
	}
	text, err := json.Marshal(v.Tell)
	return string(text), err
}

// show renders into memory first, so that a failing page is an error and not
// half a page.
func (s *Shop) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Tracker, v.Ingest, v.WriteKey = s.config.TrackerURL, s.config.IngestURL, s.config.WriteKey
	v.Catalog = catalogue
	if v.Cart == nil {
		v.Cart = readCart(r)
	}
	var page bytes.Buffer
	if err := s.pages[name].Execute(&page, v); err != nil {
		s.config.Logger.ErrorContext(r.Context(), "shop: page failed", "page", name, "error", err)
		http.Error(w, "Something went wrong on our side. Please try again.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

// properties tells Segment's e-commerce spec about a product.
func properties(p product, quantity int) map[string]any {
	about := map[string]any{"product_id": p.ID, "name": p.Name, "price": json.Number(p.Price().Decimal()), "currency": currency}
	if quantity > 0 {
		about["quantity"] = quantity
	}
	return about
}

func products(c cart) []map[string]any {
	list := make([]map[string]any, 0, len(c))
	for _, l := range c {
		list = append(list, properties(l.Product, l.Quantity))
	}
	return list
}
