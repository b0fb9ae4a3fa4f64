package catalog

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var ordered = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func order(kind SubjectKind, name string, state State, note string) Order {
	return Order{Subject: Subject{kind, name}, State: state, At: ordered, Note: note}
}

func TestOrdersAreImmutable(t *testing.T) {
	var none Orders
	one := none.With(order(ConnectorKind, "east", Draining, ""))
	two := one.With(order(ConnectorKind, "east", Disabled, "again"))
	more := two.With(order(RegionKind, "us", Draining, "")).With(order(HostKind, "10.0.0.2:5060", Draining, ""))
	back := more.Without(Subject{ConnectorKind, "east"}).Without(Subject{ConnectorKind, "nobody"})

	require.Empty(t, none.List())
	require.Equal(t, []Order{order(ConnectorKind, "east", Draining, "")}, one.List())
	require.Equal(t, []Order{order(ConnectorKind, "east", Disabled, "again")}, two.List(), "one order of a subject")
	require.Equal(t, []Order{
		order(RegionKind, "us", Draining, ""), order(ConnectorKind, "east", Disabled, "again"), order(HostKind, "10.0.0.2:5060", Draining, ""),
	}, more.List())
	require.Equal(t, []Order{order(RegionKind, "us", Draining, ""), order(HostKind, "10.0.0.2:5060", Draining, "")}, back.List())
	require.Empty(t, none.Without(Subject{RegionKind, "us"}).List())
	_, ok := back.Of(Subject{ConnectorKind, "east"})
	require.False(t, ok)
}

// Of what the catalog says and what was ordered the stricter counts.
func TestOrdersOnlyTakeAway(t *testing.T) {
	const when = " (ordered 2026-11-23T10:00:00Z: work)"
	for _, c := range []struct {
		file, order State
		want        Standing
	}{
		{Enabled, Enabled, Standing{}},
		{Draining, Enabled, Standing{Draining, "connector is draining"}},
		{Disabled, Enabled, Standing{Disabled, "connector is disabled"}},
		{Enabled, Draining, Standing{Draining, "connector is draining" + when}},
		{Draining, Draining, Standing{Draining, "connector is draining"}},
		{Disabled, Draining, Standing{Disabled, "connector is disabled"}},
		{Enabled, Disabled, Standing{Disabled, "connector is disabled" + when}},
		{Draining, Disabled, Standing{Disabled, "connector is disabled" + when}},
		{Disabled, Disabled, Standing{Disabled, "connector is disabled"}},
	} {
		h := Host{Addr: netip.MustParseAddrPort("10.0.0.1:5060"), State: c.file}
		cc := Connector{Name: "east", State: c.file, Hosts: []Host{h}}
		var o Orders
		if c.order != Enabled {
			o = o.With(order(ConnectorKind, "east", c.order, "work")).With(order(HostKind, "10.0.0.1:5060", c.order, "work"))
		}
		require.Equal(t, c.want, o.OfConnector(&cc), "%s, ordered %s", c.file, c.order)
		c.want.Why = strings.Replace(c.want.Why, "connector", "host", 1)
		require.Equal(t, c.want, o.OfHost(&h), "%s, ordered %s", c.file, c.order)
	}
}

func TestOrdersOfARegion(t *testing.T) {
	o := Orders{}.With(order(RegionKind, "us", Draining, "")).With(order(ConnectorKind, "off", Disabled, ""))
	const evacuated = "region us is evacuated (ordered 2026-11-23T10:00:00Z)"
	for _, c := range []struct {
		connector Connector
		want      Standing
	}{
		{Connector{Name: "east", Region: "us"}, Standing{Draining, evacuated}},
		{Connector{Name: "east", Region: "eu"}, Standing{}},
		{Connector{Name: "us"}, Standing{}},
		{Connector{Name: "east", Region: "us", State: Disabled}, Standing{Disabled, "connector is disabled; " + evacuated}},
		{Connector{Name: "off", Region: "us"}, Standing{Disabled, "connector is disabled (ordered 2026-11-23T10:00:00Z); " + evacuated}},
	} {
		require.Equal(t, c.want, o.OfConnector(&c.connector), c.connector.Name)
	}
}

