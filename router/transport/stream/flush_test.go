package stream

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// Messages of a batch leave in its order on each connection, in whatever order
// the connections come, those of other listeners stay where they are.
func TestFlush(t *testing.T) {
	const phones, each = 50, 20
	r := serve(t, tcp(Limits{}))
	var all []*phone
	for range phones {
		p := r.call()
		p.echoes("")
		all = append(all, p)
	}
	var out transport.Batch
	for i := range each {
		for k, p := range all {
			size := 10
			if k == 3 {
				size = 20000 // more than leave at once
			}
			out.Send(7, p.addr(), append(out.Buf(), response(i, size)...))
			out.Send(6, p.addr(), append(out.Buf(), "another's"...))
		}
	}
	r.Flush(&out)
	require.Equal(t, 2*phones*each, out.Len())
	for _, p := range all {
		for i := range each {
			_, body := p.read()
			require.Equal(t, fmt.Sprintf("%08d", i), body[:8])
		}
	}
	require.Empty(t, r.reported())
}

// What a batch leaves to a peer that does not read waits or is reported, and in
// the end each message was delivered or reported, once.
func TestFlushToSlowReader(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "TCP", true: "TLS"}[secure], func(t *testing.T) {
			a := newAuthority(t, "ca")
			cfg := tcp(Limits{})
			if secure {
				cfg = secured(a, Limits{})
			}
			r := serve(t, cfg)
			p := r.call
			if secure {
				p = func() *phone { return r.callTLS(a) }
			}
			ph := p()
			ph.echoes("first")
			source := r.received()[0].source
			const size, batch = 3000, 50
			sent := 0
			more := func() {
				var out transport.Batch
				for range batch {
					out.Send(7, source, append(out.Buf(), response(sent, size)...))
					sent++
				}
				r.Flush(&out)
			}
			for r.stats().QueueFull == 0 {
				more()
			}
			lost := map[string]bool{}
			r.eventually(func() bool { return uint64(len(r.reported())) == r.stats().QueueFull })
			for _, v := range r.reported() {
				_, body, _ := strings.Cut(v.data, "\r\n\r\n")
				require.False(t, lost[body[:8]])
				lost[body[:8]] = true
			}
			for i := range sent {
				if text := fmt.Sprintf("%08d", i); !lost[text] {
					_, body := ph.read()
					require.Equal(t, text, body[:8])
					require.Len(t, body, size)
				}
			}
			r.eventually(func() bool { return !r.writing() })
			ph.echoes("as ever")
		})
	}
}

// Connections that are at their end are passed over by Flush as by Send.
func TestFlushToClosed(t *testing.T) {
	r := serve(t, tcp(Limits{}))
	ln, dest := far(t, loopback4)
	flush := func(texts ...string) {
		var out transport.Batch
		for _, text := range texts {
			out.Send(7, netip.AddrPortFrom(netip.AddrFrom16(dest.Addr().As16()), dest.Port()), append(out.Buf(), request(text)...))
		}
		r.Flush(&out)
	}
	flush("1", "2")
	conn, err := ln.Accept()
	require.NoError(t, err)
	p := newPhone(t, conn)
	for _, want := range []string{"1", "2"} {
		_, body := p.read()
		require.Equal(t, want, body)
	}
	c := r.theOne()
	c.ending.Store(&ending{why: Reset}) // as if it was found just now
	flush("3", "4")
	conn, err = ln.Accept()
	require.NoError(t, err)
	p = newPhone(t, conn)
	for _, want := range []string{"3", "4"} {
		_, body := p.read()
		require.Equal(t, want, body)
	}
	_ = c.tcp.Load().Close()
	r.eventually(func() bool { return r.stats().Ended[Reset] == 1 })
}
