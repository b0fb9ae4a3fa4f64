package wire

import "bytes"

// ParseAddress takes one From, To, Contact, Route or Record-Route value
// apart; false when it has no URI, a bracket that is not closed, a quote where
// no quoted string can begin, text between the address and its parameters, or
// a tag that is empty or in pieces. A display name that is no quoted string may
// be anything without quotes (RFC 3261 25.1, display-name). Without brackets,
// what follows ";" belongs to the header field and not to the URI (RFC 3261 20).
func ParseAddress(data []byte, s Span) (a Address, ok bool) {
	i := skipLWS(data, int(s.Start), int(s.End))
	end := trimLWS(data, i, int(s.End))
	a.Value = span(i, end)
	start := i
	if i < end && data[i] == '"' {
		if i = skipQuoted(data, i, end); i < 0 {
			return a, false
		}
	}
	for ; i < end && data[i] != '<' && data[i] != ';'; i++ {
		if data[i] == '"' {
			return a, false
		}
	}
	if i < end && data[i] == '<' {
		length := bytes.IndexByte(data[i:end], '>') - 1
		if length < 1 || bytes.IndexByte(data[i:i+length], '"') >= 0 {
			return a, false
		}
		a.URI = span(i+1, i+1+length)
		i = skipLWS(data, i+length+2, end)
	} else {
		a.URI = span(start, trimLWS(data, start, i))
		if a.URI.Len() == 0 || !isURI(data, int(a.URI.Start), int(a.URI.End)) {
			return a, false
		}
	}
	if i == end {
		return a, true
	}
	if data[i] != ';' {
		return a, false
	}
	a.Params = span(i, end)
	return a, a.readParams(data)
}

// readParams finds the tag; the first counts.
func (a *Address) readParams(data []byte) bool {
	var p param
	found := false
	for i, end := int(a.Params.Start), int(a.Params.End); i < end; {
		p, i = nextParam(data, i, end)
		if p.strayQuote {
			return false
		}
		if !found && equalFold(data[p.name.Start:p.name.End], "tag") {
			if a.Tag, found = p.value, true; !p.isKey(data) {
				return false
			}
		}
	}
	return true
}
