package wire_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func seed(f *testing.F) {
	for _, data := range torture(f) {
		f.Add(data)
	}
	f.Add(invite)
	f.Add([]byte(minimal("Route: <sip:a;lr>, \"q,\" <sip:b>", " , <sip:c>", "Content-Length: 0")))
	f.Add([]byte("\r\n\r\n"))
	f.Add([]byte(strings.ReplaceAll(minimal(), "\r\n", "\n")))
	f.Add(wire.AppendResponse(nil, mustParse(invite), wire.Response{Status: 180, ToTag: []byte("t"), Source: source}))
	f.Add([]byte(replaced("192.0.2.1:5060", "[2001:db8::1]:5060")))
}

func mustParse(data []byte) *wire.Message {
	m := new(wire.Message)
	if err := m.Parse(data); err != nil {
		panic(err)
	}
	return m
}

// everything reads all parts of a message and uses all functions on it: the
// spans lie in the data and inside one another, iterations end, what we make
// of a sound message is sound. It runs a hundred million times: no require, and
// no Helper, where nothing fails.
func everything(t *testing.T, m *wire.Message) {
	inside := func(outer wire.Span, spans ...wire.Span) {
		if int(outer.End) > len(m.Data) {
			t.Fatalf("%v is not in %d bytes", outer, len(m.Data))
		}
		for _, s := range spans {
			if s.Start > s.End || s.Len() > 0 && (s.Start < outer.Start || s.End > outer.End) {
				t.Fatalf("%v is not in %v", s, outer)
			}
		}
	}
	via := func(v wire.ViaValue) {
		inside(v.Value, v.Transport, v.Host, v.Params)
		inside(v.Params, v.Branch, v.Received, v.RPort, v.RPortName, v.ReceivedParam, v.MAddr)
	}
	address := func(a wire.Address) {
		inside(a.Value, a.URI, a.Params)
		inside(a.Params, a.Tag)
		if u, ok := wire.ParseURI(m.Data, a.URI); ok {
			inside(u.Whole, u.User, u.HostPort, u.Params, u.Headers)
			inside(u.HostPort, u.Host)
			wire.AppendNumber(nil, m.Data, u)
		}
	}
	inside(wire.Span{End: uint32(len(m.Data))}, m.MethodName, m.RequestURI, m.Version, m.Phrase, m.Body, m.CallID, m.CSeqMethod,
		m.TopVia.Value, m.From.Value, m.To.Value, wire.Span{Start: m.HeadEnd, End: m.HeadEnd})
	via(m.TopVia)
	address(m.From)
	address(m.To)
	var previous uint32
	for i, h := range m.Headers {
		inside(h.Line, h.Value)
		if i > 0 && h.Line.Start != previous || h.Line.Len() == 0 {
			t.Fatalf("line %d is %v, behind %d", i, h.Line, previous)
		}
		previous = h.Line.End
	}
	for id := wire.HeaderOther; id <= wire.HeaderProxyAuthenticate; id++ {
		var last wire.Value
		all := values(m, id)
		for i, v := range all {
			inside(m.Headers[v.Header].Value, v.Span)
			begins := i == 0 || last.Header != v.Header
			if v.Len() == 0 || i > 0 && v.Start < last.End || v.First != begins || i > 0 && last.Last != begins {
				t.Fatalf("value %d of %d is %+v, behind %+v", i, id, v, last)
			}
			last = v
			if parsed, ok := wire.ParseVia(m.Data, v.Span); ok {
				inside(v.Span, parsed.Value)
				via(parsed)
			}
			if parsed, ok := wire.ParseAddress(m.Data, v.Span); ok {
				inside(v.Span, parsed.Value)
				address(parsed)
			}
		}
		if len(all) > 0 && !last.Last {
			t.Fatalf("the last value of %d is %+v", id, last)
		}
		deletions(t, m, id, all)
	}
	if m.IsRequest && m.Defect == wire.NoDefect {
		answers(t, m)
	}
}

