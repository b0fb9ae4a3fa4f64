package health

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

var update = flag.Bool("update", false, "write TRANSITIONS.md anew")

// example is a host with something behind it.
type example struct {
	name string
	s    Status
	now  int64
}

// after is a host that saw things, one a second, and then nothing for a while.
func after(name string, wait time.Duration, seen ...[]Observation) example {
	s, now := play(join(seen...)...)
	now += int64(wait)
	return example{name, s.At(now), now}
}

func join(seen ...[]Observation) (all []Observation) {
	for _, s := range seen {
		all = append(all, s...)
	}
	return all
}

func obs(seen ...Observation) []Observation { return seen }

// happening is something that can be seen of a host next.
type happening struct {
	name string
	seen Observation
}

var happenings = []happening{
	{"OPTIONS answered, not with a down code or 503", ok200},
	{"OPTIONS answered 503", ok503},
	{"OPTIONS not answered, undeliverable, or a down code", silent},
	{"call answered", callOK},
	{"call answered by a detour: over TCP, by a host over UDP", callDetour},
	{"100 to a call", callTrying},
	{"call not answered", callSilent},
	{"call undeliverable (ICMP)", callICMP},
	{"nothing but 100 to a call", callStuck},
	{"nothing but 100 to several calls that wait, for longer than `stall`", callsStall},
	{"call failed with a code, the number that failed last", callFailed(2)},
	{"call failed with a code, another number", callFailed(9)},
	{"503 to a call", callFull},
	{"503 to a call, Retry-After: 5", callFullFor(5 * time.Second)},
}

// chapters are the states and what may be behind each.
func chapters() []struct {
	title, text string
	set         *catalog.Health
	examples    []example
} {
	dead, back := times(3, silent), times(2, ok200)
	ejected := join(times(4, callFull), obs(callFailed(1), callFailed(2))) // 2 failed last
	type chapters = []struct {
		title, text string
		set         *catalog.Health
		examples    []example
	}
	return chapters{
		{"Up", "Tried in its place.", probing(), []example{
			after("nothing against it", 0, obs(ok200)),
			after("2 probes failed", 0, times(2, silent)),
			after("4 calls failed, by what speaks against the host", 0, times(4, callFull)),
			after("calls to one number failed with a code", 0, times(9, callFailed(2))),
			after("2 pairs of calls to different numbers failed with a code", 0, obs(callFailed(1), callFailed(2), callFailed(1), callFailed(2))),
		}},
		{"Recovering", "Tried in its place, with a share of its calls that grows from 5 % to the whole over `slow_start`. After that it is up.", probing(), []example{
			after("back from down", 0, dead, back),
			after("back from ejected", 0, ejected, obs(at(callOK, 20))),
			after("2 probes failed since", 0, dead, back, times(2, silent)),
			after("4 calls failed since", 0, dead, back, times(4, callFull)),
		}},
		{"Doubtful", "Tried behind the hosts that are up.", probing(), []example{
			after("a call undeliverable", 0, obs(callICMP)),
			after("a call not answered, `doubt_hold` not over", 0, obs(callSilent)),
			after("the same, `doubt_hold` over", 10*time.Second, obs(callSilent)),
			after("the same, 2 probes failed", 0, obs(callSilent), times(2, silent)),
			after("calls stalled, `doubt_hold` not over", 0, obs(callsStall)),
			after("4 calls not answered", 0, times(4, callSilent)),
			after("a call not answered while recovering", 10*time.Second, dead, back, obs(callSilent)),
		}},
		{"Full", "Tried behind the doubtful ones.", probing(), []example{
			after("503 to OPTIONS", 0, obs(ok503)),
			after("Retry-After not over", 0, obs(callFullFor(20*time.Second))),
			after("Retry-After, and a call not answered since", 0, obs(callFullFor(20*time.Second), callSilent)),
			after("Retry-After while recovering", 0, dead, back, obs(callFullFor(20*time.Second))),
			after("503 to OPTIONS, and to 4 calls", 0, obs(ok503), times(4, callFull)),
			after("503 to OPTIONS, 2 probes failed", 0, obs(ok503), times(2, silent)),
		}},
		{"Ejected", "Tried behind the full ones; when the time of the ejection is over, one call may try it in its place, and one more each such time.", probing(), []example{
			after("`eject_time` not over", 0, ejected),
			after("over, the number that failed last is known", 10*time.Second, ejected),
			after("over, no call failed with a code", 10*time.Second, times(5, callStuck)),
			after("over, 2 probes failed", 10*time.Second, ejected, times(2, silent)),
		}},
		{"Down", "Tried last of all.", probing(), []example{
			after("no good probe since", 0, dead),
			after("one good probe since", 0, dead, obs(ok200)),
			after("the second time within `flap_window`, one good probe since, `flap_hold` not over", 0, dead, back, dead, obs(ok200)),
			after("the same, `flap_hold` over", 10*time.Second, dead, back, dead, obs(ok200)),
			after("one good probe since, 503 before", 0, obs(ok503), dead, obs(ok503)),
			after("ejected before, one good probe since", time.Minute, ejected, dead, obs(ok200)),
		}},
		{"Without probes", "`probe: false`: nothing takes a host down. A doubtful one may be tried by one call in its place when `doubt_hold` is over, and by one more each such time.", notProbing(), []example{
			without("up", 0),
			without("doubtful, `doubt_hold` not over", 0, callSilent),
			without("doubtful, `doubt_hold` over", 10*time.Second, callICMP),
			without("full, a call not answered since", 0, callFullFor(20*time.Second), callSilent),
		}},
	}
}

