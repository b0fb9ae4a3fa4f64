package router

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// Calls that pass through us twice: by way of a proxy that is a host to us and sends
// them back for another number, and that keeps out of the route set.

var (
	spiralProxy = east1
	spiralHost  = west1
)

const calleeContact = "sip:agent@203.0.113.99:5060"

// spiralling has the callers and the proxy be symmetric trunks or not.
func spiralling(caller, proxy bool) Policy {
	p := twoRegions()
	cat := p.Catalog
	cat.Connectors[0].RequestURI = catalog.KeepURI
	for i := range cat.Connectors {
		cat.Connectors[i].Limits.MaxCalls = 10
	}
	cat.Groups = []catalog.Group{
		{Name: "first", Connectors: []catalog.Member{{Connector: "east", Priority: 1}}, Numbers: cat.Groups[0].Numbers},
		{Name: "second", Connectors: []catalog.Member{{Connector: "west", Priority: 1}}, Numbers: []catalog.Numbers{{Kind: catalog.Exact, First: "+15550000002"}}},
	}
	p.Trunks[0].Symmetric = caller
	p.Trunks = append(p.Trunks, Trunk{Name: "proxy", Symmetric: proxy, Sources: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/32")}})
	return p
}

// spiral is an answered call that passed through us twice, as its two sides know it.
type spiral struct {
	*rig
	in             int      // the listener that the caller came to
	caller, callee []string // what they write into Route
}

func newSpiral(t *testing.T, p Policy, in int) *spiral {
	d := &spiral{rig: newMixedRig(t, p), in: in}
	first := d.over(in, natted, invite(d.via("INVITE"), "Contact: <"+privateContact+">"))[1]
	require.Equal(t, spiralProxy, first.to)
	again := proxied(sent{first.to, first.text}, spiralProxy, "sip:+15550000002@198.51.100.1", "z9hG4bKp1")
	second := d.over(overUDP, spiralProxy, again)[1]
	require.Equal(t, spiralHost, second.to)
	d.callee = header(second.text, "Record-Route")
	require.Len(t, d.callee, 2+in, "one for each time, and what is between transports is doubled")
	back := d.over(overUDP, spiralHost, respond(sent{second.to, second.text}, 200, "Contact: <"+calleeContact+">"))
	require.Equal(t, spiralProxy, back[0].to)
	_, below, _ := strings.Cut(back[0].text, "\r\n") // the proxy takes its own Via out
	_, below, _ = strings.Cut(below, "\r\n")
	back = d.over(overUDP, spiralProxy, startLine(back[0].text)+"\r\n"+below)
	require.Equal(t, natted, back[0].to)
	d.caller = reversed(header(back[0].text, "Record-Route"))
	require.Equal(t, reversed(d.callee), d.caller)
	return d
}

func (d *spiral) via(branch string) string {
	return "Via: SIP/2.0/" + []string{"UDP", "TCP"}[d.in] + " 10.0.0.7:5060;rport;branch=z9hG4bK" + branch
}

func (d *spiral) byCaller(method, uri string, routes []string) []leaving {
	return d.over(d.in, natted, request(method, uri, d.via("in"+method), "Route: "+strings.Join(routes, ", "),
		"To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 "+method))
}

func (d *spiral) byCallee(method string, routes []string) []leaving {
	return d.over(overUDP, callee, request(method, privateContact, "Via: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKback"+method,
		"Route: "+strings.Join(routes, ", "), "From: <sip:+15550000001@198.51.100.1>;tag=calleetag",
		"To: <sip:+15551230000@192.0.2.10>;tag=callertag", "CSeq: 1 "+method))
}

// Each time has a token of its own. A request leaves as from the last: to the caller
// as the first time says, to the callee as the second.
func TestRFC3261_16_4_SpiralsLeaveByTheLastOwnRoute(t *testing.T) {
	private := addr("10.0.0.7:5060")
	for name, c := range map[string]struct {
		caller, proxy bool
		to            netip.AddrPort
	}{
		"neither":              {false, false, private},
		"symmetric the first":  {true, false, natted},
		"symmetric the second": {false, true, private},
		"both":                 {true, true, natted},
	} {
		t.Run(name, func(t *testing.T) {
			for _, in := range []int{overUDP, overTCP} {
				d := newSpiral(t, spiralling(c.caller, c.proxy), in)
				for _, method := range []string{"INVITE", "ACK", "BYE"} {
					got := d.byCallee(method, d.callee)
					require.Len(t, got, 1)
					require.Equal(t, []any{in, c.to}, []any{got[0].listener, got[0].to}, method)
					require.Equal(t, method+" "+privateContact+" SIP/2.0", startLine(got[0].text))
					require.Empty(t, header(got[0].text, "Route"))
					if method == "INVITE" { // either side would make the same route set of it
						require.Equal(t, d.ends(d.caller), header(got[0].text, "Record-Route"))
						back := d.over(in, c.to, respond(sent{got[0].to, got[0].text}, 200))
						require.Equal(t, callee, back[0].to)
					}

					got = d.byCaller(method, calleeContact, d.caller)
					require.Len(t, got, 1)
					require.Equal(t, []any{overUDP, callee}, []any{got[0].listener, got[0].to}, method)
					require.Empty(t, header(got[0].text, "Route"))
					if method == "INVITE" {
						require.Equal(t, d.ends(d.callee), header(got[0].text, "Record-Route"))
						back := d.over(overUDP, callee, respond(sent{got[0].to, got[0].text}, 200))
						require.Equal(t, []any{in, natted}, []any{back[0].listener, back[0].to})
					}
				}
			}
		})
	}
}

// ends are the first and the last of the Routes: what is between them decides nothing.
func (d *spiral) ends(routes []string) []string {
	return []string{routes[0], routes[len(routes)-1]}
}

// A Contact that leads nowhere means the host that answered, which is the second's.
func TestSpiralToTheHostThatAnswered(t *testing.T) {
	d := newSpiral(t, spiralling(true, true), overUDP)
	got := d.byCaller("BYE", "sip:agent@unknown.lan", d.caller)
	require.Equal(t, spiralHost, got[0].to)
}

// A BYE of either side ends the call at both hosts.
func TestMaxCallsOfASpiral(t *testing.T) {
	for name, bye := range map[string]func(d *spiral) []leaving{
		"caller": func(d *spiral) []leaving { return d.byCaller("BYE", calleeContact, d.caller) },
		"callee": func(d *spiral) []leaving { return d.byCallee("BYE", d.callee) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newSpiral(t, spiralling(true, false), overUDP)
			require.EqualValues(t, 2, d.r.dialogs.count.Load())
			require.Len(t, bye(d), 1)
			require.Zero(t, d.r.dialogs.count.Load())
		})
	}
}

// Each token has to be good, whatever the others are.
func TestDesignD7_EveryTokenOfASpiralIsChecked(t *testing.T) {
	d := newSpiral(t, spiralling(true, true), overUDP)
	refused := func(n int, change func(user string) string) {
		t.Helper()
		changed := func(routes []string) []string {
			routes = slices.Clone(routes)
			user, _, _ := strings.Cut(strings.TrimPrefix(routes[n], "<sip:"), "@")
			routes[n] = strings.Replace(routes[n], user, change(user), 1)
			return routes
		}
		d.now += second
		for _, got := range [][]leaving{d.byCallee("BYE", changed(d.callee)), d.byCaller("BYE", calleeContact, changed(d.caller))} {
			require.Len(t, got, 1)
			require.Contains(t, startLine(got[0].text), " 403 ")
		}
		require.Empty(t, d.byCallee("ACK", changed(d.callee)))
	}
	stale := token{day: d.r.day(d.now) - 1}
	stale.mac = stale.sum(new(scratch), &d.r.keys[0], []byte("call-1@192.0.2.10"), []byte("callertag"), nil)
	for n := range 2 {
		for _, at := range []int{2, 6, 14, 22, tokenLen - 1, tokenLen, tokenLen + flowLen4 - 1} {
			refused(n, func(user string) string {
				return user[:at] + string(flipHex(user[at])) + user[at+1:]
			})
		}
		refused(n, func(user string) string { return user[:tokenLen] })
		refused(n, func(string) string { return string(stale.appendTo(nil)) })
	}
	require.Equal(t, natted, d.byCallee("BYE", d.callee)[0].to)
}

// A strict router before us took our first Route out of them, which then is the
// request-URI. With no other of ours left it names the listener too.
func TestRFC3261_16_4_SpiralBehindAStrictRouter(t *testing.T) {
	d := newSpiral(t, spiralling(true, true), overTCP)
	target := "<" + privateContact + ">"
	for _, c := range [][]string{d.callee, d.callee[len(d.callee)-1:]} {
		text := request("BYE", uriOf(c[0]), "Via: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKstrict",
			"Route: "+strings.Join(append(slices.Clone(c[1:]), target), ", "), "From: <sip:+15550000001@198.51.100.1>;tag=calleetag",
			"To: <sip:+15551230000@192.0.2.10>;tag=callertag", "CSeq: 1 BYE")
		got := d.over(overUDP, callee, text)
		require.Len(t, got, 1)
		require.Equal(t, []any{overTCP, natted}, []any{got[0].listener, got[0].to})
		require.Equal(t, "BYE "+privateContact+" SIP/2.0", startLine(got[0].text))
		require.Empty(t, header(got[0].text, "Route"))
	}
}
