package wire_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

var source = netip.MustParseAddrPort("192.0.2.7:4711")

func TestAppendResponse(t *testing.T) { // RFC 3261 8.2.6
	request := parse(t, lines("INVITE sip:b@example.com SIP/2.0",
		"v: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport ,\t SIP/2.0/TCP h2;branch=z9hG4bK2", "Max-Forwards: 70",
		"t: \"B, b\" <sip:b@example.com>", "f: <sip:a@example.com>;tag=1;x=\"y\"", "Record-Route: <sip:p;lr>",
		"Via: SIP/2.0/UDP h3", "i: call", "Timestamp: 54", "CSeq: 07 INVITE", "Content-Length: 0"))
	require.Equal(t, wire.NoDefect, request.Defect)
	const head = "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=4711;received=192.0.2.7 ,\t SIP/2.0/TCP h2;branch=z9hG4bK2\r\n" +
		"Via: SIP/2.0/UDP h3\r\nFrom: <sip:a@example.com>;tag=1;x=\"y\"\r\nTo: \"B, b\" <sip:b@example.com>"
	tests := []struct {
		name     string
		response wire.Response
		want     string
	}{
		{"100 without tag, with Timestamp", wire.Response{Status: 100, ToTag: []byte("t"), Source: source},
			"SIP/2.0 100 Trying\r\n" + head + "\r\nCall-ID: call\r\nCSeq: 07 INVITE\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n"},
		{"final", wire.Response{Status: 404, ToTag: []byte("t"), Source: source},
			"SIP/2.0 404 Not Found\r\n" + head + ";tag=t\r\nCall-ID: call\r\nCSeq: 07 INVITE\r\nContent-Length: 0\r\n\r\n"},
		{"own phrase and lines", wire.Response{Status: 420, Phrase: "No", Source: source, Extra: []byte("Unsupported: foo\r\n")},
			"SIP/2.0 420 No\r\n" + head + "\r\nCall-ID: call\r\nCSeq: 07 INVITE\r\nUnsupported: foo\r\nContent-Length: 0\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, string(wire.AppendResponse(nil, request, test.response)))
		})
	}
}

func TestAppendResponseKeepsToTag(t *testing.T) {
	for _, to := range []string{"<sip:b@example.com>;tag=own", "sip:b@example.com;tag=own"} {
		m := parse(t, replaced("<sip:+15550000001@example.com>\r\n", to+"\r\n"))
		got := parse(t, string(wire.AppendResponse(nil, m, wire.Response{Status: 481, ToTag: []byte("t"), Source: source})))
		require.Equal(t, to, text(got, got.To.Value))
	}
	m := parse(t, replaced("To: <sip:+15550000001@example.com>", "To: sip:b@example.com;user=phone"))
	got := parse(t, string(wire.AppendResponse(nil, m, wire.Response{Status: 481, ToTag: []byte("t"), Source: source})))
	require.Equal(t, "t", text(got, got.To.Tag))
}

func TestAppendResponseToADefect(t *testing.T) {
	tests := []struct {
		name, request, want string
	}{
		{"no fields", "OPTIONS sip:a SIP/2.0\r\n\r\n", "SIP/2.0 400 Missing Via\r\nContent-Length: 0\r\n\r\n"},
		{"no From, bad To", lines("OPTIONS sip:a SIP/2.0", "Via: SIP/2.0/UDP h;branch=b", "To: <sip:b>;tag=", "CSeq: x"),
			"SIP/2.0 400 Bad To\r\nVia: SIP/2.0/UDP h;branch=b;received=192.0.2.7\r\nTo: <sip:b>;tag=\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n"},
		{"bad Via", lines("OPTIONS sip:a SIP/2.0", "Via: nonsense"), "SIP/2.0 400 Bad Via\r\nVia: nonsense\r\nContent-Length: 0\r\n\r\n"},
		{"two Call-IDs", lines("OPTIONS sip:a SIP/2.0", "i: 1", "i: 2"), "SIP/2.0 400 Duplicate Header Field\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := parse(t, test.request)
			got := wire.AppendResponse(nil, m, wire.Response{Status: 400, Phrase: m.Defect.Reason(), ToTag: []byte("t"), Source: source})
			require.Equal(t, test.want, string(got))
		})
	}
}

func TestAppendResponseWithoutSource(t *testing.T) {
	m := parse(t, minimal())
	got := parse(t, string(wire.AppendResponse(nil, m, wire.Response{Status: 500})))
	require.Equal(t, text(m, m.TopVia.Value), text(got, got.TopVia.Value))
}

func TestPhrase(t *testing.T) {
	for status := 100; status < 700; status++ {
		require.NotEmpty(t, wire.Phrase(status))
	}
	require.Equal(t, "Busy Here", wire.Phrase(486))
	require.Equal(t, "Max-Breadth Exceeded", wire.Phrase(440))
	require.Equal(t, "Bad Request", wire.Phrase(499), "RFC 3261 8.1.3.2: as the x00 of its class")
}
