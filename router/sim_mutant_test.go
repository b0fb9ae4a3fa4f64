package router

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

// TestSimNoticesWhatIsWrong breaks what nodes send, one thing at a time, and
// finds that the checker says so: a checker that never fails proves nothing.
func TestSimNoticesWhatIsWrong(t *testing.T) {
	for _, m := range simMutants {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			for number := range uint64(40) {
				seed := simSeed{number: number, without: m.without}
				done := false
				v, _ := simRun(seed, nil, func(st *simStep, out []sent) []sent {
					if done {
						return out
					}
					changed := m.change(st, out)
					done = changed != nil
					if !done {
						return out
					}
					return changed
				})
				if v != nil {
					require.True(t, done, "seed %d fails by itself: %v", number, v)
					require.Contains(t, v.clause, m.clause, "seed %d: %v", number, v)
					return
				}
				require.False(t, done && !m.late, "seed %d: nobody noticed", number)
			}
			t.Fatal("it never came to it")
		})
	}
}

// simMutant is one thing that a node does wrong.
type simMutant struct {
	name    string
	clause  string
	without simFeature
	late    bool // not each one does harm
	// change returns what is sent instead, nil when this step is not the one.
	change func(st *simStep, out []sent) []sent
}

// simNoExcuse is a world in which design D3 excuses nothing.
const simNoExcuse = simTwoNodes | simRestart | simFresh | simRate | simCut

