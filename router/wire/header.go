package wire

// Bytes returns the part of the message that s spans, not a copy.
func (m *Message) Bytes(s Span) []byte { return m.Data[s.Start:s.End:s.End] }

// Find returns the index in Headers of the first header field with that id,
// or -1.
func (m *Message) Find(id HeaderID) int {
	if !m.seen.has(id) {
		return -1
	}
	return m.findFrom(id, 0)
}

func (m *Message) findFrom(id HeaderID, i int) int {
	for ; i < len(m.Headers); i++ {
		if m.Headers[i].ID == id {
			return i
		}
	}
	return -1
}

// headerSet is a set of header ids, one bit each.
type headerSet uint32

func (s headerSet) has(id HeaderID) bool { return s>>id&1 != 0 }

// single are the fields that routing reads and that must not be repeated.
const single headerSet = 1<<HeaderFrom | 1<<HeaderTo | 1<<HeaderCallID | 1<<HeaderCSeq |
	1<<HeaderMaxForwards | 1<<HeaderMaxBreadth | 1<<HeaderContentLength

// lists are the fields whose values may be joined with commas (RFC 3261
// 7.3.1). The challenges are left out: their commas separate parameters.
const lists headerSet = 1<<HeaderVia | 1<<HeaderRoute | 1<<HeaderRecordRoute | 1<<HeaderContact |
	1<<HeaderProxyRequire | 1<<HeaderReason

// headerOf knows the long names and the compact ones (RFC 3261 7.3.3) in any
// case.
func headerOf(name []byte) HeaderID {
	switch string(name) { // as nearly all are written
	case "Via", "v":
		return HeaderVia
	case "Max-Forwards":
		return HeaderMaxForwards
	case "Route":
		return HeaderRoute
	case "Record-Route":
		return HeaderRecordRoute
	case "From", "f":
		return HeaderFrom
	case "To", "t":
		return HeaderTo
	case "Call-ID", "i":
		return HeaderCallID
	case "CSeq":
		return HeaderCSeq
	case "Contact", "m":
		return HeaderContact
	case "Content-Length", "l":
		return HeaderContentLength
	}
	return headerOfAnyCase(name)
}

// headerOfAnyCase needs no more than the length for most names.
func headerOfAnyCase(name []byte) HeaderID {
	switch len(name) {
	case 1:
		switch name[0] | 0x20 {
		case 'v':
			return HeaderVia
		case 'f':
			return HeaderFrom
		case 't':
			return HeaderTo
		case 'i':
			return HeaderCallID
		case 'm':
			return HeaderContact
		case 'l':
			return HeaderContentLength
		}
	case 2:
		return named(name, "to", HeaderTo)
	case 3:
		return named(name, "via", HeaderVia)
	case 4:
		if name[0]|0x20 == 'f' {
			return named(name, "from", HeaderFrom)
		}
		return named(name, "cseq", HeaderCSeq)
	case 5:
		return named(name, "route", HeaderRoute)
	case 6:
		return named(name, "reason", HeaderReason)
	case 7:
		if name[1]|0x20 == 'a' {
			return named(name, "call-id", HeaderCallID)
		}
		return named(name, "contact", HeaderContact)
	case 9:
		return named(name, "timestamp", HeaderTimestamp)
	case 11:
		if name[0]|0x20 == 'r' {
			return named(name, "retry-after", HeaderRetryAfter)
		}
		return named(name, "max-breadth", HeaderMaxBreadth)
	case 12:
		if name[0]|0x20 == 'r' {
			return named(name, "record-route", HeaderRecordRoute)
		}
		return named(name, "max-forwards", HeaderMaxForwards)
	case 13:
		return named(name, "proxy-require", HeaderProxyRequire)
	case 14:
		return named(name, "content-length", HeaderContentLength)
	case 16:
		return named(name, "www-authenticate", HeaderWWWAuthenticate)
	case 18:
		return named(name, "proxy-authenticate", HeaderProxyAuthenticate)
	}
	return HeaderOther
}

func named(name []byte, lower string, id HeaderID) HeaderID {
	if equalFold(name, lower) {
		return id
	}
	return HeaderOther
}
