package terms

// sameEverywhere gives the stem of what every language writes its own way but
// means the same: small numbers, months, weekdays.
func sameEverywhere(l Language, folded string) (stem string, known bool) {
	stem, known = calendar[l][folded]
	return stem, known
}

// numberNames are the English names of the numbers that every language has under their digits.
var numberNames = map[string]string{
	"2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten",
	"11": "eleven", "12": "twelve", "20": "twenty", "100": "hundred", "1000": "thousand",
}

// calendar holds no "may", "mars", "sun" or "sat" in English: they are more often the verb, the planet, the star and the
// past of sit; nor Creole "dis" and "si".
var calendar = func() map[Language]map[string]string {
	stems := []string{
		"2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "20", "100", "1000",
		"january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
		"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
	}
	written := map[Language][]string{
		English: {
			"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty", "hundred", "thousand",
			"january jan", "february feb", "march", "april apr", "june jun", "july jul", "august aug", "september sept", "october oct", "november nov", "december dec",
			"monday mondays", "tuesday tuesdays", "wednesday wednesdays", "thursday thursdays", "friday fridays", "saturday saturdays", "sunday sundays",
		},
		French: {
			"deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "vingt", "cent", "mille",
			"janvier", "fevrier", "mars", "avril", "juin", "juillet", "aout", "septembre", "octobre", "novembre", "decembre", //nolint:misspell // French
			"lundi lundis", "mardi mardis", "mercredi mercredis", "jeudi jeudis", "vendredi vendredis", "samedi samedis", "dimanche dimanches",
		},
		Spanish: {
			"dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce", "veinte", "cien ciento", "mil",
			"enero", "febrero", "marzo", "abril", "junio", "julio", "agosto", "septiembre setiembre", "octubre", "noviembre", "diciembre",
			"lunes", "martes", "miercoles", "jueves", "viernes", "sabado sabados", "domingo domingos",
		},
		Portuguese: {
			"dois duas", "tres", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez", "onze", "doze", "vinte", "cem cento", "mil",
			"janeiro", "fevereiro", "marco", "abril", "junho", "julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
			"", "", "", "", "", "sabado sabados", "domingo domingos",
		},
		Creole: {
			"de", "twa", "kat", "senk", "sis", "set", "uit", "nef", "", "onz", "douz", "ven", "san", "mil",
			"janvye", "fevriye", "mas", "avril", "jen", "jiye", "out", "septanm", "oktob", "novanm", "desanm",
			"lendi", "madi", "mekredi", "jedi", "vandredi", "samdi", "dimanch",
		},
	}
	tables := map[Language]map[string]string{}
	for language, rows := range written {
		tables[language] = map[string]string{}
		for i, row := range rows {
			for word := range set(row) {
				tables[language][word] = stems[i]
			}
		}
	}
	return tables
}()