// deletions removes each value alone, and all but each: what remains is what
// was not removed.
func deletions(t *testing.T, m *wire.Message, id wire.HeaderID, all []wire.Value) {
	if id == wire.HeaderOther || len(all) > 8 {
		return
	}
	var e wire.Edits
	var got wire.Message
	check := func(kept ...wire.Value) {
		if err := got.Parse(e.Apply(nil, wire.Span{End: uint32(len(m.Data))})); err != nil {
			t.Fatalf("%v in %q", err, got.Data)
		}
		have := values(&got, id)
		if !slices.EqualFunc(kept, have, func(a, b wire.Value) bool { return bytes.Equal(m.Bytes(a.Span), got.Bytes(b.Span)) }) {
			t.Fatalf("of %d values %d are left, not %d, in %q", len(all), len(have), len(kept), got.Data)
		}
		if !bytes.HasPrefix(got.Data[got.HeadEnd:], m.Bytes(m.Body)) {
			t.Fatalf("another body in %q", got.Data)
		}
	}
	for i, v := range all {
		e.Reset(m.Data)
		m.DeleteValue(&e, v)
		check(slices.Concat(all[:i], all[i+1:])...)
		e.Reset(m.Data)
		m.DeleteValues(&e, v, all[len(all)-1])
		check(all[:i]...)
		e.Reset(m.Data)
		m.DeleteValues(&e, all[0], v)
		check(all[i+1:]...)
	}
}

// answers builds what a proxy makes of a request.
func answers(t *testing.T, m *wire.Message) {
	var response, completed, hop wire.Message
	sound := func(what *wire.Message, data []byte) {
		if err := what.Parse(data); err != nil || what.Defect != wire.NoDefect {
			t.Fatalf("%v, %s in %q", err, what.Defect.Reason(), data)
		}
	}
	same := func(a *wire.Message, s wire.Span, b *wire.Message, u wire.Span) {
		if !bytes.Equal(a.Bytes(s), b.Bytes(u)) {
			t.Fatalf("%q and %q", a.Bytes(s), b.Bytes(u))
		}
	}
	sound(&response, wire.AppendResponse(nil, m, wire.Response{Status: 503, ToTag: []byte("t"), Source: source}))
	same(m, m.TopVia.Branch, &response, response.TopVia.Branch)

	var e wire.Edits
	e.Reset(m.Data)
	m.CompleteVia(&e, source, nil)
	sound(&completed, e.Apply(nil, wire.Span{End: m.Body.End}))
	same(&completed, completed.TopVia.Value, &response, response.TopVia.Value)
	if v := completed.TopVia; v.ReceivedParam.Len() > 0 && text(&completed, v.Received) != source.Addr().String() {
		t.Fatalf("received %q", completed.Bytes(v.Received))
	}
	if v := completed.TopVia; v.HasRPort && text(&completed, v.RPort) != strconv.Itoa(int(source.Port())) {
		t.Fatalf("rport %q", completed.Bytes(v.RPort))
	}

	sound(&hop, wire.AppendHop(nil, m, wire.Hop{Method: wire.CANCEL, RequestURI: []byte("sip:x"), Via: []byte("SIP/2.0/UDP h")}))
	same(m, m.From.Value, &hop, hop.From.Value)
}

func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var m wire.Message
		if m.Parse(data) == nil {
			everything(t, &m)
		}
		if !bytes.Equal(before, data) {
			t.Fatalf("%q became %q: received bytes are never changed", before, data)
		}
	})
}

