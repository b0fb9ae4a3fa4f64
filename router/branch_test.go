package router

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBranchRoundTrip(t *testing.T) {
	want := branch{markCall, 10, 0x7b, 0x0123456789abcdef, 0xdeadbeef, 0x00000001, 0xfedcba987654}
	text := want.appendTo(nil)
	require.Equal(t, "z9hG4bKca7b0123456789abcdefdeadbeef00000001fedcba987654", string(text))
	for _, s := range []string{string(text), strings.ToUpper(string(text)), strings.ToLower(string(text))} {
		got, ok := parseBranch([]byte(s))
		require.True(t, ok, s)
		require.Equal(t, want, got)
	}
}

func TestBranchOfOthers(t *testing.T) {
	good := string((&branch{marker: markCall}).appendTo(nil))
	for _, s := range []string{
		"", "z9hG4bK", good[:len(good)-1], good + "0", "z9hG4bKx" + good[8:], "x9hG4bK" + good[7:], good[:20] + "g" + good[21:],
		"z9hG4bK." + good[8:],
	} {
		_, ok := parseBranch([]byte(s))
		require.False(t, ok, s)
	}
}

// TestBranchWithOneCharacterChanged: no response gets through whose Via was
// tampered with, and none that would go elsewhere.
func TestBranchWithOneCharacterChanged(t *testing.T) {
	g := newRig(t, twoRegions())
	text := respond(g.call(), 180)
	at := strings.Index(text, cookie)
	for i := range branchLen {
		for _, c := range []byte("0a9fZ") {
			changed := []byte(text)
			changed[at+i] = c
			if strings.EqualFold(string(changed), text) {
				continue
			}
			require.Empty(t, g.from(east1, string(changed)), "character %d as %c", i, c)
		}
	}
	for _, change := range [][2]string{
		{"z9hG4bKcaller1", "z9hG4bKcaller2"},
		{"SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.11:5060"},
		{"SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10:5061"},
		{"branch=z9hG4bKcaller1", "branch=z9hG4bKcaller1;received=192.0.2.99"},
		{"branch=z9hG4bKcaller1", "branch=z9hG4bKcaller1;rport=5061"},
	} {
		require.Contains(t, text, change[0])
		require.Empty(t, g.from(east1, strings.Replace(text, change[0], change[1], 1)), change[1])
	}
	require.Equal(t, []string{"caller 180 INVITE"}, summary(g.from(east1, text)))
}