// at is a call's event whose call began later than the rest of the example.
func at(o Observation, seconds int64) Observation {
	o.Began = seconds * second
	return o
}

func without(name string, wait time.Duration, seen ...Observation) example {
	var s Status
	now := second
	for _, o := range seen {
		s = Next(s, o, now, notProbing())
		now += second
	}
	now += int64(wait)
	return example{name, s.At(now), now}
}

// became says what came of a host in a few words.
func became(was, is Status) string {
	switch {
	case was.State != is.State:
		return "**" + is.State.String() + "**"
	case was.Ejected && !is.Ejected:
		return "not ejected any more"
	case is.EjectedUntil != was.EjectedUntil:
		return "ejected for " + catalog.Duration(is.EjectHold)
	case is.State == Doubtful && is.DoubtUntil > was.DoubtUntil:
		return "held on"
	case is.Doubt && !was.Doubt:
		return "doubtful beneath"
	case is.FullUntil > was.FullUntil && is.State > Full:
		return "full beneath"
	}
	return "·"
}

// TestTransitions writes down what Next really does with each kind of host.
func TestTransitions(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Health of a host, state by state

Made by a test from the code: ` + "`go test ./health -run TestTransitions -update`" + `. The settings are the defaults: down_after 3,
up_after 2, doubt_hold 10s, eject_after 5, eject_time 10s, stall 4s, slow_start 30s, flap_hold 10s.

Facts are kept apart, and the state is the worst of them: down, ejected, full, doubtful, recovering, up. Each table is
a state; its columns are what may be behind it, its rows what is seen next. A dot: the state stays. "held on": it stays
doubtful, for ` + "`doubt_hold`" + ` from now. "beneath": a fact that shows when the worse one is over. The last row is time alone, an hour of it without anything being seen.

`)
	for _, c := range chapters() {
		b.WriteString("## " + c.title + "\n\n" + c.text + "\n\n|")
		for _, e := range c.examples {
			if c.title != "Without probes" {
				require.Equal(t, strings.ToLower(c.title), e.s.State.String(), e.name)
			}
			b.WriteString(" | " + e.name)
		}
		b.WriteString(" |\n|---" + strings.Repeat("|---", len(c.examples)) + "|\n")
		for _, h := range happenings {
			if !c.set.Probe && h.seen.Event <= ProbeUnreachable {
				continue
			}
			b.WriteString("| " + h.name)
			for _, e := range c.examples {
				is := Next(e.s, h.seen, e.now, c.set)
				invariants(t, is, e.now, c.set)
				b.WriteString(" | " + became(e.s, is))
			}
			b.WriteString(" |\n")
		}
		b.WriteString("| nothing, for an hour")
		for _, e := range c.examples {
			_, h := newHost(c.set)
			h.status = e.s
			h.word.Store(uint64(pack(&e.s, !c.set.Probe)))
			v := h.View(e.now + int64(time.Hour))
			text := became(e.s, e.s.At(e.now+int64(time.Hour)))
			if v.Trial {
				text = strings.TrimPrefix(text+", a trial call", "·, ")
			}
			b.WriteString(" | " + text)
		}
		b.WriteString(" |\n\n")
	}
	got := strings.TrimSuffix(b.String(), "\n")
	const file = "TRANSITIONS.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "write it anew with -update, and read the difference")
	for _, s := range States {
		require.Contains(t, got, fmt.Sprintf("**%s**", s), "something leads to each state")
	}
}
