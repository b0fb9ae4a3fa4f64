package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"tandem/bench/mmsg"
)

var (
	here      = netip.MustParseAddrPort("127.0.0.1:5060")
	connector = netip.MustParseAddrPort("127.0.0.2:5080")
	caller    = netip.MustParseAddrPort("127.0.0.3:40000")
)

const head = "Via: SIP/2.0/UDP 127.0.0.3:40000;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"

// What a call's six datagrams become: seven, and where they go.
func TestCall(t *testing.T) {
	const route = "Route: <sip:127.0.0.1:5060;lr>\r\n"
	end := "Contact: <sip:a@127.0.0.3>\r\nContent-Length: 0\r\n\r\n"
	r := newReflector(-1, here, connector, 8)
	sent := 0
	for _, c := range []struct {
		in   string
		want []string // address, datagram
	}{
		{"INVITE sip:c@d SIP/2.0\r\n" + head + end, []string{
			caller.String(), "SIP/2.0 100 Trying\r\n" + head + "Content-Length: 0\r\n\r\n",
			connector.String(), "INVITE sip:c@d SIP/2.0\r\nRecord-" + route + head + end}},
		{"SIP/2.0 180 Ringing\r\n" + head + end, []string{caller.String(), "SIP/2.0 180 Ringing\r\n" + head + end}},
		{"SIP/2.0 200 OK\r\n" + head + end, []string{caller.String(), "SIP/2.0 200 OK\r\n" + head + end}},
		{"ACK sip:c@d SIP/2.0\r\n" + route + head + end, []string{connector.String(), "ACK sip:c@d SIP/2.0\r\n" + head + end}},
		{"BYE sip:c@d SIP/2.0\r\n" + head + route + end, []string{connector.String(), "BYE sip:c@d SIP/2.0\r\n" + head + end}},
		{"SIP/2.0 200 OK\r\n" + head + end, []string{caller.String(), "SIP/2.0 200 OK\r\n" + head + end}},
		{"OPTIONS sip:d SIP/2.0\r\n" + head + "Content-Length: 0\r\n\r\n", []string{caller.String(), "SIP/2.0 200 OK\r\n" + head + "Content-Length: 0\r\n\r\n"}},
		{"", []string{}},
	} {
		r.in[0].Len = uint32(copy(r.bufs[0], c.in))
		r.from[0] = mmsg.Address(caller)
		n := r.pass(1)
		if !strings.HasPrefix(c.in, "OPTIONS") {
			sent += n
		}
		if n != len(c.want)/2 {
			t.Errorf("%.20q becomes %d datagrams", c.in, n)
			continue
		}
		for i := range n {
			if got, want := mmsg.AddrPort(&r.to[i]).String(), c.want[2*i]; got != want {
				t.Errorf("%.20q goes to %s, want %s", c.in, got, want)
			}
			if got := gathered(r.out[i]); got != c.want[2*i+1] {
				t.Errorf("%.20q becomes %q, want %q", c.in, got, c.want[2*i+1])
			}
		}
	}
	if sent != 7 {
		t.Errorf("%d datagrams a call, want 7", sent)
	}
}

func gathered(h mmsg.Header) string {
	var b bytes.Buffer
	for _, iov := range unsafe.Slice(h.Iov, h.Iovlen) {
		b.Write(unsafe.Slice(iov.Base, iov.Len))
	}
	return b.String()
}

func TestUpstream(t *testing.T) {
	other := mmsg.Address(connector)
	for msg, want := range map[string]string{
		"Via: SIP/2.0/UDP 10.20.255.4:65535;branch=x": "10.20.255.4:65535",
		"Via: SIP/2.0/UDP 10.20.30.4;branch=x":        "10.20.30.4:5060",
		"Via: SIP/2.0/UDP 10.20.30.4:7":               "10.20.30.4:5060", // cut off
		"SIP/2.0 200 OK":                              connector.String(),
	} {
		to := upstream([]byte(msg), other)
		if got := mmsg.AddrPort(&to).String(); got != want {
			t.Errorf("%s: to %s, want %s", msg, got, want)
		}
	}
}

// The floor must not spend time on memory.
func TestNoAllocation(t *testing.T) {
	r := newReflector(-1, here, connector, 1)
	r.in[0].Len = uint32(copy(r.bufs[0], "INVITE sip:c@d SIP/2.0\r\n"+head+"Contact: <sip:a>\r\n\r\n"))
	r.from[0] = mmsg.Address(caller)
	if n := testing.AllocsPerRun(100, func() { r.pass(1) }); n > 0 {
		t.Errorf("%v allocations for an INVITE", n)
	}
}
