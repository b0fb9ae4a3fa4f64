package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

// splice renders the forwarded INVITE from the received one: request-URI,
// completed Via below ours, Record-Route, Max-Forwards.
type splice struct {
	message wire.Message
	edits   wire.Edits
	scratch []byte
	out     []byte
}

var (
	nextURI = []byte("sip:+15550000001@10.0.1.10:5060;user=phone")
	ourVia  = []byte("Via: SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bKt0123456789abcdef0123456789abcdef\r\n" +
		"Record-Route: <sip:203.0.113.10;lr;t=0123456789abcdef0123456789abcdef>\r\n")
	sixtyEight = []byte("68")
	toTag      = []byte("0123456789abcdef")
)

func (s *splice) render() []byte {
	m := &s.message
	s.edits.Reset(m.Data)
	s.edits.Replace(m.RequestURI, nextURI)
	s.edits.Insert(m.Headers[m.Find(wire.HeaderVia)].Line.Start, ourVia)
	s.edits.Replace(m.Headers[m.Find(wire.HeaderMaxForwards)].Value, sixtyEight)
	s.scratch = m.CompleteVia(&s.edits, source, s.scratch[:0])
	s.out = s.edits.Apply(s.out[:0], wire.Span{End: m.Body.End})
	return s.out
}

func TestSpliceOfTheBenchmark(t *testing.T) {
	s := splice{message: *parse(t, string(invite))}
	got := parse(t, string(s.render()))
	require.Equal(t, wire.NoDefect, got.Defect)
	require.Equal(t, string(nextURI), text(got, got.RequestURI))
	require.Equal(t, 68, got.MaxForwards)
	vias := values(got, wire.HeaderVia)
	require.Len(t, vias, 2)
	require.Equal(t, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds0001;rport=4711;received=192.0.2.7", text(got, vias[1].Span))
	require.Equal(t, sdp, text(got, got.Body))
}

func TestNothingIsAllocated(t *testing.T) {
	var s splice
	var buffer []byte
	request := parse(t, string(invite))
	hop := wire.Hop{Method: wire.ACK, RequestURI: nextURI, Via: []byte("SIP/2.0/UDP 203.0.113.10;branch=z9hG4bKt")}
	tests := map[string]func(){
		"parse":  func() { _ = s.message.Parse(invite) },
		"splice": func() { s.render() },
		"response": func() {
			buffer = wire.AppendResponse(buffer[:0], request, wire.Response{Status: 404, ToTag: toTag, Source: source})
		},
		"hop": func() { buffer = wire.AppendHop(buffer[:0], request, hop) },
		"values": func() {
			iterator := request.Values(wire.HeaderVia)
			for v, ok := iterator.Next(); ok; v, ok = iterator.Next() {
				_, _ = wire.ParseVia(request.Data, v.Span)
			}
		},
		"number": func() {
			u, _ := wire.ParseURI(request.Data, request.RequestURI)
			buffer = wire.AppendNumber(buffer[:0], request.Data, u)
		},
	}
	tests["parse"]()
	for name, f := range tests {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

func BenchmarkParse(b *testing.B) {
	var m wire.Message
	b.SetBytes(int64(len(invite)))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Parse(invite); err != nil || m.Defect != wire.NoDefect {
			b.Fatal(err, m.Defect)
		}
	}
}

func BenchmarkSplice(b *testing.B) {
	var s splice
	if err := s.message.Parse(invite); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.render()
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var m wire.Message
	if err := m.Parse(invite); err != nil {
		b.Fatal(err)
	}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = wire.AppendResponse(buffer[:0], &m, wire.Response{Status: 404, ToTag: toTag, Source: source})
	}
}

func BenchmarkValues(b *testing.B) {
	var m wire.Message
	if err := m.Parse([]byte(minimal("Route: <sip:a;lr>, <sip:b;lr>", "Route: <sip:c;lr>"))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		iterator := m.Values(wire.HeaderRoute)
		for _, ok := iterator.Next(); ok; _, ok = iterator.Next() {
		}
	}
}
