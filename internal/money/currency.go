package money

import "strings"

// The active codes of ISO 4217 by the number of decimals of their minor unit,
// without funds, metals and test codes. The table is ours because CLDR, on which
// golang.org/x/text/currency builds, differs from ISO for a dozen currencies (it
// gives IRR and LBP no decimals, for instance) and lacks the codes since 2018.
const (
	noDecimals    = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
	threeDecimals = "BHD IQD JOD KWD LYD OMR TND"
	fourDecimals  = "CLF UYW"
	twoDecimals   = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD " +
		"CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL " +
		"HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR " +
		"MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD " +
		"SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER " +
		"ZAR ZMW ZWG"
)

var exponents = func() map[string]int {
	table := make(map[string]int, 160)
	for decimals, codes := range map[int]string{0: noDecimals, 2: twoDecimals, 3: threeDecimals, 4: fourDecimals} {
		for code := range strings.FieldsSeq(codes) {
			table[code] = decimals
		}
	}
	return table
}()

// Exponent returns the number of decimals of the currency's minor unit (2 for
// USD, 0 for JPY, 3 for KWD), and false for a code that is not an active ISO 4217
// currency in capital letters.
func Exponent(currency string) (int, bool) {
	exponent, known := exponents[currency]
	return exponent, known
}
