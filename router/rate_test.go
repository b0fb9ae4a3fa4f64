package router

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRateOfAToken(t *testing.T) {
	w := new(rateWords)
	now := int64(time.Hour)
	for range tokenRate {
		require.True(t, w.allow(7, now))
	}
	require.False(t, w.allow(7, now))
	require.False(t, w.allow(7, now+int64(time.Second)-1), "the second is not over")
	require.False(t, w.allow(7+4096, now), "what shares the word shares the allowance")
	require.True(t, w.allow(8, now))
	require.True(t, w.allow(7, now+int64(time.Second)))
}

func TestRateOfATokenIsExactUnderContention(t *testing.T) {
	w := new(rateWords)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if w.allow(7, int64(time.Hour)) {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, tokenRate, passed.Load())
}

func TestDialogThatSendsTooMuch(t *testing.T) {
	g := newRig(t, twoRegions())
	ok := g.from(east1, respond(g.call(), 200))
	route := "Route: " + header(ok[0].text, "Record-Route")[0]
	to := "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"
	info := request("INFO", "sip:agent@203.0.113.99:5060", route, to, "CSeq: 2 INFO")
	ack := request("ACK", "sip:agent@203.0.113.99:5060", route, to)
	for range tokenRate {
		require.Equal(t, []string{"callee INFO"}, summary(g.from(caller, info)))
	}
	require.Equal(t, []string{"caller 503 INFO"}, summary(g.from(caller, info)))
	require.Empty(t, g.from(caller, ack))
	require.Equal(t, map[string]uint64{"dialog_rate": 1}, g.counts(CountDrops))
	g.now += int64(time.Second)
	require.Equal(t, []string{"callee ACK"}, summary(g.from(caller, ack)))
}