func TestOrderCheck(t *testing.T) {
	for name, o := range map[string]Order{
		"a connector": order(ConnectorKind, "support east-1", Disabled, "maintenance 4711, café"),
		"a region":    order(RegionKind, "us-east-1", Draining, ""),
		"a host":      order(HostKind, "[2001:db8::1]:5060", Draining, strings.Repeat("x", MaxNote)),
	} {
		require.NoError(t, o.Check(), name)
	}
	timeless := order(ConnectorKind, "east", Draining, "")
	timeless.At = time.Time{}
	for want, o := range map[string]Order{
		`"" is not the name of a region`:            order(RegionKind, "", Draining, ""),
		`"a/b" is not the name of a connector`:      order(ConnectorKind, "a/b", Draining, ""),
		`"10.0.0.1" is not the address and port`:    order(HostKind, "10.0.0.1", Draining, ""),
		`"[::1]:05060" is not the address and port`: order(HostKind, "[::1]:05060", Draining, ""),
		`there are no such subjects`:                order(0, "east", Draining, ""),
		`connector east: "enabled" cannot`:          order(ConnectorKind, "east", Enabled, ""),
		`region us: "disabled" cannot`:              order(RegionKind, "us", Disabled, ""),
		`connector east: the order has no time`:     timeless,
		`at most 200`:                               order(ConnectorKind, "east", Draining, strings.Repeat("x", MaxNote+1)),
		`not UTF-8`:                                 order(ConnectorKind, "east", Draining, "\xff"),
		`the note holds '\n'`:                       order(ConnectorKind, "east", Draining, "a\nb"),
		`the note holds '\x1b'`:                     order(ConnectorKind, "east", Draining, "\x1b[2J"),
		`the note holds '\u202e'`:                   order(ConnectorKind, "east", Draining, "\u202e"),
	} {
		require.ErrorContains(t, o.Check(), want)
	}
}

func TestParseSubject(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.1.10:5070": "10.0.1.10:5070", "10.0.1.10": "10.0.1.10:5060", "sip:10.0.1.10": "10.0.1.10:5060",
		"SIP:10.0.1.10:5070;transport=udp;x=y": "10.0.1.10:5070", "[::1]:5070": "[::1]:5070", "[::1]": "[::1]:5060", "::1": "[::1]:5060",
		"sip:[::1];transport=udp": "[::1]:5060", "[::ffff:10.0.1.10]:5060": "10.0.1.10:5060",
		"east": "east", "sip:SBC.example.": "sbc.example.", "sbc.example:5070": "sbc.example:5070", "sip:sbc-1.example;transport=udp": "sbc-1.example",
		"10.0.1.10:5070;transport=TCP": "10.0.1.10:5070;transport=tcp", "sip:10.0.1.10;x;transport=tls": "10.0.1.10:5061;transport=tls",
		"sips:10.0.1.10": "10.0.1.10:5061;transport=tls", "sips:[::1]:5070;transport=tcp": "[::1]:5070;transport=tls", "sips:sbc.example": "sbc.example",
	} {
		s, err := ParseSubject(HostKind, text)
		require.NoError(t, err, text)
		require.Equal(t, Subject{HostKind, want}, s, text)
	}
	for _, text := range []string{"", "sip:", "sip:a..example", "sbc.example:0", "sbc.example:05060", "1.2.3", "a b", "10.0.1.10:0x", "10.0.1.10:99999", "sips:", "10.0.1.10;transport=sctp", "10.0.1.10;transport"} {
		_, err := ParseSubject(HostKind, text)
		require.ErrorContains(t, err, "is not a host; write its address or its URI, as in 10.0.1.10:5060", text)
	}
	for _, text := range []string{"10.0.1.10:5060;transport=udp", "10.0.1.10:5060;transport=TCP", "10.0.1.10:5060;lr", "10.0.1.10;transport=tcp"} {
		require.Error(t, Order{Subject: Subject{HostKind, text}, State: Draining, At: time.Unix(1, 0)}.Check(), "%s is not how an order has it", text)
	}
	require.True(t, SameHost("sip:sbc.example;transport=tcp", "SBC.example;transport=TCP"))
	require.True(t, SameHost("sips:10.0.1.10", "10.0.1.10:5061;transport=tls"))
	require.False(t, SameHost("sip:sbc.example;transport=tcp", "sip:sbc.example"))
	require.False(t, SameHost("10.0.1.10:5060", "10.0.1.10:5060;transport=tcp"))
	require.False(t, SameHost("a b", "a b"))
	s, err := ParseSubject(ConnectorKind, "support east")
	require.NoError(t, err)
	require.Equal(t, "connector support east", s.String())
	_, err = ParseSubject(RegionKind, "a\nb")
	require.ErrorContains(t, err, `"a\nb" is not the name of a region`)
}

// twoRegions is a group of a connector in each region, a connector alone with a
// number, and one without.
func twoRegions() *Catalog {
	host := func(addr string) []Host { return []Host{{URI: "sip:" + addr, Addr: netip.MustParseAddrPort(addr)}} }
	numbers := []Numbers{{Kind: Exact, First: "100"}}
	return &Catalog{
		Connectors: []Connector{
			{Name: "east", Region: "us", Hosts: host("10.0.0.1:5060"), Numbers: numbers},
			{Name: "west", Region: "eu", Hosts: append(host("10.0.0.2:5060"), host("10.0.0.3:5060")...)},
			{Name: "alone", Region: "us", Hosts: host("10.0.0.4:5060"), Numbers: numbers},
			{Name: "idle", Hosts: host("10.0.0.5:5060")},
		},
		Groups: []Group{
			{Name: "both", Connectors: []Member{{"east", 1}, {"west", 2}}},
			{Name: "one", Connectors: []Member{{"west", 1}}},
			{Name: "empty"},
		},
	}
}