// A peer may write a Via anew when it copies it.
func TestBranchWithTheNextViaWrittenAnew(t *testing.T) {
	g := newRig(t, twoRegions())
	text := respond(g.call(), 180)
	text = strings.Replace(text, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller1", "SIP / 2.0 / udp  192.0.2.10 ; BRANCH=Z9HG4BKCALLER1", 1)
	require.Equal(t, []string{"caller 180 INVITE"}, summary(g.from(east1, text)))
}

func secrets(s ...string) func(*Options) {
	return func(o *Options) {
		o.Secrets = nil
		for _, secret := range s {
			o.Secrets = append(o.Secrets, []byte(secret))
		}
	}
}

const (
	oldSecret = "0123456789abcdef"
	newSecret = "fedcba9876543210"
)

// TestRotationOfSecrets: what was made with the old secret is good as long as
// it is listed, for responses and dialogs alike.
func TestRotationOfSecrets(t *testing.T) {
	before := newRig(t, twoRegions(), secrets(oldSecret))
	inv := before.call()
	ok := respond(inv, 200)
	route := "Route: " + header(before.from(east1, ok)[0].text, "Record-Route")[0]
	bye := request("BYE", "sip:agent@203.0.113.99:5060", route, "To: <sip:+15550000001@198.51.100.1>;tag=calleetag", "CSeq: 2 BYE")

	rotated := newRig(t, twoRegions(), secrets(newSecret, oldSecret))
	require.NotEqual(t, header(inv.text, "Via")[0], header(rotated.call().text, "Via")[0], "the first makes new ones")
	rotated = newRig(t, twoRegions(), secrets(newSecret, oldSecret))
	require.Equal(t, []string{"caller 200 INVITE"}, summary(rotated.from(east1, ok)))
	require.Equal(t, []string{"callee BYE"}, summary(rotated.from(caller, bye)))

	forgotten := newRig(t, twoRegions(), secrets(newSecret))
	require.Empty(t, forgotten.from(east1, ok))
	require.Equal(t, []string{"caller 403 BYE"}, summary(forgotten.from(caller, bye)))
}

func TestKeysOfEachUseDiffer(t *testing.T) {
	k := newKeys([]byte(oldSecret))
	seen := map[sipKey]bool{}
	for _, key := range []sipKey{k.call, k.branch, k.loop, k.host, k.tag, k.token} {
		require.False(t, seen[key])
		seen[key] = true
	}
}

// RFC 3261 17.2.3, 9.1: who belongs to one transaction, and who does not.
func TestCallKey(t *testing.T) {
	var s scratch
	k := newKeys([]byte(oldSecret))
	key := func(text string) uint64 { return s.callKey(&k, parse(text)) }
	want := key(invite())
	for name, same := range map[string]string{
		"again":           invite(),
		"CANCEL":          request("CANCEL", dialled),
		"ACK":             request("ACK", dialled, "To: <sip:+15550000001@198.51.100.1>;tag=x"),
		"default port":    invite("Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKcaller1"),
		"other parameter": invite("Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKcaller1"),
	} {
		require.Equal(t, want, key(same), name)
	}
	require.Equal(t, key(invite("Via: SIP/2.0/UDP a.example;branch=x")), key(invite("Via: SIP/2.0/UDP A.Example:5060;branch=x")))
	for name, other := range map[string]string{
		"branch":    invite("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller2"),
		"sent-by":   invite("Via: SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bKcaller1"),
		"port":      invite("Via: SIP/2.0/UDP 192.0.2.10:5061;branch=z9hG4bKcaller1"),
		"Call-ID":   invite("Call-ID: call-2@192.0.2.10"),
		"CSeq":      invite("CSeq: 2 INVITE"),
		"From tag":  invite("From: <sip:+15551230000@192.0.2.10>;tag=other"),
		"method":    request("MESSAGE", dialled),
		"Via moved": invite("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller", "Call-ID: 1call-1@192.0.2.10"),
	} {
		require.NotEqual(t, want, key(other), name)
	}
	require.NotEqual(t, key(request("MESSAGE", dialled)), key(request("INFO", dialled)))
}

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "0.0.0.0": "0.0.0.0", "255.255.255.255": "255.255.255.255",
		"[2001:db8::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1", "[::ffff:192.0.2.1]": "192.0.2.1",
	} {
		got, ok := parseAddr([]byte(in))
		require.True(t, ok, in)
		require.Equal(t, netip.MustParseAddr(want), got)
	}
	for _, in := range []string{
		"", "a", "sip.example.com", "256.0.0.1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "0001.2.3.4", "1.2.3.4 ",
		"[]", "[1.2.3.4", "[::1", "::1]", "[fe80::1%eth0]", ":", "[:::]", "[1:2:3:4:5:6:7:8:9]", "-1.2.3.4",
	} {
		_, ok := parseAddr([]byte(in))
		require.False(t, ok, in)
	}
}

func TestParsePort(t *testing.T) {
	for in, want := range map[string]uint16{"1": 1, "5060": 5060, "65535": 65535, "05060": 5060} {
		got, ok := parsePort([]byte(in))
		require.True(t, ok, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{"", "0", "65536", "99999", "100000", "-1", "5060 ", "x"} {
		_, ok := parsePort([]byte(in))
		require.False(t, ok, in)
	}
}
