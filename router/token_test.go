package router

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTokenRoundTrip(t *testing.T) {
	want := token{0x4fff, 0x01234567, 0x89abcdef, 0xfedcba9876543210}
	text := string(want.appendTo(nil))
	require.Equal(t, "td4fff0123456789abcdeffedcba9876543210", text)
	for _, s := range []string{text, "td" + strings.ToUpper(text[2:])} {
		got, ok := parseToken([]byte(s))
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	for _, s := range []string{"", "td", text[1:], text + "0", "tx" + text[2:], text[:10] + "g" + text[11:], "+15550000001"} {
		_, ok := parseToken([]byte(s))
		require.False(t, ok, s)
	}
}

// dialogToken is the token of an answered call and the rig it came from.
func dialogToken(t *testing.T) (*rig, string) {
	g := newRig(t, twoRegions())
	route := header(g.from(east1, respond(g.call(), 200))[0].text, "Record-Route")[0]
	return g, strings.TrimPrefix(route[:strings.IndexByte(route, '@')], "<sip:")
}

func bye(token string, lines ...string) string {
	return request("BYE", "sip:agent@203.0.113.99:5060", append([]string{
		"Route: <sip:" + token + "@198.51.100.1:5060;lr>", "To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 BYE",
	}, lines...)...)
}

func TestTokenWithOneCharacterChanged(t *testing.T) {
	g, text := dialogToken(t)
	require.Len(t, text, tokenLen)
	for i := range text {
		for _, c := range []byte("0a9fZ") {
			changed := []byte(text)
			changed[i] = c
			if strings.EqualFold(string(changed), text) {
				continue
			}
			want := "caller 403 BYE"
			if i < len("td") {
				want = "caller 481 BYE" // a Route of ours, but nothing that claims to be a token
			}
			require.Equal(t, []string{want}, summary(g.from(caller, bye(string(changed)))), "character %d as %c", i, c)
			g.now += int64(20 * time.Millisecond) // 403s have a rate
		}
	}
	require.Equal(t, []string{"callee BYE"}, summary(g.from(caller, bye(text))))
	require.Equal(t, []string{"callee BYE"}, summary(g.from(caller, bye("td"+strings.ToUpper(text[2:])))))
}

// A token is for one dialog: its Call-ID and the tag of who began it, on
// either side.
func TestTokenOfAnotherDialog(t *testing.T) {
	g, text := dialogToken(t)
	refused := []string{"caller 403 BYE"}
	require.Equal(t, refused, summary(g.from(caller, bye(text, "Call-ID: other"))))
	require.Equal(t, refused, summary(g.from(caller, bye(text, "From: <sip:a@b>;tag=other"))))
	require.Equal(t, []string{"callee BYE"}, summary(g.from(caller, bye(text, "From: <sip:a@b>;tag=calleetag", "To: <sip:a@b>;tag=callertag"))))
	stranger := netip.MustParseAddrPort("198.18.0.1:5060")
	require.Equal(t, []string{"callee BYE"}, summary(g.from(stranger, bye(text))), "from any source")
}

func TestTokenExpires(t *testing.T) {
	g, text := dialogToken(t)
	g.now += int64(tokenLifeDays * 24 * time.Hour)
	require.Equal(t, []string{"callee BYE"}, summary(g.from(caller, bye(text))))
	g.now += int64(24 * time.Hour)
	require.Equal(t, []string{"caller 403 BYE"}, summary(g.from(caller, bye(text))))
}

func TestTokenNamesTheHost(t *testing.T) {
	g, text := dialogToken(t)
	got, ok := parseToken([]byte(text))
	require.True(t, ok)
	h := g.r.plan.Load().byAddr[hostPlace{addr: east1}]
	require.Equal(t, h.id, got.host)
	require.Equal(t, h.connector.id, got.connector)
}

func TestTokenSaysWhoSent(t *testing.T) {
	g, text := dialogToken(t)
	tok, _ := parseToken([]byte(text))
	var s scratch
	who, ok := g.r.verifyToken(&s, &tok, nil, parse(bye(text)), g.r.day(g.now))
	require.True(t, ok)
	require.Equal(t, fromCaller, who)
	who, ok = g.r.verifyToken(&s, &tok, nil, parse(bye(text, "From: <sip:a@b>;tag=calleetag", "To: <sip:a@b>;tag=callertag")), g.r.day(g.now))
	require.True(t, ok)
	require.Equal(t, fromCallee, who)
}
