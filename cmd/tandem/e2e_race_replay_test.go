//go:build linux

package main_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Races in which other proxies have lost calls, played again: with tandem, and,
// where it is installed, with Kamailio.

// replay is one call that went wrong elsewhere. The proxy gives an attempt up
// after 300 ms of silence and 500 ms of nothing but 100.
type replay struct {
	name    string
	invited func(first, second *peer) func(*leg)
	cancels time.Duration // when the caller hangs up; 0: it does not
	final   int           // what the caller has to get
	answers string        // whose 2xx it has to be, "first" or "second"
}

// What was seen there: a 200 came 31 ms after its branch had timed out.
const late = 31 * time.Millisecond

var replays = []replay{
	{
		name: "OpenSIPS#4257: a 200 after CANCEL and the next attempt", final: 200, answers: "first",
		invited: func(first, second *peer) func(*leg) { return lateAnswer(first, 100, 200) },
	},
	{
		name: "OpenSIPS#4257, of a connector that had said nothing", final: 200, answers: "first",
		invited: func(first, second *peer) func(*leg) { return lateAnswer(first, 0, 200) },
	},
	{
		name: "OpenSIPS#4257, and the next connector is busy", final: 200, answers: "first",
		invited: func(first, second *peer) func(*leg) { return lateAnswer(first, 100, 486) },
	},
	{
		name: "kamailio#4881: the caller cancels, then the first provisional comes", final: 487, cancels: 100 * time.Millisecond,
		invited: func(first, second *peer) func(*leg) {
			return func(g *leg) { g.after(200*time.Millisecond, func() { g.respond(180) }) }
		},
	},
	{
		name: "kamailio#4881, after the caller was told 487", final: 487, cancels: 100 * time.Millisecond,
		invited: func(first, second *peer) func(*leg) {
			return func(g *leg) { g.after(700*time.Millisecond, func() { g.respond(180) }) }
		},
	},
	{
		name: "kamailio#4881, of an attempt that was given up", final: 200, answers: "second",
		invited: func(first, second *peer) func(*leg) {
			return func(g *leg) {
				if g.host == first {
					g.after(500*time.Millisecond, func() { g.respond(180) }) // it is cancelled, and says 487
					return
				}
				g.respond(180)
				g.after(600*time.Millisecond, func() { g.respond(200) })
			}
		},
	},
	{
		name: "a 503 after its attempt was given up", final: 200, answers: "second",
		invited: func(first, second *peer) func(*leg) {
			return func(g *leg) {
				if g.host == first {
					g.after(400*time.Millisecond, func() { g.respond(503) })
					return
				}
				g.respond(180)
				g.after(600*time.Millisecond, func() { g.respond(200) })
			}
		},
	},
}

// lateAnswer: the first connector answers when it has been given up, although
// it is cancelled; the second one rings, and has a final answer too if it is let.
func lateAnswer(first *peer, says, second int) func(*leg) {
	return func(g *leg) {
		if g.host == first {
			g.deaf = true
			if says != 0 {
				g.respond(says)
			}
			return
		}
		g.respond(180)
		one := g.legs[0]
		g.after(late, func() { one.respond(200) })
		g.after(1500*time.Millisecond, func() { g.respond(second) })
	}
}

// run plays it through a proxy and returns what is wrong, and the story.
func (r *replay) run(l *lab, proxy netip.AddrPort) (wrong []string, story string) {
	s := l.stage("127.0.0.2", proxy)
	first, second := s.connector(l.addr("127.0.0.11")), s.connector(l.addr("127.0.0.12"))
	p := s.call("+15550000001", script{hold: 100 * time.Millisecond, invited: r.invited(first, second), patience: 8 * time.Second})
	if r.cancels > 0 {
		p.after(r.cancels, p.hangUp)
	}
	s.run.Wait()
	time.Sleep(1200 * time.Millisecond) // late responses and what they bring
	wrong = p.check()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.finals) > 0 && p.finals[0].status != r.final {
		wrong = append(wrong, fmt.Sprintf("the caller got %d, and not %d", p.finals[0].status, r.final))
	}
	for _, g := range p.legs {
		if len(p.finals) > 0 && p.finals[0].tag == g.tag() && r.answers != "" && (g.host == first) != (r.answers == "first") {
			wrong = append(wrong, "it got the answer of the wrong connector")
		}
		if g.host == second && r.answers == "first" && g.cancelled.IsZero() {
			wrong = append(wrong, "the second attempt was not cancelled")
		}
	}
	return wrong, p.story()
}

// replayed gives the first connector so long, and the second one time.
var replayed = strings.Replace(twoConnectors, `"sip:127.0.0.12:5060"}]`, `"sip:127.0.0.12:5060"}], failover: {first_response: 5s, progress: 9s}`, 1) +
	"health: {probe: false}\nfailover: {first_response: 300ms, progress: 500ms}\n"

func TestE2E_ReplaysOfLostCalls(t *testing.T) {
	t.Parallel()
	for _, r := range replays {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			n := l.serve(replayed)
			wrong, story := r.run(l, n.addr)
			require.Empty(t, wrong, story)
			t.Log(story)
		})
	}
}

// The same calls through Kamailio. This tells what it does and asks nothing of
// it but a plain call.
func TestPeer_ReplaysOfLostCalls(t *testing.T) {
	t.Parallel()
	needKamailio(t, "tm.so")
	version, err := exec.Command("kamailio", "-v").Output()
	require.NoError(t, err)
	t.Logf("%s", strings.SplitN(string(version), "\n", 2)[0])
	plain := replay{name: "a plain call", final: 200, answers: "first", invited: func(*peer, *peer) func(*leg) {
		return func(g *leg) {
			g.respond(180)
			g.respond(200)
		}
	}}
	for _, r := range append([]replay{plain}, replays...) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			wrong, story := r.run(l, l.kamailio())
			if len(wrong) == 0 {
				wrong = []string{"nothing is wrong"}
			}
			t.Logf("%s:\n%s\n%s", r.name, strings.Join(wrong, "\n"), story)
			if r.name == plain.name {
				require.Equal(t, []string{"nothing is wrong"}, wrong)
			}
		})
	}
}

// kamailio starts one at the lab's first address, with the config of the replays.
func (l *lab) kamailio() netip.AddrPort {
	l.t.Helper()
	addr := l.addr("127.0.0.1")
	l.startKamailio(l.kamailioConfig(map[string]string{"kamailio.cfg": "replay.cfg"}, "REPLAY_LISTEN", addr.String(),
		"REPLAY_FIRST", l.addr("127.0.0.11").Addr().String(), "REPLAY_SECOND", l.addr("127.0.0.12").Addr().String()), addr)
	return addr
}
