package wire

import "bytes"

// Value is one value of a header field that may hold several.
type Value struct {
	Span             // without white space around it
	Header      int  // index in Message.Headers
	First, Last bool // of its header field; both when it is the only one
}

// Values is an iterator: see Message.Values.
type Values struct {
	m      *Message
	id     HeaderID
	header int // -1 at the end
	pos    int // behind the last value given, 0 when none was given of this field
}

// Values iterates over the values of all header fields with that id, top to
// bottom. Commas in quotes or angle brackets do not separate values, and
// neither does any in a field that is no list (RFC 3261 7.3.1). Empty values
// are left out.
func (m *Message) Values(id HeaderID) Values {
	return Values{m: m, id: id, header: m.Find(id)}
}

// Next returns the next value, false at the end.
func (v *Values) Next() (Value, bool) {
	for v.header >= 0 {
		field := v.m.Headers[v.header].Value
		end := int(field.End)
		first := v.pos == 0
		start := max(v.pos, int(field.Start))
		if lists.has(v.id) {
			start = skipCommas(v.m.Data, start, end)
		}
		if start == end {
			v.header, v.pos = v.m.findFrom(v.id, v.header+1), 0
			continue
		}
		v.pos = end
		if lists.has(v.id) {
			v.pos = valueEnd(v.m.Data, start, end, v.id != HeaderVia)
		}
		return Value{
			Span:   span(start, trimLWS(v.m.Data, start, v.pos)),
			Header: v.header,
			First:  first,
			Last:   skipCommas(v.m.Data, v.pos, end) == end,
		}, true
	}
	return Value{}, false
}

// valueEnd returns the offset of the comma that ends the value at i, or end.
// Via has no angle brackets: there "<" is a byte like any other. Any quote is
// taken for the beginning of a quoted string: a value in which it is none is
// refused whole by who takes it apart.
func valueEnd(data []byte, i, end int, brackets bool) int {
	comma := bytes.IndexByte(data[i:end], ',')
	if comma < 0 {
		return end
	}
	if before := data[i : i+comma]; bytes.IndexByte(before, '"') < 0 && (!brackets || bytes.IndexByte(before, '<') < 0) {
		return i + comma // nothing that could hide it: what is mostly so, found at once
	}
	for i < end {
		switch c := data[i]; {
		case c == ',':
			return i
		case c == '"':
			if i = skipQuoted(data, i, end); i < 0 {
				return end
			}
		case c == '<' && brackets:
			closing := bytes.IndexByte(data[i:end], '>')
			if closing < 0 {
				return end
			}
			i += closing + 1
		default:
			i++
		}
	}
	return end
}

func skipCommas(data []byte, i, end int) int {
	for i < end && (data[i] == ',' || isLWS(data[i])) {
		i++
	}
	return i
}

// DeleteValue removes one value: the whole field when it is the only one of
// it, the value and a comma otherwise. For neighbours use DeleteValues, since
// both would claim the comma between them.
func (m *Message) DeleteValue(e *Edits, v Value) { m.DeleteValues(e, v, v) }

// DeleteValues removes the values from one to another, both included, which
// may be in different fields of the same name.
func (m *Message) DeleteValues(e *Edits, from, to Value) {
	id := m.Headers[from.Header].ID
	for h := from.Header; h >= 0 && h <= to.Header; h = m.findFrom(id, h+1) {
		field := m.Headers[h]
		first := h > from.Header || from.First
		last := h < to.Header || to.Last
		start, end := int(field.Value.Start), int(field.Value.End)
		if h == from.Header {
			start = int(from.Start)
		}
		switch {
		case first && last:
			e.Delete(field.Line)
		case last: // keep what is in front, without its comma
			for start > int(field.Value.Start) && (m.Data[start-1] == ',' || isLWS(m.Data[start-1])) {
				start--
			}
			e.Delete(span(start, end))
		default: // the next value moves to where the first one stood
			e.Delete(span(start, skipCommas(m.Data, int(to.End), end)))
		}
	}
}
