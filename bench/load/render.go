package load

import (
	"fmt"
	"net/netip"
	"strings"
)

// Messages are rendered once, in pieces; a call puts its own words between
// them: the number, and an identity of 24 hexadecimal digits that Call-ID,
// branches and tags are made of.

const idLength = 24

// appendID appends the identity of a call: its number and the run's.
func (g *Generator) appendID(b []byte, id int) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[id>>shift&15])
	}
	return append(b, g.run...)
}

// readID reads it where a Call-ID begins.
func (g *Generator) readID(callID []byte) (id int, ok bool) {
	if len(callID) < idLength || string(callID[16:idLength]) != g.run || callID[0] > '7' {
		return 0, false
	}
	for _, c := range callID[:16] {
		switch {
		case '0' <= c && c <= '9':
			id = id<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			id = id<<4 | int(c-'a'+10)
		default:
			return 0, false
		}
	}
	return id, true
}

// callerText are the pieces of what one caller sends.
type callerText struct {
	toHost  string // the proxy's address and what ends a request line
	via     string
	from    string
	tagged  string // from after its tag, to To
	contact string // what follows CSeq in an INVITE, with its body
	callID  string // what follows the identity
}

func newCallerText(transport string, local, proxy netip.AddrPort) callerText {
	sdp := strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 53655765 2353687637 IN IP4 %[1]s
s=-
c=IN IP4 %[1]s
t=0 0
m=audio 16384 RTP/AVP 8 0 18 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:40
a=sendrecv
`, local.Addr()), "\n", "\r\n")
	return callerText{
		toHost: fmt.Sprintf("@%s", proxy),
		via:    fmt.Sprintf(" SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK", strings.ToUpper(transport), local),
		from:   fmt.Sprintf("Max-Forwards: 70\r\nFrom: \"Carrier\" <sip:+15557654321@%s>;tag=f", local),
		tagged: "\r\nTo: ",
		callID: fmt.Sprintf("@%s\r\n", local.Addr()),
		contact: fmt.Sprintf("CSeq: 1 INVITE\r\nContact: <sip:+15557654321@%s;transport=%s>\r\n"+
			"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\nSupported: timer\r\nUser-Agent: load\r\n"+
			"P-Asserted-Identity: <sip:+15557654321@%s>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
			local, transport, local.Addr(), len(sdp), sdp),
	}
}

func (s *source) invite(b []byte, id int, number []byte) []byte {
	t := &s.text
	identity := s.g.appendID(s.g.identity[:0], id)
	b = append(append(append(b, "INVITE sip:"...), number...), t.toHost...)
	b = append(append(append(append(b, t.via...), 'i'), identity...), "\r\n"...)
	b = append(append(append(b, t.from...), identity...), t.tagged...)
	b = append(append(append(append(b, "<sip:"...), number...), t.toHost...), ">\r\nCall-ID: "...)
	b = append(append(b, identity...), t.callID...)
	return append(b, t.contact...)
}

// within renders ACK or BYE along the route set of an answer: its Record-Route
// from the last to the first (RFC 3261 12.1.2, 12.2.1.1).
func (s *source) within(b []byte, method, cseq string, kind byte, answer *message) []byte {
	b = append(append(append(b, method...), ' '), uri(answer.contact)...)
	b = append(append(append(append(b, s.text.via...), kind), answer.callID[:idLength]...), "\r\n"...)
	for i := len(answer.records) - 1; i >= 0; i-- {
		for rest, last := lastRoute(answer.records[i]); ; rest, last = lastRoute(rest) {
			b = append(append(append(b, "Route: "...), last...), "\r\n"...)
			if rest == nil {
				break
			}
		}
	}
	return s.tail(b, cseq, answer)
}

// ackRefusal renders the ACK of an error, which belongs to the INVITE's own
// transaction (RFC 3261 17.1.1.3).
func (s *source) ackRefusal(b []byte, answer *message) []byte {
	b = append(append(b, "ACK "...), uri(answer.to)...)
	b = append(append(append(append(b, s.text.via...), 'i'), answer.callID[:idLength]...), "\r\n"...)
	return s.tail(b, "1 ACK", answer)
}

func (s *source) tail(b []byte, cseq string, answer *message) []byte {
	b = append(append(append(b, s.text.from...), answer.callID[:idLength]...), s.text.tagged...)
	b = append(append(b, answer.to...), "\r\nCall-ID: "...)
	b = append(append(b, answer.callID[:idLength]...), s.text.callID...)
	return append(append(append(b, "CSeq: "...), cseq...), "\r\nContent-Length: 0\r\n\r\n"...)
}

// connectorText are the ends of what one connector answers.
type connectorText struct {
	ringing, final string // of INVITE
	plain          string // of everything else
}

func newConnectorText(transport string, local netip.AddrPort, status int) connectorText {
	sdp := strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 41237691 41237691 IN IP4 %[1]s
s=-
c=IN IP4 %[1]s
t=0 0
m=audio 16386 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
`, local.Addr()), "\n", "\r\n")
	contact := fmt.Sprintf("Contact: <sip:%s;transport=%s>\r\n", local, transport)
	t := connectorText{
		ringing: contact + "Content-Length: 0\r\n\r\n",
		plain:   contact + "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nContent-Length: 0\r\n\r\n",
		final:   fmt.Sprintf("%sContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", contact, len(sdp), sdp),
	}
	if status >= 300 {
		t.final = t.plain
	}
	return t
}

// answer renders a response: what a UAS has to copy, our tag if To has none,
// and an end.
func (k *connector) answer(b []byte, m *message, identity []byte, status, end string, routes bool) []byte {
	b = append(append(append(b, "SIP/2.0 "...), status...), "\r\n"...)
	for _, via := range m.vias {
		b = append(append(append(b, "Via: "...), via...), "\r\n"...)
	}
	if routes {
		for _, record := range m.records {
			b = append(append(append(b, "Record-Route: "...), record...), "\r\n"...)
		}
	}
	b = append(append(append(b, "From: "...), m.from...), "\r\nTo: "...)
	b = append(b, m.to...)
	if tag(m.to) == nil {
		b = k.appendTag(append(b, ";tag="...), identity)
	}
	b = append(append(b, "\r\nCall-ID: "...), m.callID...)
	b = append(append(append(b, "\r\nCSeq: "...), m.cseq...), "\r\n"...)
	return append(b, end...)
}

// appendTag appends the tag of a call at this connector.
func (k *connector) appendTag(b, identity []byte) []byte {
	return append(append(b, 'c', 'a'+byte(k.index%26), 'a'+byte(k.index/26%26)), identity...)
}
