package main

import (
	"bytes"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tandem/bench/mmsg"
)

const (
	datagram = 4096 // bytes that are passed on of each
	pieces   = 3    // that a datagram is sent in
)

// reflector passes datagrams on. What is sent points into what was received:
// nothing is copied but by the kernel.
type reflector struct {
	fd    int
	batch int

	in   []mmsg.Header
	from []unix.RawSockaddrInet4
	bufs [][]byte

	out  []mmsg.Header
	iovs []unix.Iovec
	to   []unix.RawSockaddrInet4
	n    int // of out

	connector unix.RawSockaddrInet4
	route     []byte // Record-Route
	ours      []byte // what a Route of ours begins with
}

func newReflector(fd int, at, connector netip.AddrPort, batch int) *reflector {
	r := &reflector{
		fd: fd, batch: batch, connector: mmsg.Address(connector),
		in: make([]mmsg.Header, batch), from: make([]unix.RawSockaddrInet4, batch), bufs: make([][]byte, batch),
		out: make([]mmsg.Header, 2*batch), iovs: make([]unix.Iovec, 2*batch*pieces), to: make([]unix.RawSockaddrInet4, 2*batch),
		route: []byte("Record-Route: <sip:" + at.String() + ";lr>\r\n"),
		ours:  []byte("\r\nRoute: <sip:" + at.String()),
	}
	for i := range r.in {
		r.bufs[i] = make([]byte, datagram)
		iov := make([]unix.Iovec, 1)
		iov[0].Base = &r.bufs[i][0]
		iov[0].SetLen(datagram)
		r.in[i].Name(&r.from[i])
		r.in[i].Data(iov)
	}
	for i := range r.out {
		r.out[i].Name(&r.to[i])
	}
	return r
}

var (
	trying  = []byte("SIP/2.0 100 Trying\r\n")
	ok      = []byte("SIP/2.0 200 OK\r\n")
	empty   = []byte("Content-Length: 0\r\n\r\n")
	version = []byte("SIP/2.0 ")
	invite  = []byte("INVITE ")
	options = []byte("OPTIONS ")
	contact = []byte("Contact: ")
	length  = []byte("Content-Length: ")
	line    = []byte("\r\n")
	via     = []byte("SIP/2.0/UDP ")
)

// pass makes out of the first n that were received, and returns how many.
func (r *reflector) pass(n int) int {
	r.n = 0
	for i := range n {
		msg := r.bufs[i][:min(int(r.in[i].Len), datagram)]
		r.in[i].Namelen = unix.SizeofSockaddrInet4
		first := bytes.IndexByte(msg, '\n') + 1
		switch {
		case bytes.HasPrefix(msg, version):
			r.send(upstream(msg, r.connector), msg)
		case bytes.HasPrefix(msg, invite):
			r.answer(trying, msg, first, contact, r.from[i])
			r.send(r.connector, msg[:first], r.route, msg[first:])
		case bytes.HasPrefix(msg, options):
			r.answer(ok, msg, first, length, r.from[i])
		default:
			head, rest := msg, msg[len(msg):]
			if at := bytes.Index(msg, r.ours); at >= 0 {
				if end := bytes.Index(msg[at+len(line):], line); end >= 0 {
					head, rest = msg[:at], msg[at+len(line)+end:]
				}
			}
			r.send(r.connector, head, rest)
		}
	}
	return r.n
}

// answer answers a request with its own headers, up to one of them.
func (r *reflector) answer(status, msg []byte, first int, until []byte, to unix.RawSockaddrInet4) {
	if end := bytes.Index(msg, until); end > first {
		r.send(to, status, msg[first:end], empty)
	}
}

// send adds a datagram of up to three pieces.
func (r *reflector) send(to unix.RawSockaddrInet4, parts ...[]byte) {
	iov := r.iovs[r.n*pieces:][:0]
	for _, part := range parts {
		if len(part) > 0 {
			piece := unix.Iovec{Base: unsafe.SliceData(part)}
			piece.SetLen(len(part))
			iov = append(iov, piece)
		}
	}
	if len(iov) == 0 {
		return
	}
	r.to[r.n] = to
	r.out[r.n].Data(iov)
	r.n++
}

// upstream is where a response goes: what the first Via says.
func upstream(msg []byte, otherwise unix.RawSockaddrInet4) unix.RawSockaddrInet4 {
	at := bytes.Index(msg, via)
	if at < 0 {
		return otherwise
	}
	to := unix.RawSockaddrInet4{Family: unix.AF_INET}
	part, value, port := 0, uint16(0), false
	for _, c := range msg[at+len(via):] {
		switch {
		case '0' <= c && c <= '9':
			value = value*10 + uint16(c-'0')
			continue
		case port:
			mmsg.SetPort(&to, value)
			return to
		case part < 4:
			to.Addr[part] = byte(value)
			part++
		}
		if c == ':' {
			port = true
		} else if c != '.' {
			break
		}
		value = 0
	}
	mmsg.SetPort(&to, 5060)
	return to
}