// FuzzAgainstSipgo compares with sipgo's parser where both accept a message.
func FuzzAgainstSipgo(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.Message
		if m.Parse(data) != nil || m.Defect != wire.NoDefect || sipgoDiffers(&m) {
			return
		}
		theirs, err := sip.ParseMessage(data)
		if err != nil || theirs.Via() == nil || theirs.From() == nil || theirs.To() == nil || theirs.CSeq() == nil || theirs.CallID() == nil {
			return
		}
		switch theirs := theirs.(type) {
		case *sip.Request:
			require.True(t, m.IsRequest)
			require.Equal(t, string(theirs.Method), strings.ToUpper(text(&m, m.MethodName)))
			sameURI(t, &m, m.RequestURI, theirs.Recipient)
		case *sip.Response:
			require.False(t, m.IsRequest)
			require.Equal(t, theirs.StatusCode, m.Status)
			require.Equal(t, theirs.Reason, text(&m, m.Phrase))
		}
		require.Equal(t, theirs.CallID().Value(), text(&m, m.CallID))
		require.Equal(t, theirs.CSeq().SeqNo, m.CSeq)
		require.Equal(t, strings.TrimSpace(string(theirs.CSeq().MethodName)), text(&m, m.CSeqMethod))
		require.Equal(t, theirs.Via().Transport, text(&m, m.TopVia.Transport))
		require.Equal(t, theirs.Via().Host, strings.Trim(text(&m, m.TopVia.Host), "[]"))
		require.Equal(t, theirs.Via().Port, int(m.TopVia.Port))
		branch, _ := theirs.Via().Params.Get("branch")
		require.Equal(t, branch, text(&m, m.TopVia.Branch))
		tag, _ := theirs.From().Params.Get("tag")
		require.Equal(t, tag, text(&m, m.From.Tag))
		tag, _ = theirs.To().Params.Get("tag")
		require.Equal(t, tag, text(&m, m.To.Tag))
		sameURI(t, &m, m.From.URI, theirs.From().Address)
		sameURI(t, &m, m.To.URI, theirs.To().Address)
	})
}

func sameURI(t *testing.T, m *wire.Message, s wire.Span, theirs sip.Uri) {
	t.Helper()
	u, ok := wire.ParseURI(m.Data, s)
	if !ok || u.Scheme != wire.SIP && u.Scheme != wire.SIPS {
		return
	}
	if theirs.HierarhicalSlashes {
		return // "sip://alice@host" has the user "alice" there, "//alice" here
	}
	require.Equal(t, theirs.Scheme, strings.ToLower(strings.SplitN(text(m, u.Whole), ":", 2)[0]))
	user := theirs.User
	if theirs.Password != "" {
		user += ":" + theirs.Password
	}
	require.Equal(t, user, strings.TrimSuffix(text(m, u.User), ":")) // an empty password is dropped there
	require.Equal(t, theirs.Host, text(m, u.Host))
	require.Equal(t, theirs.Port, int(u.Port))
}

// sipgoDiffers tells the messages on which sipgo 1.7.2 is known to be wrong,
// or not to read what we read.
func sipgoDiffers(m *wire.Message) bool {
	if m.TopVia.Params.Len() == 0 && m.TopVia.Value.End != m.Headers[m.Find(wire.HeaderVia)].Value.End {
		return true // a Via value without parameters is not split from the next
	}
	head := string(m.Data[:m.HeadEnd])
	if strings.Count(head, "\n") != strings.Count(head, "\r\n") {
		return true // a bare LF ends no line
	}
	if strings.ContainsAny(head, "\v\f\u0085\u00a0\u2028\u2029\u3000") {
		return true // the white space of Unicode is trimmed, not that of SIP
	}
	if strings.Contains(text(m, m.CallID), "\r\n") {
		return true // folds are turned into one space
	}
	for _, a := range []wire.Address{m.From, m.To} {
		if a.Params.Len() > 0 && strings.ContainsAny(text(m, wire.Span{Start: a.URI.End, End: a.URI.End + 1}), " \t\r\n") {
			return true // white space behind a URI without brackets becomes part of its host
		}
	}
	sentBy := wire.Span{Start: m.TopVia.Value.Start, End: m.TopVia.Value.End - uint32(m.TopVia.Params.Len())}
	for i, s := range []wire.Span{sentBy, m.TopVia.Params, m.From.Params, m.To.Params} {
		part := text(m, s)
		params := strings.ToLower(part)
		if i == 0 {
			part = strings.Replace(part, " ", "", 1)
		}
		switch {
		case strings.ContainsAny(part, " \t\r\n"):
			return true // white space around ";", "=", "/" and ":" becomes part of names and values
		case strings.Contains(part, `"`):
			return true // ";", "=" and "," in a quoted value separate
		case strings.Contains(part, ";;"):
			return true // an empty parameter ends the list
		case strings.Contains(part, ";=") || slices.ContainsFunc(strings.Split(part, ";"), func(p string) bool { return strings.Count(p, "=") > 1 }):
			return true // a second "=" is taken for the first
		case strings.Count(params, "tag") > 1 || strings.Count(params, "branch") > 1:
			return true // the last of a repeated parameter counts
		case strings.Count(params, "tag=") != strings.Count(part, "tag=") || strings.Count(params, "branch=") != strings.Count(part, "branch="):
			return true // names are compared with case
		}
	}
	return false
}

