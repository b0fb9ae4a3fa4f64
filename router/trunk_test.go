package router

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

// TestBucketIsATokenBucket beside golang.org/x/time/rate, which keeps its count
// in floating point: half a nanosecond apart at most.
func TestBucketIsATokenBucket(t *testing.T) {
	for _, c := range []struct{ cps, burst int }{{1, 1}, {1, 5}, {10, 1}, {100, 50}, {1000, 1000}, {1_000_000, 10}} {
		t.Run(fmt.Sprintf("%d burst %d", c.cps, c.burst), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(c.cps)))
			every := second / int64(c.cps)
			oracle := rate.NewLimiter(rate.Limit(c.cps), c.burst)
			b, now := new(bucket), int64(time.Hour)
			for range 20_000 {
				// Steps of whole tenths of a token, so that rounding decides nothing.
				now += every / 10 * int64(random.IntN(20))
				ok := b.take(now, every, every*int64(c.burst-1)) == 0
				require.Equal(t, oracle.AllowN(time.Unix(0, now+every/1000), 1), ok)
			}
		})
	}
}

// What is owed at one rate is not held against another: after a change of
// policy the bucket is empty at worst.
func TestBucketAfterAChangeOfRate(t *testing.T) {
	b := new(bucket)
	for b.take(second, second/5, second/5*299) == 0 { // max_cps 5, burst 300
	}
	require.LessOrEqual(t, b.take(second, second/500, second/500*499), second/500, "500 and 500")
	b = new(bucket)
	for b.take(second, second, second*999_999) == 0 {
	}
	require.LessOrEqual(t, b.take(second, second, 0), second, "burst 1")
}

func TestBucketTellsHowLongToWait(t *testing.T) {
	b := new(bucket)
	require.Zero(t, b.take(second, second/10, 0))
	require.EqualValues(t, second/10, b.take(second, second/10, 0))
	require.EqualValues(t, 1, b.take(second+second/10-1, second/10, 0))
	require.Zero(t, b.take(second+second/10, second/10, 0))
}

func TestBucketOfManyAtOnce(t *testing.T) {
	b := new(bucket)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if b.take(second, second/100, second/100*99) == 0 {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 100, admitted.Load())
}

func TestMaxCPS(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].MaxCPS, p.Trunks[0].Burst = 10, 3
	g := newRig(t, p, keeping(100))
	begin := func(i int) []sent {
		return g.from(caller, invite(fmt.Sprintf("Call-ID: c%d", i), fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx%d", i)))
	}
	for i := range 3 {
		require.Equal(t, "east1 INVITE", summary(begin(i))[1])
	}
	over := begin(3)
	require.Equal(t, []string{"caller 503 INVITE"}, summary(over))
	require.Equal(t, []string{"1"}, header(over[0].text, "Retry-After"))
	require.Equal(t, 3, g.r.Live(), "without state")
	require.Equal(t, []string{"caller 100 INVITE"}, summary(begin(0)), "a retransmission begins nothing")
	require.Equal(t, []string{"caller 404 INVITE"}, summary(g.from(caller, request("INVITE", "sip:+1999@198.51.100.1", "Call-ID: elsewhere"))),
		"what would not be let in costs no allowance")

	// A change of policy does not fill the bucket.
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, []string{"caller 503 INVITE"}, summary(begin(4)))
	g.now += int64(100 * time.Millisecond)
	require.Equal(t, "east1 INVITE", summary(begin(5))[1])

	require.Equal(t, map[string]uint64{"carrier": 2}, g.counts(CountOverRate))
	require.EqualValues(t, 2, g.counts(CountRejected)["max_cps"])
	require.EqualValues(t, 1, g.counts(CountRejected)["no_route"])
	calls := g.r.Recent(10, func(c *CallRecord) bool { return c.Outcome == "rejected" })
	require.Len(t, calls, 3)
	require.Equal(t, "the trunk is over its max_cps", calls[0].Reason)
	require.Equal(t, "support", calls[0].Route)
	require.Equal(t, "no group and no connector has this number", calls[1].Reason)
	require.Equal(t, "+1999", calls[1].Number)
	require.Empty(t, calls[1].Route)
}

// A refused trunk is a hole in a wider one.
func TestRefusedTrunk(t *testing.T) {
	p := twoRegions()
	p.Untrusted = Drop
	p.Trunks = append(p.Trunks,
		Trunk{Name: "told", Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.64/26")}, Refused: true, Untrusted: Reject},
		Trunk{Name: "not told", Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/26")}, Refused: true, Untrusted: Drop})
	g := newRig(t, p)
	require.Len(t, g.from(caller, invite()), 2)
	require.Equal(t, []string{"192.0.2.65:5060 403 INVITE"}, summary(g.from(addr("192.0.2.65:5060"), invite("Call-ID: 2", "Via: SIP/2.0/UDP 192.0.2.65;branch=z9hG4bKa"))))
	require.Empty(t, g.from(addr("192.0.2.129:5060"), invite("Call-ID: 3")))
	require.Empty(t, g.from(addr("198.18.0.1:5060"), invite("Call-ID: 4")), "as for all")
}

func keeping(n int) func(*Options) { return func(o *Options) { o.RecentCalls = n } }
