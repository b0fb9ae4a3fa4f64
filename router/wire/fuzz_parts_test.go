package wire_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tandem/router/wire"
)

// Fuzz targets of the parts of a message, and of what is made of a whole one.

// rest is what a proxy does not touch: all header lines that its splice neither
// put in nor wrote anew, in order.
func rest(m *wire.Message, from int) (lines []string) {
	for i, h := range m.Headers[from:] {
		first := i+from == m.Find(h.ID)
		if h.ID == wire.HeaderRoute || first && h.ID == wire.HeaderMaxForwards || first && h.ID == wire.HeaderVia {
			continue
		}
		lines = append(lines, string(m.Bytes(h.Line)))
	}
	return lines
}

// FuzzSplice forwards a request as the router does, without the first of its
// Routes: all else leaves byte for byte as it came.
func FuzzSplice(f *testing.F) {
	for _, data := range torture(f) {
		f.Add(data, byte(0))
	}
	f.Add(invite, byte(1))
	f.Add([]byte(minimal("Route: <sip:a;lr>, \"q,\" <sip:b>", "Max-Forwards: 1", " , <sip:c>", "Content-Length: 0")), byte(2))
	f.Add([]byte(minimal("Route: <sip:a;lr>", "X:y", "route:<sip:b>,<sip:c>", "Content-Length: 3")+"abcde"), byte(2))
	f.Add([]byte(strings.ReplaceAll(minimal("Subject: a", " b"), "\r\n", "\n")), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, routes byte) {
		var m, got wire.Message
		if m.Parse(data) != nil || m.Defect != wire.NoDefect || !m.IsRequest {
			return
		}
		var e wire.Edits
		e.Reset(data)
		e.Replace(m.RequestURI, nextURI)
		e.Insert(m.Headers[0].Line.Start, ourVia)
		if i := m.Find(wire.HeaderMaxForwards); i >= 0 {
			e.Replace(m.Headers[i].Value, sixtyEight)
		}
		m.CompleteVia(&e, source, nil)
		kept := values(&m, wire.HeaderRoute)
		if n := int(routes) % (len(kept) + 1); n > 0 {
			m.DeleteValues(&e, kept[0], kept[n-1])
			kept = kept[n:]
		}
		out := e.Apply(nil, wire.Span{End: m.Body.End})

		if err := got.Parse(out); err != nil || got.Defect != wire.NoDefect {
			t.Fatalf("%v, %s in %q", err, got.Defect.Reason(), out)
		}
		start := string(m.Bytes(m.MethodName)) + " " + string(nextURI) + string(data[m.RequestURI.End:m.Headers[0].Line.Start])
		if lead := string(data[:m.MethodName.Start]) + start + string(ourVia); !strings.HasPrefix(string(out), lead) {
			t.Fatalf("%q does not begin with %q", out, lead)
		}
		if want, have := rest(&m, 0), rest(&got, 2); !slices.Equal(want, withoutFirstVia(&got, have)) {
			t.Fatalf("%q became %q", want, have)
		}
		if m.MaxForwards >= 0 && got.MaxForwards != 68 || !bytes.Equal(m.Bytes(m.Body), got.Bytes(got.Body)) {
			t.Fatalf("Max-Forwards %d, body %q", got.MaxForwards, got.Bytes(got.Body))
		}
		if !slices.EqualFunc(kept, values(&got, wire.HeaderRoute), func(a, b wire.Value) bool { return bytes.Equal(m.Bytes(a.Span), got.Bytes(b.Span)) }) {
			t.Fatalf("other Routes in %q", out)
		}
		if theirs := values(&got, wire.HeaderVia)[1:]; len(theirs) != len(values(&m, wire.HeaderVia)) {
			t.Fatalf("%d Vias below ours", len(theirs))
		}
	})
}

// withoutFirstVia leaves out the field that was the top Via before ours.
func withoutFirstVia(m *wire.Message, lines []string) []string {
	for i := 1; i < len(m.Headers); i++ {
		if m.Headers[i].ID == wire.HeaderVia {
			if at := slices.Index(lines, string(m.Bytes(m.Headers[i].Line))); at >= 0 {
				return slices.Delete(slices.Clone(lines), at, at+1)
			}
		}
	}
	return lines
}

