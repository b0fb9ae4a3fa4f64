package wire

import (
	"net/netip"
	"strconv"
)

// Response is what AppendResponse adds to what it takes from the request.
type Response struct {
	Status int
	Phrase string         // "" for the usual one
	ToTag  []byte         // added when To has none and Status is above 100
	Source netip.AddrPort // where the request came from
	Extra  []byte         // complete header lines, each with its CRLF
}

// AppendResponse appends a response to the request m (RFC 3261 8.2.6.2). It
// has no body. What m lacks, the response lacks, so that a request with a
// defect can be answered; without a sound Via there is nowhere to send it.
func AppendResponse(dst []byte, m *Message, r Response) []byte {
	dst = append(dst, "SIP/2.0 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	if r.Phrase == "" {
		dst = append(dst, Phrase(r.Status)...)
	}
	dst = append(dst, r.Phrase...)
	dst = append(dst, "\r\n"...)
	dst = appendVias(dst, m, r.Source)
	dst = appendField(dst, m, "From: ", HeaderFrom)
	if to := m.Find(HeaderTo); to >= 0 {
		dst = append(dst, "To: "...)
		dst = append(dst, m.Bytes(m.Headers[to].Value)...)
		if m.To.URI.Len() > 0 && m.To.Tag.Len() == 0 && r.Status > 100 && len(r.ToTag) > 0 {
			dst = append(dst, ";tag="...)
			dst = append(dst, r.ToTag...)
		}
		dst = append(dst, "\r\n"...)
	}
	dst = appendField(dst, m, "Call-ID: ", HeaderCallID)
	dst = appendField(dst, m, "CSeq: ", HeaderCSeq)
	if r.Status == 100 { // RFC 3261 8.2.6.1
		dst = appendField(dst, m, "Timestamp: ", HeaderTimestamp)
	}
	dst = append(dst, r.Extra...)
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// appendVias appends all Via fields, the top value completed as CompleteVia
// does it.
func appendVias(dst []byte, m *Message, src netip.AddrPort) []byte {
	v := &m.TopVia
	top := v.Host.Len() > 0 && src.IsValid() && v.lacks(m.Data, src.Addr())
	for i := m.Find(HeaderVia); i >= 0; i = m.findFrom(HeaderVia, i+1) {
		value := m.Headers[i].Value
		dst = append(dst, "Via: "...)
		if top {
			kept := Span{value.Start, v.Value.End - uint32(v.Params.Len())}
			dst = append(dst, m.Bytes(kept)...)
			dst = v.appendParams(dst, m.Data, src)
			value.Start = v.Value.End
			top = false
		}
		dst = append(dst, m.Bytes(value)...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendField appends the first field with that id under its long name.
func appendField(dst []byte, m *Message, name string, id HeaderID) []byte {
	i := m.Find(id)
	if i < 0 {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, m.Bytes(m.Headers[i].Value)...)
	return append(dst, "\r\n"...)
}
