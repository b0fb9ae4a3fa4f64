package router

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/router/transport"
)

func bestResponse() Policy {
	p := twoRegions()
	p.Failover.ExhaustedCode = 0
	return p
}

// second lets the first connector stay silent and returns both INVITEs.
func (g *rig) second() (first, second sent) {
	first = g.call()
	all := g.pass(2100 * time.Millisecond)
	second = all[len(all)-1]
	require.Equal(g.t, west1, second.to)
	return first, second
}

func TestRFC3261_16_7_2_TimerC(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 183))
	for _, status := range []int{101, 180, 183, 199} {
		require.Empty(t, g.pass(180*time.Second), "restarted by each of 101-199")
		g.from(east1, respond(inv, status))
	}
	g.pass(100 * time.Second)
	g.from(east1, respond(inv, 100))
	require.Contains(t, summary(g.pass(90*time.Second)), "east1 CANCEL", "not by 100")
}

func TestRFC3261_16_7_3_ViaIsPopped(t *testing.T) {
	for name, join := range map[string]func(string) string{
		"two lines": func(text string) string { return text },
		"comma": func(text string) string {
			return strings.Replace(text, "\r\nVia: SIP/2.0/UDP 192", ", SIP/2.0/UDP 192", 1)
		},
		"one folded": func(text string) string {
			return strings.Replace(text, "\r\nVia: SIP/2.0/UDP 192", ",\r\n SIP/2.0/UDP 192", 1)
		},
		"compact": func(text string) string { return strings.ReplaceAll(text, "Via:", "v :") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			inv := g.call()
			all := sends(t, g.from(east1, join(respond(inv, 200))), "caller 200 INVITE")
			require.NotContains(t, all[0].text, "198.51.100.1:5060;branch")
			require.Contains(t, all[0].text, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcaller1\r\n")
			require.Len(t, append(header(all[0].text, "Via"), header(all[0].text, "v")...), 1)
		})
	}
}

func TestRFC3261_16_7_3_NoneBelowOursIsNotForwarded(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	for _, status := range []int{100, 180, 200, 486, 503} {
		require.Empty(t, g.from(east1, respond(sent{text: withoutLowerVia(inv.text)}, status)))
	}
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE") // the call is untouched
}

func withoutLowerVia(text string) string {
	return strings.Replace(text, "Via: "+header(text, "Via")[1]+"\r\n", "", 1)
}

func TestRFC3261_16_7_5_ProvisionalsAndEvery2xxAtOnce(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	require.Empty(t, g.from(east1, respond(inv, 100)), "100 is never relayed")
	for _, status := range []int{101, 180, 183, 181, 199} {
		all := g.from(east1, respond(inv, status))
		require.Len(t, all, 1)
		require.Equal(t, respond(inv, status), withOurVia(inv, all[0].text))
	}
	require.Empty(t, g.from(east1, respond(inv, 100)))
	for range 3 {
		sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	}
	// A fork behind the connector, with a tag of its own.
	fork := strings.Replace(respond(inv, 200), "calleetag", "forktag", 1)
	all := sends(t, g.from(east1, fork), "caller 200 INVITE")
	require.Contains(t, header(all[0].text, "To")[0], "forktag")
}

// withOurVia puts the Via of inv back on top of a relayed response.
func withOurVia(inv sent, text string) string {
	return strings.Replace(text, "\r\nVia: ", "\r\nVia: "+header(inv.text, "Via")[0]+"\r\nVia: ", 1)
}

func TestRFC3261_16_7_9_NothingElseChanges(t *testing.T) {
	odd := "Server: x\r\nWarning: 399 a \"b\"\r\nX-Odd :  spaced  \r\nContact: <sip:a@b>;q=0.1,<sip:c@d>\r\nSubject: a\r\n folded\r\nSession-Expires: 90"
	body := "v=0\r\n\x00\xffanything"
	for _, status := range []int{180, 183, 200, 202, 302, 401, 404, 486, 603} {
		g := newRig(t, twoRegions())
		inv := g.call()
		text := respond(inv, status, odd)
		text = strings.Replace(text, "Content-Length: 0\r\n\r\n", "Content-Length: 15\r\n\r\n"+body, 1)
		all := g.from(east1, text)
		relayed := all[len(all)-1].text
		require.Equal(t, text, withOurVia(inv, relayed), status)
	}
}