// FuzzEdits compares Apply with putting the edits in one by one, from behind.
func FuzzEdits(f *testing.F) {
	f.Add([]byte("0123456789"), []byte{2, 2, 1, 0, 3, 0, 9, 1, 2, 2, 0, 3})
	f.Add([]byte(""), []byte{0, 0, 1})
	f.Add([]byte("ab"), []byte{0, 1, 0, 1, 1, 1, 0, 0, 2, 1, 0, 2, 2, 0, 1})
	f.Fuzz(func(t *testing.T, data, script []byte) {
		type change struct {
			at   wire.Span
			with []byte
		}
		var e wire.Edits
		e.Reset(data)
		taken := make([]bool, len(data)) // by a replacement; edits that would overlap are not made
		var changes []change
		for ; len(script) >= 3 && len(changes) < 50; script = script[3:] {
			at := wire.Span{Start: uint32(script[0]), End: uint32(script[0]) + uint32(script[1])}
			if int(at.End) > len(data) || slices.Contains(taken[at.Start:at.End], true) {
				continue
			}
			if at.Len() == 0 && at.Start > 0 && int(at.Start) < len(data) && taken[at.Start-1] && taken[at.Start] {
				continue // perhaps inside a replacement
			}
			if slices.ContainsFunc(changes, func(c change) bool {
				return c.at.Len() == 0 && at.Start < c.at.Start && c.at.Start < at.End
			}) {
				continue
			}
			for i := at.Start; i < at.End; i++ {
				taken[i] = true
			}
			with := bytes.Repeat([]byte{'a' + byte(len(changes))}, int(script[2]%4))
			changes = append(changes, change{at, with})
			switch {
			case at.Len() == 0:
				e.Insert(at.Start, with)
			case len(with) == 0:
				e.Delete(at)
			default:
				e.Replace(at, with)
			}
		}
		// Naive: what comes before each byte, and what stands for it.
		insert, stands := make([][]byte, len(data)+1), make([][]byte, len(data))
		for i := range data {
			stands[i] = data[i : i+1]
		}
		for _, c := range changes {
			if c.at.Len() == 0 {
				insert[c.at.Start] = append(insert[c.at.Start], c.with...)
				continue
			}
			for i := c.at.Start; i < c.at.End; i++ {
				stands[i] = nil
			}
			stands[c.at.Start] = c.with
		}
		var want []byte
		for i := range data {
			want = append(append(want, insert[i]...), stands[i]...)
		}
		want = append(want, insert[len(data)]...)
		if got := e.Apply(nil, wire.Span{End: uint32(len(data))}); !bytes.Equal(want, got) {
			t.Fatalf("%q, not %q", got, want)
		}
	})
}
