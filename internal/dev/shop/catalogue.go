package shop

import "github.com/engardehq/madansara/internal/money"

const currency = "USD"

// product is one thing on the market stall.
type product struct {
	ID, Name, Kreyol, Unit string
	Line                   string // one sentence, for the card
	Story                  string
	Facts                  []string
	Minor                  int64 // the price of one, in cents
}

// Price is what one costs.
func (p product) Price() money.Amount { return money.Amount{Minor: p.Minor, Currency: currency} }

// Picture is the address of its drawing.
func (p product) Picture() string { return "/assets/" + p.ID + ".svg" }

var catalogue = []product{
	{
		ID: "coffee", Name: "Mountain coffee", Kreyol: "Kafe mòn", Unit: "340 g, whole bean", Minor: 1890,
		Line:  "Typica from 1,400 metres, washed in spring water and roasted on Tuesdays.",
		Story: "Grown under banana and avocado trees above Thiotte, picked red and carried down by mule. Expect cane sugar, roasted hazelnut and a long, clean finish.",
		Facts: []string{"Typica, shade grown", "Roasted within the week", "The grower keeps 62% of the price"},
	},
	{
		ID: "cacao", Name: "Dark chocolate 75%", Kreyol: "Chokola nwa", Unit: "two bars of 70 g", Minor: 1250,
		Line:  "Stone-ground cacao from the north, cane sugar, nothing else.",
		Story: "Fermented for six days in boxes of mapou wood near Cap-Haïtien, dried on roofs, ground slowly between stones. Tastes of red fruit and tobacco leaf; breaks with a snap.",
		Facts: []string{"Two ingredients", "Fermented six days", "Wrapped in paper, no plastic"},
	},
	{
		ID: "soap", Name: "Vetiver soap", Kreyol: "Savon vetivè", Unit: "three bars of 110 g", Minor: 990,
		Line:  "Cold-process soap with vetiver oil distilled in Les Cayes.",
		Story: "Half the world's vetiver grows in the hills around Les Cayes, where its roots hold the soil. Ours is distilled by a cooperative and stirred into coconut and castor oil, then rests for six weeks.",
		Facts: []string{"Rests six weeks", "Coconut and castor oil", "Kind to rivers and to skin"},
	},
}

func find(id string) (product, bool) {
	for _, p := range catalogue {
		if p.ID == id {
			return p, true
		}
	}
	return product{}, false
}
