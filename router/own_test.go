package router

import (
	"testing"

	"github.com/stretchr/testify/require"
	"tandem/config/catalog"
)

func TestOwn(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Listeners = []Listener{
			{Addr: addr("198.51.100.1:5060")},
			{Addr: addr("10.0.0.1:5080"), Advertise: "Sip.Example.COM:5090"},
			{Addr: addr("[2001:db8::1]:5060")},
			{Addr: addr("10.0.0.2:5070"), Advertise: "192.0.2.77"},
		}
		o.Aliases = []string{"proxy.example", "trunk.example:5099", "[2001:DB8:0::9]"}
	})
	for _, c := range []struct {
		host     string
		port     uint16
		listener int
		own      bool
	}{
		{"198.51.100.1", 5060, 0, true},
		{"198.51.100.1", 0, 0, true},
		{"198.51.100.1", 5061, 0, false},
		{"198.51.100.2", 5060, 0, false},
		{"sip.example.com", 5090, 1, true},
		{"SIP.EXAMPLE.COM", 5090, 1, true},
		{"sip.example.com", 0, 0, false}, // the default port is another one
		{"10.0.0.1", 5080, 1, true},      // what is bound, too
		{"10.0.0.1", 5090, 0, false},
		{"[2001:db8::1]", 0, 2, true},
		{"[2001:0DB8:0:0::1]", 5060, 2, true},
		{"[2001:db8::2]", 5060, 0, false},
		{"192.0.2.77", 5070, 3, true},
		{"192.0.2.77", 0, 0, false},
		{"proxy.example", 0, 0, true},
		{"proxy.example", 5090, 1, true},
		{"proxy.example", 5091, 0, false},
		{"Trunk.Example", 5099, 0, true},
		{"trunk.example", 5060, 0, false},
		{"[2001:db8::9]", 5060, 0, true},
		{"", 0, 0, false},
		{"198.51.100.1.example", 0, 0, false},
	} {
		listener, own := g.r.own([]byte(c.host), c.port, catalog.UDP)
		require.Equal(t, c.own, own, "%s:%d", c.host, c.port)
		require.Equal(t, c.listener, listener, "%s:%d", c.host, c.port)
	}
}

func TestOwnURIIsSIPOnly(t *testing.T) {
	g := newRig(t, twoRegions())
	for uri, want := range map[string]bool{
		"sip:198.51.100.1": true, "sip:x@198.51.100.1:5060;lr": true, "sips:198.51.100.1:5060": true,
		"sip:x@203.0.113.1": false, "tel:+15550000001": false, "http:198.51.100.1": false,
	} {
		m := parse("OPTIONS " + uri + " SIP/2.0\r\n\r\n")
		u, _ := g.r.target(m)
		_, own := g.r.ownURI(m, &u)
		require.Equal(t, want, own, uri)
	}
}

// TestOwnDest: what would come back to us is never sent.
func TestOwnDest(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Listeners = []Listener{
			{Addr: addr("0.0.0.0:5060"), Advertise: "198.51.100.1:5061"},
			{Addr: addr("[2001:db8::1]:5060")},
		}
	})
	for dest, want := range map[string]bool{
		"198.51.100.1:5061": true, "127.0.0.1:5060": true, "127.1.2.3:5060": true, "[2001:db8::1]:5060": true,
		"198.51.100.1:5062": false, "127.0.0.1:5062": false, "[2001:db8::2]:5060": false, "203.0.113.1:5060": false,
	} {
		require.Equal(t, want, g.r.ownDest(addr(dest)), dest)
	}
}

func TestListenerNeedsAHost(t *testing.T) {
	_, err := newListener(Listener{Addr: addr("198.51.100.1:5060"), Advertise: ":5060"})
	require.EqualError(t, err, `router: advertised address ":5060" has no host`)
	l, err := newListener(Listener{Addr: addr("[2001:db8::1]:5080"), Advertise: "[2001:db8::5]"})
	require.NoError(t, err)
	require.Equal(t, "[2001:db8::5]:5080", string(l.sentBy))
}
