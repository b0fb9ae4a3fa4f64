package stream

import "bytes"

// A framer finds where messages end in what a stream brought (RFC 3261 18.3,
// 7.5). It sees each byte of a header at most twice, however the bytes were cut
// on their way: what next was given and did not use up is given again, with
// more behind it.
type framer struct {
	maxHeader, maxBody int

	scanned int // bytes of the message at hand that hold no end of its header
	total   int // length of the message at hand; 0 until its header is whole
}

// found is what stands first in a stream.
type found uint8

const (
	more    found = iota // nothing whole yet
	blank                // a CR or LF between messages that means nothing
	crlf                 // a CRLF between messages: half a ping, or a pong (RFC 5626 3.5.1)
	message              // a whole message
)

// next finds what stands first in buf and how many bytes it has. Anything but
// NotEnded as the second result is why this stream can be read no further.
func (f *framer) next(buf []byte) (what found, size int, why End) {
	if len(buf) == 0 {
		return more, 0, NotEnded
	}
	if buf[0] == '\r' || buf[0] == '\n' { // no message begins so
		return between(buf)
	}
	if f.total == 0 {
		head := f.header(buf)
		if head > f.maxHeader || head == 0 && len(buf) > f.maxHeader {
			return more, 0, LongHeader
		}
		if head == 0 {
			return more, 0, NotEnded
		}
		body, why := contentLength(buf[:head], f.maxBody)
		if why != NotEnded {
			return more, 0, why
		}
		f.total = head + body
	}
	if len(buf) < f.total {
		return more, 0, NotEnded
	}
	size = f.total
	f.scanned, f.total = 0, 0
	return message, size, NotEnded
}

// between reads what may stand in front of a message.
func between(buf []byte) (what found, size int, why End) {
	switch {
	case buf[0] == '\n':
		return blank, 1, NotEnded
	case len(buf) == 1:
		return more, 0, NotEnded
	case buf[1] == '\n':
		return crlf, 2, NotEnded
	}
	return blank, 1, NotEnded
}

// header returns the length of the header with the empty line that ends it, 0
// while it is not whole. As for the core, a bare LF ends a line too: who takes
// the end of a header to be elsewhere than the core does could be made to see
// messages where the core sees a body.
func (f *framer) header(buf []byte) int {
	for {
		lf := bytes.IndexByte(buf[f.scanned:], '\n')
		if lf < 0 {
			f.scanned = len(buf)
			return 0
		}
		at := f.scanned + lf
		switch rest := buf[at+1:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 2
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 3
		case len(rest) == 0 || len(rest) == 1 && rest[0] == '\r':
			f.scanned = at // whether the next line is empty shows with the next bytes
			return 0
		}
		f.scanned = at + 1
	}
}

// contentLength reads how long the body of a message is from its header. A
// stream cannot be read on without one, so where it is missing nothing can be
// answered either (RFC 3261 18.3, 20.14). Several that agree pass: whether
// that is a message is the core's question.
func contentLength(head []byte, most int) (int, End) {
	length := -1
	for pos := bytes.IndexByte(head, '\n') + 1; pos < len(head); {
		end := fieldEnd(head, pos)
		value, ok := lengthValue(head[pos:end])
		pos = end
		if !ok {
			continue
		}
		n, why := decimal(value, most)
		switch {
		case why != NotEnded:
			return 0, why
		case length >= 0 && n != length:
			return 0, BadLength
		}
		length = n
	}
	if length < 0 {
		return 0, NoLength
	}
	return length, NotEnded
}

// fieldEnd returns the offset behind the header field at pos and the lines that
// continue it (RFC 3261 7.3.1).
func fieldEnd(head []byte, pos int) int {
	for end := pos; ; {
		lf := bytes.IndexByte(head[end:], '\n')
		if lf < 0 {
			return len(head)
		}
		end += lf + 1
		if end == len(head) || head[end] != ' ' && head[end] != '\t' {
			return end
		}
	}
}

// lengthValue returns the value of a Content-Length, also in its compact form.
func lengthValue(field []byte) ([]byte, bool) {
	colon := bytes.IndexByte(field, ':')
	if colon < 0 {
		return nil, false
	}
	name := bytes.TrimRight(field[:colon], " \t")
	if len(name) == 1 && name[0]|0x20 == 'l' || len(name) == len(lengthName) && bytes.EqualFold(name, lengthName) {
		return bytes.Trim(field[colon+1:], " \t\r\n"), true
	}
	return nil, false
}

var lengthName = []byte("Content-Length")

// decimal reads digits and nothing else.
func decimal(b []byte, most int) (int, End) {
	if len(b) == 0 {
		return 0, BadLength
	}
	n, long := 0, false
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, BadLength
		}
		if n = n*10 + int(c-'0'); n > most {
			n, long = most, true
		}
	}
	if long {
		return 0, LongBody
	}
	return n, NotEnded
}