func TestRFC3261_16_7_5_6xxEndsTheSearch(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		g := newRig(t, twoRegions())
		inv := g.call()
		sends(t, g.from(east1, respond(inv, 603)), "east1 ACK", "caller 603 INVITE")
	})
	t.Run("late, another rings", func(t *testing.T) {
		g := newRig(t, twoRegions())
		inv, second := g.second()
		g.from(west1, respond(second, 180))
		all := sends(t, g.from(east1, respond(inv, 600)), "east1 ACK", "west1 CANCEL")
		require.Empty(t, header(all[1].text, "Reason"), "the call was not completed elsewhere")
		sends(t, g.from(west1, respond(second, 487)), "west1 ACK", "caller 600 INVITE")
	})
	t.Run("late, another has no provisional yet", func(t *testing.T) {
		g := newRig(t, twoRegions())
		inv, second := g.second()
		sends(t, g.from(east1, respond(inv, 603)), "east1 ACK")
		sends(t, g.from(west1, respond(second, 100)), "west1 CANCEL")
		sends(t, g.from(west1, respond(second, 487)), "west1 ACK", "caller 603 INVITE")
	})
	t.Run("late, another stays silent", func(t *testing.T) {
		g := newRig(t, twoRegions())
		inv, _ := g.second()
		g.from(east1, respond(inv, 603))
		require.Contains(t, summary(g.pass(2100*time.Millisecond)), "caller 603 INVITE")
	})
	t.Run("late, another answers", func(t *testing.T) {
		g := newRig(t, twoRegions())
		inv, second := g.second()
		g.from(west1, respond(second, 180))
		g.from(east1, respond(inv, 603))
		sends(t, g.from(west1, respond(second, 200)), "caller 200 INVITE")
	})
}

// The first response is a late one of an abandoned attempt, the second ends the search.
func TestRFC3261_16_7_6_BestResponse(t *testing.T) {
	for _, c := range []struct{ late, last, want int }{
		{404, 486, 404}, // the first of a class
		{500, 404, 404}, // the lowest class
		{404, 500, 404},
		{302, 404, 302},
		{486, 302, 302},
		{603, 302, 603}, // any 6xx
		{486, 401, 401}, // preferred in its class
		{401, 486, 401},
		{404, 415, 415},
		{404, 420, 420},
		{404, 484, 484},
		{404, 407, 407},
		{503, 404, 404},
		{404, 503, 404},
		{503, 500, 500}, // 503 itself never
		{503, 503, 500},
		{500, 503, 500},
		{502, 504, 502},
	} {
		g := newRig(t, bestResponse())
		first, second := g.second()
		g.from(east1, respond(first, c.late))
		all := g.from(west1, respond(second, c.last))
		if c.late >= 600 {
			g.from(west1, respond(second, c.last))
		}
		last := all[len(all)-1]
		require.Equal(t, caller, last.to)
		require.Equal(t, c.want, parse(last.text).Status, "%d then %d", c.late, c.last)
	}
}

func TestRFC3261_16_7_7_RFC8760_ChallengesAreCollectedInOrder(t *testing.T) {
	g := newRig(t, twoRegions())
	first, second := g.second()
	g.from(east1, respond(first, 401, `WWW-Authenticate: Digest realm="east", algorithm=SHA-256`, `WWW-Authenticate: Digest realm="east", algorithm=MD5`))
	all := g.from(west1, respond(second, 407, `Proxy-Authenticate: Digest realm="west"`, `WWW-Authenticate: Digest realm="west2"`))
	final := all[len(all)-1].text
	require.Equal(t, 401, parse(final).Status)
	var got []string
	for _, line := range strings.Split(final, "\r\n") {
		if strings.Contains(line, "-Authenticate:") {
			got = append(got, line)
		}
	}
	require.Equal(t, []string{
		`WWW-Authenticate: Digest realm="east", algorithm=SHA-256`, `WWW-Authenticate: Digest realm="east", algorithm=MD5`,
		`Proxy-Authenticate: Digest realm="west"`, `WWW-Authenticate: Digest realm="west2"`,
	}, got)
	require.Equal(t, []string{"caller 401 INVITE"}, summary(g.pass(510*time.Millisecond)))
}

