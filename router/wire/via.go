package wire

import (
	"net/netip"
	"strconv"
)

// ParseVia takes one Via value apart; false when it has no protocol, no
// transport, no host, a port that is none, a quote where no quoted string can
// begin, one that is not closed, a parameter without a name, or an unusable
// branch. White space may stand wherever RFC 3261 25.1 allows it:
// "SIP / 2.0 / UDP host : 5060 ; branch = x".
func ParseVia(data []byte, s Span) (v ViaValue, ok bool) {
	i := skipLWS(data, int(s.Start), int(s.End))
	end := trimLWS(data, i, int(s.End))
	v.Value = span(i, end)
	part := 0
	if usual := "SIP/2.0/"; end-i > len(usual) && string(data[i:i+len(usual)]) == usual {
		i, part = skipLWS(data, i+len(usual), end), 2
	}
	for ; part < 3; part++ { // protocol / version / transport
		start := i
		i = tokenByte.skip(data, i, end)
		v.Transport = span(start, i)
		space := i
		i = skipLWS(data, i, end)
		switch {
		case space == start || i == end:
			return v, false
		case part == 2 && i == space:
			return v, false
		case part < 2 && data[i] != '/':
			return v, false
		case part < 2:
			i = skipLWS(data, i+1, end)
		}
	}
	if v.Host, v.Port, i, ok = hostPort(data, i, end); !ok {
		return v, false
	}
	if i = skipLWS(data, i, end); i == end {
		return v, true
	}
	if data[i] != ';' {
		return v, false
	}
	v.Params = span(i, end)
	return v, v.readParams(data)
}

// readParams finds the parameters that routing needs; the first of each
// counts. A branch must be fit to find a transaction by. A parameter without a
// name (RFC 4475 3.1.2.1) is where others stop reading: they would see neither
// a branch behind it nor what we add, and answer elsewhere.
func (v *ViaValue) readParams(data []byte) bool {
	var p param
	for i, end := int(v.Params.Start), int(v.Params.End); i < end; {
		p, i = nextParam(data, i, end)
		if p.strayQuote || p.name.Len() == 0 {
			return false
		}
		switch name := data[p.name.Start:p.name.End]; len(name) {
		case 5:
			if equalFold(name, "rport") && !v.HasRPort {
				v.HasRPort, v.RPort, v.RPortName = true, p.value, p.whole()
			} else if equalFold(name, "maddr") && v.MAddr.Len() == 0 {
				v.MAddr = p.value
			}
		case 6:
			if equalFold(name, "branch") && v.Branch.Len() == 0 {
				if v.Branch = p.value; !p.isKey(data) {
					return false
				}
			}
		case 8:
			if equalFold(name, "received") && v.ReceivedParam.Len() == 0 {
				v.Received, v.ReceivedParam = p.value, p.whole()
			}
		}
	}
	return true
}

// CompleteVia notes in the top Via of a request where it came from: received
// when the address differs from the sent-by host, and both received and rport
// when rport is asked for (RFC 3261 18.2.1, RFC 3581 4). What the sender put
// there itself is replaced. scratch is memory for the text: it is appended to
// and returned, and must not be reused before e was applied.
func (m *Message) CompleteVia(e *Edits, src netip.AddrPort, scratch []byte) []byte {
	v := &m.TopVia
	if !v.lacks(m.Data, src.Addr()) {
		return scratch
	}
	start := len(scratch)
	scratch = v.appendParams(scratch, m.Data, src)
	with := scratch[start:len(scratch):len(scratch)]
	if v.Params.Len() == 0 {
		e.Insert(v.Value.End, with)
	} else {
		e.Replace(v.Params, with)
	}
	return scratch
}

// lacks tells whether the value must be completed for a request from addr.
func (v *ViaValue) lacks(data []byte, addr netip.Addr) bool {
	return v.HasRPort || v.ReceivedParam.Len() > 0 || !sameHost(data[v.Host.Start:v.Host.End], addr)
}

// sameHost compares as text first, which settles IPv4. Only an IPv6 reference
// can be written in several ways; a name never is an address.
func sameHost(host []byte, addr netip.Addr) bool {
	var text [64]byte
	addr = addr.Unmap().WithZone("")
	bare := host
	if len(host) > 2 && host[0] == '[' {
		bare = host[1 : len(host)-1]
	}
	if string(addr.AppendTo(text[:0])) == string(bare) {
		return true
	}
	if len(bare) == len(host) || len(bare) > 45 {
		return false
	}
	parsed, err := netip.ParseAddr(string(bare))
	return err == nil && parsed.Unmap() == addr
}

// appendParams appends the parameters with received and rport as they should
// be: in place where they are, received at the end where it is not, every
// repetition left out. All others stay byte for byte.
func (v *ViaValue) appendParams(dst, data []byte, src netip.AddrPort) []byte {
	var p param
	received, rport := false, false
	for i, end := int(v.Params.Start), int(v.Params.End); i < end; {
		start := i
		p, i = nextParam(data, i, end)
		switch name := data[p.name.Start:p.name.End]; {
		case equalFold(name, "rport"):
			if !rport {
				dst = append(dst, ";rport="...)
				dst = strconv.AppendUint(dst, uint64(src.Port()), 10)
			}
			rport = true
		case equalFold(name, "received"):
			if !received {
				dst = appendReceived(dst, src.Addr())
			}
			received = true
		default:
			dst = append(dst, data[start:i]...)
		}
	}
	if !received {
		dst = appendReceived(dst, src.Addr())
	}
	return dst
}

// appendReceived writes IPv6 without brackets (RFC 3261 25.1, RFC 5118 4.5).
func appendReceived(dst []byte, addr netip.Addr) []byte {
	return addr.Unmap().WithZone("").AppendTo(append(dst, ";received="...))
}
