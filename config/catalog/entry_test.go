package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