var simMutants = []simMutant{
	{name: "a 2xx is swallowed", clause: "every 2xx goes upstream", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return without(out, func(o sent) bool { return upstreamFinal(st, o, "2") })
	}},
	{name: "a retransmitted 2xx is swallowed", clause: "every 2xx goes upstream", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.view == nil || st.view.first == nil {
			return nil
		}
		return without(out, func(o sent) bool { return upstreamFinal(st, o, "2") })
	}},
	{name: "a second final response", clause: "one final response upstream", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			if !upstreamFinal(st, o, "4") {
				return nil
			}
			return []sent{o, {o.to, strings.Replace(o.text, "SIP/2.0 4", "SIP/2.0 5", 1)}}
		})
	}},
	{name: "a final response that differs when it is repeated", clause: "one final response upstream", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			c := callOf(st, o)
			if c == nil || o.to != c.from || st.in != nil || !strings.HasPrefix(o.text, "SIP/2.0 4") || c.view(st.node).first == nil {
				return nil
			}
			return []sent{{o.to, strings.Replace(o.text, "Call-ID", "X: y\r\nCall-ID", 1)}}
		})
	}},
	{name: "a 2xx out of nothing", clause: "a 2xx goes upstream when it came", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			if !upstreamFinal(st, o, "486") {
				return nil
			}
			return []sent{{o.to, strings.Replace(o.text, "486 Busy Here", "200 OK", 1)}}
		})
	}},
	{name: "an ACK is dropped", clause: "each refusal is acknowledged", without: simNoExcuse, change: func(_ *simStep, out []sent) []sent {
		return without(out, func(o sent) bool { return strings.HasPrefix(o.text, "ACK ") && !strings.Contains(o.text, cookie+"d") })
	}},
	{name: "an ACK goes to another host", clause: "goes where that came from", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			if !strings.HasPrefix(o.text, "ACK ") || strings.Contains(o.text, cookie+"d") {
				return nil
			}
			return []sent{{elsewhere(st, o), o.text}}
		})
	}},
	{name: "a second branch at a host", clause: "one transaction at a host", without: simNoExcuse | simLoss | simStorms, change: func(st *simStep, out []sent) []sent {
		if st.in != nil { // a retransmission by Timer A
			return nil
		}
		return instead(out, func(o sent) []sent {
			if !strings.HasPrefix(o.text, "INVITE ") || !strings.Contains(o.text, cookie+"c") || callOf(st, o).view(st.node).attempt(o.to) == nil {
				return nil
			}
			return []sent{{o.to, strings.Replace(o.text, "branch="+cookie+"c0", "branch="+cookie+"c1", 1)}}
		})
	}},
	{name: "an attempt at what is out by order", clause: "what was out of service when the call began", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			if !strings.HasPrefix(o.text, "INVITE ") || !strings.Contains(o.text, cookie+"c") {
				return nil
			}
			v := callOf(st, o).view(st.node)
			if v == nil || v.attempt(o.to) != nil {
				return nil
			}
			for _, h := range st.node.w.hosts {
				if v.ordered(h) && v.tried(h.con.Name) == 0 {
					return []sent{{h.addr, o.text}}
				}
			}
			return nil
		})
	}},
	{name: "an attempt after the end", clause: "no new attempt after", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		v := st.view
		if v == nil || v.stopped == "" || !v.invite() || len(v.attempts) >= st.node.w.failover.MaxAttempts {
			return nil
		}
		for _, h := range v.hosts {
			if a := v.latest(); a != nil && v.attempt(h.addr) == nil {
				return append(out, sent{h.addr, a.raw})
			}
		}
		return nil
	}},
	{name: "an attempt too many", clause: "", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		v := st.view
		if v == nil || v.stopped != "" || !v.invite() || v.latest() == nil || st.in == nil || !st.in.IsRequest {
			return nil
		}
		for _, h := range v.hosts {
			if v.attempt(h.addr) == nil {
				return append(out, sent{h.addr, v.latest().raw})
			}
		}
		return nil
	}},
	{name: "a CANCEL before a provisional", clause: "no CANCEL before a provisional", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.in != nil {
			return nil
		}
		return instead(out, func(o sent) []sent {
			if !strings.HasPrefix(o.text, "INVITE ") || callOf(st, o).view(st.node).attempt(o.to) == nil {
				return nil
			}
			return []sent{{o.to, strings.ReplaceAll(o.text, "INVITE", "CANCEL")}}
		})
	}},
	{name: "a CANCEL is forgotten", clause: "what is not wanted any more is cancelled", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return without(out, func(o sent) bool {
			return strings.HasPrefix(o.text, "CANCEL ") && callOf(st, o).view(st.node).attempt(o.to).cancelAt == 0
		})
	}},
	{name: "a 100 is relayed", clause: "a 100 is never relayed", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.in == nil || st.in.IsRequest || st.in.Status != 100 || st.attempt == nil {
			return nil
		}
		return append(out, sent{st.call.from, string(withoutVia(st.data))})
	}},
	{name: "a 408 to a non-INVITE", clause: "RFC 4320", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			if c := callOf(st, o); c == nil || c.method != "MESSAGE" || o.to != c.from || !strings.HasPrefix(o.text, "SIP/2.0 503 Service Unavailable") {
				return nil
			}
			return []sent{{o.to, strings.Replace(o.text, "503 Service Unavailable", "408 Request Timeout", 1)}}
		})
	}},
	{name: "a provisional after the final", clause: "no provisional after", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			c := callOf(st, o)
			if c == nil || o.to != c.from || !strings.HasPrefix(o.text, "SIP/2.0 486") {
				return nil
			}
			return []sent{o, {o.to, strings.Replace(o.text, "486 Busy Here", "180 Ringing", 1)}}
		})
	}},
	{name: "a response changed on its way", clause: "not changed", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.in == nil || st.in.IsRequest || st.in.Status < 180 || st.in.Status > 183 || st.attempt == nil {
			return nil
		}
		return instead(out, func(o sent) []sent {
			if o.to != st.call.from {
				return nil
			}
			return []sent{{o.to, strings.Replace(o.text, "Call-ID", "X: y\r\nCall-ID", 1)}}
		})
	}},
	{name: "a 100 is forgotten", clause: "an INVITE has its 100", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.held || st.in == nil || st.in.Method != wire.INVITE {
			return nil
		}
		return without(out, func(o sent) bool { return strings.HasPrefix(o.text, "SIP/2.0 100") })
	}},
	{name: "a 180 is swallowed", clause: "provisionals go upstream", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.in == nil || st.in.IsRequest || st.in.Status != 180 || st.view == nil || st.view.stopped != "" || st.attempt == nil || st.attempt != st.view.latest() || st.attempt.cancelAt != 0 {
			return nil
		}
		return without(out, func(o sent) bool { return o.to == st.call.from && strings.HasPrefix(o.text, "SIP/2.0 180") })
	}},
	{name: "a final response again after its ACK", clause: "no retransmission after the ACK", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.in != nil {
			return nil
		}
		for _, c := range st.node.w.calls {
			if v := c.view(st.node); v != nil && v.acked && v.invite() {
				return append(out, sent{c.from, string(v.first)})
			}
		}
		return nil
	}},
	{name: "a retransmission by Timer A too many", clause: "Timer A", without: simNoExcuse | simLoss | simBudget | simICMP, late: true, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			if st.in != nil || !strings.HasPrefix(o.text, "INVITE ") || callOf(st, o).view(st.node).attempt(o.to) == nil {
				return nil
			}
			return []sent{o, o}
		})
	}},
	{name: "an exhausted call that is called busy", clause: "", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		return instead(out, func(o sent) []sent {
			if !upstreamFinal(st, o, "503") || !strings.Contains(o.text, ";tag=td") {
				return nil
			}
			return []sent{{o.to, strings.Replace(o.text, "503", "486", 1)}}
		})
	}},
	{name: "timers that do not fire", clause: "", without: simNoExcuse | simLoss, late: true, change: func(st *simStep, out []sent) []sent {
		if st.in != nil || st.node.w.now < simStart+7*int64(60*second) {
			return nil
		}
		st.node.w.now += 10 * int64(60*second)
		return out
	}},
	{name: "a request of a dialog is lost", clause: "goes to its next hop", without: simNoExcuse, change: func(_ *simStep, out []sent) []sent {
		return without(out, func(o sent) bool { return strings.HasPrefix(o.text, "BYE ") })
	}},
	{name: "a response of a dialog is lost", clause: "goes on", without: simNoExcuse, change: func(_ *simStep, out []sent) []sent {
		return without(out, func(o sent) bool { return strings.Contains(o.text, " BYE\r\n") && strings.HasPrefix(o.text, "SIP/2.0") })
	}},
	{name: "a call that is never forgotten", clause: "no transaction outlives", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		if st.view == nil {
			return nil
		}
		st.node.r.stripes[0].add(1 << 60)
		return out
	}},
	{name: "a buffer that is free twice", clause: "memory", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		for _, stripe := range st.node.r.stripes {
			for class := range stripe.buffers.shelves {
				if s := &stripe.buffers.shelves[class]; len(s.free) > 0 {
					s.put(s.free[0])
					return out
				}
			}
		}
		return nil
	}},
	{name: "a record that is wrong", clause: "Recent", without: simNoExcuse, change: func(st *simStep, out []sent) []sent {
		for _, stripe := range st.node.r.stripes {
			if len(stripe.ended.slots) > 0 {
				stripe.ended.slots[0].status++
				return out
			}
		}
		return nil
	}},
}

