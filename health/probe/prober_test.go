package probe

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// sipHost is a host with sipgo's stack that answers OPTIONS with a code; 0 is
// silence.
func sipHost(t *testing.T, code *atomic.Int32) netip.AddrPort {
	t.Helper()
	ua, err := sipgo.NewUA()
	require.NoError(t, err)
	server, err := sipgo.NewServer(ua)
	require.NoError(t, err)
	server.OnOptions(func(req *sip.Request, tx sip.ServerTransaction) {
		if c := int(code.Load()); c != 0 {
			_ = tx.Respond(sip.NewResponseFromRequest(req, c, "Because", nil))
		}
	})
	udp := listen(t, "127.0.0.1:0")
	served := make(chan struct{})
	go func() { defer close(served); _ = server.ServeUDP(udp) }()
	t.Cleanup(func() { udp.Close(); <-served; ua.Close() })
	return udp.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestProber_WhatAnswersMean(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   int32
		want   health.State
		reason string
	}{
		{"200 is alive", 200, health.Up, "nothing seen yet"},
		{"404 is alive", 404, health.Up, "nothing seen yet"},
		{"405 is alive", 405, health.Up, "nothing seen yet"},
		{"503 is full", 503, health.Full, "answer to OPTIONS (503)"},
		{"500 is down", 500, health.Down, "answer to OPTIONS (500)"},
		{"silence is down", 0, health.Down, "no answer to OPTIONS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var code atomic.Int32
			code.Store(c.code)
			set := fast()
			if c.code != 0 {
				set.Timeout = patience
			}
			b := start(t, set)
			h := b.probe(t, sipHost(t, &code))
			eventually(t, "some probes", func() bool {
				s := h.Status()
				return s.State == c.want && s.Successes+s.Failures >= 4
			})
			s := h.Status()
			require.Equal(t, c.want, s.State)
			require.Equal(t, c.reason, s.Reason.String())
			require.Equal(t, int(c.code), s.LastCode)
			require.NotZero(t, s.LastProbe)
			if c.code != 0 {
				require.Positive(t, s.RTT)
				require.Less(t, s.RTT, patience)
			}
		})
	}
}

func TestProber_HostDiesAndComesBack(t *testing.T) {
	b := start(t, fast())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	addr := p.addr()
	h := b.probe(t, addr)
	eventually(t, "up", func() bool { return h.Status().Successes > 1 })
	p.close()
	eventually(t, "down", func() bool { return h.Status().State == health.Down })
	newPeer(t, addr.String(), always("200 OK"))
	eventually(t, "back", func() bool { return h.Status().State == health.Recovering })
	require.GreaterOrEqual(t, h.Status().Successes, fast().UpAfter)
}

func TestProber_UsesTheSharedSocketAndTheAdvertisedAddress(t *testing.T) {
	b := start(t, once())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	uri := fmt.Sprintf("sip:ping@%s;transport=udp", p.addr())
	target := b.target(uri, p.addr())
	require.NoError(t, b.SetTargets([]Target{target}))
	eventually(t, "an answer", func() bool { return target.Host.Status().LastCode == 200 })

	got := p.requests()[0]
	require.Equal(t, b.socket.addr(), got.src)
	require.True(t, strings.HasPrefix(got.request, "OPTIONS "+uri+" SIP/2.0\r\n"), got.request)
	require.Contains(t, got.request, "Via: SIP/2.0/UDP sbc.example.com:5070;branch="+BranchPrefix)
	require.Contains(t, got.request, ";rport")
	require.Contains(t, got.request, "From: <sip:tandem@sbc.example.com:5070>;tag=")
	require.Contains(t, got.request, "To: <"+uri+">\r\n")
	require.Contains(t, got.request, "Max-Forwards: 70\r\n")
	require.Contains(t, got.request, "Content-Length: 0\r\n")
}

func TestProber_IPv6(t *testing.T) {
	probe, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	probe.Close()
	s := newSocket(t, "[::1]:0")
	b := start(t, once(), func(o *Options) {
		o.Listeners = []Listener{{Conn: s.conn, Advertise: "[2001:db8::1]:5060"}}
	})
	p := newPeer(t, "[::1]:0", always("200 OK"))
	h := b.probe(t, p.addr())
	eventually(t, "an answer", func() bool { return h.Status().LastCode == 200 })
	require.Contains(t, p.requests()[0].request, "Via: SIP/2.0/UDP [2001:db8::1]:5060;branch=")
	require.Contains(t, p.requests()[0].request, "From: <sip:tandem@[2001:db8::1]:5060>;tag=")
	require.Equal(t, s.addr(), p.requests()[0].src)
}

