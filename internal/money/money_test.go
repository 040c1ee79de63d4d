package money_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/currency"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, currency string
		minor          int64
		err            error
	}{
		{"19.90", "USD", 1990, nil},
		{"19.9", "USD", 1990, nil},
		{"0", "USD", 0, nil},
		{"-0.00", "USD", 0, nil},
		{"-3", "HTG", -300, nil},
		{"1500", "JPY", 1500, nil},
		{"1.234", "KWD", 1234, nil},
		{"1.5e3", "USD", 150000, nil},
		{"15E-1", "USD", 150, nil},
		{"59.970000000000006", "USD", 5997, nil}, // what 3 * 19.99 comes to in JavaScript
		{"0.29999999999999999", "USD", 30, nil},
		{"0.125", "USD", 12, nil}, // half to even
		{"0.135", "USD", 14, nil},
		{"-0.125", "USD", -12, nil},
		{"0.1250001", "USD", 13, nil},
		{"0.005", "USD", 0, nil},
		{"0.0051", "USD", 1, nil},
		{"0.5", "JPY", 0, nil},
		{"1.5", "JPY", 2, nil},
		{"007.50", "USD", 750, nil},
		{"0e999999999999999999999", "USD", 0, nil},
		{"1e-999999999999999999999", "USD", 0, nil},
		{"92233720368547758.07", "USD", math.MaxInt64, nil},
		{"-92233720368547758.08", "USD", math.MinInt64, nil},
		{"92233720368547758.08", "USD", 0, money.ErrOverflow},
		{"92233720368547758.075", "USD", 0, money.ErrOverflow},
		{"-92233720368547758.081", "USD", math.MinInt64, nil},
		{"-92233720368547758.086", "USD", 0, money.ErrOverflow},
		{"1e999999999", "USD", 0, money.ErrOverflow},
		{"99999999999999999999", "JPY", 0, money.ErrOverflow},
		{"", "USD", 0, money.ErrSyntax},
		{"-", "USD", 0, money.ErrSyntax},
		{"+1", "USD", 0, money.ErrSyntax},
		{".5", "USD", 0, money.ErrSyntax},
		{"5.", "USD", 0, money.ErrSyntax},
		{"1e", "USD", 0, money.ErrSyntax},
		{"1e+-2", "USD", 0, money.ErrSyntax},
		{"1.2.3", "USD", 0, money.ErrSyntax},
		{"1,234.50", "USD", 0, money.ErrSyntax},
		{"NaN", "USD", 0, money.ErrSyntax},
		{"Infinity", "USD", 0, money.ErrSyntax},
		{"0x10", "USD", 0, money.ErrSyntax},
		{"1 ", "USD", 0, money.ErrSyntax},
		{"1\x00", "USD", 0, money.ErrSyntax},
		{"٣", "USD", 0, money.ErrSyntax},
		{strings.Repeat("1", money.MaxTextLength+1), "USD", 0, money.ErrSyntax},
		{"1", "usd", 0, money.ErrCurrency},
		{"1", "", 0, money.ErrCurrency},
		{"1", "XXX", 0, money.ErrCurrency},
		{"1", "BTC", 0, money.ErrCurrency},
	} {
		t.Run(tc.text+" "+tc.currency, func(t *testing.T) {
			t.Parallel()
			amount, err := money.Parse(tc.text, tc.currency)
			if tc.err != nil {
				require.ErrorIs(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, money.Amount{Minor: tc.minor, Currency: tc.currency}, amount)
		})
	}
}

func TestParseJSON(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int64{`19.9`: 1990, `"19.90"`: 1990, `" 19.90 "`: 1990, ` 1e1 `: 1000} {
		amount, err := money.ParseJSON(json.RawMessage(raw), "USD")
		require.NoError(t, err, raw)
		require.Equal(t, want, amount.Minor, raw)
	}
	for _, raw := range []string{``, `null`, `true`, `{}`, `[1]`, `"`, `"\ud800"`, `"nineteen"`} {
		_, err := money.ParseJSON(json.RawMessage(raw), "USD")
		require.ErrorIs(t, err, money.ErrSyntax, raw)
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for want, amount := range map[string]money.Amount{
		"1234.50 USD":               {Minor: 123450, Currency: "USD"},
		"0.05 USD":                  {Minor: 5, Currency: "USD"},
		"-0.05 USD":                 {Minor: -5, Currency: "USD"},
		"0.00 EUR":                  {Currency: "EUR"},
		"1500 JPY":                  {Minor: 1500, Currency: "JPY"},
		"-1.234 KWD":                {Minor: -1234, Currency: "KWD"},
		"-92233720368547758.08 HTG": {Minor: math.MinInt64, Currency: "HTG"},
	} {
		require.Equal(t, want, amount.String())
	}
}

func TestStringIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := money.Amount{
			Minor:    rapid.Int64().Draw(t, "minor"),
			Currency: rapid.SampledFrom([]string{"USD", "JPY", "KWD", "CLF", "HTG"}).Draw(t, "currency"),
		}
		back, err := money.Parse(amount.Decimal(), amount.Currency)
		require.NoError(t, err)
		require.Equal(t, amount, back)
	})
}

