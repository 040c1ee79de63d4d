package adreport

import (
	"slices"
	"strings"
)

// column is what a column of a report holds.
type column int

const (
	unknown column = iota
	day
	starts // of the reporting period
	ends
	longer // a segment longer than a day
	campaign
	externalID
	status
	currency
	spend
	impressions
	clicks
	linkClicks
	conversions
	results
	indicator
	revenue
	budget
	budgetType
	columns // how many there are
)

// Languages are those whose column names and dates are known.
func Languages() []string { return []string{"en", "de", "fr", "es", "pt", "it"} }

// headings are the platforms' names of the columns, in lower case and without
// a currency in parentheses, by language. Google's and Meta's stand together:
// where they share a word it means the same.
var headings = map[string]map[column][]string{
	"en": {
		day: {"day", "date"}, starts: {"reporting starts"}, ends: {"reporting ends"}, longer: {"week", "month", "quarter", "year"},
		campaign: {"campaign", "campaign name"}, externalID: {"campaign id"},
		status:   {"campaign state", "campaign status", "campaign delivery", "status", "delivery"},
		currency: {"currency", "currency code"}, spend: {"cost", "amount spent", "spend"},
		impressions: {"impr.", "impressions"}, clicks: {"clicks", "clicks (all)"}, linkClicks: {"link clicks"},
		conversions: {"conversions", "conv.", "purchases", "website purchases"}, results: {"results"},
		indicator:  {"result indicator", "result type"},
		revenue:    {"conv. value", "total conv. value", "conversion value", "purchases conversion value", "website purchases conversion value"},
		budget:     {"budget", "campaign budget"},
		budgetType: {"budget type", "campaign budget type"},
	},
	"de": {
		day: {"tag", "datum"}, starts: {"berichtsstart"}, ends: {"berichtsende"}, longer: {"woche", "monat", "quartal", "jahr"},
		campaign: {"kampagne", "kampagnenname", "name der kampagne"}, externalID: {"kampagnen-id"},
		status:   {"kampagnenstatus", "auslieferung der kampagne", "status"},
		currency: {"währung", "währungscode"}, spend: {"kosten", "ausgegebener betrag"},
		impressions: {"impr.", "impressionen"}, clicks: {"klicks", "klicks (alle)"}, linkClicks: {"link-klicks", "linkklicks"},
		conversions: {"conversions", "conv.", "käufe", "website-käufe"}, results: {"ergebnisse"}, indicator: {"ergebnisindikator", "ergebnistyp"},
		revenue:    {"conv.-wert", "conversion-wert", "conversion-wert von käufen", "conversion-wert für käufe"},
		budget:     {"budget", "kampagnenbudget"},
		budgetType: {"budgettyp", "art des kampagnenbudgets"},
	},
	"fr": {
		day: {"jour", "date"}, starts: {"début des rapports"}, ends: {"fin des rapports"}, longer: {"semaine", "mois", "trimestre", "année"},
		campaign: {"campagne", "nom de la campagne"}, externalID: {"id de campagne", "id de la campagne", "n° de campagne"},
		status:   {"état de la campagne", "diffusion de la campagne", "état", "statut"},
		currency: {"devise", "code de devise"}, spend: {"coût", "montant dépensé"},
		impressions: {"impr.", "impressions"}, clicks: {"clics", "clics (tous)"}, linkClicks: {"clics sur un lien", "clics sur le lien"},
		conversions: {"conversions", "conv.", "achats", "achats sur le site web"}, results: {"résultats"},
		indicator:  {"indicateur de résultats", "type de résultat"},
		revenue:    {"valeur de conv.", "valeur de conversion", "valeur de conversion des achats"},
		budget:     {"budget", "budget de la campagne"},
		budgetType: {"type de budget", "type de budget de la campagne"},
	},
	"es": {
		day: {"día", "fecha"}, starts: {"inicio del informe"}, ends: {"fin del informe", "finalización del informe"},
		longer: {"semana", "mes", "trimestre", "año"}, campaign: {"campaña", "nombre de la campaña"},
		externalID: {"id de campaña", "id. de campaña", "identificador de la campaña", "id de la campaña"},
		status:     {"estado de la campaña", "entrega de la campaña", "estado"},
		currency:   {"moneda", "divisa", "código de moneda", "código de divisa"}, spend: {"coste", "costo", "importe gastado"},
		impressions: {"impr.", "impresiones"}, clicks: {"clics", "clics (todos)"}, linkClicks: {"clics en el enlace"},
		conversions: {"conversiones", "conv.", "compras", "compras en el sitio web"}, results: {"resultados"}, //nolint:misspell // Spanish
		indicator:  {"indicador de resultado", "indicador de resultados", "tipo de resultado"},
		revenue:    {"valor de conv.", "valor de conversión", "valor de conversión de compras"},
		budget:     {"presupuesto", "presupuesto de la campaña"},
		budgetType: {"tipo de presupuesto", "tipo de presupuesto de la campaña"},
	},
	"pt": {
		day: {"dia", "data"}, starts: {"início dos relatórios"}, ends: {"término dos relatórios", "encerramento dos relatórios"},
		longer: {"semana", "mês", "trimestre", "ano"}, campaign: {"campanha", "nome da campanha"},
		externalID: {"id da campanha", "código da campanha", "identificação da campanha"},
		status:     {"status da campanha", "estado da campanha", "veiculação da campanha", "status"},
		currency:   {"moeda", "código da moeda"}, spend: {"custo", "valor usado", "valor gasto"},
		impressions: {"impr.", "impressões"}, clicks: {"cliques", "cliques (todos)"}, linkClicks: {"cliques no link"},
		conversions: {"conversões", "conv.", "compras", "compras no site"}, results: {"resultados"}, //nolint:misspell // Portuguese
		indicator:  {"indicador de resultados", "tipo de resultado"},
		revenue:    {"valor de conv.", "valor conv.", "valor de conversão", "valor de conversão da compra", "valor de conversão de compras"}, //nolint:misspell // Portuguese
		budget:     {"orçamento", "orçamento da campanha"},
		budgetType: {"tipo de orçamento", "tipo de orçamento da campanha"},
	},
	"it": {
		day: {"giorno", "data"}, starts: {"inizio dei report", "inizio report"}, ends: {"fine dei report", "fine report"},
		longer: {"settimana", "mese", "trimestre", "anno"}, campaign: {"campagna", "nome della campagna"},
		externalID: {"id campagna", "id della campagna"}, status: {"stato campagna", "stato della campagna", "pubblicazione della campagna", "stato"},
		currency: {"valuta", "codice valuta"}, spend: {"costo", "importo speso"},
		impressions: {"impr.", "impressioni", "impression"}, clicks: {"clic", "clic (tutti)"}, linkClicks: {"clic sul link"},
		conversions: {"conversioni", "conv.", "acquisti", "acquisti sul sito web"}, results: {"risultati"},
		indicator:  {"indicatore dei risultati", "indicatore di risultato"}, //nolint:misspell // Italian
		revenue:    {"valore conv.", "valore di conversione", "valore di conversione degli acquisti"},
		budget:     {"budget", "budget della campagna"},
		budgetType: {"tipo di budget", "tipo di budget della campagna"},
	},
}