func TestProber_EachListenerProbesFromItsOwnSocket(t *testing.T) {
	first, second := newSocket(t, "127.0.0.1:0"), newSocket(t, "127.0.0.1:0")
	b := start(t, once(), func(o *Options) {
		o.Listeners = []Listener{{Conn: first.conn, Advertise: "a.example.com:5060"}, {Conn: second.conn, Advertise: "b.example.com:5060"}}
	})
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	one, two := b.target("sip:one", p.addr()), b.target("sip:two", p.addr())
	two.Listener = 1
	require.NoError(t, b.SetTargets([]Target{one, two}))
	eventually(t, "answers", func() bool {
		return one.Host.Status().LastCode == 200 && two.Host.Status().LastCode == 200
	})
	for _, r := range p.requests() {
		want := first.addr()
		if strings.Contains(r.request, "OPTIONS sip:two ") {
			want = second.addr()
		}
		require.Equal(t, want, r.src, r.request)
	}
}

func TestProber_UnreachableFailsAtOnce(t *testing.T) {
	b := start(t, once())
	p := newPeer(t, "127.0.0.1:0", nothing)
	other := newPeer(t, "127.0.0.1:0", nothing)
	one, two := b.target("sip:one", p.addr()), b.target("sip:two", other.addr())
	require.NoError(t, b.SetTargets([]Target{one, two}))
	eventually(t, "both asked", func() bool { return len(p.requests()) > 0 && len(other.requests()) > 0 })
	branch := p.branch(t)
	require.False(t, b.Unreachable(netip.MustParseAddrPort("192.0.2.1:5060"), branch), "nobody's")
	for name, forged := range map[string][]byte{
		"none": nil, "prefix": []byte(BranchPrefix), "cut": branch[:len(branch)-1], "longer": append(branch[:len(branch):len(branch)], 'x'),
		"another host's": other.branch(t), "a call's": []byte("z9hG4bK" + strings.Repeat("0", len(branch)-7)),
	} {
		require.False(t, b.Unreachable(p.addr(), forged), name)
	}
	require.Zero(t, one.Host.Status().LastProbe, "a forged quote fails no probe")
	require.True(t, b.Unreachable(p.addr(), bytes.ToUpper(branch)))
	eventually(t, "a failure", func() bool { return one.Host.Status().LastEvent == health.ProbeUnreachable })
	require.Equal(t, 1, one.Host.Status().Failures)
	require.Zero(t, two.Host.Status().LastProbe)
}

func TestProber_SendErrorFailsAtOnce(t *testing.T) {
	conn := NewConn(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5060}, func([]byte, netip.AddrPort) error {
		return fmt.Errorf("network is unreachable")
	})
	b := start(t, once(), func(o *Options) { o.Listeners = []Listener{{Conn: conn, Advertise: "a.example.com:5060"}} })
	h := b.probe(t, netip.MustParseAddrPort("192.0.2.1:5060"))
	eventually(t, "a failure", func() bool { return h.Status().LastEvent == health.ProbeUnreachable })
}

func TestProber_OnlyProvisionalIsAlive(t *testing.T) {
	b := start(t, fast())
	p := newPeer(t, "127.0.0.1:0", always("100 Trying"))
	h := b.probe(t, p.addr())
	eventually(t, "an answer", func() bool { return h.Status().Successes > 1 })
	require.Equal(t, 100, h.Status().LastCode)

	p.become(always("100 Trying", "404 Not Found"))
	eventually(t, "the final one", func() bool { return h.Status().LastCode == 404 })
}

