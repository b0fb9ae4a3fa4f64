package names

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanonical(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5) // 250
	for _, c := range []struct{ in, want string }{         // want "": refused
		{"example.com", "example.com"},
		{"Example.COM", "example.com"},
		{"example.com.", "example.com"},
		{"localhost", "localhost"},
		{"a", "a"},
		{"3com.example", "3com.example"},
		{"5f2a91bc", "5f2a91bc"}, // a container's name
		{"1.2.3.a4", "1.2.3.a4"},
		{"_sip._udp.example.com", "_sip._udp.example.com"},
		{"my_pbx", "my_pbx"},
		{"xn--mnchen-3ya.example", "xn--mnchen-3ya.example"},
		{"a--b.example", "a--b.example"},
		{strings.Repeat("a", 63), strings.Repeat("a", 63)},
		{long + "abc", long + "abc"},
		{long + "abc.", long + "abc"},

		{"", ""}, {".", ""}, {"..", ""}, {"a..", ""}, {"a..b", ""}, {".a", ""},
		{"-", ""}, {"-a", ""}, {"a-", ""}, {"a-.b", ""}, {"a.-b", ""}, {"a.b-.", ""},
		{strings.Repeat("a", 64), ""},
		{strings.Repeat("a", 64) + ".b", ""},
		{long + "abcd", ""},
		{strings.Repeat("a.", 200), ""},
		{"a b", ""}, {" a", ""}, {"a\n", ""}, {"a\x00", ""}, {"a@b", ""}, {"a:5060", ""}, {"a;b", ""}, {"a%62", ""}, {"münchen", ""}, {"a*", ""},
		{"192.0.2.1", ""}, {"192.0.2.256", ""}, {"1", ""}, {"127.1", ""}, {"0x7f000001", ""}, {"0X7F.1", ""}, {"a.0xff", ""}, {"0x", ""}, {"a.1.", ""},
		{"2001:db8::1", ""}, {"[2001:db8::1]", ""}, {"::1", ""},
	} {
		var buf [maxName]byte
		got, ok := canonical(&buf, []byte(c.in))
		require.Equal(t, c.want != "", ok, "%q", c.in)
		if ok {
			require.Equal(t, c.want, string(got), "%q", c.in)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"Example.com.", "a.b_c-d", "1.2.3.4", "a.0x1f", "-a", "a..b", strings.Repeat("a.", 127), strings.Repeat("a", 64), "::1"} {
		f.Add([]byte(s))
	}
	const label = `[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?`
	good := regexp.MustCompile(`\A(?:` + label + `\.)*` + label + `\z`)
	numeric := regexp.MustCompile(`(?:\A|\.)(?:[0-9]+|0x[0-9a-f]*)\z`)
	f.Fuzz(func(t *testing.T, in []byte) {
		before := string(in)
		var buf [maxName]byte
		key, ok := canonical(&buf, in)
		require.Equal(t, before, string(in), "the name is not changed")

		want := []byte(strings.TrimSuffix(before, "."))
		for i, c := range want {
			if 'A' <= c && c <= 'Z' {
				want[i] += 'a' - 'A'
			}
		}
		require.Equal(t, len(want) <= maxName && good.Match(want) && !numeric.Match(want), ok)
		if !ok {
			return
		}
		require.Equal(t, string(want), string(key))
		_, err := netip.ParseAddr(string(key))
		require.Error(t, err, "no address passes")
		var again [maxName]byte
		same, ok := canonical(&again, key)
		require.True(t, ok)
		require.Equal(t, string(key), string(same))
	})
}
