//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A config is rewritten again and again while SIPp places calls. None of them
// may notice.

const inRange = "+15550001500"

// ranking is a config by what it means for calls.
type ranking struct {
	name    string
	order   []string // connectors, best first
	ranged  bool     // the range that holds inRange is the group's
	mistake bool     // the order names a connector that there is not
}

// What one reload after the other brings. Whoever is removed has calls in
// set-up and calls that are up.
var rankings = []ranking{
	{name: "priorities swapped", order: []string{"second", "first"}},
	{name: "a connector and a range added", order: []string{"third", "second", "first"}, ranged: true},
	{name: "the connector removed", order: []string{"second", "first"}, ranged: true},
	{name: "the range removed and priorities swapped", order: []string{"first", "second"}},
	{name: "the first removed", order: []string{"second"}},
	{name: "added again", order: []string{"second", "first"}},
}

var connectorHosts = map[string]string{"first": "127.0.0.11", "second": "127.0.0.12", "third": "127.0.0.13"}

// config writes the ranking with more top-level keys in front.
func (r ranking) config(more string) string {
	var b strings.Builder
	b.WriteString(more + "connectors:\n")
	for _, c := range r.order {
		fmt.Fprintf(&b, "  - {name: %s, region: %s, hosts: [{uri: \"sip:%s:5060\"}]}\n", c, c, connectorHosts[c])
	}
	b.WriteString("groups:\n  - name: support\n    numbers: [\"+15550000001\"")
	if r.ranged {
		b.WriteString(", \"+15550001000-+15550001999\"")
	}
	b.WriteString("]\n    connectors:\n")
	for i, c := range r.order {
		fmt.Fprintf(&b, "      - {connector: %s, priority: %d}\n", c, i+1)
	}
	if r.mistake {
		b.WriteString("      - {connector: nobody, priority: 9}\n")
	}
	return b.String()
}

// callRecord is what the tests look at of a call in /calls.
type callRecord struct {
	Began    time.Time
	Number   string
	Route    string
	Outcome  string
	Status   int
	Attempts []struct {
		Connector string
		Outcome   string
		Status    int
		Start     float64 `json:"start_ms"`
	}
}

