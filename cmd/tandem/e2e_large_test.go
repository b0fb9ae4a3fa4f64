//go:build linux

package main_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// INVITEs that no datagram of an Ethernet holds, and that only just fit the
// largest there is, pass over every pair of transports and families.
func TestE2E_LargeBodies(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := newPairs(l, patient)
	var callers, callees []*peer
	for i := range crossings {
		callers = append(callers, n.bytewise(t, i, true))
		callees = append(callees, n.bytewise(t, i, false))
	}
	for _, size := range []int{6 << 10, 60 << 10} {
		for from, c := range crossings {
			for to, e := range crossings {
				t.Run(fmt.Sprintf("%d bytes, %s to %s", size, c.name, e.name), func(t *testing.T) {
					caller, callee := callers[from].in(t), callees[to].in(t)
					body := sessionOf(size, uint64(from), uint64(to))
					d := caller.call(n.listen[from], numberTo(to))
					d.invite = strings.Replace(d.invite, fmt.Sprintf("%d\r\n\r\n%s", len(sdp), sdp), fmt.Sprintf("%d\r\n\r\n%s", size, body), 1)
					d.start()
					got := callee.pickUp().body()
					require.Len(t, got, size)
					require.True(t, body == got, "another body")
					caller.expect("180 INVITE")
					d.established()
					callee.expect("ACK")
					d.bye(callee)
				})
			}
		}
	}
}

// bytewise is a peer of a crossing that sends and reads messages byte by byte.
func (p *pairs) bytewise(t testing.TB, crossing int, caller bool) *peer {
	t.Helper()
	at, is := p.callee[crossing], p.called
	if caller {
		at, is = p.from(t, crossing), p.caller
	}
	switch crossings[crossing].scheme {
	case "tls":
		peer, _ := newStreamPeer(t, at, is)
		return peer
	case "tcp":
		peer, _ := newStreamPeer(t, at, nil)
		return peer
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	require.NoError(t, err)
	return newPeer(t, conn)
}

// in is the peer as a part of a test sees it.
func (p *peer) in(t testing.TB) *peer {
	p.t = t
	return p
}

// sessionOf is a session description of so many bytes that no two calls share.
func sessionOf(size int, from, to uint64) string {
	random := rand.New(rand.NewPCG(from, to))
	var b strings.Builder
	b.WriteString(sdp)
	for b.Len() < size {
		fmt.Fprintf(&b, "a=large:%016x\r\n", random.Uint64())
	}
	return b.String()[:size]
}
