package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseNumbers(t *testing.T) {
	exact := func(s string) Numbers { return Numbers{Kind: Exact, First: s} }
	for in, want := range map[string]Numbers{
		"+15550000001":                        exact("+15550000001"),
		" +1 (555) 000.0001 ":                 exact("+15550000001"),
		"+1-555-000-0001":                     exact("+15550000001"),
		"+123456789012345":                    exact("+123456789012345"),
		"0":                                   exact("0"),
		"0100":                                exact("0100"),
		"000000000000000":                     exact("000000000000000"),
		"100-199":                             {Kind: Range, First: "100", Last: "199"},
		"007 - 009":                           {Kind: Range, First: "007", Last: "009"},
		"100-100":                             {Kind: Range, First: "100", Last: "100"},
		"+15550001000-+15550001999":           {Kind: Range, First: "+15550001000", Last: "+15550001999"},
		"+1-555-000-1000 - +1-555-000-1999":   {Kind: Range, First: "+15550001000", Last: "+15550001999"},
		"+1 (555) 000 1000-+1 (555) 000 1999": {Kind: Range, First: "+15550001000", Last: "+15550001999"},
		"+1555100*":                           {Kind: Prefix, First: "+1555100"},
		"+1-555-100*":                         {Kind: Prefix, First: "+1555100"},
		"+1 555 *":                            {Kind: Prefix, First: "+1555"},
		"00*":                                 {Kind: Prefix, First: "00"},
	} {
		t.Run(in, func(t *testing.T) {
			got, err := ParseNumbers(in)
			require.NoError(t, err)
			require.Equal(t, want, got)
			again, err := ParseNumbers(got.String())
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestParseNumbersErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "is empty",
		"  ":                        "is empty",
		"+":                         "has no digits",
		"*":                         "has no digits",
		"+*":                        "has no digits",
		"-":                         "has no digits",
		"100-":                      "has no digits",
		"-100":                      "has no digits",
		"()":                        "has no digits",
		"+1234567890123456":         "more than 15 digits",
		"1234567890123456*":         "more than 15 digits",
		"*72":                       `holds '*'`,
		"#31#":                      `holds '#'`,
		"+1**":                      `holds '*'`,
		"1+1":                       `holds '+'`,
		"++1":                       `holds '+'`,
		"+1555x":                    `holds 'x'`,
		"+１５５５":                     `holds '１'`,
		"tel:+15550000001":          `holds 't'`,
		"+1555\x00":                 `holds '\x00'`,
		"100-199*":                  `holds '-'`,
		"+1555-0001":                "may be a number or a range",
		"+15550001000-15550001999":  "may be a number or a range",
		"100-+199":                  "at one end only",
		"100-199-299":               `more than one "-"`,
		"100-20":                    "different length",
		"199-100":                   "runs backwards; write 100-199",
		strings.Repeat("1", 100000): "more than 15 digits",
	} {
		n, err := ParseNumbers(in)
		require.ErrorContains(t, err, want, "%.40q", in)
		require.Less(t, len(err.Error()), 300)
		require.Zero(t, n)
	}
}

func FuzzParseNumbers(f *testing.F) {
	for _, s := range []string{"+15550000001", "100-199", "+1555*", "+1-555-000-1000 - +1-555-000-1999", "-+", "+-+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNumbers(s)
		if err != nil {
			return
		}
		require.NoError(t, n.check())
		again, err := ParseNumbers(n.String())
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}