// recent asks /calls for the newest calls to a number that began after since.
func (n *node) recent(number string, since time.Time) []callRecord {
	n.t.Helper()
	resp, err := http.Get("http://" + n.admin + "/calls?last=10000&number=" + url.QueryEscape(number))
	require.NoError(n.t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(n.t, http.StatusOK, resp.StatusCode)
	var all []callRecord
	require.NoError(n.t, json.NewDecoder(resp.Body).Decode(&all))
	return slices.DeleteFunc(all, func(c callRecord) bool { return !c.Began.After(since) })
}

// until waits for what has to come true.
func until(t testing.TB, what string, come func() bool) {
	t.Helper()
	within(t, 4*patience, what, come)
}

func within(t testing.TB, limit time.Duration, what string, come func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !come(); time.Sleep(2 * readyEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// endless starts a caller that places calls until wind ends it.
func (l *lab) endless(scenario, host string, n *node, number string, rate int, args ...string) *sipp {
	l.t.Helper()
	return callerSIPp(l.t, nil, scenario, l.addr(host), n.addr, number, 1_000_000, rate, args...)
}

// wind has a caller begin no more calls, waits for the last of them and returns
// how many there were, all of them good.
func (s *sipp) wind() int {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGUSR1))
	select {
	case <-s.exited:
	case <-time.After(4 * patience):
		s.t.Fatalf("sipp %s still has calls:\n%s", s.scenario, s.out.tail(40))
	}
	require.Equal(s.t, 0, s.stat("FailedCall"), "failed calls:\n%s", s.errors(4000))
	require.Equal(s.t, s.stat("OutgoingCall"), s.stat("SuccessfulCall"), "successful calls:\n%s", s.errors(4000))
	return s.stat("SuccessfulCall")
}

// whole places a call that SIPp answers, and ends it. It returns where the
// answer came from.
func (n *node) whole(caller *peer, number string) (connector string) {
	n.t.Helper()
	d := caller.call(n.addr, number).start()
	caller.expect("180 INVITE")
	d.established()
	d.end()
	return d.target
}

// end sends the BYE and waits for its answer, where nobody plays the callee.
func (d *dialog) end() {
	d.t.Helper()
	d.cseq++
	d.send(d.next(), d.request("BYE", fmt.Sprintf("%sbye%d", d.branch, d.cseq)))
	d.expect("200 BYE")
}

// reloads is the whole test: rate calls a second, and as many of them as stay
// between one reload and the next.
func reloads(t *testing.T, rate, stay int, watch bool) {
	const number = "+15550000001"
	l := newLab(t)
	connectors := map[string]*sipp{}
	for name, host := range connectorHosts {
		connectors[name] = l.sippConnector("connector", host, "-d", "20")
	}
	more := fmt.Sprintf("reload: {watch: %t}\n", watch)
	start := ranking{order: []string{"first", "second"}}
	n := l.serve(start.config(more))
	caller := l.peer("127.0.0.4")
	taken, failed, single := 0.0, 0.0, 0
	metric := func(name string) float64 { return n.metric("^tandem_config_" + name) }
	bring := func(r ranking) (at time.Time) {
		n.rewrite(r.config(more))
		if !watch {
			n.signal(syscall.SIGHUP)
		}
		if r.mistake {
			failed++
		} else {
			taken++
		}
		until(t, r.name, func() bool {
			return metric(`reloads_total{result="taken"}`) == taken && metric(`reloads_total{result="failed"}`) == failed
		})
		return time.Now()
	}
	if watch { // which begins a moment after the start
		for i := 0; metric(`reloads_total{result="taken"}`) == 0; i++ {
			n.rewrite(start.config(fmt.Sprintf("# %d\n", i) + more))
			time.Sleep(time.Second)
		}
		taken = metric(`reloads_total{result="taken"}`)
	}

	load := l.endless("caller", "127.0.0.2", n, number, rate, "-d", "300")
	// follows holds that calls which begin after a reload go where it says, and
	// waits until there were enough of them.
	follows := func(r ranking, since time.Time) {
		t.Helper()
		ended := func() float64 { return n.metric(`^tandem_calls_total{outcome="answered",route="support"}`) }
		enough := ended() + float64(stay)
		until(t, "calls after "+r.name, func() bool { return ended() >= enough })
		calls := n.recent(number, since)
		require.NotEmpty(t, calls, r.name)
		for _, c := range calls {
			require.Equal(t, "answered", c.Outcome, r.name)
			require.Equal(t, r.order[0], c.Attempts[0].Connector, r.name)
		}
		single++
		require.Contains(t, n.whole(caller, number), "sip:"+l.place(connectorHosts[r.order[0]])+":5060", r.name)
	}
	follows(start, time.Now())
	var kept *dialog // a call to a number of the range, which is up when the range goes
	for _, r := range rankings {
		follows(r, bring(r))
		if r.ranged && kept == nil {
			single++
			kept = caller.call(n.addr, inRange).start()
			caller.expect("180 INVITE")
			kept.established()
		}
		out, code := run(t, "explain", "--admin", n.admin, inRange)
		if r.ranged {
			require.Equal(t, 0, code, out)
			require.Contains(t, out, "(range)")
		} else {
			require.Equal(t, 1, code, out)
			caller.call(n.addr, inRange).start().fails(404)
		}
	}
	kept.end()
	require.Equal(t, 1.0, metric("last_reload_successful"))

	// A file with a mistake: everything stays as it is, and says so.
	last := rankings[len(rankings)-1]
	wrong := ranking{name: "a mistake", order: slices.Clone(last.order), mistake: true}
	slices.Reverse(wrong.order)
	since := bring(wrong)
	require.Zero(t, metric("last_reload_successful"))
	require.Equal(t, 1.0, metric(`reloads_total{result="failed"}`))
	text, err := os.ReadFile(n.config)
	require.NoError(t, err)
	line := slices.IndexFunc(strings.Split(string(text), "\n"), func(s string) bool { return strings.Contains(s, "nobody") }) + 1
	said := n.logged(`"msg":"config not reloaded`)
	require.Equal(t, "ERROR", said["level"])
	require.Regexp(t, fmt.Sprintf(`%s:%d: groups\[0\]\.connectors\[2\]\.connector: .*nobody`, regexp.QuoteMeta(n.config), line), fmt.Sprint(said["mistakes"]))
	follows(last, since)
	bring(last)
	require.Equal(t, 1.0, metric("last_reload_successful"))

	calls := load.wind()
	received := 0
	for name, c := range connectors {
		got := c.stop().count("INVITE_Recv")
		t.Logf("%s got %d INVITEs, %d of them again", name, got, c.count("INVITE_Retrans"))
		require.Greater(t, got, 0, name)
		received += got
	}
	t.Logf("%d calls at %d/s, %v reloads and %v failed ones: %d calls failed, %d retransmissions by the caller",
		calls, rate, taken, failed, load.stat("FailedCall"), load.stat("Retransmissions"))
	require.Equal(t, calls+single, received, "each call reaches one connector, once")
}

func TestE2E_ReloadUnderLoad(t *testing.T) {
	t.Parallel()
	for name, watch := range map[string]bool{"SIGHUP": false, "watched": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reloads(t, 100, 50, watch)
		})
	}
}
