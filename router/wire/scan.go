package wire

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// The smallest steps of the walk. They take offsets as int, and what is at or
// behind end changes nothing.

func span(start, end int) Span { return Span{uint32(start), uint32(end)} }

// isLWS holds for the bytes of linear white space, those of folds included
// (RFC 3261 25.1): inside a header field a CR or LF is always part of a fold.
func isLWS(c byte) bool {
	const set uint64 = 1<<' ' | 1<<'\t' | 1<<'\r' | 1<<'\n'
	return c <= ' ' && set>>c&1 != 0
}

func skipLWS(data []byte, i, end int) int {
	for i < end && isLWS(data[i]) {
		i++
	}
	return i
}

func trimLWS(data []byte, start, end int) int {
	for end > start && isLWS(data[end-1]) {
		end--
	}
	return end
}

// skipQuoted returns the offset behind the quoted string that starts at i, or
// -1 when it is not closed.
func skipQuoted(data []byte, i, end int) int {
	for i++; i < end; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// class is what a byte may be part of.
type class uint8

const (
	tokenByte class = 1 << iota // a token (RFC 3261 25.1)
	hostByte                    // a name or an IPv4 address: "_" besides the grammar's bytes, since names with it are in use
	uriByte                     // a URI wherever it stands: none of the bytes that end one
	nameByte                    // what stands before the "=" or ";" of a parameter
	plainByte                   // see skipPlain
	firstByte                   // a name that headerOf knows, as its first
)

var classes = func() (set [256]class) {
	for c := range set {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.':
			set[c] |= tokenByte | hostByte
		case c == '_':
			set[c] |= tokenByte | hostByte
		case strings.IndexByte("!%*+`'~", byte(c)) >= 0:
			set[c] |= tokenByte
		}
		if c > ' ' && c != '<' && c != '>' && c != '"' && c != 0x7f {
			set[c] |= uriByte
		}
		if c != '"' && c != ';' && c != '=' {
			set[c] |= nameByte
		}
		if strings.IndexByte("cfilmprtvwCFILMPRTVW", byte(c)) >= 0 {
			set[c] |= firstByte
		}
		if '#' <= c && c < 0x7f && !(';' <= c && c <= '?') {
			set[c] |= plainByte
		}
	}
	return set
}()

func (k class) has(c byte) bool { return classes[c]&k != 0 }

// skip returns the offset of the first byte from i on that is not of class k, or
// end.
func (k class) skip(data []byte, i, end int) int {
	part := data[i:end]
	n := 0
	for n < len(part) && k.has(part[n]) {
		n++
	}
	return i + n
}

// skipPlain returns the offset of the first byte from i on that is not plain, or
// end. Plain are the bytes that most URIs and values of parameters consist of,
// and that separate nothing: ASCII from "#" up without DEL and ";" to "?".
//
// It looks at eight bytes at once. In each term a byte that is looked for sets
// its top bit; others may do so too by a borrow or a carry, but only above one
// that is.
func skipPlain(data []byte, i, end int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for i < end && i+8 <= len(data) {
		x := binary.LittleEndian.Uint64(data[i:])
		between := x ^ ones*'?'                // ";" to "?" become 4 to 0
		found := (x - ones*'#') &^ x           // below "#"
		found |= x | (x + ones)                // not ASCII, or DEL
		found |= (between - ones*5) &^ between // ";" to "?"
		if found &= tops; found != 0 {
			return min(i+bits.TrailingZeros64(found)/8, end)
		}
		i += 8
	}
	return plainByte.skip(data, min(i, end), end)
}

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenByte.has(c) {
			return false
		}
	}
	return len(b) > 0
}

// isURI holds when none of the bytes is one that ends a URI wherever it stands.
func isURI(data []byte, i, end int) bool {
	for {
		if i = skipPlain(data, i, end); i == end {
			return true
		}
		if !uriByte.has(data[i]) {
			return false
		}
		i++
	}
}

// equalFold compares with a lower-case ASCII string.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c != lower[i] && (c < 'A' || c > 'Z' || c+('a'-'A') != lower[i]) {
			return false
		}
	}
	return true
}

// Decimal reads s as an unsigned decimal number: digits only, leading zeros
// allowed, not above 4294967295.
func Decimal(data []byte, s Span) (uint32, bool) {
	var n uint64
	for _, c := range data[s.Start:s.End] {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + uint64(c-'0'); n > 1<<32-1 {
			return 0, false
		}
	}
	return uint32(n), s.Len() > 0
}

// hostPort reads a host and an optional port from i on, with white space
// around the colon as Via allows it (RFC 3261 25.1, sent-by and hostport), and
// returns the offset behind them.
func hostPort(data []byte, i, end int) (host Span, port uint16, next int, ok bool) {
	start := i
	if i < end && data[i] == '[' {
		for i++; i < end && (isHex(data[i]) || data[i] == ':' || data[i] == '.'); i++ {
		}
		if i == end || data[i] != ']' || i == start+1 {
			return host, 0, i, false
		}
		i++
	} else {
		i = hostByte.skip(data, i, end)
	}
	if i == start {
		return host, 0, i, false
	}
	host = span(start, i)
	colon := skipLWS(data, i, end)
	if colon == end || data[colon] != ':' {
		return host, 0, i, true
	}
	i = skipLWS(data, colon+1, end)
	start = i
	n := 0
	for ; i < end && data[i] >= '0' && data[i] <= '9'; i++ {
		if n <= 65535 {
			n = n*10 + int(data[i]-'0')
		}
	}
	if i == start || n == 0 || n > 65535 {
		return host, 0, i, false
	}
	return host, uint16(n), i, true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
