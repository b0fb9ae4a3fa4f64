//go:build linux

package main_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// abuser sends from an address of its own, as fast as pace says, until ctx ends.
func abuse(ctx context.Context, t *testing.T, from, to netip.AddrPort, pace time.Duration, message func(i int) string) (sent *atomic.Int64) {
	sent = new(atomic.Int64)
	conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	var work sync.WaitGroup
	work.Go(func() { // what comes back is read, so that no buffer fills
		buf := make([]byte, 65536)
		for {
			if _, err := conn.Read(buf); err != nil && ctx.Err() != nil {
				return
			}
		}
	})
	work.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		per := int(10 * time.Millisecond / pace)
		for i := 0; ctx.Err() == nil; {
			for range per {
				text := message(i)
				i++
				if _, err := conn.Write([]byte(text)); err == nil {
					sent.Add(int64(len(text)))
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		work.Wait()
	})
	return sent
}

// Strangers and a trunk over its rate send far more than there are calls: the
// calls of another trunk go on, memory stays bounded, and what strangers are
// answered is less than three times what they send.
func TestE2E_AbuseBesideGoodCalls(t *testing.T) { // not beside others: it would be a flood to them too
	l := newLab(t)
	first := l.sippConnector("connector", "127.0.0.11")
	n := l.serve("trunks: [{name: carrier, sources: [127.0.0.2/32]}, {name: greedy, sources: [127.0.0.3/32], max_cps: 10}]\n" + twoConnectors)

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	headers := func(who, method string, i int) string {
		return fmt.Sprintf("Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK%s%d\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=%d\r\nTo: <sip:+15550000001@b>\r\n"+
			"Call-ID: %s%d\r\nCSeq: 1 %s\r\nContact: <sip:a@%s>\r\nContent-Length: 0\r\n\r\n", who, method, i, i, who, i, method, who)
	}
	flood := func(host string, message func(i int) string) *atomic.Int64 {
		return abuse(ctx, t, l.addr(host), n.addr, 200*time.Microsecond, message)
	}
	strangers := []*atomic.Int64{
		flood("127.0.0.61", func(i int) string {
			return "INVITE sip:+15550000001@b SIP/2.0\r\n" + headers("127.0.0.61", "INVITE", i)
		}),
		flood("127.0.0.62", func(i int) string { return "OPTIONS sip:b SIP/2.0\r\n" + headers("127.0.0.62", "OPTIONS", i) }),
		flood("127.0.0.63", func(i int) string {
			return "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " + n.addr.String() + ";branch=z9hG4bKc000" + fmt.Sprintf("%044x", i) + "\r\n" + headers("127.0.0.99", "INVITE", i)
		}),
		flood("127.0.0.64", func(i int) string {
			return "BYE sip:x@127.0.0.99 SIP/2.0\r\nRoute: <sip:td" + fmt.Sprintf("%036x", i) + "@" + n.addr.String() + ";lr>\r\n" +
				strings.Replace(headers("127.0.0.64", "BYE", i), "To: <sip:+15550000001@b>", "To: <sip:+15550000001@b>;tag=1", 1)
		}),
	}
	greedy := flood("127.0.0.3", func(i int) string { return "INVITE sip:+15550000001@b SIP/2.0\r\n" + headers("127.0.0.3", "INVITE", i) })

	l.sippCaller("caller", "127.0.0.2", n, "+15550000001", 100, 20).allSucceeded(100)
	stop()
	first.errors(100) // its calls of the greedy trunk are not over, and never will be

	var in int64
	for _, s := range strangers {
		require.Greater(t, s.Load(), int64(1_000_000), "there was a flood")
		in += s.Load()
	}
	require.NotZero(t, greedy.Load())
	require.Less(t, n.metric(`^tandem_calls_live`), 500.0, "good calls and ten a second of the greedy trunk")
	require.NotZero(t, n.metric(`^tandem_trunk_over_rate_total\{trunk="greedy"\}`))
	require.Zero(t, n.metric(`^tandem_trunk_calls_total\{outcome="(exhausted|timeout|refused)",trunk="carrier"\}`))
	require.Less(t, n.metric(`^process_resident_memory_bytes`), 400e6)
	require.Less(t, n.metric(`^tandem_replies_total\{class="4xx"\}`)*600, 3*float64(in), "bytes out, at 600 an answer")
	require.Equal(t, 100.0, n.metric(`^tandem_trunk_calls_total\{outcome="answered",trunk="carrier"\}`))
}