// metaOnly are the columns that only a report of Meta's has, or only under
// these words.
var metaOnly = map[string]bool{
	"amount spent": true, "ausgegebener betrag": true, "montant dépensé": true, "importe gastado": true,
	"valor usado": true, "valor gasto": true, "importo speso": true,
}

// header says where a file's columns are.
type header struct {
	line      int
	delimiter byte
	language  string
	platform  Platform
	at        [columns]int // -1 for none
	names     []string
	currency  string // the one in a heading, "Amount spent (EUR)"
}

func (h *header) has(c column) bool { return h.at[c] >= 0 }

// cell returns the cell of c, "" when the row has none: totals are often short.
func (h *header) cell(row []string, c column) string {
	if i := h.at[c]; i >= 0 && i < len(row) {
		return row[i]
	}
	return ""
}

// within are the lines among which the headings are looked for.
const within = 25

// tooWideOnTop is the first line, from 1, that is too wide to hold the headings; 0 for none.
func tooWideOnTop(lines []string) int {
	return 1 + slices.IndexFunc(lines[:min(within, len(lines))], func(line string) bool {
		return tooWide(line, ',') || tooWide(line, '\t') || tooWide(line, ';')
	})
}

// findHeader looks for the line that names a campaign and one of its figures
// among the first ones: a title and a period may stand above it.
func findHeader(lines []string) *header {
	var best *header
	most := 0
	for i, line := range lines[:min(within, len(lines))] {
		for _, delimiter := range []byte{',', '\t', ';'} {
			names, problem := fields(line, delimiter)
			if problem != "" || len(names) < 3 {
				continue
			}
			for _, language := range Languages() {
				h, known := readHeader(names, language)
				if known > most && h.has(campaign) && (h.has(spend) || h.has(impressions) || h.has(clicks)) {
					h.line, h.delimiter = i+1, delimiter
					best, most = h, known
				}
			}
		}
	}
	return best
}

func readHeader(names []string, language string) (h *header, known int) {
	h = &header{language: language, names: names, platform: GoogleAds}
	for c := range h.at {
		h.at[c] = -1
	}
	for i, name := range names {
		plain, code := splitCurrency(strings.ToLower(name))
		c := columnOf(plain, language)
		if c == unknown {
			continue
		}
		known++
		if h.at[c] < 0 { // the first of two columns of one meaning is the more general
			h.at[c] = i
		}
		if c == spend || (c == revenue && h.currency == "") {
			if code != "" {
				h.currency = code
			}
		}
		if metaOnly[plain] || c == starts || c == linkClicks {
			h.platform = MetaAds
		}
	}
	return h, known
}

func columnOf(name, language string) column {
	for c, words := range headings[language] {
		if slices.Contains(words, name) {
			return c
		}
	}
	return unknown
}

// splitCurrency takes a currency's code off a heading: "amount spent (eur)".
func splitCurrency(name string) (plain, code string) {
	open := strings.LastIndexByte(name, '(')
	if open < 0 || !strings.HasSuffix(name, ")") {
		return name, ""
	}
	inside := strings.ToUpper(name[open+1 : len(name)-1])
	if !IsCurrency(inside) {
		return name, ""
	}
	return strings.TrimSpace(name[:open]), inside
}
