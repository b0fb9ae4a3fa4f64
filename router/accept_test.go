package router

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func TestAccept(t *testing.T) {
	good := facts{trusted: true, routed: true, scheme: wire.SIP}
	with := func(set func(*facts)) facts {
		f := good
		set(&f)
		return f
	}
	for _, c := range []struct {
		name string
		text string
		f    facts
		want admission
	}{
		{"forward", invite(), good, admission{}},
		{"tel", invite(), with(func(f *facts) { f.scheme = wire.TEL }), admission{}},
		{"a connector may not call", invite(), with(func(f *facts) { f.trusted, f.connector = false, true }), admission{status: 403, untrusted: true, why: rejectUntrusted}},
		{"untrusted", invite(), with(func(f *facts) { f.trusted = false }), admission{status: 403, untrusted: true, why: rejectUntrusted}},
		{"untrusted, drop", invite(), with(func(f *facts) { f.trusted, f.drop = false, true }), admission{status: 403, untrusted: true, drop: true, why: rejectUntrusted}},
		{"untrusted ACK is never answered", request("ACK", dialled), with(func(f *facts) { f.trusted = false }), admission{status: 403, untrusted: true, drop: true, why: rejectUntrusted}},
		{"untrusted OPTIONS", request("OPTIONS", dialled), with(func(f *facts) { f.trusted = false }), admission{status: 403, untrusted: true, why: rejectUntrusted}},
		{"untrusted before defects", invite("CSeq: x"), with(func(f *facts) { f.trusted = false }), admission{status: 403, untrusted: true, why: rejectUntrusted}},
		{"16.3 step 1: a defect", invite("CSeq: x"), good, admission{status: 400, defect: true, why: rejectDefect}},
		{"16.3 step 1: another version", "INVITE sip:a@b SIP/7.0\r\nVia: SIP/2.0/UDP a;branch=b\r\n\r\n", good, admission{status: 505, defect: true, why: rejectDefect}},
		{"a defective ACK is never answered", request("ACK", dialled, "CSeq: x"), good, admission{status: 400, drop: true, defect: true, why: rejectDefect}},
		{"16.3 step 2: a scheme that we do not know", invite(), with(func(f *facts) { f.scheme = wire.OtherScheme }), admission{status: 416, why: rejectScheme}},
		{"16.3 step 2: sips needs TLS all the way", invite(), with(func(f *facts) { f.scheme = wire.SIPS }), admission{status: 416, why: rejectScheme}},
		{"26.2.2: sips that came over TLS", invite(), with(func(f *facts) { f.scheme, f.secure = wire.SIPS, true }), admission{}},
		{"RFC 5630 5.4: sips, and no host over TLS", invite(), with(func(f *facts) { f.scheme, f.secure, f.noTLS = wire.SIPS, true, true }), admission{status: 480, why: rejectNoTLS}},
		{"16.3 step 3: Max-Forwards spent", invite("Max-Forwards: 0"), good, admission{status: 483, why: rejectMaxForwards}},
		{"16.3 step 3: Max-Forwards 1 is enough", invite("Max-Forwards: 1"), good, admission{}},
		{"16.3 step 3: no Max-Forwards", invite("Max-Forwards:"), good, admission{}},
		{"16.3 step 3: OPTIONS whose Max-Forwards is spent is for us", request("OPTIONS", dialled, "Max-Forwards: 0"), good, admission{answer: true}},
		{"16.3 step 4: a loop", invite(), with(func(f *facts) { f.looped = true }), admission{status: 482, why: rejectLoop}},
		{"16.3 step 5: Proxy-Require", invite("Proxy-Require: sec-agree"), good, admission{status: 420, why: rejectProxyRequire}},
		{"RFC 5393 5.3.3: Max-Breadth 0", invite("Max-Breadth: 0"), good, admission{status: 440, why: rejectMaxBreadth}},
		{"12.2.2: a dialog that is not ours", invite("To: <sip:a@b>;tag=x"), good, admission{status: 481, why: rejectNoDialog}},
		{"16.4: Route to someone else", invite(), with(func(f *facts) { f.foreign = true }), admission{status: 403, why: rejectForeignRoute}},
		{"no registrar", request("REGISTER", dialled), good, admission{status: 405, why: rejectRegister}},
		{"no route", invite(), with(func(f *facts) { f.routed = false }), admission{status: 404, why: rejectNoRoute}},
		{"21.5.7: too large for any of its hosts", invite(), with(func(f *facts) { f.tooLarge = true }), admission{status: 513, why: rejectTooLarge}},
		{"draining", invite(), with(func(f *facts) { f.draining = true }), admission{status: 503, why: rejectDraining}},
		{"draining, no route", invite(), with(func(f *facts) { f.draining, f.routed = true, false }), admission{status: 503, why: rejectDraining}},
		{"OPTIONS for us", request("OPTIONS", "sip:198.51.100.1"), with(func(f *facts) { f.forOurself, f.routed = true, false }), admission{answer: true}},
		{"OPTIONS for us from a connector", request("OPTIONS", "sip:198.51.100.1"), facts{connector: true, forOurself: true, scheme: wire.SIP}, admission{answer: true}},
		{"OPTIONS for us, draining", request("OPTIONS", "sip:198.51.100.1"), with(func(f *facts) { f.forOurself, f.draining = true, true }), admission{status: 503, why: rejectDraining}},
		{"OPTIONS for a number", request("OPTIONS", dialled), good, admission{}},
		{"MESSAGE for a number", request("MESSAGE", dialled), good, admission{}},
		{"a method of its own for a number", request("FROBNICATE", dialled), good, admission{}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, accept(parse(c.text), c.f)) })
	}
}