func TestCatalogHasSubjects(t *testing.T) {
	c := twoRegions()
	for _, s := range []Subject{{RegionKind, "us"}, {ConnectorKind, "idle"}, {HostKind, "10.0.0.3:5060"}} {
		require.True(t, c.Has(s), s)
	}
	for want, s := range map[string]Subject{
		`there is no region ""; there are eu, us`:                                   {RegionKind, ""},
		`there is no region "uk"; did you mean "us"?`:                               {RegionKind, "uk"},
		`there is no connector "esat"; did you mean "east"?`:                        {ConnectorKind, "esat"},
		`there is no connector "us"; there are alone, east, idle, west`:             {ConnectorKind, "us"},
		`there is no host "10.0.0.1:5061"; did you mean "10.0.0.1:5060"?`:           {HostKind, "10.0.0.1:5061"},
		`there is no connector "support-southwest"; there are alone, east, idle, w`: {ConnectorKind, "support-southwest"},
	} {
		require.False(t, c.Has(s), s)
		require.ErrorContains(t, c.Unknown(s), want)
	}
	require.EqualError(t, new(Catalog).Unknown(Subject{RegionKind, "us"}), `there is no region "us": the config has none`)
}

// Who orders by the address of a host over TCP is told how to call it.
func TestUnknownHostOfAnotherTransport(t *testing.T) {
	c := twoRegions()
	c.Connectors[0].Hosts[0].Transport = TCP
	require.EqualError(t, c.Unknown(Subject{HostKind, "10.0.0.1:5060"}),
		`there is no host "10.0.0.1:5060"; did you mean "10.0.0.1:5060;transport=tcp"?`)
	require.True(t, c.Has(Subject{HostKind, "10.0.0.1:5060;transport=tcp"}))
}

func TestStranded(t *testing.T) {
	c := twoRegions()
	lay := func(subjects ...Subject) (o Orders) {
		for _, s := range subjects {
			o = o.With(order(s.Kind, s.Name, Draining, ""))
		}
		return o
	}
	names := func(before, after Orders, down ...string) (all []string) {
		for _, s := range c.Stranded(before, after, func(h *Host) bool {
			for _, d := range down {
				if h.Addr.String() == d {
					return true
				}
			}
			return false
		}) {
			all = append(all, s.String())
		}
		return all
	}
	east, west, idle := Subject{ConnectorKind, "east"}, Subject{ConnectorKind, "west"}, Subject{ConnectorKind, "idle"}
	us, eu := Subject{RegionKind, "us"}, Subject{RegionKind, "eu"}
	first, second := Subject{HostKind, "10.0.0.2:5060"}, Subject{HostKind, "10.0.0.3:5060"}

	require.Empty(t, names(Orders{}, lay(east)))
	require.Empty(t, names(Orders{}, lay(idle)), "nobody calls it")
	require.Empty(t, names(Orders{}, lay(first)), "its connector has another")
	require.Equal(t, []string{"group one"}, names(Orders{}, lay(west)))
	require.Equal(t, []string{"group one"}, names(lay(first), lay(first, second)))
	require.Equal(t, []string{"connector alone"}, names(Orders{}, lay(us)))
	require.Equal(t, []string{"group both"}, names(lay(west), lay(west, east)), "group one was so before")
	require.Equal(t, []string{"group one"}, names(Orders{}, lay(eu)))
	require.Empty(t, names(lay(us, eu), lay(us)), "taken back")

	require.Equal(t, []string{"group both (all hosts that are left are down or ejected)"}, names(Orders{}, lay(east), "10.0.0.2:5060", "10.0.0.3:5060"))
	require.Equal(t, []string{"group one (all hosts that are left are down or ejected)"}, names(Orders{}, lay(second), "10.0.0.2:5060"))
	require.Empty(t, names(Orders{}, lay(first), "10.0.0.2:5060"), "what is down is missed by nobody")
	require.Equal(t, []string{"group one"}, names(Orders{}, lay(west), "10.0.0.2:5060", "10.0.0.3:5060"))
}

func TestOrdersRenamed(t *testing.T) {
	east, west := Subject{ConnectorKind, "east"}, Subject{ConnectorKind, "west"}
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	drained := Orders{}.With(Order{Subject: east, State: Draining, At: at, Note: "4711"})
	moved := drained.Renamed(east, west)
	require.Equal(t, []Order{{Subject: west, State: Draining, At: at, Note: "4711"}}, moved.List())
	require.True(t, drained.Renamed(east, east).Equal(drained))
	require.True(t, drained.Renamed(west, east).Equal(drained), "there is no order of it")

	stricter := drained.With(Order{Subject: west, State: Disabled, At: at})
	require.Equal(t, []Order{{Subject: west, State: Disabled, At: at}}, stricter.Renamed(east, west).List(), "what waited for that name was stricter")
	require.Equal(t, []Order{{Subject: east, State: Disabled, At: at}}, stricter.Renamed(west, east).List())
}