// TestSimShrinks finds that a failing seed is cut down to the one call and the
// one feature that it fails by.
func TestSimShrinks(t *testing.T) {
	seed := simSeed{number: 0}
	run := func(s simSeed) *simViolation {
		v, _ := simRun(s, nil, func(st *simStep, out []sent) []sent {
			if st.call == nil || st.call.index != 8 {
				return out
			}
			return slices.DeleteFunc(slices.Clone(out), func(o sent) bool { return strings.HasPrefix(o.text, "CANCEL ") || upstreamFinal(st, o, "") })
		})
		return v
	}
	v := run(seed)
	require.NotNil(t, v)
	small := simShrink(seed, v, run)
	require.Equal(t, []int{8}, small.only)
	require.Zero(t, newSimSettings(small).on, "no feature is needed")
}

// TestSimIsTheSameEachTime runs seeds twice: what fails can be looked at again.
func TestSimIsTheSameEachTime(t *testing.T) {
	for number := range uint64(10) {
		var texts [2]string
		for i := range texts {
			trace := new(simTrace)
			v, _ := simRun(simSeed{number: number}, trace, nil)
			require.Nil(t, v)
			var b strings.Builder
			for _, l := range trace.lines {
				b.WriteString(l.text)
				b.WriteByte('\n')
			}
			texts[i] = b.String()
		}
		require.True(t, texts[0] == texts[1], "seed %d", number)
	}
}

// upstreamFinal reports whether o is the final response of an INVITE whose
// status begins so, of the call that the step is about.
func upstreamFinal(st *simStep, o sent, status string) bool {
	return st.view != nil && st.view.invite() && o.to == st.call.from && strings.HasPrefix(o.text, "SIP/2.0 "+status) &&
		strings.Contains(o.text, "CSeq: 1 INVITE")
}

func callOf(st *simStep, o sent) *simCall {
	m := parse(o.text)
	return st.node.w.byID[string(m.Bytes(m.CallID))]
}

// elsewhere is a host that o was not sent to.
func elsewhere(st *simStep, o sent) netip.AddrPort {
	for _, h := range st.node.w.hosts {
		if h.addr != o.to {
			return h.addr
		}
	}
	return o.to
}

// without is out but for the first that is meant; nil when none is.
func without(out []sent, meant func(sent) bool) []sent {
	return instead(out, func(o sent) []sent {
		if meant(o) {
			return []sent{}
		}
		return nil
	})
}

// instead is out with something else for the first that change has a word on.
func instead(out []sent, change func(sent) []sent) []sent {
	for i, o := range out {
		if other := change(o); other != nil {
			return append(append(append([]sent{}, out[:i]...), other...), out[i+1:]...)
		}
	}
	return nil
}
