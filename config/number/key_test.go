package number

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func key(t *testing.T, number string) Key {
	t.Helper()
	k, ok := Parse([]byte(number))
	require.True(t, ok, number)
	return k
}

// Every count of digits, with and without "+": the key has what the text has.
func TestKeyIsItsText(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		for digits := range MaxDigits + 1 {
			value := rnd.Uint64N(uint64(powers[digits]))
			if rnd.IntN(4) == 0 {
				value %= 10
			}
			text := fmt.Sprintf("%0*d", digits, value)
			if digits == 0 {
				text = ""
			}
			for plus, text := range []string{text, "+" + text} {
				k := key(t, text)
				require.Equal(t, text, k.String())
				require.Equal(t, digits, k.Digits(), text)
				require.Equal(t, value, k.Value(), text)
				require.Equal(t, plus == 1, k.Plus(), text)
				require.Equal(t, Form(2*digits+plus), k.Form(), text)
				require.Equal(t, digits, k.Form().Digits())
				require.Equal(t, plus == 1, k.Form().Plus())
				require.Less(t, k, Key(1)<<Bits)
				if digits > 0 {
					require.Equal(t, text[:len(text)-1], k.Cut().String())
				}
			}
		}
	}
	require.Equal(t, Empty, key(t, ""))
	require.Equal(t, Plus, key(t, "+"))
	require.Zero(t, Empty.Cut())
	require.Zero(t, Plus.Cut())
	require.Empty(t, Key(0).String())
}

func TestKeysOfTheEdges(t *testing.T) {
	for digits := 1; digits <= MaxDigits; digits++ {
		for _, digit := range []string{"0", "9"} {
			for _, text := range []string{strings.Repeat(digit, digits), "+" + strings.Repeat(digit, digits)} {
				k := key(t, text)
				require.Equal(t, text, k.String())
				require.Equal(t, digits, k.Digits())
			}
		}
	}
}

// A byte that is no digit is seen wherever it stands, whatever it is.
func TestParseRefusesWhatIsNoDigit(t *testing.T) {
	for digits := 1; digits <= MaxDigits; digits++ {
		for _, plus := range []string{"", "+"} {
			text := []byte(plus + strings.Repeat("5", digits))
			for at := len(plus); at < len(text); at++ {
				for b := range 256 {
					text[at] = byte(b)
					_, ok := Parse(text)
					isDigit := b >= '0' && b <= '9'
					if at == 0 && b == '+' {
						isDigit = true // what is left is a number, or a prefix
					}
					require.Equal(t, isDigit, ok, "%q", text)
				}
				text[at] = '5'
			}
		}
	}
	for _, text := range []string{"++", "1+", "5555555555555555", "+5555555555555555", strings.Repeat("1", 1000)} {
		_, ok := Parse([]byte(text))
		require.False(t, ok, text)
	}
}

func TestKeysOfOneFormAreInOrder(t *testing.T) {
	for _, pair := range [][2]string{{"0", "1"}, {"09", "10"}, {"+15550000001", "+15550000002"}, {"+099", "+100"}} {
		require.Less(t, key(t, pair[0]), key(t, pair[1]))
	}
	require.NotEqual(t, key(t, "1"), key(t, "01"))
	require.NotEqual(t, key(t, "1"), key(t, "+1"))
}

func TestNumbersOfAPrefix(t *testing.T) {
	first, last, ok := key(t, "+1555").Numbers(key(t, "+99999999999").Form())
	require.True(t, ok)
	require.Equal(t, "+15550000000", first.String())
	require.Equal(t, "+15559999999", last.String())
	first, last, ok = key(t, "0155").Numbers(key(t, "0155").Form())
	require.True(t, ok)
	require.Equal(t, [2]string{"0155", "0155"}, [2]string{first.String(), last.String()})
	_, _, ok = key(t, "+1555").Numbers(key(t, "999999").Form())
	require.False(t, ok, "another form")
	_, _, ok = key(t, "1555").Numbers(key(t, "+999999").Form())
	require.False(t, ok, "another form")
	_, _, ok = key(t, "+1555").Numbers(key(t, "+155").Form())
	require.False(t, ok, "shorter than the prefix")
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "+", "112", "+15550000001", "000000000000000", "+999999999999999", "1555000000a", "155500\x800001"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, ok := Parse(text)
		digits := strings.TrimPrefix(string(text), "+")
		require.Equal(t, len(digits) <= MaxDigits && strings.Trim(digits, "0123456789") == "", ok)
		if ok {
			require.Equal(t, string(text), k.String())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte("+15550000001")
	b.ReportAllocs()
	for b.Loop() {
		Parse(text)
	}
}
