package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func TestParseURI(t *testing.T) {
	type uri struct {
		scheme                                wire.Scheme
		user, host, hostPort, params, headers string
		port                                  uint16
	}
	tests := []struct {
		name, uri string
		want      uri
	}{
		{"host alone", "sip:example.com", uri{wire.SIP, "", "example.com", "example.com", "", "", 0}},
		{"user", "sip:alice@example.com", uri{wire.SIP, "alice", "example.com", "example.com", "", "", 0}},
		{"everything", "SIPS:alice;day=tue:secret@example.com:5061;lr;transport=tls?Subject=x&Priority=urgent",
			uri{wire.SIPS, "alice;day=tue:secret", "example.com", "example.com:5061", ";lr;transport=tls", "?Subject=x&Priority=urgent", 5061}},
		{"IPv6", "sip:[2001:db8::1]:5070;lr", uri{wire.SIP, "", "[2001:db8::1]", "[2001:db8::1]:5070", ";lr", "", 5070}},
		{"RFC 4475 3.1.1.8 semicolon in the user part", "sip:user;par=u%40example.net@example.com", uri{wire.SIP, "user;par=u%40example.net", "example.com", "example.com", "", "", 0}},
		{"headers without parameters", "sip:a@h?x=y;z", uri{wire.SIP, "a", "h", "h", "", "?x=y;z", 0}},
		{"question mark in the user part", "sip:a?b@h", uri{wire.SIP, "a?b", "h", "h", "", "", 0}},
		{"unescaped @ behind the host", "sip:a@h?Replaces=1@2", uri{wire.SIP, "a", "h", "h", "", "?Replaces=1@2", 0}},
		{"tel", "tel:+1-555-000-0001;phone-context=example.com", uri{wire.TEL, "+1-555-000-0001;phone-context=example.com", "", "", "", "", 0}},
		{"416 other scheme", "soap.beep://192.0.2.103:3002", uri{scheme: wire.OtherScheme}},
		{"416 opaque", "nobodyKnowsThisScheme:totallyopaquecontent", uri{scheme: wire.OtherScheme}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u, ok := wire.ParseURI([]byte(test.uri), spanOf(test.uri))
			require.True(t, ok)
			part := func(s wire.Span) string { return test.uri[s.Start:s.End] }
			require.Equal(t, test.uri, part(u.Whole))
			require.Equal(t, test.want, uri{u.Scheme, part(u.User), part(u.Host), part(u.HostPort), part(u.Params), part(u.Headers), u.Port})
		})
	}
	for _, bad := range []string{
		"", "sip", "sip:", ":a", "sip:@h", "sip:a@", "sip:a@b@c", "sip:h:", "sip:h:0", "sip:h:65536", "sip:h:5060x", "sip:[::1",
		"sip:[::1]x", "sip:h/x", "sip:a b@h", "<sip:a@h>", `sip:"a"@h`, "sip:a@h\x00", "s p:h", "tel:", "tel:;x", "sip:;lr", "alice@example.com",
	} {
		_, ok := wire.ParseURI([]byte(bad), spanOf(bad))
		require.False(t, ok, "%q", bad)
	}
}

func TestAppendNumber(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:+15550000001@example.com":                 "+15550000001",
		"sip:+1-555-000.0001@example.com;user=phone":   "+15550000001",
		"sip:+1(555)0000001@example.com":               "+15550000001",
		"sip:%2B15550000001@example.com":               "+15550000001",
		"sip:%2b1%20555%200000001@example.com":         "+15550000001",
		"sip:+15550000001;npdi;rn=+1999@example.com":   "+15550000001",
		"sip:+15550000001:secret@example.com":          "+15550000001",
		"sip:+1555%3B0000001@example.com":              "+1555;0000001",
		"tel:+1-555-000-0001;phone-context=x":          "+15550000001",
		"tel:112":                                      "112",
		"sip:*72%23@example.com":                       "*72#",
		"sip:alice-smith@example.com":                  "alice-smith",
		"sip:1-800-FLOWERS@example.com":                "1-800-FLOWERS",
		"sip:.-.@example.com":                          ".-.",
		"sip:100%@example.com":                         "100%",
		"sip:100%4@example.com":                        "100%4",
		"sip:100%4g@example.com":                       "100%4g",
		"sip:null-%00-null@example.com":                "null-\x00-null",
		"sip:example.com":                              "",
		"sip:%E4%b8%ad@example.com":                    "\xe4\xb8\xad",
		"sip:+358-555-1234567;postd=pp22@foo.com":      "+3585551234567",
		"urn:service:sos":                              "",
		"sip:;x=y@example.com":                         "",
		"sips:0015550000001@[2001:db8::1]:5061;lr?a=b": "0015550000001",
	} {
		u, ok := wire.ParseURI([]byte(uri), spanOf(uri))
		require.True(t, ok, uri)
		require.Equal(t, "n:"+want, string(wire.AppendNumber([]byte("n:"), []byte(uri), u)), uri)
	}
}

func TestParam(t *testing.T) {
	const params = `; Tag = abc ;lr;empty=;quoted="a;tag=\"no\";b" ;;=nameless;TAG=second;last`
	for name, want := range map[string]string{
		"tag": "abc", "lr": "", "empty": "", "quoted": `"a;tag=\"no\";b"`, "last": "",
	} {
		v, ok := wire.Param([]byte(params), spanOf(params), name)
		require.True(t, ok, name)
		require.Equal(t, want, params[v.Start:v.End], name)
	}
	for _, name := range []string{"no", "b", "ta", "tags", "abc", "nameless"} {
		_, ok := wire.Param([]byte(params), spanOf(params), name)
		require.False(t, ok, name)
	}
	_, ok := wire.Param(nil, wire.Span{}, "tag")
	require.False(t, ok)
}

func TestDecimal(t *testing.T) {
	for s, want := range map[string]uint32{"0": 0, "007": 7, "4294967295": 4294967295} {
		n, ok := wire.Decimal([]byte(s), spanOf(s))
		require.True(t, ok)
		require.Equal(t, want, n)
	}
	for _, s := range []string{"", "-1", "+1", " 1", "1 ", "1a", "4294967296", "99999999999999999999999999"} {
		_, ok := wire.Decimal([]byte(s), spanOf(s))
		require.False(t, ok, s)
	}
}
