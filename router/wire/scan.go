package wire

// The smallest steps of the walk. They take offsets as int and never read at
// or behind end.

func span(start, end int) Span { return Span{uint32(start), uint32(end)} }

// isLWS holds for the bytes of linear white space, those of folds included
// (RFC 3261 25.1): inside a header field a CR or LF is always part of a fold.
func isLWS(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

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

// tokenByte marks the bytes of a token (RFC 3261 25.1).
var tokenByte = func() (set [256]bool) {
	for c := 'a'; c <= 'z'; c++ {
		set[c], set[c-'a'+'A'] = true, true
	}
	for c := '0'; c <= '9'; c++ {
		set[c] = true
	}
	for _, c := range "-.!%*_+`'~" {
		set[c] = true
	}
	return set
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] {
			return false
		}
	}
	return len(b) > 0
}

// equalFold compares with a lower-case ASCII string.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
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
		for i < end && isHostByte(data[i]) {
			i++
		}
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
	for i < end && data[i] >= '0' && data[i] <= '9' {
		i++
	}
	n, ok := Decimal(data, span(start, i))
	if !ok || n == 0 || n > 65535 {
		return host, 0, i, false
	}
	return host, uint16(n), i, true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isHostByte allows "_" besides the grammar's bytes: names with it are in use.
func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'
}
