package router

import (
	"bytes"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// translate is strip and prepend: the prefix strip is removed where it stands,
// prepend is put before a number that has no "+". It works in place.
func translate(number []byte, strip, prepend string) []byte {
	if strip != "" && len(number) >= len(strip) && string(number[:len(strip)]) == strip {
		number = append(number[:0], number[len(strip):]...)
	}
	if prepend != "" && len(number) > 0 && number[0] != '+' {
		n := len(number)
		number = append(number, prepend...)
		copy(number[len(prepend):], number[:n])
		copy(number, prepend)
	}
	return number
}

// appendRequestURI appends the request-URI for host h: the user part of u, in
// the form that the connector wants, then the host's own address and
// parameters. number is what the call was routed by.
func appendRequestURI(dst []byte, m *wire.Message, u *wire.URI, h *host, number []byte) []byte {
	c := h.connector
	user := m.Bytes(u.User)
	digits, rest := user, []byte(nil)
	if i := bytes.IndexAny(user, ";:"); i >= 0 {
		digits, rest = user[:i], user[i:]
	}
	if c.requestURI == catalog.KeepURI && c.number == catalog.AsReceived && c.strip == "" && c.prepend == "" {
		return append(dst, m.Bytes(u.Whole)...)
	}
	if c.requestURI == catalog.KeepURI {
		dst = append(dst, m.Data[u.Whole.Start:u.User.Start]...)
	} else {
		dst = append(dst, "sip:"...)
	}
	start := len(dst)
	switch {
	case c.number == catalog.AsReceived && c.strip == "" && c.prepend == "":
		dst = append(dst, digits...)
	case c.number == catalog.AsReceived: // without escapes, so that strip and prepend see the number
		dst = wire.AppendNumber(dst, m.Data, *u)
	case c.number == catalog.PlusE164 && len(number) > 0 && number[0] != '+':
		dst = append(append(dst, '+'), number...)
	case c.number == catalog.E164 && len(number) > 0 && number[0] == '+':
		dst = append(dst, number[1:]...)
	default:
		dst = append(dst, number...)
	}
	dst = append(dst[:start], translate(dst[start:], c.strip, c.prepend)...)
	dst = append(dst, rest...)
	if c.requestURI == catalog.KeepURI {
		return append(dst, m.Data[u.User.End:u.Whole.End]...)
	}
	dst = append(append(dst, '@'), h.hostPort...)
	dst = append(dst, h.params...)
	if u.Scheme == wire.TEL && !bytes.Contains(h.params, []byte(";user=")) {
		dst = append(dst, ";user=phone"...) // RFC 3261 19.1.6
	}
	return dst
}
