package wire

import "bytes"

// ParseAddress takes one From, To, Contact, Route or Record-Route value
// apart; false when it has no URI, a quote or bracket that is not closed, text
// between the address and its parameters, or a tag that is empty or in pieces.
// A display name may be anything. Without brackets, what follows ";" belongs to
// the header field and not to the URI (RFC 3261 20).
func ParseAddress(data []byte, s Span) (a Address, ok bool) {
	i := skipLWS(data, int(s.Start), int(s.End))
	end := trimLWS(data, i, int(s.End))
	a.Value = span(i, end)
	start := i
	for i < end && data[i] != '<' && data[i] != ';' {
		if data[i] != '"' {
			i++
		} else if i = skipQuoted(data, i, end); i < 0 {
			return a, false
		}
	}
	if i < end && data[i] == '<' {
		length := bytes.IndexByte(data[i:end], '>') - 1
		if length < 1 {
			return a, false
		}
		a.URI = span(i+1, i+1+length)
		i = skipLWS(data, i+length+2, end)
	} else {
		a.URI = span(start, trimLWS(data, start, i))
		if a.URI.Len() == 0 || !isURI(data[a.URI.Start:a.URI.End]) {
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
	if !quotesClosed(data, i, end) {
		return a, false
	}
	tag, found := Param(data, a.Params, "tag")
	if !found {
		return a, true
	}
	a.Tag = tag
	return a, isKey(data, tag)
}
