package wire_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func TestParseVia(t *testing.T) {
	type via struct {
		transport, host                 string
		port                            uint16
		branch, received, rport, maddr  string
		rportParam, receivedParam, rest string
		hasRPort                        bool
	}
	tests := []struct {
		name, value string
		want        via
	}{
		{"RFC 2543, no parameters", "SIP/2.0/UDP iftgw.example.com", via{transport: "UDP", host: "iftgw.example.com"}},
		{"port and branch", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1",
			via{transport: "UDP", host: "192.0.2.1", port: 5070, branch: "z9hG4bK1", rest: ";branch=z9hG4bK1"}},
		{"RFC 3261 25.1 white space everywhere", " SIP / 2.0 /TLS \t h : 5061 ; branch = b ; rport \t; maddr = 224.0.0.1 ",
			via{transport: "TLS", host: "h", port: 5061, branch: "b", maddr: "224.0.0.1", hasRPort: true, rportParam: "rport",
				rest: "; branch = b ; rport \t; maddr = 224.0.0.1"}},
		{"IPv6 reference", "SIP/2.0/UDP [2001:db8::9:1]:5062;received=[2001:db8::9:255];branch=b",
			via{transport: "UDP", host: "[2001:db8::9:1]", port: 5062, branch: "b", received: "[2001:db8::9:255]",
				receivedParam: "received=[2001:db8::9:255]", rest: ";received=[2001:db8::9:255];branch=b"}},
		{"RFC 5118 4.5 received without brackets", "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255",
			via{transport: "UDP", host: "[2001:db8::9:1]", received: "2001:db8::9:255",
				receivedParam: "received=2001:db8::9:255", rest: ";received=2001:db8::9:255"}},
		{"RFC 3581 rport with a value", "SIP/2.0/UDP h;rport = 4711;RECEIVED=192.0.2.9;BRANCH=b",
			via{transport: "UDP", host: "h", branch: "b", received: "192.0.2.9", rport: "4711", hasRPort: true,
				rportParam: "rport = 4711", receivedParam: "RECEIVED=192.0.2.9", rest: ";rport = 4711;RECEIVED=192.0.2.9;BRANCH=b"}},
		{"quoted parameter with semicolon and escape", `SIP/2.0/UDP h;x="a;branch=no\";rport";branch=yes`,
			via{transport: "UDP", host: "h", branch: "yes", rest: `;x="a;branch=no\";rport";branch=yes`}},
		{"the first of a repeated parameter", "SIP/2.0/UDP h;branch=a;branch=b;received=1.1.1.1;received=2.2.2.2;rport=1;rport=2;maddr=x;maddr=y",
			via{transport: "UDP", host: "h", branch: "a", received: "1.1.1.1", rport: "1", maddr: "x", hasRPort: true,
				rportParam: "rport=1", receivedParam: "received=1.1.1.1",
				rest: ";branch=a;branch=b;received=1.1.1.1;received=2.2.2.2;rport=1;rport=2;maddr=x;maddr=y"}},
		{"other transport", "SIP/2.0/UNKNOWN t5.example.com;branch=b", via{transport: "UNKNOWN", host: "t5.example.com", branch: "b", rest: ";branch=b"}},
		{"RFC 3261 25.1 a quoted string is a value and nothing else is one", `SIP/2.0/UDP h;x= "a;received=1.1.1.1" ;y="";branch=yes`,
			via{transport: "UDP", host: "h", branch: "yes", rest: `;x= "a;received=1.1.1.1" ;y="";branch=yes`}},
		{"host with underscore", "SIP/2.0/UDP my_host:1", via{transport: "UDP", host: "my_host", port: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, ok := wire.ParseVia([]byte(test.value), spanOf(test.value))
			require.True(t, ok)
			part := func(s wire.Span) string { return test.value[s.Start:s.End] }
			require.Equal(t, test.want, via{
				transport: part(v.Transport), host: part(v.Host), port: v.Port, branch: part(v.Branch),
				received: part(v.Received), rport: part(v.RPort), maddr: part(v.MAddr), hasRPort: v.HasRPort,
				rportParam: part(v.RPortName), receivedParam: part(v.ReceivedParam), rest: part(v.Params),
			})
		})
	}
	for _, bad := range []string{
		"", " ", "SIP", "SIP/2.0", "SIP/2.0/", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 UDP h", "/2.0/UDP h", "SIP//UDP h",
		"SIP/2.0/ h", "SIP/2.0/UDP;branch=b", "SIP/2.0/UDP h:", "SIP/2.0/UDP h:x", "SIP/2.0/UDP h:0", "SIP/2.0/UDP h:65536",
		"SIP/2.0/UDP h:99999999999", "SIP/2.0/UDP h x", "SIP/2.0/UDP h:1x", "SIP/2.0/UDP [::1", "SIP/2.0/UDP []", "SIP/2.0/UDP ::1",
		"SIP/2.0/UDP [fe80::1%eth0]", "SIP/2.0/UDP h@x", "SIP/2.0/UDP h;branch", "SIP/2.0/UDP h;branch=", "SIP/2.0/UDP h;branch=a b",
		`SIP/2.0/UDP h;branch=b;x="a;rport`, `SIP/2.0/UDP h;branch="b"`, "SIP/2.0/UDP h;branch=\v", `SIP/2.0/UDP h;x="a\"`,
		// RFC 4475 3.1.2.1: who stops at an empty parameter misses what is behind.
		"SIP/2.0/UDP 192.0.2.15;;", "SIP/2.0/UDP h;", "SIP/2.0/UDP h;branch=b; ", "SIP/2.0/UDP h;;branch=b", "SIP/2.0/UDP h;=x;branch=b",
		// RFC 3261 25.1: a quote in a name or a token. Who takes it for the
		// beginning of a quoted string reads other parameters than who does not.
		`SIP/2.0/UDP h;x";received=1.1.1.1;y"`, `SIP/2.0/UDP h;branch=b;"`, `SIP/2.0/UDP h;branch=b;"x"="y"`, `SIP/2.0/UDP h;x=a";rport;y="`,
		`SIP/2.0/UDP h;x="a"b"c";branch=b`, `SIP/2.0/UDP h;x="a""b";branch=b`, `SIP/2.0/UDP h;x"="a"`, `SIP/2.0/UDP h;x=\"a"`,
	} {
		_, ok := wire.ParseVia([]byte(bad), spanOf(bad))
		require.False(t, ok, "%q", bad)
	}
}