func TestRFC3261_16_7_6_Lone503GoesUpstreamAs500(t *testing.T) {
	p := bestResponse()
	p.Catalog.Groups[0].Connectors = p.Catalog.Groups[0].Connectors[:1]
	g := newRig(t, p)
	inv := g.call()
	sends(t, g.from(east1, respond(inv, 503)), "east1 ACK", "caller 500 INVITE")
}

func TestRFC3261_16_7_6_ErrorsWithoutAResponse(t *testing.T) {
	icmp := func(g *rig, m sent) []sent { return g.unreachable(m, transport.NoPort) }
	silent := func(g *rig, _ sent) []sent { return g.pass(2100 * time.Millisecond) }
	answer := func(status int) func(*rig, sent) []sent {
		return func(g *rig, m sent) []sent { return g.from(m.to, respond(m, status)) }
	}
	for name, c := range map[string]struct {
		first, second func(*rig, sent) []sent
		best          int
	}{
		"transport errors count as 503, so 500": {icmp, icmp, 500},
		"timeouts count as 408":                 {silent, silent, 408},
		"a timeout and an error":                {silent, icmp, 408},
		"an answer outranks a timeout":          {silent, answer(500), 500},
		"an answer outranks an error":           {answer(504), icmp, 504},
		"a 503 and a timeout":                   {answer(503), silent, 500},
	} {
		t.Run(name, func(t *testing.T) {
			for exhausted, want := range map[int]int{0: c.best, 503: 503, 480: 480} {
				p := twoRegions()
				p.Failover.ExhaustedCode = exhausted
				g := newRig(t, p)
				inv := g.call()
				all := c.first(g, inv)
				second := all[len(all)-1]
				require.Equal(t, west1, second.to)
				all = c.second(g, second)
				last := all[len(all)-1]
				require.Equal(t, caller, last.to)
				require.Equal(t, want, parse(last.text).Status)
				require.Empty(t, header(last.text, "Retry-After"))
			}
		})
	}
}

func TestRFC3261_21_5_4_RetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		rest  time.Duration
	}{
		"without, it is a 500": {nil, 0},
		"7 s":                  {[]string{"Retry-After: 7"}, 7 * time.Second},
		"with a comment":       {[]string{"Retry-After: 7 (maintenance);duration=3600"}, 7 * time.Second},
		"capped at 60 s":       {[]string{"Retry-After: 4294967296000"}, time.Minute},
		"no number":            {[]string{"Retry-After: soon"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			inv := g.call()
			g.from(east1, respond(inv, 503, c.lines...))
			first := func() string {
				g.now++
				all := g.from(caller, invite("Call-ID: "+time.Duration(g.now).String()))
				return summary(all)[1]
			}
			if c.rest > 0 {
				require.Equal(t, "west1 INVITE", first())
				g.now += int64(c.rest - time.Second)
				require.Equal(t, "west1 INVITE", first())
				g.now += int64(time.Second + time.Millisecond)
			}
			require.Equal(t, "east1 INVITE", first())
		})
	}
}

func TestRFC3261_18_1_2_TopViaNotOurs(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"another host":    func(s string) string { return strings.Replace(s, "UDP 198.51.100.1:5060", "UDP 198.51.100.2:5060", 1) },
		"another port":    func(s string) string { return strings.Replace(s, "UDP 198.51.100.1:5060", "UDP 198.51.100.1:5061", 1) },
		"no port is 5060": func(s string) string { return strings.Replace(s, "UDP 198.51.100.1:5060", "UDP 198.51.100.1:5062", 1) },
		"a name":          func(s string) string { return strings.Replace(s, "UDP 198.51.100.1:5060", "UDP example.com", 1) },
		"no branch":       func(s string) string { return strings.Replace(s, ";branch=z9hG4bKc", ";x=", 1) },
		"no Via": func(s string) string {
			return withoutLowerVia(strings.Replace(s, "Via: "+header(s, "Via")[0]+"\r\n", "", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, twoRegions())
			inv := g.call()
			for _, status := range []int{180, 200, 486, 603} {
				text := respond(inv, status)
				if name == "no Via" {
					text = strings.ReplaceAll(text, "Via:", "X-Via:")
				} else {
					text = change(text)
				}
				require.Empty(t, g.from(east1, text))
			}
			sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
		})
	}
	// The same sent-by without its default port is ours.
	g := newRig(t, twoRegions())
	inv := g.call()
	sends(t, g.from(east1, strings.Replace(respond(inv, 200), "UDP 198.51.100.1:5060", "UDP 198.51.100.1", 1)), "caller 200 INVITE")
}

