package load

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const good = "SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP a;branch=1\r\nVIA:SIP/2.0/UDP b\r\nf: x\r\nt: <sip:a>;tag=9;x\r\ni: id\r\ncseq : 1 INVITE\r\nl: 2\r\n\r\nab"
	var m message
	if !m.parse([]byte(good)) || m.status != 180 || len(m.vias) != 2 || string(tag(m.to)) != "9" || string(branch(m.vias[0])) != "1" || string(m.cseq) != "1 INVITE" {
		t.Errorf("%+v", m)
	}
	for i := range good {
		if m.parse([]byte(good[:i])) {
			t.Errorf("cut off after %q it is a message", good[:i])
		}
	}
	for _, bad := range []string{"SIP/2.0 18 x", "SIP/2.0 180", "INVITE sip:a", "SIP/2.0 099 x"} {
		if m.parse([]byte(strings.Replace(good, "SIP/2.0 180 Ringing", bad, 1))) {
			t.Errorf("%q begins a message", bad)
		}
	}
}

func TestRoutes(t *testing.T) {
	var got []string
	for rest, last := lastRoute([]byte("<sip:a,b;lr>, <sip:c>;x=1,<sip:d>")); ; rest, last = lastRoute(rest) {
		got = append(got, string(last))
		if rest == nil {
			break
		}
	}
	if strings.Join(got, " ") != "<sip:d> <sip:c>;x=1 <sip:a,b;lr>" {
		t.Errorf("%q", got)
	}
	for value, want := range map[string]string{
		"<sip:user@10.0.0.1:5070;lr>;x": "10.0.0.1:5070", "sip:10.0.0.1;lr": "10.0.0.1", "<sip:10.0.0.1?x>": "10.0.0.1",
	} {
		if got := string(host(uri([]byte(value)))); got != want {
			t.Errorf("%s: host %q, want %q", value, got, want)
		}
	}
}

// What is rendered is what is read, and an INVITE has the length of real ones.
func TestRender(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:5060")
	g := &Generator{run: "0123abcd"}
	s := &source{g: g, text: newCallerText(UDP, addr, addr)}
	var m message
	msg := s.invite(nil, 0x1234567, []byte("+15550000001"))
	if !m.parse(msg) || string(m.method) != "INVITE" || string(m.uri) != "sip:+15550000001@127.0.0.1:5060" {
		t.Fatalf("%s", msg)
	}
	if id, ok := g.readID(m.callID); !ok || id != 0x1234567 {
		t.Errorf("call %x of %s", id, m.callID)
	}
	if len(msg) < 850 || len(msg) > 1000 {
		t.Errorf("%d bytes", len(msg))
	}
	for _, foreign := range []string{"", "x", "00000000012345670123abce", "8000000001234567" + g.run, "000000000123456g" + g.run} {
		if id, ok := g.readID([]byte(foreign)); ok {
			t.Errorf("%q is call %d", foreign, id)
		}
	}
	k := &connector{g: g, text: newConnectorText(UDP, addr, 200)}
	m.records = [][]byte{[]byte("<sip:first;lr>"), []byte("<sip:second;lr>, <sip:third;lr>")}
	answer := k.answer(nil, &m, m.callID[:idLength], "200 OK", k.text.final, true)
	var a message
	if !a.parse(answer) || a.status != 200 || tag(a.to) == nil || len(a.records) != 2 {
		t.Fatalf("%s", answer)
	}
	bye := s.within(nil, "BYE", "2 BYE", 'b', &a)
	if !m.parse(bye) || string(bytes.Join(m.routes, []byte(" "))) != "<sip:third;lr> <sip:second;lr> <sip:first;lr>" || !bytes.Equal(m.to, a.to) {
		t.Fatalf("%s", bye)
	}
}

func BenchmarkInvite(b *testing.B) {
	addr := netip.MustParseAddrPort("127.0.0.1:5060")
	s := &source{g: &Generator{run: "0123abcd"}, text: newCallerText(UDP, addr, addr)}
	buf, number := make([]byte, 0, 2048), []byte("+15550000001")
	b.ReportAllocs()
	for b.Loop() {
		buf = s.invite(buf[:0], 1, number)
	}
}

func BenchmarkParse(b *testing.B) {
	addr := netip.MustParseAddrPort("127.0.0.1:5060")
	g := &Generator{run: "0123abcd"}
	s := &source{g: g, text: newCallerText(UDP, addr, addr)}
	k := &connector{g: g, text: newConnectorText(UDP, addr, 200)}
	var m, answer message
	invite := s.invite(nil, 0x1234567, []byte("+15550000001"))
	if !m.parse(invite) {
		b.Fatal("no message")
	}
	m.records = [][]byte{[]byte("<sip:127.88.0.1:5060;lr;k=0123456789abcdef>")}
	ok := k.answer(nil, &m, m.callID[:idLength], "200 OK", k.text.final, true)
	b.ReportAllocs()
	for b.Loop() {
		if !m.parse(invite) || !answer.parse(ok) {
			b.Fatal("no message")
		}
	}
}
