package wire

import (
	"bytes"
	"errors"
	"math"
)

// What is no SIP message: dropped and counted, never answered.
var (
	ErrEmpty     = errors.New("wire: nothing but line ends, spaces or NULs (a keep-alive)")
	ErrNotSIP    = errors.New("wire: no SIP start line")
	ErrTruncated = errors.New("wire: no empty line after the header fields")
)

// Parse walks data once and records where its parts are. It keeps data and
// changes nothing in it. An error means that the bytes are no SIP message, and
// then nothing but Data may be read; a message that is one but cannot be
// routed has its Defect set and its other parts as far as they could be read.
// Empty lines in front are skipped (RFC 3261 7.5), a bare LF ends a line too.
func (m *Message) Parse(data []byte) error {
	*m = Message{Data: data, Headers: m.Headers[:0], MaxForwards: -1, MaxBreadth: -1, ContentLength: -1}
	if len(data) > math.MaxInt32 {
		return ErrNotSIP
	}
	start := 0
	for start < len(data) && (data[start] == '\r' || data[start] == '\n') {
		start++
	}
	if start == len(data) || data[start] <= ' ' && len(bytes.TrimLeft(data[start:], "\x00 \t\r\n")) == 0 {
		return ErrEmpty
	}
	end, next := len(data), len(data)
	if lf := bytes.IndexByte(data[start:], '\n'); lf >= 0 {
		end, next = start+lf, start+lf+1
		if end > start && data[end-1] == '\r' {
			end--
		}
	}
	if !m.parseStatusLine(start, end) && !m.parseRequestLine(start, end) {
		return ErrNotSIP
	}
	if next == len(data) {
		return ErrTruncated
	}
	if isLWS(data[next]) && data[next] != '\r' && data[next] != '\n' {
		m.defect(BadStartLine) // a start line cannot be folded (RFC 3261 7.3.1 is about header fields)
	}
	if !m.parseHeaders(next) {
		return ErrTruncated
	}
	m.cutBody()
	return nil
}

// defect keeps the first one.
func (m *Message) defect(d Defect) {
	if m.Defect == NoDefect {
		m.Defect = d
	}
}

// parseStatusLine reads "SIP/2.0 200 OK". The reason phrase may be empty, and
// then the space before it may be missing.
func (m *Message) parseStatusLine(start, end int) bool {
	line := m.Data[start:end]
	if len(line) < len("SIP/2.0 200") || !equalFold(line[:4], "sip/") {
		return false
	}
	space := bytes.IndexByte(line, ' ')
	if space < 0 || len(line) < space+4 || len(line) > space+4 && line[space+4] != ' ' {
		return false
	}
	status, ok := Decimal(m.Data, span(start+space+1, start+space+4))
	if !ok || status < 100 || status > 699 {
		return false
	}
	m.Status = int(status)
	m.Phrase = span(min(start+space+5, end), end)
	m.setVersion(span(start, start+space))
	return true
}

// parseRequestLine reads "INVITE sip:bob@example.com SIP/2.0". What stands
// between the method and the version is the request-URI, so one with spaces
// gets a 400 and not silence.
func (m *Message) parseRequestLine(start, end int) bool {
	line := m.Data[start:end]
	space := bytes.IndexByte(line, ' ')
	if space < 0 {
		return false
	}
	method := methodOf(line[:space])
	if method == Other && !isToken(line[:space]) {
		return false
	}
	trimmed := trimLWS(line, 0, len(line))
	last := bytes.LastIndexByte(line[:trimmed], ' ')
	if version := line[last+1 : trimmed]; len(version) < len("SIP/2") || !equalFold(version[:4], "sip/") {
		return false
	}
	m.IsRequest = true
	m.MethodName = span(start, start+space)
	m.Method = method
	m.RequestURI = span(start+space+1, start+max(last, space+1))
	m.setVersion(span(start+last+1, start+trimmed))
	if trimmed < len(line) {
		m.defect(BadStartLine)
	}
	if m.RequestURI.Len() == 0 || !isURI(m.Data, int(m.RequestURI.Start), int(m.RequestURI.End)) {
		m.defect(BadRequestURI)
	}
	return true
}

func (m *Message) setVersion(s Span) {
	m.Version = s
	if v := m.Bytes(s); string(v) != "SIP/2.0" && !equalFold(v, "sip/2.0") { // any case: RFC 3261 7.1
		m.defect(BadVersion)
	}
}

// parseHeaders reads the header fields that start at pos, up to and with the
// empty line. It returns false when there is none.
func (m *Message) parseHeaders(pos int) bool {
	data := m.Data
	headers := m.Headers
	var seen headerSet
	for {
		if pos < len(data) && data[pos] <= '\r' {
			if end := emptyLine(data, pos); end > pos {
				m.HeadEnd = uint32(end)
				break
			}
		}
		end, ok := fieldEnd(data, pos)
		if !ok {
			return false
		}
		headers = append(headers, Header{})
		h := &headers[len(headers)-1]
		h.split(data, pos, end)
		if h.ID != HeaderOther {
			m.field(h, seen.has(h.ID))
		}
		seen |= 1 << h.ID
		pos = end
	}
	m.Headers, m.seen = headers, seen
	m.require(seen)
	return true
}

// emptyLine returns the offset behind the line at pos when that is empty, else
// pos.
func emptyLine(data []byte, pos int) int {
	switch {
	case data[pos] == '\n':
		return pos + 1
	case data[pos] == '\r' && pos+1 < len(data) && data[pos+1] == '\n':
		return pos + 2
	}
	return pos
}