func TestRFC3261_17_1_3_MethodOfTheResponse(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	for _, method := range []string{"BYE", "OPTIONS", "ACK", "FROBNICATE"} {
		for _, status := range []int{180, 200, 486} {
			require.Empty(t, g.from(east1, strings.Replace(respond(inv, status), "1 INVITE", "1 "+method, 1)), method)
		}
	}
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
}

func TestRFC6026_8_4_AcceptedState(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	for range 3 {
		require.Empty(t, g.pass(10*time.Second), "a proxy does not retransmit a 2xx")
		require.Empty(t, g.from(caller, invite()), "INVITE retransmissions are absorbed")
		sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	}
	require.Equal(t, 1, g.r.Live())
	g.pass(2100 * time.Millisecond)
	require.Zero(t, g.r.Live(), "64·T1 after the first 2xx")
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE") // without state
}

func TestRFC3261_17_2_1_FinalIsRetransmittedUntilAck(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	all := g.from(east1, respond(inv, 486))
	final := all[1]
	var at []time.Duration
	for i := 1; i <= 4000; i++ {
		for _, m := range g.pass(10 * time.Millisecond) {
			require.Equal(t, final, m)
			at = append(at, time.Duration(i)*10*time.Millisecond)
		}
	}
	ms := time.Millisecond
	require.Equal(t, []time.Duration{500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 11500 * ms, 15500 * ms, 19500 * ms, 23500 * ms, 27500 * ms, 31500 * ms}, at, "Timer G, until Timer H")
	require.Zero(t, g.r.Live())
}

func TestRFC3261_17_2_1_ConfirmedState(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	all := g.from(east1, respond(inv, 486))
	sends(t, g.from(caller, invite()), "caller 486 INVITE") // before the ACK: again
	ack := request("ACK", dialled, "To: "+header(all[1].text, "To")[0])
	require.Empty(t, g.from(caller, ack))
	require.Empty(t, g.from(caller, ack))
	require.Empty(t, g.from(caller, invite()), "absorbed")
	require.Empty(t, g.pass(5*time.Second), "Timer I")
	require.Empty(t, g.pass(40*time.Second))
	require.Zero(t, g.r.Live())
}

func TestRFC3261_17_2_1_RetransmittedInviteGetsTheLastProvisional(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	sends(t, g.from(caller, invite()), "caller 100 INVITE")
	relayed := g.from(east1, respond(inv, 183))
	require.Equal(t, relayed, g.from(caller, invite()))
	relayed = g.from(east1, respond(inv, 180))
	require.Equal(t, relayed, g.from(caller, invite()))
}

func TestFailoverCodesAndStopCodes(t *testing.T) {
	for _, status := range []int{408, 500, 502, 503, 504} {
		g := newRig(t, twoRegions())
		inv := g.call()
		sends(t, g.from(east1, respond(inv, status)), "east1 ACK", "west1 INVITE")
	}
	for _, status := range []int{300, 301, 302, 305, 380, 400, 401, 403, 404, 407, 410, 480, 481, 482, 484, 486, 487, 488, 501, 505, 513, 600, 603, 604, 606, 699} {
		g := newRig(t, twoRegions())
		inv := g.call()
		all := g.from(east1, respond(inv, status))
		require.Len(t, all, 2)
		require.Equal(t, []string{"east1 ACK"}, summary(all[:1]))
		require.Equal(t, status, parse(all[1].text).Status)
		require.NotContains(t, summary(g.pass(time.Minute)), "west1 INVITE")
	}
	t.Run("after ringing", func(t *testing.T) {
		for _, after := range []bool{false, true} {
			p := twoRegions()
			p.Failover.AfterRinging = after
			g := newRig(t, p)
			inv := g.call()
			g.from(east1, respond(inv, 180))
			want := "caller 503 INVITE"
			if after {
				want = "west1 INVITE"
			}
			sends(t, g.from(east1, respond(inv, 503)), "east1 ACK", want)
		}
	})
	t.Run("482 while an earlier attempt is unresolved", func(t *testing.T) {
		p := twoRegions()
		p.Catalog.Connectors[1].Hosts = append(p.Catalog.Connectors[1].Hosts, hostAt(east2))
		p.Catalog.Connectors[1].Hosts[1].Priority = 2
		g := newRig(t, p)
		_, second := g.second()
		sends(t, g.from(west1, respond(second, 482)), "west1 ACK", "east2 INVITE")
	})
}

