package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/names"
)

// resolver answers when it is told to.
type resolver struct {
	mu      sync.Mutex
	answers map[string][]netip.Addr
	held    chan struct{} // lookups wait for it
	ended   chan struct{}
	route   string // of the dialog that there is
}

// withNames is a rig with a call whose callee is known by a name.
func withNames(t *testing.T) (*rig, *resolver) {
	res := &resolver{answers: map[string][]netip.Addr{}, held: make(chan struct{}), ended: make(chan struct{}, 100)}
	var g *rig
	g = newRig(t, twoRegions(), func(o *Options) {
		now := o.Now
		n := names.New(names.Options{
			Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
				select {
				case <-res.held:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				res.mu.Lock()
				defer res.mu.Unlock()
				if a := res.answers[name]; a != nil {
					return a, nil
				}
				return nil, errors.New("no such name")
			},
			Now: func() int64 { return now },
			Resolved: func() {
				g.r.Resolved()
				res.ended <- struct{}{}
			},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { n.Run(ctx); close(done) }()
		t.Cleanup(func() { cancel(); <-done })
		o.Names = n
	})
	all := g.from(caller, invite())
	res.route = header(g.from(east1, respond(all[1], 200))[0].text, "Record-Route")[0]
	return g, res
}

// to is an in-dialog request of the caller's or the callee's with that target.
func (res *resolver) to(method, uri string, fromCallee bool) (netip.AddrPort, string) {
	lines := []string{"Route: " + res.route, "CSeq: 2 " + method, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag"}
	if fromCallee {
		lines = append(lines, "From: <sip:+15550000001@198.51.100.1>;tag=calleetag", "To: <sip:+15551230000@192.0.2.10>;tag=callertag",
			"Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKcallee1")
		lines = append(lines[:2], lines[3:]...)
		return east1, request(method, uri, lines...)
	}
	return caller, request(method, uri, lines...)
}

func TestNameInContactIsParkedAndResolved(t *testing.T) {
	g, res := withNames(t)
	res.answers["pbx.example.com"] = []netip.Addr{callee.Addr()}
	source, bye := res.to("BYE", "sip:callee@pbx.example.com:5080", false)
	require.Empty(t, g.from(source, bye), "parked")
	require.Empty(t, g.pass(500*time.Millisecond))
	close(res.held)
	<-res.ended
	require.Equal(t, []string{"203.0.113.99:5080 BYE"}, summary(g.pass(10*time.Millisecond)))
	// From now on it is known, and a retransmission goes the same way.
	require.Equal(t, []string{"203.0.113.99:5080 BYE"}, summary(g.from(source, bye)))
	require.Equal(t, map[string]uint64{"": 1}, g.counts(CountParked))
}

func TestNameThatIsNotKnownInTime(t *testing.T) {
	g, res := withNames(t)
	source, bye := res.to("BYE", "sip:callee@pbx.example.com", false)
	require.Empty(t, g.from(source, bye))
	require.Empty(t, g.pass(990*time.Millisecond))
	require.Equal(t, []string{"east1 BYE"}, summary(g.pass(20*time.Millisecond)), "to the host that answered")
}

func TestNameOfTheCallersThatLeadsNowhere(t *testing.T) {
	g, res := withNames(t)
	close(res.held)
	source, bye := res.to("BYE", "sip:caller@pbx.example.com", true)
	require.Empty(t, g.from(source, bye))
	<-res.ended
	require.Equal(t, []string{"east1 503 BYE"}, summary(g.pass(10*time.Millisecond)))
	source, ack := res.to("ACK", "sip:caller@pbx.example.com", true)
	require.Empty(t, g.from(source, ack), "dropped")
	require.Equal(t, 1, g.dropped(dropUnresolved))
}

// A name that a stranger owns does not lead to this machine.
func TestNameThatLeadsToUs(t *testing.T) {
	g, res := withNames(t)
	close(res.held)
	res.answers["evil.example.com"] = []netip.Addr{ownAddr.Addr()}
	res.answers["local.example.com"] = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	for _, name := range []string{"evil.example.com", "local.example.com:5081"} {
		source, bye := res.to("BYE", "sip:x@"+name, true)
		require.Empty(t, g.from(source, bye))
		<-res.ended
		require.Equal(t, []string{"east1 403 BYE"}, summary(g.pass(10*time.Millisecond)), name)
	}
}

// Of several addresses all requests of a dialog go to one, and that of the host
// that answered is preferred.
func TestNameWithSeveralAddresses(t *testing.T) {
	g, res := withNames(t)
	close(res.held)
	var many []netip.Addr
	for i := range 20 {
		many = append(many, netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", 100+i)))
	}
	res.answers["many.example.com"] = many
	source, bye := res.to("BYE", "sip:x@many.example.com", true)
	require.Empty(t, g.from(source, bye))
	<-res.ended
	first := summary(g.pass(10 * time.Millisecond))
	for range 3 {
		require.Equal(t, first, summary(g.from(source, bye)))
	}
	res.mu.Lock()
	res.answers["with.example.com"] = append(many, east1.Addr())
	res.mu.Unlock()
	source, bye = res.to("BYE", "sip:x@with.example.com", false)
	require.Empty(t, g.from(source, bye))
	<-res.ended
	require.Equal(t, []string{"east1 BYE"}, summary(g.pass(10*time.Millisecond)))
}

func TestParkingIsBounded(t *testing.T) {
	g, res := withNames(t)
	source, bye := res.to("BYE", "sip:x@pbx.example.com", true)
	for range 3 { // what has left makes room again
		refused := 0
		for i := range parkRoom + 30 {
			*g.r.dialogRate = rateWords{}
			refused += len(g.from(source, strings.Replace(bye, "CSeq: 2", fmt.Sprintf("CSeq: %d", i+2), 1)))
		}
		require.Equal(t, 30, refused, "answered 503 at once")
		require.Len(t, g.r.parking.waiting, parkRoom)
		require.Len(t, g.pass(1100*time.Millisecond), parkRoom)
		require.Empty(t, g.r.parking.waiting)
		require.Zero(t, g.r.parking.bytes)
		require.Zero(t, g.r.parking.count.Load())
	}
	long := strings.Replace(bye, "Contact:", "X-Pad: "+strings.Repeat("x", 60_000)+"\r\nContact:", 1)
	refused := 0
	for range 100 {
		*g.r.dialogRate = rateWords{}
		refused += len(g.from(source, long))
	}
	require.Equal(t, 100-parkBytes/len(long), refused, "its memory is bounded")
}

// A BYE does not overtake the ACK that waits before it, not even when the name
// is known by then.
func TestParkingKeepsTheOrderOfADialog(t *testing.T) {
	g, res := withNames(t)
	res.answers["pbx.example.com"] = []netip.Addr{callee.Addr()}
	source, ack := res.to("ACK", "sip:callee@pbx.example.com", false)
	_, bye := res.to("BYE", "sip:callee@pbx.example.com", false)
	_, info := res.to("INFO", "sip:callee@203.0.113.99", false)
	require.Empty(t, g.from(source, ack))
	close(res.held)
	<-res.ended // known, but the timers have not looked yet
	require.Empty(t, g.from(source, bye))
	require.Empty(t, g.from(source, info), "an address needs no name, but keeps its place")
	require.Equal(t, []string{"callee ACK", "callee BYE", "callee INFO"}, summary(g.pass(10*time.Millisecond)))
	require.Equal(t, []string{"callee BYE"}, summary(g.from(source, bye)))
	require.EqualValues(t, 1, g.counts(CountRequests)["ACK"], "counted once")
}

// What of other dialogs comes meanwhile does not wait.
func TestParkingHoldsNobodyElse(t *testing.T) {
	g, res := withNames(t)
	source, bye := res.to("BYE", "sip:x@pbx.example.com", true)
	require.Empty(t, g.from(source, bye))
	all := g.from(caller, invite("Call-ID: other", "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKother"))
	require.Equal(t, []string{"caller 100 INVITE", "east1 INVITE"}, summary(all))
}

// The name in a Contact may mean something to its connector only, and the
// connector may be out of the catalog by the time of the BYE.
func TestNameOfAConnectorThatWasRemoved(t *testing.T) {
	g, res := withNames(t)
	close(res.held)
	p := twoRegions()
	p.Catalog.Connectors = p.Catalog.Connectors[1:]
	p.Catalog.Groups[0].Connectors = p.Catalog.Groups[0].Connectors[1:]
	require.NoError(t, g.r.SetPolicy(g.now, p))
	source, bye := res.to("BYE", "sip:callee@inside.invalid", false)
	require.Empty(t, g.from(source, bye))
	<-res.ended
	require.Equal(t, []string{"east1 BYE"}, summary(g.pass(10*time.Millisecond)))
	g.now += (tokenLifeDays + 1) * day
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Len(t, g.r.plan.Load().known.hosts, 1, "no token names it any more")
}