// fieldEnd returns the offset behind the line at pos and the lines that
// continue it (RFC 3261 7.3.1); false when the last one has no end.
func fieldEnd(data []byte, pos int) (end int, ok bool) {
	for end = pos; ; {
		lf := bytes.IndexByte(data[end:], '\n')
		if lf < 0 {
			return 0, false
		}
		end += lf + 1
		if end == len(data) || data[end] != ' ' && data[end] != '\t' {
			return end, true
		}
	}
}

// split takes a header field apart when its name is one that routing needs. All
// others, and what has no colon, are carried as the lines that they are.
func (h *Header) split(data []byte, pos, end int) {
	h.Line = span(pos, end)
	line := data[pos:end]
	if !firstByte.has(line[0]) {
		return
	}
	colon := 0 // names are short: bytes.IndexByte begins to be quicker behind them
	for colon < len(line) && line[colon] != ':' {
		colon++
	}
	if colon == len(line) {
		return
	}
	name := colon
	for name > 0 && (line[name-1] == ' ' || line[name-1] == '\t') {
		name--
	}
	if h.ID = headerOf(line[:name]); h.ID == HeaderOther {
		return
	}
	end = trimLWS(data, pos, end)
	h.Value = span(skipLWS(data, pos+colon+1, end), end)
}

// field takes a header field that routing needs apart, its first occurrence
// only.
func (m *Message) field(h *Header, seen bool) {
	if seen {
		if single.has(h.ID) {
			m.defect(DuplicateHeader)
		}
		return
	}
	data, ok := m.Data, true
	switch h.ID {
	case HeaderVia:
		end := valueEnd(data, int(h.Value.Start), int(h.Value.End), false)
		if m.TopVia, ok = ParseVia(data, Span{h.Value.Start, uint32(end)}); !ok {
			m.defect(BadVia)
		}
	case HeaderFrom:
		if m.From, ok = ParseAddress(data, h.Value); !ok {
			m.From = Address{}
			m.defect(BadFrom)
		}
	case HeaderTo:
		if m.To, ok = ParseAddress(data, h.Value); !ok {
			m.To = Address{}
			m.defect(BadTo)
		}
	case HeaderCallID:
		if m.CallID = h.Value; h.Value.Len() == 0 {
			m.defect(MissingCallID)
		}
	case HeaderCSeq:
		m.parseCSeq(h.Value)
	case HeaderMaxForwards:
		if m.MaxForwards, ok = m.number(h.Value, 255); !ok {
			m.defect(BadMaxForwards)
		}
	case HeaderMaxBreadth:
		if m.MaxBreadth, ok = m.number(h.Value, math.MaxInt32); !ok {
			m.defect(BadMaxBreadth)
		}
	case HeaderContentLength:
		if m.ContentLength, ok = m.number(h.Value, math.MaxInt32); !ok {
			m.defect(BadContentLength)
		}
	}
}

func (m *Message) number(s Span, most uint32) (int, bool) {
	n, ok := Decimal(m.Data, s)
	if !ok || n > most {
		return -1, false
	}
	return int(n), true
}

// parseCSeq reads "1 INVITE" (RFC 3261 20.16). Numbers from 2**31 on, which
// 8.1.1.5 forbids to senders, still tell transactions apart and pass.
func (m *Message) parseCSeq(s Span) {
	i, end := int(s.Start), int(s.End)
	var n uint64
	for ; i < end && m.Data[i] >= '0' && m.Data[i] <= '9'; i++ {
		if n <= math.MaxUint32 {
			n = n*10 + uint64(m.Data[i]-'0')
		}
	}
	number, name := span(int(s.Start), i), skipLWS(m.Data, i, end)
	method := methodOf(m.Data[name:end])
	if number.Len() == 0 || n > math.MaxUint32 || name == i || method == Other && !isToken(m.Data[name:end]) {
		m.defect(BadCSeq)
		return
	}
	m.CSeq = uint32(n)
	m.CSeqMethod = span(name, end)
	switch {
	case !m.IsRequest:
		m.MethodName, m.Method = m.CSeqMethod, method
	case method != m.Method, method == Other && !bytes.Equal(m.Bytes(m.MethodName), m.Bytes(m.CSeqMethod)): // case counts: RFC 3261 7.1
		m.defect(MethodMismatch)
	}
}

// require notes what RFC 3261 8.1.1 makes mandatory and is not there.
// Max-Forwards may be missing: RFC 2543 did not have it (16.3 step 3).
func (m *Message) require(seen headerSet) {
	switch {
	case !seen.has(HeaderVia):
		m.defect(MissingVia)
	case !seen.has(HeaderFrom):
		m.defect(MissingFrom)
	case !seen.has(HeaderTo):
		m.defect(MissingTo)
	case !seen.has(HeaderCallID):
		m.defect(MissingCallID)
	case !seen.has(HeaderCSeq):
		m.defect(MissingCSeq)
	}
}

// cutBody ends the body where Content-Length says; what is behind it in a
// datagram is padding (RFC 3261 18.3).
func (m *Message) cutBody() {
	m.Body = span(int(m.HeadEnd), len(m.Data))
	if m.ContentLength < 0 {
		return
	}
	if m.ContentLength > m.Body.Len() {
		m.defect(ShortBody)
		return
	}
	m.Body.End = m.HeadEnd + uint32(m.ContentLength)
}
