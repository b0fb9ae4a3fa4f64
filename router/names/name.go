package names

const (
	maxName  = 253 // RFC 1035 2.3.4: 255 on the wire
	maxLabel = 63
)

// canonical writes name into buf in lower case and without a trailing dot. ok
// is false for what is no host name: labels of 1 to 63 letters, digits, hyphens
// inside (RFC 1123 2.1) and underscores, which there are; and a last label that
// is no number, for then it is an IP address or a bad one, which some resolvers
// would read in ways of their own: "127.1", "0x7f000001".
func canonical(buf *[maxName]byte, name []byte) (key []byte, ok bool) {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if len(name) > maxName {
		return nil, false
	}
	label := 0 // where it starts
	for i, c := range name {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '-':
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case c == '.' && goodLabel(buf[label:i]):
			label = i + 1
		default:
			return nil, false
		}
		buf[i] = c
	}
	key = buf[:len(name)]
	last := key[label:]
	return key, goodLabel(last) && !number(last)
}

// goodLabel is about the length and the hyphens.
func goodLabel(b []byte) bool {
	return len(b) > 0 && len(b) <= maxLabel && b[0] != '-' && b[len(b)-1] != '-'
}

// number reports whether b is decimal, or hexadecimal as C writes it.
func number(b []byte) bool {
	hex := len(b) >= 2 && b[0] == '0' && b[1] == 'x'
	if hex {
		b = b[2:]
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (!hex || c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
