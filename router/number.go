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
// parameters, or what came with u if the connector keeps it. number is what the
// call was routed by; ours is true when a maddr in u led to us.
func appendRequestURI(dst []byte, m *wire.Message, u *wire.URI, ours bool, h *host, number []byte) []byte {
	c := h.connector
	user := m.Bytes(u.User)
	digits, rest := user, []byte(nil)
	if i := bytes.IndexAny(user, ";:"); i >= 0 {
		digits, rest = user[:i], user[i:]
	}
	keep := c.requestURI == catalog.KeepURI
	if keep {
		dst = append(dst, m.Data[u.Whole.Start:u.User.Start]...)
	} else {
		if dst = append(dst, "sip"...); u.Scheme == wire.SIPS {
			dst = append(dst, 's')
		}
		dst = append(dst, ':')
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
	if keep {
		return appendKept(dst, m, u, ours)
	}
	dst = append(append(dst, '@'), h.hostPort...)
	dst = append(dst, h.params...)
	if u.Scheme == wire.TEL && !bytes.Contains(h.params, []byte(";user=")) {
		dst = append(dst, ";user=phone"...) // RFC 3261 19.1.6
	}
	return dst
}

// appendKept appends what comes after the user part of u, without what cannot
// stand in a request-URI (RFC 3261 16.6 step 2, 19.1.1: method and headers), and
// without a maddr that led to us and the port that belonged to it (16.4).
func appendKept(dst []byte, m *wire.Message, u *wire.URI, ours bool) []byte {
	if u.Scheme == wire.TEL {
		return append(dst, m.Data[u.User.End:u.Whole.End]...)
	}
	end := u.HostPort.End
	if ours && u.Port != defaultPort {
		end = u.Host.End
	}
	dst = append(dst, m.Data[u.User.End:end]...)
	for rest := m.Bytes(u.Params); len(rest) > 0; {
		param := rest // with its ";"
		if i := bytes.IndexByte(rest[1:], ';'); i >= 0 {
			param = rest[:i+1]
		}
		rest = rest[len(param):]
		name, _, _ := bytes.Cut(param[1:], []byte("="))
		if !bytes.EqualFold(name, []byte("method")) && !(ours && bytes.EqualFold(name, []byte("maddr"))) {
			dst = append(dst, param...)
		}
	}
	return dst
}