func TestProber_SurvivesGarbageOfAHost(t *testing.T) {
	set := fast()
	set.Timeout = patience
	b := start(t, set)
	p := newPeer(t, "127.0.0.1:0", func(request string) []string {
		ok := response(request, "200 OK")
		return []string{
			"SIP/2.0 200 OK\r\n\r\nbranch=" + BranchPrefix,
			strings.Replace(ok, "SIP/2.0 200", "SIP/2.0 -1", 1),
			strings.Replace(ok, "CSeq: ", "CSeq: x", 1),
			strings.Replace(ok, "Content-Length: 0", "Content-Length: -1", 1),
			ok[:len(ok)/2], request, ok, ok, ok,
		}
	})
	h := b.probe(t, p.addr())
	eventually(t, "answers", func() bool { return h.Status().Successes > 3 })
	require.Equal(t, health.Up, h.Status().State)
}

func TestProber_DoubtProbesAtOnce(t *testing.T) {
	b := start(t, once())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	h := b.probe(t, p.addr())
	eventually(t, "the first probe", func() bool { return h.Status().Successes == 1 })
	_, state, _ := h.Observe(b.now(), health.Observation{Event: health.CallUnreachable})
	require.Equal(t, health.Doubtful, state)
	eventually(t, "the doubt is over", func() bool { return h.Status().State == health.Up })
	require.Equal(t, 2, h.Status().Successes)
	eventually(t, "a probe without a doubt", func() bool {
		h.Wake() // of no effect while the last probe is not quite over
		return h.Status().Successes >= 3
	})
}

func TestProber_SilenceIsHeld(t *testing.T) {
	set := fast()
	set.DoubtHold = 300 * time.Millisecond
	b := start(t, set)
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	h := b.probe(t, p.addr())
	eventually(t, "the first probe", func() bool { return h.Status().Successes > 0 })
	h.Observe(b.now(), health.Observation{Event: health.CallSilent})
	held := h.Status()
	require.Equal(t, health.Doubtful, held.State)
	eventually(t, "the doubt is over", func() bool { return h.Status().State == health.Up })
	require.GreaterOrEqual(t, h.Status().Since, held.DoubtUntil)
	require.Greater(t, h.Status().Successes, held.Successes+1, "answers in the hold did not end it")
}

func TestProber_OneInFlightPerHost(t *testing.T) {
	b := start(t, once())
	p := newPeer(t, "127.0.0.1:0", nothing)
	h := b.probe(t, p.addr())
	eventually(t, "the first probe", func() bool { return len(p.requests()) == 1 })
	for i := range 1000 {
		o := health.Observation{Event: health.CallSilent}
		if i%2 == 1 {
			o.Event = health.CallAnswered
		}
		h.Observe(b.now(), o)
		h.Wake()
	}
	// sipgo sends the same request again every now and then; a second probe
	// would have another Call-ID.
	callIDs := func() int {
		ids := map[string]bool{}
		for _, r := range p.requests() {
			_, rest, _ := strings.Cut(r.request, "Call-ID: ")
			id, _, _ := strings.Cut(rest, "\r\n")
			ids[id] = true
		}
		return len(ids)
	}
	require.Equal(t, 1, callIDs())
	require.True(t, b.Unreachable(p.addr(), p.branch(t)))
	eventually(t, "the next one", func() bool { return callIDs() == 2 })
	require.Equal(t, 1, h.Status().Failures)
}

func TestProber_SettingsChange(t *testing.T) {
	off := once()
	off.Probe = false
	b := start(t, off)
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	h := b.probe(t, p.addr())
	h.Wake()
	eventually(t, "the prober has taken notice", func() bool { return len(b.changed) == 0 && len(b.registry.Woken()) == 0 })
	require.Empty(t, p.requests(), "probes are off")
	b.registry.Configure(once(), b.now())
	eventually(t, "switched on", func() bool { return h.Status().Successes == 1 })
	b.registry.Configure(fast(), b.now())
	eventually(t, "more often", func() bool { return h.Status().Successes > 3 })
}

func TestProber_TargetsChange(t *testing.T) {
	b := start(t, once())
	good := newPeer(t, "127.0.0.1:0", always("200 OK"))
	mute := newPeer(t, "127.0.0.1:0", nothing)
	kept, aborted := b.target("sip:kept", good.addr()), b.target("sip:aborted", mute.addr())
	require.NoError(t, b.SetTargets([]Target{kept, aborted}))
	eventually(t, "both asked", func() bool {
		return kept.Host.Status().Successes == 1 && len(mute.requests()) > 0
	})
	fresh := b.target("sip:fresh", good.addr())
	require.NoError(t, b.SetTargets([]Target{kept, fresh, fresh}))
	eventually(t, "the new one", func() bool { return fresh.Host.Status().Successes == 1 })
	eventually(t, "the old probe is over", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.flights) == 0
	})
	require.Len(t, good.requests(), 2, "the one that stayed keeps its place in the schedule")
	require.Zero(t, aborted.Host.Status().LastProbe, "a probe that was called off says nothing")

	require.NoError(t, b.SetTargets([]Target{aborted}))
	mute.become(always("200 OK"))
	eventually(t, "back", func() bool { return aborted.Host.Status().Successes == 1 })
}