// Pending are those that rang and were not cancelled: after a final response of
// any kind there are none.
func TestRFC3261_16_7_10_NothingRingsOnAfterAFinal(t *testing.T) {
	for _, status := range []int{200, 302, 404, 603} {
		g := newRig(t, twoRegions())
		first, second := g.second()
		g.from(west1, respond(second, status))
		for _, provisional := range []int{100, 180} {
			fresh := map[int][]string{100: {"east1 CANCEL"}, 180: nil}[provisional]
			sends(t, g.from(east1, respond(first, provisional)), fresh...) // once
		}
		sends(t, g.from(east1, respond(first, 487)), "east1 ACK")
	}
}

func TestRFC3261_16_7_1_EveryForkOfTheCalleeIsHeard(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	for _, tag := range []string{"one", "two", "three"} {
		text := strings.Replace(respond(inv, 180), "calleetag", tag, 1)
		all := sends(t, g.from(east1, text), "caller 180 INVITE")
		require.Contains(t, header(all[0].text, "To")[0], ";tag="+tag)
	}
}

// A To tag is the callee's: none is put in, none is changed.
func TestRFC3261_16_7_6_ToTagIsTheCallees(t *testing.T) {
	for _, tag := range []string{"", ";tag=a.B-9", ";x=1;tag=z;y"} {
		for _, status := range []int{180, 200, 302, 486, 603} {
			g := newRig(t, twoRegions())
			inv := g.call()
			all := g.from(east1, strings.Replace(respond(inv, status), ";tag=calleetag", tag, 1))
			relayed := all[len(all)-1]
			require.Equal(t, caller, relayed.to)
			require.Equal(t, []string{"<sip:+15550000001@198.51.100.1>" + tag}, header(relayed.text, "To"))
		}
	}
	d := newDialog(t, newRig(t, twoRegions()))
	bye := d.g.from(caller, d.byCaller("BYE"))[0]
	all := d.g.from(callee, strings.Replace(respond(bye, 481), "tag=calleetag", "tag=odd", 1))
	require.Contains(t, header(all[0].text, "To")[0], "tag=odd")
}

func TestRFC3261_16_7_9_ReceivedStaysInTheNextVia(t *testing.T) {
	nat := addr("192.0.2.20:41000")
	for _, status := range []int{180, 200, 486} {
		g := newRig(t, twoRegions())
		inv := g.from(nat, invite("Via: SIP/2.0/UDP 10.1.1.1:5062;rport;branch=z9hG4bKnat"))[1]
		all := g.from(east1, respond(inv, status))
		relayed := all[len(all)-1]
		require.Equal(t, nat, relayed.to)
		require.Equal(t, []string{"SIP/2.0/UDP 10.1.1.1:5062;rport=41000;branch=z9hG4bKnat;received=192.0.2.20"}, header(relayed.text, "Via"))
	}
}

func TestRFC3261_16_7_6_AnAnswerBeforeA503(t *testing.T) {
	for _, c := range [][2]int{{503, 504}, {503, 500}} {
		g := newRig(t, bestResponse())
		inv := g.call()
		all := g.from(east1, respond(inv, c[0]))
		all = g.from(west1, respond(all[1], c[1]))
		last := all[len(all)-1].text
		require.Equal(t, c[1], parse(last).Status)
		require.Contains(t, header(last, "To")[0], "calleetag", "the connector's own")
	}
}
