package wire

// Param looks a parameter up by its name, given in lower case, compared in
// any case. params starts at a ";" (or is empty), as ViaValue.Params,
// URI.Params and Address.Params do. A parameter without "=" gives an empty
// span and true. A quoted value keeps its quotes. Of several the first counts.
func Param(data []byte, params Span, name string) (value Span, ok bool) {
	var p param
	for i, end := int(params.Start), int(params.End); i < end; {
		p, i = nextParam(data, i, end)
		if equalFold(data[p.name.Start:p.name.End], name) {
			return p.value, true
		}
	}
	return Span{}, false
}

// param is one parameter, white space around its parts left out. Without "="
// the value is empty, at the end of the name.
type param struct {
	name, value Span
	plain       bool // the value has plain bytes only: see skipPlain
	strayQuote  bool // it has a quote where none may be, and then no name and no value
}

// whole is from the name to the end of the value.
func (p *param) whole() Span { return Span{p.name.Start, p.value.End} }

// isKey tells whether a branch or tag is fit to find something by: not empty,
// in one piece. It need not be a token (RFC 3261 25.1): some are not.
func (p *param) isKey(data []byte) bool {
	return p.value.Len() > 0 && (p.plain || isURI(data, int(p.value.Start), int(p.value.End)))
}

// nextParam reads the parameter whose ";" is at i and returns the offset of
// the next ";" or end. Between two ";;" is a parameter with an empty name.
//
// A quote begins a quoted string at the start of a value and nowhere else
// (RFC 3261 25.1, gen-value): behind one in a name or a token, or one that is
// not closed, nobody knows which ";" separate. Such a parameter takes all that
// is left.
func nextParam(data []byte, i, end int) (p param, next int) {
	start := skipLWS(data, i+1, end)
	j := nameByte.skip(data, start, end)
	p.name = span(start, trimLWS(data, start, j))
	if j == end || data[j] == ';' {
		p.value = Span{p.name.End, p.name.End}
		return p, j
	}
	if data[j] == '"' {
		return param{strayQuote: true}, end
	}
	value := skipLWS(data, j+1, end)
	if j = skipPlain(data, value, end); j == end || data[j] == ';' {
		p.value, p.plain = span(value, j), true
		return p, j
	}
	if j == value && data[j] == '"' {
		if j = skipQuoted(data, j, end); j < 0 {
			return param{strayQuote: true}, end
		}
	}
	for j < end && data[j] != ';' {
		if data[j] == '"' {
			return param{strayQuote: true}, end
		}
		j++
	}
	p.value = span(value, trimLWS(data, value, j))
	return p, j
}