// Every code we know is known to x/text, but for those younger than its CLDR;
// this catches a misspelt code.
func TestCurrenciesAreReal(t *testing.T) {
	t.Parallel()
	younger := []string{"SLE", "VED", "XCG", "ZWG", "UYW", "VES", "MRU", "STN"}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				code := string([]rune{a, b, c})
				if _, known := money.Exponent(code); !known {
					continue
				}
				if _, err := currency.ParseISO(code); err != nil {
					require.Contains(t, younger, code)
				}
			}
		}
	}
}

func TestApportion(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		total   int64
		weights []float64
		want    []int64
	}{
		{100, []float64{1, 1, 1}, []int64{34, 33, 33}},
		{-100, []float64{1, 1, 1}, []int64{-34, -33, -33}},
		{100, []float64{0.4, 0.2, 0.4}, []int64{40, 20, 40}},
		{1, []float64{0.4, 0.2, 0.4}, []int64{1, 0, 0}},
		{0, []float64{1, 2}, []int64{0, 0}},
		{7, []float64{0, 0}, []int64{4, 3}},
		{7, []float64{0, 1, 0}, []int64{0, 7, 0}},
		{7, []float64{math.NaN(), 1, -1, math.Inf(1)}, []int64{0, 7, 0, 0}},
		{7, []float64{math.SmallestNonzeroFloat64, math.MaxFloat64}, []int64{0, 7}},
		{math.MinInt64, []float64{1}, []int64{math.MinInt64}},
		{math.MaxInt64, []float64{1, 1}, []int64{math.MaxInt64/2 + 1, math.MaxInt64 / 2}},
		{5, nil, nil},
	} {
		require.Equal(t, tc.want, money.Apportion(tc.total, tc.weights), "%d over %v", tc.total, tc.weights)
	}
}

func TestApportionIsExactAndFair(t *testing.T) {
	t.Parallel()
	weight := rapid.OneOf(rapid.Float64Range(0, 1), rapid.Float64Range(0, math.MaxFloat64/1000), rapid.Just(0.0),
		rapid.Just(math.SmallestNonzeroFloat64))
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64().Draw(t, "total")
		weights := rapid.SliceOfN(weight, 1, 50).Draw(t, "weights")
		shares := money.Apportion(total, weights)

		sum, given, sumOfWeights := new(big.Int), new(big.Rat), new(big.Rat)
		for i, share := range shares {
			sum.Add(sum, big.NewInt(share))
			sumOfWeights.Add(sumOfWeights, new(big.Rat).SetFloat64(weights[i]))
		}
		require.Equal(t, big.NewInt(total).String(), sum.String(), "the shares sum to the total")
		if sumOfWeights.Sign() == 0 {
			return
		}
		for i, share := range shares {
			exact := new(big.Rat).SetInt64(total)
			exact.Mul(exact, new(big.Rat).SetFloat64(weights[i])).Quo(exact, sumOfWeights)
			off := given.Sub(new(big.Rat).SetInt64(share), exact)
			require.Negative(t, off.Abs(off).Cmp(big.NewRat(1, 1)), "share %d is less than one unit off", i)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"19.90", "-1e5", "0.005", "1e999999999", "NaN", "007", "92233720368547758.08", "5.", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for code, decimals := range map[string]int64{"JPY": 0, "USD": 2, "KWD": 3} {
			amount, err := money.Parse(text, code)
			if err != nil {
				continue
			}
			// Against exact rationals: no more than half a minor unit off.
			exact, ok := new(big.Rat).SetString(text)
			if !ok {
				// big.Rat refuses powers beyond its own bound.
				require.Zero(t, amount.Minor, text)
				continue
			}
			scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(decimals), nil)
			off := exact.Mul(exact, new(big.Rat).SetInt(scale)).Sub(exact, new(big.Rat).SetInt64(amount.Minor))
			require.LessOrEqual(t, off.Abs(off).Cmp(big.NewRat(1, 2)), 0, text)
		}
	})
}
