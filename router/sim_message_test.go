package router

import (
	"strconv"

	"tandem/router/wire"
)

// simRequest is a request as an end writes it.
type simRequest struct {
	method   string
	uri      string
	sentBy   string
	rport    bool
	branch   string
	from, to string // whole values
	callID   string
	cseq     uint32
	routes   []string
	contact  string // a URI
	extra    string // header lines
	body     string
}

func (q *simRequest) bytes() []byte {
	b := make([]byte, 0, 768)
	add := func(parts ...string) {
		for _, p := range parts {
			b = append(b, p...)
		}
	}
	add(q.method, " ", q.uri, " SIP/2.0\r\nVia: SIP/2.0/UDP ", q.sentBy, ";branch=", q.branch)
	if q.rport {
		add(";rport")
	}
	add("\r\n")
	for _, r := range q.routes {
		add("Route: ", r, "\r\n")
	}
	add("Max-Forwards: 70\r\nFrom: ", q.from, "\r\nTo: ", q.to, "\r\nCall-ID: ", q.callID, "\r\nCSeq: ")
	b = strconv.AppendUint(b, uint64(q.cseq), 10)
	add(" ", q.method, "\r\n")
	if q.contact != "" {
		add("Contact: <", q.contact, ">\r\n")
	}
	add(q.extra, "Content-Length: ", strconv.Itoa(len(q.body)), "\r\n\r\n", q.body)
	return b
}

// simValues are the values of a header, in order.
func simValues(m *wire.Message, id wire.HeaderID) (all []string) {
	values := m.Values(id)
	for v, ok := values.Next(); ok; v, ok = values.Next() {
		all = append(all, string(m.Bytes(v.Span)))
	}
	return all
}

// simContact is the URI of Contact.
func simContact(m *wire.Message) string {
	values := m.Values(wire.HeaderContact)
	v, ok := values.Next()
	if !ok {
		return ""
	}
	a, _ := wire.ParseAddress(m.Data, v.Span)
	return string(m.Bytes(a.URI))
}

// simMethod is the method of a request, that of CSeq of a response.
func simMethod(m *wire.Message) string {
	if m.Method != wire.Other {
		return m.Method.String()
	}
	return string(m.Bytes(m.MethodName))
}

// withoutVia is a response without its first line of Via: as a proxy relays it.
func withoutVia(data []byte) []byte {
	lines := [2]int{} // ends of the first two
	for i, n := 0, 0; i < len(data) && n < 2; i++ {
		if data[i] == '\n' {
			lines[n] = i + 1
			n++
		}
	}
	return append(append([]byte(nil), data[:lines[0]]...), data[lines[1]:]...)
}