// TestAcceptNeverAnswersAnAck goes through all facts.
func TestAcceptNeverAnswersAnUntrustedAck(t *testing.T) {
	m := parse(request("ACK", dialled))
	for bits := range 1 << 7 {
		on := func(i int) bool { return bits>>i&1 == 1 }
		a := accept(m, facts{connector: on(0), drop: on(1), draining: on(2), looped: on(3), foreign: on(4), forOurself: on(5), routed: on(6), scheme: wire.SIP})
		require.True(t, a.drop && a.untrusted, "%+v", a)
	}
}

func TestUntrustedIsAnsweredAndLoggedAtABoundedRate(t *testing.T) {
	var text bytes.Buffer
	g := newRig(t, twoRegions(), func(o *Options) { o.Log = slog.New(slog.NewJSONHandler(&text, nil)) })
	stranger := netip.MustParseAddrPort("203.0.113.200:5060")
	replies := 0
	for range 1000 {
		replies += len(g.from(stranger, invite()))
	}
	require.Equal(t, untrustedReplyRate, replies)
	require.Equal(t, map[string]uint64{"untrusted": uint64(1000 - untrustedReplyRate)}, g.counts(CountDrops))
	g.now += int64(time.Second)
	require.Equal(t, []string{stranger.String() + " 403 INVITE"}, summary(g.from(stranger, invite())))
	g.writeLog()
	lines := bytes.Split(bytes.TrimSpace(text.Bytes()), []byte("\n"))
	require.Len(t, lines, 4, "three at once, then one a second")
	var line map[string]any
	require.NoError(t, json.Unmarshal(lines[3], &line))
	delete(line, "time")
	require.Equal(t, map[string]any{
		"level": "WARN", "msg": "request from a source that is no trunk's: answered 403",
		"source": "203.0.113.200:5060", "method": "INVITE", "not_shown": 997.0,
		"to_admit": "trunks: [{name: NAME, sources: [203.0.113.200/32]}]",
	}, line)
	require.Zero(t, g.r.Live())
}

func TestUntrustedIsDropped(t *testing.T) {
	p := twoRegions()
	p.Untrusted = Drop
	g := newRig(t, p)
	require.Empty(t, g.from(netip.MustParseAddrPort("203.0.113.200:5060"), invite()))
	require.Equal(t, map[string]uint64{"untrusted": 1}, g.counts(CountDrops))
}

func TestForeignRouteFromATrunkIsNoUntrustedSource(t *testing.T) {
	g := newRig(t, twoRegions())
	require.Equal(t, []string{"caller 403 INVITE"}, summary(g.from(caller, invite("Route: <sip:203.0.113.50;lr>"))))
	require.Empty(t, g.r.records)
}
