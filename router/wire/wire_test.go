package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

// lines joins header lines and the empty one behind them.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

// minimal is a sound request; tests put their own lines behind it.
func minimal(extra ...string) string {
	return lines(append([]string{
		"INVITE sip:+15550000001@example.com SIP/2.0",
		"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1",
		"From: <sip:alice@example.com>;tag=a1",
		"To: <sip:+15550000001@example.com>",
		"Call-ID: c1@192.0.2.1",
		"CSeq: 1 INVITE",
	}, extra...)...)
}

func parse(t *testing.T, s string) *wire.Message {
	t.Helper()
	m := new(wire.Message)
	require.NoError(t, m.Parse([]byte(s)))
	return m
}

func text(m *wire.Message, s wire.Span) string { return string(m.Bytes(s)) }

func spanOf(s string) wire.Span { return wire.Span{End: uint32(len(s))} }

// invite is what a carrier sends: 13 header fields and SDP, about 880 bytes.
const sdp = "v=0\r\no=- 13760799956958020 13760799956958020 IN IP4 192.0.2.10\r\ns=-\r\n" +
	"c=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n" +
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"

var invite = []byte(lines(
	"INVITE sip:+15550000001@203.0.113.10:5060;user=phone SIP/2.0",
	"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds0001;rport",
	"Max-Forwards: 69",
	`From: "Alice Example" <sip:+15557654321@carrier.example.net>;tag=1928301774-a9f3`,
	"To: <sip:+15550000001@203.0.113.10>",
	"Call-ID: a84b4c76e66710a84b4c76e66710@192.0.2.10",
	"CSeq: 314159 INVITE",
	"Contact: <sip:+15557654321@192.0.2.10:5060;transport=udp>",
	"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO",
	"Supported: 100rel, timer, replaces",
	"P-Asserted-Identity: <sip:+15557654321@carrier.example.net>",
	"User-Agent: Carrier SBC 7.2",
	"Content-Type: application/sdp",
	"Content-Length: 236") + sdp)

func TestInviteOfTheBenchmarksIsSound(t *testing.T) {
	m := parse(t, string(invite))
	require.Equal(t, wire.NoDefect, m.Defect)
	require.Equal(t, len(sdp), m.ContentLength)
}
