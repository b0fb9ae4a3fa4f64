package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		name, value, uri, params, tag string
	}{
		{"brackets", "<sip:a@h;lr>;tag=1;x", "sip:a@h;lr", ";tag=1;x", "1"},
		{"RFC 3261 20 no brackets: parameters are the field's", "sip:+1555@h;user=phone;tag=1", "sip:+1555@h", ";user=phone;tag=1", "1"},
		{"bare", "sip:a@h", "sip:a@h", "", ""},
		{"display name", "Alice Example <sip:a@h>", "sip:a@h", "", ""},
		{"RFC 4475 3.1.1.6 no space", "caller<sip:caller@h>;tag=323", "sip:caller@h", ";tag=323", "323"},
		{"quoted name with everything", `"Bell, <sip:x@y>;tag=no \" A" <sip:a@h> ; Tag = 1 `, "sip:a@h", "; Tag = 1", "1"},
		{"RFC 4475 3.1.2.15 comma in an unquoted name", "Bell, Alexander <sip:a@h>;tag=43", "sip:a@h", ";tag=43", "43"},
		{"quoted parameter", `<sip:a@h>;x="y;tag=no";tag=1`, "sip:a@h", `;x="y;tag=no";tag=1`, "1"},
		{"folds", "\"A\"\r\n <sip:a@h>\r\n ;\r\n tag = 1", "sip:a@h", ";\r\n tag = 1", "1"},
		{"tag of the URI is not the field's", "<sip:a@h;tag=x>", "sip:a@h;tag=x", "", ""},
		{"other scheme", "<tel:+1555>;tag=1", "tel:+1555", ";tag=1", "1"},
		{"empty parameters", `"Joe" <sip:joe@h>;;;;`, "sip:joe@h", ";;;;", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, ok := wire.ParseAddress([]byte(test.value), spanOf(test.value))
			require.True(t, ok)
			part := func(s wire.Span) string { return test.value[s.Start:s.End] }
			require.Equal(t, test.uri, part(a.URI))
			require.Equal(t, test.params, part(a.Params))
			require.Equal(t, test.tag, part(a.Tag))
		})
	}
	for _, bad := range []string{
		"", "  ", "<>", "<sip:a@h", `"open <sip:a@h>`, `"A"`, ";tag=1", "<sip:a@h> tag=1", "<sip:a@h>,<sip:b@h>",
		"sip:a@h tag=1", "<sip:a@h>;tag", "<sip:a@h>;tag=", "<sip:a@h>;tag=a b", `<sip:a@h>;x="y;tag=1`, `<sip:a@h>;tag="1"`, "<sip:a@h>;tag=\v", "Alice Example",
		// RFC 3261 25.1: a quote in a name or a token hides a tag from who takes it
		// for the beginning of a quoted string.
		`<sip:a@h>;x";tag=1;y"`, `<sip:a@h>;x=y";tag=1;z="`, `<sip:a@h>;"x"=y;tag=1`, `<sip:a@h>;tag=1;x="y""z"`, `sip:a@h;x";tag=1;y"`,
		`a"<sip:b@h>" <sip:a@h>;tag=1`, `A "B" C <sip:a@h>;tag=1`, `"A" "B" <sip:a@h>;tag=1`, `"A"B" <sip:a@h>;tag=1`, `<sip:a"@h>;x=";tag=1`, `"A" sip:a@h`,
	} {
		_, ok := wire.ParseAddress([]byte(bad), spanOf(bad))
		require.False(t, ok, "%q", bad)
	}
}
