//go:build linux

package main_test

import (
	be "encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An ICMP error for the INVITE and a response to it arrive within 2 ms of each
// other, either first. The call moves on once at most, and what the connector
// said still counts.
func TestE2E_NetnsRaceResponseAgainstICMP(t *testing.T) {
	if inNetns(t) { // raw sockets need the rights that one has there
		responseAgainstICMP(t, 400, 200)
	}
}

func responseAgainstICMP(t *testing.T, calls, rate int) {
	const reach, lead = 2 * time.Millisecond, 20 * time.Millisecond
	responses := []int{503, 200, 486, 180} // after 180 comes 200
	l := newLab(t)
	n := l.serve(ownFirsts(calls))
	s := l.stage("127.0.0.2", n.addr)
	second := s.connector(l.addr("127.0.0.12"))
	s.ownFirsts(l, calls)
	icmp := newICMP(t, l.addr("127.0.0.11").Addr())
	sent := map[*play]int{}
	pace(calls, rate, func(i int) {
		status, shift := responses[i%len(responses)], offset(i/len(responses), calls/len(responses), reach)
		p := s.call(ownNumber(i), script{hold: 150 * time.Millisecond, invited: func(g *leg) {
			if g.host == second {
				g.respond(180)
				g.after(80*time.Millisecond, func() { g.respond(200) })
				return
			}
			g.deaf = true
			g.after(lead, func() { g.respond(status) })
			g.after(lead+shift, func() { icmp.unreachable(g.invite.from, g.host.addr, g.invite.raw) })
			if status == 180 {
				g.after(lead+100*time.Millisecond, func() { g.respond(200) })
			}
		}})
		sent[p] = status
	})
	s.wait()
	moved, stayed, late := 0, 0, 0
	wrong := s.judge(func(p *play) (wrong []string) {
		one, last := p.legs[0], p.finals[len(p.finals)-1]
		if len(p.legs) == 1 {
			stayed++
			if sent[p] == 503 {
				wrong = append(wrong, "no second attempt")
			}
			if last.status != one.status {
				wrong = append(wrong, fmt.Sprintf("%d became %d", one.status, last.status))
			}
			return wrong
		}
		moved++
		if p.legs[1].invite.at.Before(one.answered) && one.status == 200 {
			late++
		}
		if last.status != 200 {
			wrong = append(wrong, fmt.Sprintf("the %d of an attempt that was given up ended the call", one.status))
		}
		return wrong
	})
	byICMP, byCode := n.metric(`^tandem_failovers_total{reason="icmp"}`), n.metric(`^tandem_failovers_total{reason="code"}`)
	t.Logf("%d calls, ICMP from %v to +%v of the response: %d moved on (%v by ICMP, %v by 503), %d stayed, %d with a 2xx after they had moved on, %d wrong",
		calls, -reach, reach, moved, byICMP, byCode, stayed, late, wrong)
	require.Zero(t, wrong)
	require.Equal(t, float64(moved), byICMP+byCode, "no call moves on twice")
	require.Positive(t, byICMP)
	require.Positive(t, byCode)
	require.Positive(t, late)
}

// icmp is a connector's machine, as far as it says that ports are closed.
type icmp struct {
	t  testing.TB
	fd int
}

func newICMP(t testing.TB, from netip.Addr) *icmp {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}))
	return &icmp{t, fd}
}

// unreachable tells a sender that the port was closed to which it sent the
// datagram, and quotes as much as Linux does: RFC 1812 4.3.2.3.
func (c *icmp) unreachable(sender, port netip.AddrPort, datagram string) {
	const quoteRoom = 576 - 20 - 8
	src, dst := sender.Addr().As4(), port.Addr().As4()
	quote := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0} // an IPv4 header
	be.BigEndian.PutUint16(quote[2:], uint16(20+8+len(datagram)))
	quote = append(append(quote, src[:]...), dst[:]...)
	be.BigEndian.PutUint16(quote[10:], checksum(quote))
	quote = be.BigEndian.AppendUint16(quote, sender.Port())
	quote = be.BigEndian.AppendUint16(quote, port.Port())
	quote = be.BigEndian.AppendUint16(quote, uint16(8+len(datagram)))
	quote = append(append(quote, 0, 0), datagram...)
	msg := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, quote[:min(len(quote), quoteRoom)]...)
	be.BigEndian.PutUint16(msg[2:], checksum(msg))
	if err := unix.Sendto(c.fd, msg, 0, &unix.SockaddrInet4{Addr: src}); err != nil {
		c.t.Errorf("ICMP to %v: %v", sender, err)
	}
}

// checksum is the one of RFC 1071.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i, octet := range b {
		sum += uint32(octet) << (8 * uint(1-i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
