package wire

import "bytes"

// ParseURI takes a URI apart; false when it is none: no scheme, for sip and
// sips no host or a bad port, for tel no number. A URI of another scheme has
// Whole and Scheme only, and so has what is none. Nothing is unescaped.
func ParseURI(data []byte, s Span) (URI, bool) {
	u, ok := parseURI(data, s)
	if !ok {
		u = URI{Whole: s, Scheme: u.Scheme}
	}
	return u, ok
}

func parseURI(data []byte, s Span) (u URI, ok bool) {
	u.Whole = s
	i, end := int(s.Start), int(s.End)
	colon := bytes.IndexByte(data[i:end], ':')
	if colon <= 0 || !isToken(data[i:i+colon]) || !isURI(data, i, end) {
		return u, false
	}
	u.Scheme = schemeOf(data[i : i+colon])
	i += colon + 1
	switch u.Scheme {
	case OtherScheme:
		return u, true
	case TEL:
		u.User = span(i, end)
		return u, i < end && data[i] != ';'
	}
	// A "@" in what follows the host must be escaped, so the first one ends the
	// user part; a second one is then no host byte.
	if at := bytes.IndexByte(data[i:end], '@'); at >= 0 {
		if at == 0 {
			return u, false
		}
		u.User = span(i, i+at)
		i += at + 1
	}
	start := i
	if u.Host, u.Port, i, ok = hostPort(data, i, end); !ok {
		return u, false
	}
	u.HostPort = span(start, i)
	start = i
	if i < end && data[i] == ';' {
		i = end
		if query := bytes.IndexByte(data[start:end], '?'); query >= 0 {
			i = start + query
		}
		u.Params = span(start, i)
	}
	if i < end && data[i] == '?' {
		u.Headers = span(i, end)
		i = end
	}
	return u, i == end
}

func schemeOf(b []byte) Scheme {
	switch {
	case string(b) == "sip": // as nearly all are written
		return SIP
	case equalFold(b, "sip"):
		return SIP
	case equalFold(b, "sips"):
		return SIPS
	case equalFold(b, "tel"):
		return TEL
	}
	return OtherScheme
}

// AppendNumber appends the number in the user part: without parameters and
// password (RFC 3261 19.1.6), unescaped, and without the visual separators of
// RFC 3966 5.1.1 and spaces when nothing but "+", digits, "*" and "#" is left
// then. A user part that is no number is appended unescaped, separators kept.
func AppendNumber(dst []byte, data []byte, u URI) []byte {
	user := data[u.User.Start:u.User.End]
	if i := bytes.IndexAny(user, ";:"); i >= 0 {
		user = user[:i]
	}
	start := len(dst)
	for i := 0; i < len(user); i++ {
		c := user[i]
		if c == '%' && i+2 < len(user) && isHex(user[i+1]) && isHex(user[i+2]) {
			c = unhex(user[i+1])<<4 | unhex(user[i+2])
			i += 2
		}
		dst = append(dst, c)
	}
	digits := start
	for _, c := range dst[start:] {
		switch {
		case '0' <= c && c <= '9', c == '+', c == '*', c == '#':
			digits++
		case c == '-', c == '.', c == '(', c == ')', c == ' ':
		default:
			return dst
		}
	}
	if digits == start {
		return dst
	}
	kept := dst[:start]
	for _, c := range dst[start:] {
		if c != '-' && c != '.' && c != '(' && c != ')' && c != ' ' {
			kept = append(kept, c)
		}
	}
	return kept
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