// FuzzAppendResponse answers any request, also one that is not correct.
func FuzzAppendResponse(f *testing.F) {
	for _, data := range torture(f) {
		f.Add(data, uint16(400))
	}
	f.Add(invite, uint16(100))
	f.Add([]byte(minimal("v:SIP/2.0/UDP a;rport", "Timestamp: 5")), uint16(100))
	f.Add([]byte(replaced("<sip:+15550000001@example.com>", "\"open")), uint16(503))
	f.Fuzz(func(t *testing.T, data []byte, status uint16) {
		var m, got wire.Message
		if m.Parse(data) != nil || !m.IsRequest {
			return
		}
		r := wire.Response{Status: 100 + int(status)%600, ToTag: []byte("ours"), Source: source, Extra: []byte("X: y\r\n")}
		out := wire.AppendResponse(nil, &m, r)
		if err := got.Parse(out); err != nil || got.IsRequest || got.Status != r.Status || got.ContentLength != 0 || got.Body.Len() != 0 {
			t.Fatalf("%v in %q", err, out)
		}
		if m.Defect == wire.NoDefect && got.Defect != wire.NoDefect {
			t.Fatalf("%s in %q", got.Defect.Reason(), out)
		}
		vias := 0
		for _, h := range m.Headers {
			if h.ID == wire.HeaderVia {
				vias++
			}
		}
		if len(out) > int(m.HeadEnd)+8*vias+300 { // no amplifier
			t.Fatalf("%d bytes for %d", len(out), len(data))
		}
		for _, id := range []wire.HeaderID{wire.HeaderFrom, wire.HeaderCallID, wire.HeaderCSeq, wire.HeaderTo} {
			theirs, ours := m.Find(id), got.Find(id)
			if theirs < 0 || ours < 0 {
				if theirs != ours {
					t.Fatalf("field %d is missing in %q", id, out)
				}
				continue
			}
			want, have := m.Bytes(m.Headers[theirs].Value), got.Bytes(got.Headers[ours].Value)
			if added, ok := bytes.CutPrefix(have, want); !ok || len(added) > 0 && (id != wire.HeaderTo || string(added) != ";tag=ours") {
				t.Fatalf("%q became %q", want, have)
			}
		}
		if m.Defect == wire.NoDefect && len(values(&got, wire.HeaderVia)) != len(values(&m, wire.HeaderVia)) {
			t.Fatalf("other Vias in %q", out)
		}
	})
}

// FuzzURI holds that a URI is the sum of its parts.
func FuzzURI(f *testing.F) {
	for _, s := range []string{
		"sip:alice;x=y:pw@[2001:db8::1]:5061;lr?a=b", "sip:+15550000001@203.0.113.10:5060;user=phone", "sips:h?x", "SIP:a@h:0",
		"tel:+1-555%20(0)", "tel:;x", "soap.beep://192.0.2.103:3002", "sip:user@[2001:db8:::192.0.2.1]", "sip:2001:db8::10", "sip:@h", "sip:a@b@c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data := []byte(s)
		u, ok := wire.ParseURI(data, spanOf(s))
		if !ok {
			return
		}
		part := func(s wire.Span) string { return string(data[s.Start:s.End]) }
		scheme, _, _ := strings.Cut(s, ":")
		sum := scheme + ":" + part(u.User)
		if u.Scheme == wire.SIP || u.Scheme == wire.SIPS {
			if u.User.Len() > 0 {
				sum += "@"
			}
			sum += part(u.HostPort) + part(u.Params) + part(u.Headers)
			if host, _ := strings.CutPrefix(part(u.HostPort), part(u.Host)); u.Host.Len() == 0 || host != "" && host[len(host)-1] > '9' {
				t.Fatalf("%q is host %q and %q", s, part(u.Host), host)
			}
			if strings.ContainsAny(part(u.Host), "@;?,<> /") || strings.Contains(part(u.User), "@") {
				t.Fatalf("%q has user %q, host %q", s, part(u.User), part(u.Host))
			}
		}
		if u.Scheme != wire.OtherScheme && sum != s || part(u.Whole) != s {
			t.Fatalf("%q is %q", s, sum)
		}
	})
}

// FuzzNumber compares with the plainest way to write a number.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"+15550000001", "+1-555-000-1234;phone-context=x", "%2B15550001234", "%2b1(555)%200.1:pw", "%", "%4", "%zz", "%00", "*21#", "-", "alice"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, user string) {
		uri := "sip:" + user + "@h"
		u, ok := wire.ParseURI([]byte(uri), spanOf(uri))
		if !ok || u.User.Len() != len(user) {
			return
		}
		got := string(wire.AppendNumber([]byte("+"), []byte(uri), u))
		if want := "+" + plainNumber(user); got != want {
			t.Fatalf("%q is %q, not %q", user, got, want)
		}
	})
}

func plainNumber(user string) string {
	if i := strings.IndexAny(user, ";:"); i >= 0 {
		user = user[:i]
	}
	var plain strings.Builder
	for i := 0; i < len(user); i++ {
		high, low := -1, -1
		if user[i] == '%' && i+2 < len(user) {
			high = strings.IndexByte("0123456789abcdef", lowered(user[i+1]))
			low = strings.IndexByte("0123456789abcdef", lowered(user[i+2]))
		}
		if high < 0 || low < 0 {
			plain.WriteByte(user[i])
			continue
		}
		plain.WriteByte(byte(high*16 + low))
		i += 2
	}
	s := plain.String()
	if strings.Trim(s, "0123456789+*#-.() ") != "" || !strings.ContainsAny(s, "0123456789+*#") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.() ", r) {
			return -1
		}
		return r
	}, s)
}

