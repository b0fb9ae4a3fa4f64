package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func values(m *wire.Message, id wire.HeaderID) (all []wire.Value) {
	iterator := m.Values(id)
	for v, ok := iterator.Next(); ok; v, ok = iterator.Next() {
		all = append(all, v)
	}
	return all
}

func TestValues(t *testing.T) { // RFC 3261 7.3.1
	tests := []struct {
		name   string
		id     wire.HeaderID
		fields []string
		want   []string
	}{
		{"none", wire.HeaderRoute, nil, nil},
		{"one", wire.HeaderRoute, []string{"Route: <sip:a;lr>"}, []string{"<sip:a;lr>"}},
		{"joined and repeated", wire.HeaderRoute, []string{"Route: <sip:a>,<sip:b>", "X: y", "ROUTE:\t<sip:c> ,\t<sip:d>"},
			[]string{"<sip:a>", "<sip:b>", "<sip:c>", "<sip:d>"}},
		{"commas in quotes and brackets", wire.HeaderContact, []string{`m: "a, \", <b" <sip:a,b@h>;x="1,2", sip:c@h`},
			[]string{`"a, \", <b" <sip:a,b@h>;x="1,2"`, "sip:c@h"}},
		{"folds between", wire.HeaderRoute, []string{"Route: <sip:a>,", " <sip:b>", " , <sip:c>"}, []string{"<sip:a>", "<sip:b>", "<sip:c>"}},
		{"RFC 4475 3.1.2.1 empty values", wire.HeaderRoute, []string{"Route: ,, <sip:a> , , <sip:b>,", "Route: ,", "Route:"}, []string{"<sip:a>", "<sip:b>"}},
		{"open quote", wire.HeaderRoute, []string{`Route: <sip:a>, "open, <sip:b>`}, []string{"<sip:a>", `"open, <sip:b>`}},
		{"open bracket", wire.HeaderRoute, []string{`Route: <sip:a>, <sip:b, <sip:c`}, []string{"<sip:a>", "<sip:b, <sip:c"}},
		{"option tags", wire.HeaderProxyRequire, []string{"Proxy-Require: foo, bar"}, []string{"foo", "bar"}},
		{"challenges are not split", wire.HeaderWWWAuthenticate, []string{`WWW-Authenticate: Digest realm="a", nonce="b"`, "WWW-Authenticate: Basic"},
			[]string{`Digest realm="a", nonce="b"`, "Basic"}},
		{"others are not split", wire.HeaderRetryAfter, []string{"Retry-After: 5 (busy, sorry)"}, []string{"5 (busy, sorry)"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := parse(t, minimal(test.fields...))
			var got []string
			for _, v := range values(m, test.id) {
				got = append(got, text(m, v.Span))
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestValuesOfVia(t *testing.T) {
	m := parse(t, minimal("v: SIP/2.0/UDP h2;x=<, SIP/2.0/UDP h3", "Via: SIP/2.0/UDP h4"))
	got := values(m, wire.HeaderVia)
	require.Len(t, got, 4, "a stray bracket hides no Via")
	require.Equal(t, []bool{true, true, false, true}, []bool{got[0].First, got[1].First, got[2].First, got[3].First})
	require.Equal(t, []bool{true, false, true, true}, []bool{got[0].Last, got[1].Last, got[2].Last, got[3].Last})
	require.Equal(t, []int{0, 5, 5, 6}, []int{got[0].Header, got[1].Header, got[2].Header, got[3].Header})
}

func TestDeleteValues(t *testing.T) {
	const before, behind = "Via: SIP/2.0/UDP h\r\n", "Subject: x\r\n"
	tests := []struct {
		name     string
		fields   string
		from, to int
		want     string
	}{
		{"the only one", "Route: <sip:a>\r\n", 0, 0, ""},
		{"the only one, folded", "Route:\r\n <sip:a>\r\n", 0, 0, ""},
		{"the first", "Route: <sip:a>, <sip:b>\r\n", 0, 0, "Route: <sip:b>\r\n"},
		{"the middle", "Route: <sip:a>, <sip:b>, <sip:c>\r\n", 1, 1, "Route: <sip:a>, <sip:c>\r\n"},
		{"the last", "Route: <sip:a>,<sip:b> ,\t<sip:c>\r\n", 2, 2, "Route: <sip:a>,<sip:b>\r\n"},
		{"the last, a comma behind", "Route: <sip:a>, <sip:b>,\r\n", 1, 1, "Route: <sip:a>\r\n"},
		{"the first, a comma in front", "Route: ,<sip:a>, <sip:b>\r\n", 0, 0, "Route: ,<sip:b>\r\n"},
		{"the only one among commas", "Route: ,<sip:a>,\r\n", 0, 0, ""},
		{"folds", "Route: <sip:a>,\r\n <sip:b>,\r\n <sip:c>\r\n", 0, 0, "Route: <sip:b>,\r\n <sip:c>\r\n"},
		{"fold at the end", "Route: <sip:a>,\r\n <sip:b>\r\n", 1, 1, "Route: <sip:a>\r\n"},
		{"the line of one of two", "Route: <sip:a>\r\nRoute: <sip:b>\r\n", 0, 0, "Route: <sip:b>\r\n"},
		{"two of three", "Route: <sip:a>, <sip:b>, <sip:c>\r\n", 0, 1, "Route: <sip:c>\r\n"},
		{"the last two of three", "Route: <sip:a>, <sip:b>, <sip:c>\r\n", 1, 2, "Route: <sip:a>\r\n"},
		{"all three", "Route: <sip:a>, <sip:b>, <sip:c>\r\n", 0, 2, ""},
		{"two lines", "Route: <sip:a>\r\nRoute: <sip:b>\r\n", 0, 1, ""},
		{"over lines with others between", "Route: <sip:a>, <sip:b>\r\nX: y\r\nRoute: <sip:c>\r\nRoute: <sip:d>, <sip:e>\r\n", 1, 3,
			"Route: <sip:a>\r\nX: y\r\nRoute: <sip:e>\r\n"},
		{"from the first of a line to the last of another", "Route: <sip:a>, <sip:b>\r\nX: y\r\nRoute: <sip:c>, <sip:d>\r\n", 0, 3, "X: y\r\n"},
		{"commas in brackets", "Route: <sip:a,b>, <sip:c>\r\n", 0, 0, "Route: <sip:c>\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := parse(t, "OPTIONS sip:a SIP/2.0\r\n"+before+test.fields+behind+"\r\n")
			all := values(m, wire.HeaderRoute)
			var e wire.Edits
			e.Reset(m.Data)
			if test.from == test.to {
				m.DeleteValue(&e, all[test.from])
			} else {
				m.DeleteValues(&e, all[test.from], all[test.to])
			}
			got := e.Apply(nil, wire.Span{End: uint32(len(m.Data))})
			require.Equal(t, "OPTIONS sip:a SIP/2.0\r\n"+before+test.want+behind+"\r\n", string(got))
		})
	}
}

func TestDeleteTopVia(t *testing.T) {
	m := parse(t, replaced("branch=z9hG4bK1", "branch=z9hG4bK1 , SIP/2.0/TCP h2;branch=z9hG4bK2"))
	var e wire.Edits
	e.Reset(m.Data)
	m.DeleteValue(&e, values(m, wire.HeaderVia)[0])
	got := parse(t, string(e.Apply(nil, wire.Span{End: uint32(len(m.Data))})))
	require.Equal(t, "SIP/2.0/TCP h2;branch=z9hG4bK2", text(got, got.TopVia.Value))
}
