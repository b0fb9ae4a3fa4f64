package router

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// Hostile input: never a panic, never a datagram to somebody who is neither
// the sender nor a host of ours.

// only checks that everything went to the address of the sender or to one of those allowed.
func only(t testing.TB, all []sent, sender netip.AddrPort, allowed ...netip.AddrPort) {
	t.Helper()
	for _, m := range all {
		ok := m.to.Addr() == sender.Addr()
		for _, a := range allowed {
			ok = ok || m.to == a
		}
		require.True(t, ok, "to %s: %q", m.to, m.text)
	}
}

// hostileInvite has all that an INVITE can carry for us to read.
func hostileInvite() string {
	text := invite("Via: SIP/2.0/UDP 192.0.2.10:5062;rport;branch=z9hG4bKcaller1;received=203.0.113.66", "Max-Breadth: 9", "Route: <sip:198.51.100.1;lr>")
	return inject(inject(text, "v: SIP/2.0/UDP [2001:db8::7];branch=z9hG4bKolder"), "Proxy-Require: x")
}

func TestHostileTruncatedAnywhere(t *testing.T) {
	d := newDialog(t, newRig(t, twoRegions()))
	for _, text := range []string{invite("Call-ID: cut"), hostileInvite(), cancelText(), message(), d.byCaller("BYE"), d.byCaller("ACK")} {
		for i := range len(text) {
			only(t, d.g.from(caller, text[:i]), caller)
		}
	}
	g := newRig(t, twoRegions())
	inv := g.call()
	for _, status := range []int{100, 180, 200, 503} {
		text := respond(inv, status)
		for i := range len(text) {
			require.Empty(t, g.from(east1, text[:i]))
		}
	}
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
}

func TestHostileRequestsWithOneByteChanged(t *testing.T) {
	for _, text := range []string{invite(), hostileInvite(), cancelText(), message(), request("ACK", dialled), request("OPTIONS", "sip:198.51.100.1")} {
		for i := range len(text) {
			g := newRig(t, twoRegions())
			for _, c := range []byte{0, text[i] ^ 1, text[i] ^ 0x80, '\n', ',', ';', '"', '<', '>', ' ', ':', '%', '@'} {
				changed := text[:i] + string([]byte{c}) + text[i+1:]
				only(t, g.from(caller, changed), caller, east1, west1)
				only(t, g.from(caller, changed), caller, east1, west1)
			}
		}
	}
}

// From a source that is no trunk nothing but an answer to it can come.
func TestHostileStrangerWithOneByteChanged(t *testing.T) {
	stranger := addr("203.0.113.200:6000")
	for _, text := range []string{hostileInvite(), cancelText(), message(), request("ACK", dialled)} {
		g := newRig(t, twoRegions())
		for i := range len(text) {
			for _, c := range []byte{0, text[i] ^ 1, '\n', ',', ';'} {
				g.now += int64(20 * time.Millisecond)
				only(t, g.from(stranger, text[:i]+string([]byte{c})+text[i+1:]), stranger)
			}
		}
		require.Zero(t, g.r.Live(), "an unauthenticated packet creates no state")
	}
}

func TestHostileResponsesWithOneByteChanged(t *testing.T) {
	for _, via := range []string{"192.0.2.10:5060;branch=z9hG4bKcaller1", "192.0.2.10:5062;rport;branch=z9hG4bKcaller1", "pbx.example.com;branch=z9hG4bKcaller1"} {
		live, fresh := newRig(t, twoRegions()), newRig(t, twoRegions())
		inv := live.from(caller, invite("Via: SIP/2.0/UDP "+via))[1]
		for _, status := range []int{180, 200, 486} {
			text := respond(inv, status)
			for i := range len(text) {
				for _, c := range []byte{0, text[i] ^ 1, text[i] ^ 2, text[i] ^ 4, text[i] ^ 8, '\n', ',', ';', '0', '9'} {
					changed := text[:i] + string([]byte{c}) + text[i+1:]
					for _, g := range []*rig{live, fresh} {
						only(t, g.from(east1, changed), caller, east1)
					}
				}
			}
		}
	}
}