func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// FuzzVia completes a Via: received and rport say where the request came from,
// all else stays, and to do it again changes nothing.
func FuzzVia(f *testing.F) {
	for _, s := range []string{
		"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", "SIP / 2.0 / UDP [::1] : 5060 ; received = ::1 ; rport", "SIP/2.0/UDP h;rport;rport=1;RECEIVED=x;received",
		`SIP/2.0/UDP h;x="a;rport";y;branch=b`, "SIP/2.0/UDP h", "SIP/2.0/UDP 192.0.2.15;;,;,,", "SIP/2.0/UDP h;maddr=224.0.0.1;ttl=1", "SIP/2.0/UDP h\r\n ;rport\r\n",
		`SIP/2.0/UDP h;x";received=1.1.1.1;y"`, `SIP/2.0/UDP h;x=";rport";received="`,
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	sources := map[bool]netip.AddrPort{false: netip.MustParseAddrPort("192.0.2.1:5060"), true: netip.MustParseAddrPort("[2001:db8::7]:4711")}
	f.Fuzz(func(t *testing.T, via string, v6 bool) {
		var m, got wire.Message
		if m.Parse([]byte(replaced("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", via))) != nil || m.Defect != wire.NoDefect || m.TopVia.Value.Start != m.Headers[0].Value.Start {
			return
		}
		src := sources[v6]
		complete := func(m *wire.Message) []byte {
			var e wire.Edits
			e.Reset(m.Data)
			m.CompleteVia(&e, src, nil)
			return e.Apply(nil, wire.Span{End: uint32(len(m.Data))})
		}
		once := complete(&m)
		if err := got.Parse(once); err != nil || got.Defect != wire.NoDefect {
			t.Fatalf("%v, %s in %q", err, got.Defect.Reason(), once)
		}
		if again := complete(&got); !bytes.Equal(once, again) {
			t.Fatalf("%q became %q", once, again)
		}
		v := got.TopVia
		if v.ReceivedParam.Len() > 0 && text(&got, v.Received) != src.Addr().String() {
			t.Fatalf("received in %q", text(&got, v.Value))
		}
		if v.HasRPort != m.TopVia.HasRPort || v.HasRPort && (v.ReceivedParam.Len() == 0 || text(&got, v.RPort) != "5060" && text(&got, v.RPort) != "4711") {
			t.Fatalf("rport in %q", text(&got, v.Value))
		}
		if text(&got, v.Branch) != text(&m, m.TopVia.Branch) || text(&got, v.Host) != text(&m, m.TopVia.Host) || v.Port != m.TopVia.Port || text(&got, v.MAddr) != text(&m, m.TopVia.MAddr) {
			t.Fatalf("%q became %q", via, text(&got, v.Value))
		}
		if len(got.Headers) != len(m.Headers) || len(values(&got, wire.HeaderVia)) != len(values(&m, wire.HeaderVia)) {
			t.Fatalf("%q became %q", m.Data, once)
		}
	})
}

// FuzzAddress holds that an address written anew from its parts is the same,
// and that a tag can be put behind it.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{`"a" <sip:b@c> ; tag = d`, "sip:a@b;tag=c", `"Bell, <x> \" A"<sip:a>;x=";tag=no";tag=yes`, "<sip:a@h;tag=x>", "<>", "a <b>;;;;", "Bell, A <sip:a@h>;tag=43", `<sip:a>;x";tag=1;y"`, `a"<sip:b>"<sip:a>;x="y"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data := []byte(s)
		a, ok := wire.ParseAddress(data, spanOf(s))
		if !ok {
			return
		}
		part := func(s wire.Span) string { return string(data[s.Start:s.End]) }
		anew := "<" + part(a.URI) + ">" + part(a.Params)
		b, ok := wire.ParseAddress([]byte(anew), spanOf(anew))
		if !ok || anew[b.URI.Start:b.URI.End] != part(a.URI) || anew[b.Tag.Start:b.Tag.End] != part(a.Tag) {
			t.Fatalf("%q is not %q", anew, s)
		}
		if tag, _ := wire.Param(data, a.Params, "tag"); part(tag) != part(a.Tag) {
			t.Fatalf("%q has the tags %q and %q", s, part(a.Tag), part(tag))
		}
		if a.Tag.Len() == 0 {
			tagged := part(a.Value) + ";tag=ours"
			if c, ok := wire.ParseAddress([]byte(tagged), spanOf(tagged)); !ok || tagged[c.Tag.Start:c.Tag.End] != "ours" || tagged[c.URI.Start:c.URI.End] != part(a.URI) {
				t.Fatalf("%q has no tag of ours", tagged)
			}
		}
	})
}
