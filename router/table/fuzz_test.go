package table

import (
	"strings"
	"testing"
)

// FuzzLookup holds that a key reads as the number that it was made from, and
// that a number is found by itself, and by its longest prefix.
func FuzzLookup(f *testing.F) {
	for _, s := range []string{"+15550000001", "0", "0110", "+", "", "+123456789012345", "1234567890123456", "+1a", "++1", "\x00"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, number []byte, cut uint8) {
		s := string(number)
		digits := strings.TrimPrefix(s, "+")
		sound := len(digits) <= MaxDigits && strings.Trim(digits, "0123456789") == ""
		k, ok := parseKey(number)
		if ok != sound || ok && k.String() != s {
			t.Fatalf("%q is %v, %t", s, k, ok)
		}
		var b Builder
		prefix := s[:min(int(cut), len(s))]
		if !ok || digits == "" || strings.TrimPrefix(prefix, "+") == "" || len(prefix) == len(s) {
			return
		}
		b.AddPrefix(prefix, 7)
		b.AddPrefix(prefix[:len(prefix)-1], 8)
		other, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := other.Lookup(number); !ok || m.Route != 7 || m.Kind != Prefix || m.Entry() != prefix+"*" {
			t.Fatalf("%q by %q*: %+v, %t", s, prefix, m, ok)
		}
		b.Add(s, 9)
		all, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := all.Lookup(number); !ok || m.Route != 9 || m.Kind != Exact || m.Entry() != s {
			t.Fatalf("%q: %+v, %t", s, m, ok)
		}
	})
}
