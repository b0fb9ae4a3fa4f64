package wire

import "strconv"

// Hop is what AppendHop adds to what it takes from the INVITE.
type Hop struct {
	Method     Method // ACK or CANCEL
	RequestURI []byte // of the INVITE as it was sent
	Via        []byte // the whole top Via value of the INVITE as it was sent
	Routes     []byte // complete Route header lines, each with its CRLF, as they were sent
	To         []byte // the whole To value of the response for an ACK; nil: as in the INVITE
	Extra      []byte // complete header lines, each with its CRLF
}

// AppendHop appends a request that goes to the next hop only: the ACK of a
// final response other than 2xx (RFC 3261 17.1.1.3) or a CANCEL (9.1) for the
// INVITE that was made from m.
func AppendHop(dst []byte, m *Message, h Hop) []byte {
	dst = append(dst, h.Method.String()...)
	dst = append(dst, ' ')
	dst = append(dst, h.RequestURI...)
	dst = append(dst, " SIP/2.0\r\nVia: "...)
	dst = append(dst, h.Via...)
	dst = append(dst, "\r\n"...)
	dst = append(dst, h.Routes...)
	dst = append(dst, "Max-Forwards: 70\r\n"...)
	dst = appendField(dst, m, "From: ", HeaderFrom)
	if h.To == nil {
		dst = appendField(dst, m, "To: ", HeaderTo)
	} else {
		dst = append(dst, "To: "...)
		dst = append(dst, h.To...)
		dst = append(dst, "\r\n"...)
	}
	dst = appendField(dst, m, "Call-ID: ", HeaderCallID)
	dst = append(dst, "CSeq: "...)
	dst = strconv.AppendUint(dst, uint64(m.CSeq), 10)
	dst = append(dst, ' ')
	dst = append(dst, h.Method.String()...)
	dst = append(dst, "\r\n"...)
	dst = append(dst, h.Extra...)
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}
