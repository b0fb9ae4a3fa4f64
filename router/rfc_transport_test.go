package router

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

// RFC 3261 section 18 as far as it binds what is made of datagrams; sockets are
// router/transport's.

func TestRFC3261_18_3_ShortResponseIsDropped(t *testing.T) {
	for _, status := range []int{180, 200, 486} {
		g := newRig(t, twoRegions())
		inv := g.call()
		short := strings.Replace(respond(inv, status), "Content-Length: 0", "Content-Length: 6", 1) + "v=0\r\n"
		require.Empty(t, g.from(east1, short))
		require.Equal(t, 1, g.dropped(dropDefective))
		sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	}
}

func TestRFC3261_18_3_WithoutContentLengthTheDatagramEndsTheBody(t *testing.T) {
	body := "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\n\r\n\x00 to the end"
	without := func(text string) string { return strings.Replace(text, "Content-Length: 0\r\n", "", 1) + body }
	g := newRig(t, twoRegions())
	inv := sends(t, g.from(caller, without(invite())), "caller 100 INVITE", "east1 INVITE")[1]
	require.True(t, strings.HasSuffix(inv.text, "\r\n\r\n"+body))
	require.Empty(t, header(inv.text, "Content-Length"), "over UDP none is needed")
	ok := sends(t, g.from(east1, without(respond(inv, 200))), "caller 200 INVITE")[0]
	require.True(t, strings.HasSuffix(ok.text, "\r\n\r\n"+body))
}

// The next hop notes in our Via where it came from, and a hop may add what it likes.
func TestRFC3261_18_1_2_OurViaWithParametersAdded(t *testing.T) {
	for _, added := range []string{";received=198.51.100.1", ";received=198.51.100.1;rport=5060", " ; x=\"a,b;branch=z\"", ";rport"} {
		g := newRig(t, twoRegions())
		inv := g.call()
		ours := header(inv.text, "Via")[0]
		all := sends(t, g.from(east1, strings.Replace(respond(inv, 180), ours, ours+added, 1)), "caller 180 INVITE")
		require.Equal(t, header(invite(), "Via"), header(all[0].text, "Via"), "all of it is popped")
		front := strings.Replace(ours, ";branch", added+";branch", 1)
		sends(t, g.from(east1, strings.Replace(respond(inv, 200), ours, front, 1)), "caller 200 INVITE")
	}
}

// Whatever address a response comes from, its Via says whose it is.
func TestRFC3261_18_1_2_ResponsesFromAnywhere(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	sends(t, g.from(callee, respond(inv, 180)), "caller 180 INVITE")
	sends(t, g.from(addr("203.0.113.1:49152"), respond(inv, 200)), "caller 200 INVITE")
}

// What a listener sends carries its own sent-by, so that answers come back to it.
func TestRFC3261_18_1_1_SentByIsWhereItLeavesFrom(t *testing.T) {
	p := twoRegions()
	six := addr("[2001:db8::11]:5060")
	p.Catalog.Connectors[1].Hosts[0] = hostAt(six)
	listeners := []Listener{{Addr: ownAddr}, {Addr: addr("[2001:db8::1]:5070")}}
	g := newRig(t, p, func(o *Options) { o.Listeners = listeners })
	inv := g.call()
	g.r.Packets(g.now, packets(0, east1, respond(inv, 503)), &g.out)
	seen := map[int]string{}
	for i := range g.out.Len() {
		l, to, data := g.out.At(i)
		if to != caller {
			seen[l] = strings.Fields(header(string(data), "Via")[0])[1]
		}
	}
	require.Len(t, seen, 2)
	for l, sentBy := range seen {
		require.True(t, strings.HasPrefix(sentBy, listeners[l].Addr.String()+";"), sentBy)
	}
}

// RFC 3261 16.9, 18.4: a response that cannot be delivered is lost, the call is not.
func TestRFC3261_16_9_ResponseThatCannotBeDelivered(t *testing.T) {
	for _, code := range []transport.Cause{transport.NoPort, transport.NoHost, transport.Prohibited} {
		g := newRig(t, twoRegions())
		inv := g.call()
		ringing := g.from(east1, respond(inv, 180))
		for range 3 {
			require.Empty(t, g.unreachable(ringing[0], code), "no CANCEL, no other attempt")
		}
		sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	}
}

// A departure: a maddr would let a caller aim responses at others.
func TestRFC3261_18_2_2_MaddrInViaIsNotFollowed(t *testing.T) {
	g := newRig(t, twoRegions())
	all := g.from(caller, invite("Via: SIP/2.0/UDP 192.0.2.10:5070;maddr=203.0.113.66;branch=z9hG4bKm"))
	require.Equal(t, "192.0.2.10:5070", all[0].to.String())
}
