package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKey(t *testing.T) {
	for _, number := range []string{"0", "1", "01", "+1", "0100", "+15550000001", "000000000000000", "999999999999999", "+999999999999999"} {
		k, ok := plainKey([]byte(number))
		require.True(t, ok)
		require.Equal(t, keyOf(number), k)
		require.Equal(t, number, k.String())
		require.Equal(t, "x"+number, string(k.Append([]byte("x"))))
		require.Equal(t, number[0] == '+', k.Plus())
	}
	for _, text := range []string{"", "+", "1a", "++1", "1+", " 1", "1234567890123456", "+1234567890123456", "1-2", "1*", "/", ":"} {
		_, ok := plainKey([]byte(text))
		require.False(t, ok, text)
	}
	require.Equal(t, 11, keyOf("+15550000001").Digits())
	require.EqualValues(t, 15550000001, keyOf("+15550000001").Value())
}

func TestParseEntryAllocatesNothing(t *testing.T) {
	text := []byte("+15550000001")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = ParseEntry(text) }))
}

// ParseEntry reads what ParseNumbers reads, and nothing else.
func FuzzParseEntry(f *testing.F) {
	for _, s := range []string{"+15550000001", "0100", "100-199", "+1555*", "+1-555-000-1000 - +1-555-000-1999", "-+", "+-+", "", "1234567890123456"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, want := ParseNumbers(string(text))
		e, err := ParseEntry(text)
		require.Equal(t, want, err)
		if err == nil {
			require.Equal(t, n, e.Numbers())
			require.Equal(t, n.String(), e.String())
		}
	})
}