func TestCompleteVia(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.7:4711"), netip.MustParseAddrPort("[2001:db8::7]:4711")
	tests := []struct {
		name, via string
		src       netip.AddrPort
		want      string
	}{
		{"RFC 3261 18.2.1 same address", "SIP/2.0/UDP 192.0.2.7;branch=b", v4, "SIP/2.0/UDP 192.0.2.7;branch=b"},
		{"another port alone changes nothing", "SIP/2.0/UDP 192.0.2.7:1;branch=b", v4, "SIP/2.0/UDP 192.0.2.7:1;branch=b"},
		{"RFC 3261 18.2.1 another address", "SIP/2.0/UDP 10.0.0.1;branch=b", v4, "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.7"},
		{"RFC 3261 18.2.1 a name", "SIP/2.0/UDP host.example.com;branch=b", v4, "SIP/2.0/UDP host.example.com;branch=b;received=192.0.2.7"},
		{"no parameters", "SIP/2.0/UDP host", v4, "SIP/2.0/UDP host;received=192.0.2.7"},
		{"no parameters, a space behind", "SIP/2.0/UDP host ", v4, "SIP/2.0/UDP host;received=192.0.2.7"},
		{"RFC 3581 4 rport", "SIP/2.0/UDP 10.0.0.1;rport;branch=b", v4, "SIP/2.0/UDP 10.0.0.1;rport=4711;branch=b;received=192.0.2.7"},
		{"RFC 3581 4 received also when it is the same", "SIP/2.0/UDP 192.0.2.7;rport;branch=b", v4, "SIP/2.0/UDP 192.0.2.7;rport=4711;branch=b;received=192.0.2.7"},
		{"lying values", "SIP/2.0/UDP 10.0.0.1;received=198.51.100.1;branch=b;rport=9", v4, "SIP/2.0/UDP 10.0.0.1;received=192.0.2.7;branch=b;rport=4711"},
		{"lying received, same address", "SIP/2.0/UDP 192.0.2.7;received=198.51.100.1;branch=b", v4, "SIP/2.0/UDP 192.0.2.7;received=192.0.2.7;branch=b"},
		{"received without value", "SIP/2.0/UDP 192.0.2.7;received;branch=b", v4, "SIP/2.0/UDP 192.0.2.7;received=192.0.2.7;branch=b"},
		{"repeated", "SIP/2.0/UDP h;rport;received=1.1.1.1;RPORT=1;Received=2.2.2.2;branch=b", v4, "SIP/2.0/UDP h;rport=4711;received=192.0.2.7;branch=b"},
		{"the rest is kept", `SIP/2.0/UDP h ; x = "a;rport" ;y; rport ; Branch = b`, v4, `SIP/2.0/UDP h ; x = "a;rport" ;y;rport=4711; Branch = b;received=192.0.2.7`},
		{"only the top value", "SIP/2.0/UDP 10.0.0.1;branch=b, SIP/2.0/UDP 10.0.0.2;rport", v4, "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.7, SIP/2.0/UDP 10.0.0.2;rport"},
		{"IPv6 same", "SIP/2.0/UDP [2001:db8::7]:5060;branch=b", v6, "SIP/2.0/UDP [2001:db8::7]:5060;branch=b"},
		{"IPv6 same, written differently", "SIP/2.0/UDP [2001:DB8:0:0::7];branch=b", v6, "SIP/2.0/UDP [2001:DB8:0:0::7];branch=b"},
		{"IPv6 another", "SIP/2.0/UDP [2001:db8::8];branch=b", v6, "SIP/2.0/UDP [2001:db8::8];branch=b;received=2001:db8::7"},
		{"IPv4 from a dual-stack socket", "SIP/2.0/UDP 192.0.2.7;branch=b", netip.MustParseAddrPort("[::ffff:192.0.2.7]:1"), "SIP/2.0/UDP 192.0.2.7;branch=b"},
		{"link-local with a zone", "SIP/2.0/UDP [fe80::1];branch=b;rport", netip.MustParseAddrPort("[fe80::1%eth0]:1"), "SIP/2.0/UDP [fe80::1];branch=b;rport=1;received=fe80::1"},
		{"IPv6 reference that is none", "SIP/2.0/UDP [1:2:3];branch=b", v6, "SIP/2.0/UDP [1:2:3];branch=b;received=2001:db8::7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := parse(t, replaced("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", test.via))
			require.Equal(t, wire.NoDefect, m.Defect)
			var e wire.Edits
			e.Reset(m.Data)
			scratch := m.CompleteVia(&e, test.src, []byte("kept"))
			require.Equal(t, "kept", string(scratch[:4]))
			got := parse(t, string(e.Apply(nil, wire.Span{End: uint32(len(m.Data))})))
			require.Equal(t, test.want, text(got, got.Headers[0].Value))

			response := parse(t, string(wire.AppendResponse(nil, m, wire.Response{Status: 100, Source: test.src})))
			require.Equal(t, test.want, text(response, response.Headers[0].Value), "AppendResponse does the same")
		})
	}
}
