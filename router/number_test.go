package router

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/wire"
)

func TestTranslate(t *testing.T) {
	for _, c := range []struct{ name, number, strip, prepend, want string }{
		{"nothing to do", "+15550000001", "", "", "+15550000001"},
		{"strip and prepend", "0015550000001", "00", "+", "+15550000001"},
		{"strip only where it stands", "15550000001", "00", "", "15550000001"},
		{"strip is for the front", "1500", "00", "", "1500"},
		{"strip all there is", "00", "00", "", ""},
		{"prepend never to nothing", "00", "00", "+", ""},
		{"prepend before what has no +", "5550000001", "", "+1", "+15550000001"},
		{"prepend not before +", "+15550000001", "", "+1", "+15550000001"},
		{"strip +", "+15550000001", "+", "", "15550000001"},
		{"strip +1, prepend 0", "+15550000001", "+1", "0", "05550000001"},
		{"strip once", "000015", "00", "", "0015"},
		{"strip longer than the number", "0", "00", "", "0"},
	} {
		require.Equal(t, c.want, string(translate([]byte(c.number), c.strip, c.prepend)), c.name)
	}
}

// TestRequestURI is the table of design section 3: user part and its
// parameters kept, host, port and parameters from the host.
func TestRequestURI(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		connector      connector
		params         string
	}{
		{name: "host from the host", in: "sip:+15550000001@198.51.100.1", want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "port and parameters are the host's", in: "sip:+15550000001@198.51.100.1:5080;transport=udp;x=y", want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "the host's parameters", in: "sip:+15550000001@198.51.100.1", params: ";transport=udp", want: "sip:+15550000001@203.0.113.1:5060;transport=udp"},
		{name: "parameters of the user part", in: "sip:+15550000001;npdi;rn=+1555@198.51.100.1", want: "sip:+15550000001;npdi;rn=+1555@203.0.113.1:5060"},
		{name: "password", in: "sip:+15550000001:secret@198.51.100.1", want: "sip:+15550000001:secret@203.0.113.1:5060"},
		{name: "escapes as received", in: "sip:%2B15550000001@198.51.100.1", want: "sip:%2B15550000001@203.0.113.1:5060"},
		{name: "separators as received", in: "sip:+1-555-000-0001@198.51.100.1", want: "sip:+1-555-000-0001@203.0.113.1:5060"},
		{name: "headers are left out", in: "sip:+15550000001@198.51.100.1?Subject=x", want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "sips stays sips", in: "sips:+15550000001@198.51.100.1", params: ";transport=tls", want: "sips:+15550000001@203.0.113.1:5060;transport=tls"},
		{name: "tel", in: "tel:+15550000001", want: "sip:+15550000001@203.0.113.1:5060;user=phone"},
		{name: "tel with parameters", in: "tel:0001;phone-context=+1555", want: "sip:0001;phone-context=+1555@203.0.113.1:5060;user=phone"},
		{name: "tel with the host's parameters", in: "tel:+15550000001", params: ";transport=udp", want: "sip:+15550000001@203.0.113.1:5060;transport=udp;user=phone"},
		{name: "tel, no parameter twice", in: "tel:+15550000001", params: ";user=phone", want: "sip:+15550000001@203.0.113.1:5060;user=phone"},

		{name: "keep", in: "sip:+15550000001@198.51.100.1:5080;transport=udp;x=y?a=b", connector: connector{requestURI: catalog.KeepURI}, params: ";z", want: "sip:+15550000001@198.51.100.1:5080;transport=udp;x=y"},
		{name: "keep tel", in: "tel:+1-555-000-0001;x=y", connector: connector{requestURI: catalog.KeepURI}, want: "tel:+1-555-000-0001;x=y"},
		{name: "keep all but the number", in: "sip:+15550000001;x@198.51.100.1;y", connector: connector{requestURI: catalog.KeepURI, number: catalog.E164}, want: "sip:15550000001;x@198.51.100.1;y"},
		{name: "keep tel all but the number", in: "tel:+15550000001;x", connector: connector{requestURI: catalog.KeepURI, strip: "+1", prepend: "0"}, want: "tel:05550000001;x"},

		{name: "+e164 adds +", in: "sip:15550000001@a", connector: connector{number: catalog.PlusE164}, want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "+e164 keeps +", in: "sip:+15550000001@a", connector: connector{number: catalog.PlusE164}, want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "+e164 unescapes", in: "sip:%2B1555%30000001@a", connector: connector{number: catalog.PlusE164}, want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "+e164 without separators", in: "tel:+1(555)000-0001;x", connector: connector{number: catalog.PlusE164}, want: "sip:+15550000001;x@203.0.113.1:5060;user=phone"},
		{name: "e164 removes +", in: "sip:+15550000001@a", connector: connector{number: catalog.E164}, want: "sip:15550000001@203.0.113.1:5060"},
		{name: "e164 keeps the parameters", in: "sip:+15550000001;npdi@a", connector: connector{number: catalog.E164}, want: "sip:15550000001;npdi@203.0.113.1:5060"},

		{name: "strip and prepend", in: "sip:0015550000001@a", connector: connector{strip: "00", prepend: "+"}, want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "strip only where it stands", in: "sip:15550000001@a", connector: connector{strip: "00"}, want: "sip:15550000001@203.0.113.1:5060"},
		{name: "prepend not before +", in: "sip:+15550000001@a", connector: connector{prepend: "9"}, want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "prepend not before an escaped +", in: "sip:%2b15550000001@a", connector: connector{prepend: "+"}, want: "sip:+15550000001@203.0.113.1:5060"},
		{name: "strip an escaped +", in: "sip:%2b15550000001;x@a", connector: connector{strip: "+1"}, want: "sip:5550000001;x@203.0.113.1:5060"},
		{name: "strip of the form, not of what came", in: "sip:+15550000001@a", connector: connector{number: catalog.E164, strip: "1", prepend: "0"}, want: "sip:05550000001@203.0.113.1:5060"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := parse("INVITE " + c.in + " SIP/2.0\r\n\r\n")
			u, ok := wire.ParseURI(m.Data, m.RequestURI)
			require.True(t, ok)
			h := &host{hostPort: []byte("203.0.113.1:5060"), params: []byte(c.params), connector: &c.connector}
			got := appendRequestURI([]byte("x"), m, &u, false, h, wire.AppendNumber(nil, m.Data, u))
			require.Equal(t, "x"+c.want, string(got))
		})
	}
}

// TestNumberThatIsLookedUp: the trunk's strip and prepend decide the route,
// not what the connector sees.
func TestNumberThatIsLookedUp(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].Strip, p.Trunks[0].Prepend = "00", "+"
	for _, uri := range []string{
		"sip:0015550000001@198.51.100.1", "sip:15550000001@198.51.100.1", "sip:+15550000001@anything.example",
		"sip:%2B15550000001@198.51.100.1", "tel:+1-555-000-0001", "sip:+1.555.000.0001;x=y@198.51.100.1;user=phone",
	} {
		g := newRig(t, p)
		require.Equal(t, []string{"caller 100 INVITE", "east1 INVITE"}, summary(g.from(caller, request("INVITE", uri))), uri)
	}
	for _, uri := range []string{"sip:198.51.100.1", "sip:+15550000002@198.51.100.1", "sip:x@198.51.100.1", "sip:+155500000011111111111111111111111111111@a"} {
		require.Equal(t, []string{"caller 404 INVITE"}, summary(newRig(t, p).from(caller, request("INVITE", uri))), uri)
	}
}