func TestProber_NamesTargetsThatCannotBeProbed(t *testing.T) {
	b := start(t, once())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	good := b.target("sip:good", p.addr())
	listener := b.target("sip:listener", p.addr())
	listener.Listener = 1
	uri := b.target("sip:", p.addr())
	uri.URI = ""
	port := b.target("sip:port", netip.AddrPortFrom(p.addr().Addr(), 0))
	err := b.SetTargets([]Target{listener, uri, good, port})
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
	require.ErrorContains(t, err, "sip:listener")
	eventually(t, "the good one is probed", func() bool { return good.Host.Status().Successes == 1 })
}

func TestProber_ManyTargets(t *testing.T) {
	b := start(t, once())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	targets := make([]Target, 1000)
	for i := range targets {
		targets[i] = b.target(fmt.Sprintf("sip:%d.example.com", i), p.addr())
	}
	require.NoError(t, b.SetTargets(targets))
	eventually(t, "all answered", func() bool {
		for _, target := range targets {
			if target.Host.Status().Successes == 0 {
				return false
			}
		}
		return true
	})
	asked := map[string]bool{}
	for _, r := range p.requests() {
		line, _, _ := strings.Cut(r.request, "\r\n")
		asked[line] = true
	}
	require.Len(t, asked, len(targets))
	require.Zero(t, b.socket.conn.Dropped())
}

func TestProber_BoundsProbesInFlight(t *testing.T) {
	b := start(t, once(), func(o *Options) { o.MaxInFlight = 5 })
	p := newPeer(t, "127.0.0.1:0", nothing)
	targets := make([]Target, 20)
	for i := range targets {
		targets[i] = b.target(fmt.Sprintf("sip:%d.example.com", i), p.addr())
	}
	inFlight := func() (branches []string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.flights[p.addr()] {
			branches = append(branches, f.branch)
		}
		return branches
	}
	require.NoError(t, b.SetTargets(targets))
	failed := func() int {
		n := 0
		for _, target := range targets {
			n += min(target.Host.Status().Failures, 1)
		}
		return n
	}
	eventually(t, "each had its turn", func() bool {
		flying := inFlight()
		require.LessOrEqual(t, len(flying), 5)
		if len(flying) == 5 {
			for _, branch := range flying {
				b.Unreachable(p.addr(), []byte(branch))
			}
		}
		return failed() == len(targets)
	})
}

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	registry := health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()})
	now := func() int64 { return 1 }
	conn := func(local string) *Conn {
		return NewConn(net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local)), nil)
	}
	for _, c := range []struct {
		name string
		opts Options
	}{
		{"no registry", Options{Now: now, Listeners: []Listener{{Conn: conn("127.0.0.1:5060"), Advertise: "a:5060"}}}},
		{"no clock", Options{Registry: registry, Listeners: []Listener{{Conn: conn("127.0.0.1:5060"), Advertise: "a:5060"}}}},
		{"no listener", Options{Registry: registry, Now: now}},
		{"no port to advertise", Options{Registry: registry, Now: now, Listeners: []Listener{{Conn: conn("127.0.0.1:5060"), Advertise: "a"}}}},
		{"no such port", Options{Registry: registry, Now: now, Listeners: []Listener{{Conn: conn("127.0.0.1:5060"), Advertise: "a:65536"}}}},
		{"no host to advertise", Options{Registry: registry, Now: now, Listeners: []Listener{{Conn: conn("127.0.0.1:5060"), Advertise: ":5060"}}}},
		{"no local port", Options{Registry: registry, Now: now, Listeners: []Listener{{Conn: conn("127.0.0.1:0"), Advertise: "a:5060"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.opts)
			require.Error(t, err)
		})
	}
}