func TestHostileForgedBranch(t *testing.T) {
	inv := newRig(t, twoRegions()).call()
	bye := func() sent {
		d := newDialog(t, newRig(t, twoRegions()))
		return d.g.from(caller, d.byCaller("BYE"))[0]
	}()
	for _, req := range []sent{inv, bye} {
		at := strings.Index(req.text, ";branch=") + len(";branch=")
		for i := range branchLen {
			forged := []byte(req.text)
			forged[at+i] = flipHex(forged[at+i])
			for _, status := range []int{180, 200, 404, 503} {
				g := newRig(t, twoRegions())
				g.call()
				require.Empty(t, g.from(east1, respond(sent{text: string(forged)}, status)), "character %d", i)
				require.Empty(t, newRig(t, twoRegions()).from(callee, respond(sent{text: string(forged)}, status)), "without a call")
			}
		}
	}
}

// Whoever knows a branch of ours cannot use it to have a response sent anywhere else.
func TestHostileForgedNextVia(t *testing.T) {
	inv := newRig(t, twoRegions()).call()
	own := header(inv.text, "Via")[1]
	for _, forged := range []string{
		"SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKcaller1",
		"SIP/2.0/UDP 192.0.2.10:5061;branch=z9hG4bKcaller1",
		"SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller2",
		"SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller1;received=203.0.113.66",
		"SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller1;rport=53",
		"SIP/2.0/UDP 192.0.2.10:5060",
		"SIP/2.0/UDP example.com;branch=z9hG4bKcaller1",
		"SIP/2.0/UDP ;branch=z9hG4bKcaller1",
		"garbage",
	} {
		for _, g := range []*rig{newRig(t, twoRegions()), newRig(t, twoRegions())} {
			g.call()
			for _, status := range []int{180, 200, 486} {
				require.Empty(t, g.from(callee, respond(sent{text: strings.Replace(inv.text, own, forged, 1)}, status)), forged)
			}
			g.r = newRig(t, twoRegions()).r // and without the call
			require.Empty(t, g.from(callee, respond(sent{text: strings.Replace(inv.text, own, forged, 1)}, 200)), forged)
		}
	}
	// maddr takes a response nowhere.
	only(t, newRig(t, twoRegions()).from(callee, respond(sent{text: strings.Replace(inv.text, own, own+";maddr=203.0.113.66", 1)}, 200)), caller)
}

func TestHostileNulBytesAndOddities(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"NULs":               strings.Repeat("\x00", 100),
		"line ends":          strings.Repeat("\r\n", 100),
		"a lone start line":  "INVITE sip:x SIP/2.0",
		"a lone status line": "SIP/2.0 200 OK",
		"status 99":          strings.Replace(respond(sent{text: invite()}, 200), "200", "099", 1),
		"status 700":         strings.Replace(respond(sent{text: invite()}, 200), "200", "700", 1),
		"status 1000":        strings.Replace(respond(sent{text: invite()}, 200), "200", "1000", 1),
		"STUN":               "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl",
		"HTTP":               "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"RTP":                "\x80\x00\x12\x34" + strings.Repeat("\xff", 160),
	} {
		g := newRig(t, twoRegions())
		require.Empty(t, g.from(caller, text), name)
		require.Empty(t, g.from(callee, text), name)
	}
	for i := range len(invite()) {
		g := newRig(t, twoRegions())
		only(t, g.from(caller, invite()[:i]+"\x00"+invite()[i:]), caller, east1)
	}
}

func TestHostileOversized(t *testing.T) {
	big := strings.Repeat("x", 60000)
	many := func(line string, n int) string { return strings.Repeat(line+"\r\n", n) + line }
	for name, text := range map[string]string{
		"Via parameter":   invite("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx;y=" + big),
		"branch":          invite("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK" + big),
		"sent-by":         invite("Via: SIP/2.0/UDP " + big + ";branch=z9hG4bKx"),
		"From tag":        invite("From: <sip:x@y>;tag=" + big),
		"Call-ID":         invite("Call-ID: " + big),
		"user part":       request("INVITE", "sip:"+big+"@x"),
		"user parameters": request("INVITE", "sip:+15550000001;"+big+"@x"),
		"method":          strings.ReplaceAll(invite(), "INVITE", big[:20000]),
		"Vias":            inject(invite(), many("v: SIP/2.0/UDP a;branch=z9hG4bKc"+strings.Repeat("0", branchLen-8), 600)),
		"Routes":          invite("Route: " + strings.Repeat("<sip:198.51.100.1;lr>,", 2700) + "<sip:198.51.100.1;lr>"),
		"empty values":    invite("Route: " + strings.Repeat(",", 60000)),
		"headers":         inject(invite(), many("x:", 15000)),
		"folds":           inject(invite(), many("Subject: a\r\n ", 5000)),
		"Proxy-Require":   invite("Proxy-Require: " + strings.Repeat("a,", 20000)),
		"Content-Length":  strings.Replace(invite(), "Length: 0", "Length: "+strings.Repeat("9", 50000), 1),
		"CSeq":            invite("CSeq: " + strings.Repeat("1", 50000) + " INVITE"),
		"quotes":          invite("From: " + strings.Repeat("\"", 50001)),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			only(t, g.from(caller, text), caller, east1)
			only(t, g.pass(5*time.Second), caller, east1, west1)
			only(t, newRig(t, twoRegions()).from(callee, text), callee)
		})
	}
}

func TestHostileRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	d := newDialog(t, newRig(t, twoRegions()))
	g := newRig(t, twoRegions())
	inv := g.call()
	seeds := []string{hostileInvite(), cancelText(), message(), respond(inv, 180), respond(inv, 200), respond(inv, 503), request("ACK", dialled), d.byCaller("ACK"), d.byCallee("INFO", "Record-Route: <sip:x;lr>")}
	var lines []string
	for _, text := range seeds {
		lines = append(lines, strings.SplitAfter(text, "\r\n")...)
	}
	for range 30000 {
		// A message of lines of all of them, in any order, with a few bytes changed.
		text := []byte(lines[rnd.IntN(len(lines))])
		if rnd.IntN(4) > 0 {
			text = []byte(strings.SplitAfter(seeds[rnd.IntN(len(seeds))], "\r\n")[0])
		}
		for range rnd.IntN(16) {
			text = append(text, lines[rnd.IntN(len(lines))]...)
		}
		text = append(text, "\r\n"...)
		for range rnd.IntN(4) {
			text[rnd.IntN(len(text))] = byte(rnd.IntN(256))
		}
		source := []netip.AddrPort{caller, east1, west1, callee}[rnd.IntN(4)]
		_ = g.from(source, string(text))
		if rnd.IntN(50) == 0 {
			g.pass(time.Second)
		}
	}
	g.pass(10 * time.Minute)
	require.Zero(t, g.r.Live())
	require.Zero(t, g.r.Setups())
}

// Many calls at once, all abandoned: nothing is left behind.
func TestHostileFloodLeavesNothingBehind(t *testing.T) {
	g := newRig(t, twoRegions())
	for i := range 2000 {
		g.from(caller, invite(fmt.Sprintf("Call-ID: flood-%d", i)))
	}
	require.Equal(t, 2000, g.r.Live())
	g.pass(time.Minute)
	require.Zero(t, g.r.Live())
}

// A request-URI that is none: 400, with every way of making the connector's, and
// of every method. (One with request_uri: keep once ended the process.)
func TestHostileRequestURI(t *testing.T) {
	for _, uri := range []string{"sip:+15550000001@'x", "sip:+15550000001@a@b", "sip:+15550000001@[::1", "sip:+15550000001@a:99999", "sip:+15550000001@", "sip:@a", "sip:", "tel:;x"} {
		for _, keep := range []catalog.RequestURI{catalog.RewriteHost, catalog.KeepURI} {
			p := twoRegions()
			p.Catalog.Connectors[0].RequestURI = keep
			p.Catalog.Connectors[0].Strip = "00"
			g := newRig(t, p)
			for _, method := range []string{"INVITE", "MESSAGE", "OPTIONS"} {
				require.Equal(t, []string{"caller 400 " + method}, summary(g.from(caller, request(method, uri))), uri)
			}
			require.Empty(t, g.from(caller, request("ACK", uri, "Call-ID: other")))
			require.Equal(t, []string{"caller 481 CANCEL"}, summary(g.from(caller, request("CANCEL", uri))), uri)
			require.Zero(t, g.r.Live())
		}
	}
}

// What To says is not sent on in the ACK of a call that is not here, unless it
// is a URI.
func TestHostileToOfAnOrphan(t *testing.T) {
	a, b := newRig(t, twoRegions()), newRig(t, twoRegions())
	refusal := respond(a.call(), 503)
	at := strings.Index(refusal, "To: ")
	end := at + strings.Index(refusal[at:], "\r\n")
	for _, to := range []string{"<sip\x03:x@y>;tag=1", "<sip:x@'y>;tag=1", "< >;tag=1"} {
		for _, m := range b.from(east1, refusal[:at]+"To: "+to+refusal[end:]) {
			require.False(t, strings.HasPrefix(m.text, "ACK"), m.text)
		}
	}
}
