package table

import (
	"strings"
	"testing"

	"tandem/config/number"
)

// FuzzLookup holds that a number is found by itself, and by its longest prefix.
func FuzzLookup(f *testing.F) {
	for _, s := range []string{"+15550000001", "0", "0110", "+", "", "+123456789012345", "1234567890123456", "+1a", "++1", "\x00"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		s := string(text)
		digits := strings.TrimPrefix(s, "+")
		sound := len(digits) <= number.MaxDigits && strings.Trim(digits, "0123456789") == ""
		k, ok := number.Parse(text)
		if ok != sound || ok && k.String() != s {
			t.Fatalf("%q is %v, %t", s, k, ok)
		}
		prefix := s[:min(int(cut), len(s))]
		if !ok || digits == "" || strings.TrimPrefix(prefix, "+") == "" || len(prefix) == len(s) {
			return
		}
		var b Builder
		_ = b.AddPrefix(keyOf(prefix), 7)
		_ = b.AddPrefix(keyOf(prefix[:len(prefix)-1]), 8)
		table, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := table.Lookup(k); !ok || m.Route != 7 || m.Kind != Prefix || m.Entry() != prefix+"*" {
			t.Fatalf("%q by %q*: %+v, %t", s, prefix, m, ok)
		}
		if err := table.Set(k, 9); err != nil {
			t.Fatal(err)
		}
		if m, ok := table.Lookup(k); !ok || m.Route != 9 || m.Kind != Exact || m.Entry() != s {
			t.Fatalf("%q: %+v, %t", s, m, ok)
		}
	})
}
