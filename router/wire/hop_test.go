package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func TestAppendHop(t *testing.T) {
	m := parse(t, string(invite))
	tests := []struct {
		name string
		hop  wire.Hop
		want string
	}{
		{"RFC 3261 17.1.1.3 ACK", wire.Hop{
			Method: wire.ACK, RequestURI: []byte("sip:+15550000001@10.0.1.10"), Via: []byte("SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bKt"),
			Routes: []byte("Route: <sip:r;lr>\r\n"), To: []byte("<sip:+15550000001@203.0.113.10>;tag=their"),
		}, lines("ACK sip:+15550000001@10.0.1.10 SIP/2.0", "Via: SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bKt", "Route: <sip:r;lr>",
			"Max-Forwards: 70", `From: "Alice Example" <sip:+15557654321@carrier.example.net>;tag=1928301774-a9f3`,
			"To: <sip:+15550000001@203.0.113.10>;tag=their", "Call-ID: a84b4c76e66710a84b4c76e66710@192.0.2.10",
			"CSeq: 314159 ACK", "Content-Length: 0")},
		{"RFC 3261 9.1 CANCEL, RFC 3326 Reason", wire.Hop{
			Method: wire.CANCEL, RequestURI: []byte("sip:+15550000001@10.0.1.10"), Via: []byte("SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bKt"),
			Extra: []byte("Reason: SIP;cause=200\r\n"),
		}, lines("CANCEL sip:+15550000001@10.0.1.10 SIP/2.0", "Via: SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bKt",
			"Max-Forwards: 70", `From: "Alice Example" <sip:+15557654321@carrier.example.net>;tag=1928301774-a9f3`,
			"To: <sip:+15550000001@203.0.113.10>", "Call-ID: a84b4c76e66710a84b4c76e66710@192.0.2.10",
			"CSeq: 314159 CANCEL", "Reason: SIP;cause=200", "Content-Length: 0")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := wire.AppendHop(nil, m, test.hop)
			require.Equal(t, test.want, string(got))
			hop := parse(t, string(got))
			require.Equal(t, wire.NoDefect, hop.Defect)
			require.Equal(t, test.hop.Method, hop.Method)
		})
	}
}
