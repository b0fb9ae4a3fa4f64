package load

import "bytes"

// message is what the generator reads of a SIP message. It points into the
// datagram. Header values are as they came; repeated ones are one entry each.
type message struct {
	status      int    // of a response, 0 in a request
	method, uri []byte // of a request

	from, to, callID, cseq, contact []byte
	vias, records, routes           [][]byte
}

// parse reads a datagram. It is false for what is no SIP message, or one whose
// body is not as long as it says.
func (m *message) parse(data []byte) bool {
	*m = message{vias: m.vias[:0], records: m.records[:0], routes: m.routes[:0]}
	line, rest, ok := cutLine(data)
	if !ok || !m.start(line) {
		return false
	}
	length := -1
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return false
		}
		if len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return false
		}
		name := header(line[:colon])
		if name == "" {
			continue
		}
		value := bytes.TrimSpace(line[colon+1:])
		switch name {
		case "Via":
			m.vias = append(m.vias, value)
		case "Record-Route":
			m.records = append(m.records, value)
		case "Route":
			m.routes = append(m.routes, value)
		case "From":
			m.from = value
		case "To":
			m.to = value
		case "Call-ID":
			m.callID = value
		case "CSeq":
			m.cseq = value
		case "Contact":
			m.contact = value
		case "Content-Length":
			if length, ok = decimal(value); !ok {
				return false
			}
		}
	}
	return len(m.vias) > 0 && m.from != nil && m.to != nil && m.callID != nil && m.cseq != nil && length == len(rest)
}

// start reads the first line.
func (m *message) start(line []byte) bool {
	if code, ok := bytes.CutPrefix(line, []byte("SIP/2.0 ")); ok {
		if len(code) < 4 || code[3] != ' ' {
			return false
		}
		m.status, ok = decimal(code[:3])
		return ok && m.status >= 100
	}
	method, rest, _ := bytes.Cut(line, []byte(" "))
	uri, version, _ := bytes.Cut(rest, []byte(" "))
	m.method, m.uri = method, uri
	return string(version) == "SIP/2.0"
}

// header is the name of a header that matters here, in its usual form.
func header(name []byte) string {
	switch string(name) { // as nearly all are written; compact forms of RFC 3261 7.3.3
	case "Max-Forwards", "Allow", "Supported", "User-Agent", "Server", "P-Asserted-Identity", "Content-Type":
		return ""
	case "CSeq":
		return "CSeq"
	case "Record-Route":
		return "Record-Route"
	case "Route":
		return "Route"
	case "Via", "v":
		return "Via"
	case "From", "f":
		return "From"
	case "To", "t":
		return "To"
	case "Call-ID", "i":
		return "Call-ID"
	case "Contact", "m":
		return "Contact"
	case "Content-Length", "l":
		return "Content-Length"
	}
	name = bytes.TrimSpace(name)
	for _, known := range []string{"Via", "From", "To", "Call-ID", "CSeq", "Contact", "Route", "Record-Route", "Content-Length"} {
		if len(name) == len(known) && bytes.EqualFold(name, []byte(known)) {
			return known
		}
	}
	return ""
}

func cutLine(data []byte) (line, rest []byte, ok bool) {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return data, nil, false
	}
	line, rest = data[:end], data[end+1:]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	return line, rest, true
}

func decimal(text []byte) (n int, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' || n > 1e6 {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, len(text) > 0
}

// tag is that of a From or To, nil if there is none.
func tag(value []byte) []byte {
	if end := bytes.LastIndexByte(value, '>'); end >= 0 {
		value = value[end:]
	}
	_, value, _ = bytes.Cut(value, []byte(";tag="))
	value, _, _ = bytes.Cut(value, []byte(";"))
	if len(value) == 0 {
		return nil
	}
	return value
}

// branch is that of a Via.
func branch(via []byte) []byte {
	_, value, _ := bytes.Cut(via, []byte(";branch="))
	value, _, _ = bytes.Cut(value, []byte(";"))
	return value
}

// uri is what stands in angle brackets, or all that comes before a parameter.
func uri(value []byte) []byte {
	if _, inner, ok := bytes.Cut(value, []byte("<")); ok {
		inner, _, _ = bytes.Cut(inner, []byte(">"))
		return inner
	}
	value, _, _ = bytes.Cut(value, []byte(";"))
	return value
}

// host is host and port of a URI.
func host(uri []byte) []byte {
	_, rest, _ := bytes.Cut(uri, []byte(":"))
	if end := bytes.IndexAny(rest, ";?"); end >= 0 {
		rest = rest[:end]
	}
	if at := bytes.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	return rest
}

// lastRoute cuts the last entry off a Record-Route, whose entries are
// separated by commas outside of angle brackets.
func lastRoute(value []byte) (rest, last []byte) {
	for i := len(value) - 1; i >= 0; i-- {
		if value[i] == ',' && bytes.Count(value[:i], []byte("<")) == bytes.Count(value[:i], []byte(">")) {
			return bytes.TrimSpace(value[:i]), bytes.TrimSpace(value[i+1:])
		}
	}
	return nil, value
}
