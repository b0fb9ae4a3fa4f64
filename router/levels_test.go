package router

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// first is a level's word on first_response and max_attempts: one value of an
// attempt, one of the whole call.
func first(d time.Duration, attempts int) catalog.FailoverPart {
	p := catalog.FailoverPart{Values: catalog.Failover{FirstResponse: d, MaxAttempts: attempts}}
	if d != 0 {
		p.Set |= catalog.FieldFirstResponse
	}
	if attempts != 0 {
		p.Set |= catalog.FieldMaxAttempts
	}
	return p
}

// TestLevels: the most specific level that has a word on a value wins, each
// value for itself; a connector's word on the whole call counts for its own
// numbers only.
func TestLevels(t *testing.T) {
	const all, trunk, group, connector = 1, 2, 4, 8
	for set := range 16 {
		p := twoRegions()
		p.Catalog.Connectors[0].Numbers = []catalog.Numbers{{Kind: catalog.Exact, First: "+15550009999"}}
		wantFirst, wantMost, wantOwn := 2*time.Second, 6, 6
		wantFrom, wantMostFrom, wantOwnFrom := "default", "default", "default"
		say := func(bit int, part *catalog.FailoverPart, from string) {
			if set&bit == 0 {
				return
			}
			*part = first(time.Duration(bit)*100*time.Millisecond, bit)
			wantFirst, wantFrom = part.Values.FirstResponse, from
			wantOwn, wantOwnFrom = bit, from
			if bit != connector {
				wantMost, wantMostFrom = bit, from
			}
		}
		if set&all != 0 {
			p.Failover.FirstResponse, p.Failover.MaxAttempts = 100*time.Millisecond, 1
			p.FailoverSet = catalog.FieldFirstResponse | catalog.FieldMaxAttempts
			wantFirst, wantMost, wantOwn = 100*time.Millisecond, 1, 1
			wantFrom, wantMostFrom, wantOwnFrom = "global", "global", "global"
		}
		say(trunk, &p.Trunks[0].Failover, "trunk carrier")
		say(group, &p.Catalog.Groups[0].Failover, "group support")
		say(connector, &p.Catalog.Connectors[0].Failover, "connector east")
		t.Run(fmt.Sprintf("%04b", set), func(t *testing.T) {
			g := newRig(t, p)
			ex, err := g.r.Explain("+15550000001", "carrier", g.now)
			require.NoError(t, err)
			require.Contains(t, ex.Steps[0].Settings, Setting{"failover.first_response", catalog.Duration(wantFirst), wantFrom})
			require.Contains(t, ex.Settings, Setting{"failover.max_attempts", fmt.Sprint(wantMost), wantMostFrom})
			own, err := g.r.Explain("+15550009999", "carrier", g.now)
			require.NoError(t, err)
			require.Contains(t, own.Settings, Setting{"failover.max_attempts", fmt.Sprint(wantOwn), wantOwnFrom})

			// And calls do what explain says.
			inv := g.call()
			tries := resends(g.pass(wantFirst - 10*time.Millisecond))
			require.Empty(t, tries, "not before its time")
			got := resends(g.pass(30 * time.Millisecond))
			if wantMost == 1 {
				require.Equal(t, []string{"caller 503 INVITE"}, got)
			} else {
				require.Equal(t, []string{"west1 INVITE"}, got)
			}
			_ = inv
		})
	}
}

// resends is what was sent besides retransmissions to east.
func resends(all []sent) (news []string) {
	for _, line := range summary(all) {
		if line != "east1 INVITE" {
			news = append(news, line)
		}
	}
	return news
}

func TestLevelsOfHealth(t *testing.T) {
	p := twoRegions()
	p.HealthSet = catalog.FieldTimeout
	p.Catalog.Groups[0].Health = catalog.HealthPart{Set: catalog.FieldInterval, Values: catalog.Health{Interval: 7 * time.Second}}
	p.Catalog.Connectors[0].Health = catalog.HealthPart{Set: catalog.FieldInterval | catalog.FieldUpAfter, Values: catalog.Health{Interval: 3 * time.Second, UpAfter: 9}}
	g := newRig(t, p)
	hosts := g.r.Hosts()
	require.Equal(t, 3*time.Second, hosts[0].Health.Settings().Interval)
	require.Equal(t, 9, hosts[0].Health.Settings().UpAfter)
	require.Equal(t, 7*time.Second, hosts[1].Health.Settings().Interval)
	require.Equal(t, catalog.DefaultHealth().UpAfter, hosts[1].Health.Settings().UpAfter)
	ex := explanation(t, g, "+15550000001")
	require.Subset(t, ex.Steps[0].Settings, []Setting{
		{"health.interval", "3s", "connector east"}, {"health.up_after", "9", "connector east"},
		{"health.timeout", "1s", "global"}, {"health.down_after", "3", "default"},
	})
	require.Contains(t, ex.Steps[1].Settings, Setting{"health.interval", "7s", "group support"})
}

func TestExplainAnUnknownTrunk(t *testing.T) {
	g := newRig(t, twoRegions())
	_, err := g.r.Explain("+15550000001", "carier", g.now)
	require.ErrorContains(t, err, `there is no trunk "carier"`)
}

func TestExplainTakesTheNumberAsDialled(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].Strip, p.Trunks[0].Prepend = "00", "+"
	g := newRig(t, p)
	ex, err := g.r.Explain("0015550000001", "carrier", g.now)
	require.NoError(t, err)
	require.Equal(t, []string{"+15550000001", "support"}, []string{ex.Number, ex.Group})
}

// A change of policy leaves calls under way with what they began with.
func TestLevelsOfACallUnderWayStay(t *testing.T) {
	g := newRig(t, twoRegions())
	g.call()
	p := twoRegions()
	p.Failover.FirstResponse = 10 * time.Second
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Contains(t, summary(g.pass(2010*time.Millisecond)), "west1 INVITE")
}

// --- setup_budget ---

// fourHosts are connectors of one host each.
func fourHosts() Policy {
	p := deadFirst(3)
	p.Failover.MaxAttempts = 8
	return p
}

// begun is when each attempt began, in milliseconds after the call, and what
// the caller was told in the end.
func begun(g *rig, d time.Duration) (starts []int64, told string) {
	t0 := g.now
	seen := map[string]bool{}
	note := func(all []sent) {
		for _, m := range all {
			switch line := summary([]sent{m})[0]; {
			case strings.HasSuffix(line, " INVITE") && !strings.HasPrefix(line, "caller") && !seen[line]:
				seen[line] = true
				starts = append(starts, (g.now-t0)/milli)
			case strings.HasPrefix(line, "caller") && line != "caller 100 INVITE" && told == "":
				told = strings.Fields(line)[1] + fmt.Sprintf(" at %d", (g.now-t0)/milli)
			}
		}
	}
	note(g.from(caller, invite()))
	for g.now-t0 < int64(d) {
		note(g.pass(10 * time.Millisecond))
	}
	return starts, told
}

func TestSetupBudget(t *testing.T) {
	for _, c := range []struct {
		budget time.Duration
		starts []int64
		told   string
	}{
		{0, []int64{0, 2000, 4000, 6000}, "503 at 8000"},
		{4 * time.Second, []int64{0, 1000, 2000, 3000}, "503 at 4000"},
		{2 * time.Second, []int64{0, 500, 1000, 1500}, "503 at 2000"},
		{1 * time.Second, []int64{0, 500}, "503 at 1000"}, // never less than 500 ms each
		{1100 * time.Millisecond, []int64{0, 500, 1000}, "503 at 1500"},
		{60 * time.Second, []int64{0, 2000, 4000, 6000}, "503 at 8000"}, // first_response is less
	} {
		t.Run(c.budget.String(), func(t *testing.T) {
			p := fourHosts()
			p.Failover.SetupBudget = c.budget
			starts, told := begun(newRig(t, p), 9*time.Second)
			require.Equal(t, c.starts, rounded(starts))
			require.Equal(t, c.told, told)
		})
	}
}

// rounded takes the tick of the timers off.
func rounded(ms []int64) []int64 {
	for i := range ms {
		ms[i] -= ms[i] % 100
	}
	return ms
}

// A connector that says only 100 has its share and no more; one that rings has
// used none of it.
func TestSetupBudgetEndsWithProgress(t *testing.T) {
	p := twoRegions()
	p.Failover.SetupBudget = 3 * time.Second
	g := newRig(t, p)
	inv := g.call()
	g.from(east1, respond(inv, 100))
	require.Empty(t, g.pass(1490*time.Millisecond), "half of 3 s each")
	all := g.pass(30 * time.Millisecond)
	require.Equal(t, []string{"east1 CANCEL", "west1 INVITE"}, summary(all))
	g.from(west1, respond(all[1], 180))
	require.Empty(t, toCaller(g.pass(100*time.Second)), "it rings")
}

func TestSetupBudgetIsOfInvites(t *testing.T) {
	p := twoRegions()
	p.Failover.SetupBudget = time.Second
	g := newRig(t, p)
	g.from(caller, request("MESSAGE", dialled))
	require.NotContains(t, summary(g.pass(1900*time.Millisecond)), "west1 MESSAGE")
}

// --- no_answer and max_ring ---

func TestNoAnswer(t *testing.T) {
	p := twoRegions()
	p.Failover.NoAnswer = 20 * time.Second
	g := newRig(t, p)
	inv := g.call()
	require.Equal(t, []string{"caller 180 INVITE"}, summary(g.from(east1, respond(inv, 180))))
	g.pass(15 * time.Second)
	g.from(east1, respond(inv, 180)) // ringing on does not begin it anew
	require.Empty(t, summary(g.pass(4900*time.Millisecond)))
	all := g.pass(200 * time.Millisecond)
	require.Equal(t, []string{"east1 CANCEL", "west1 INVITE"}, summary(all))
	require.Empty(t, toCaller(g.from(east1, respond(inv, 487))), "ours")
	second := all[1]
	require.Equal(t, []string{"caller 180 INVITE"}, toCaller(g.from(west1, respond(second, 180))))
	require.Empty(t, summary(g.pass(170*time.Second)), "the last one may ring on")
	require.Equal(t, []string{"caller 200 INVITE"}, toCaller(g.from(west1, respond(second, 200))))
}

// The one that was left ringing may answer in the same moment: it has won.
func TestNoAnswerAndALateAnswer(t *testing.T) {
	p := twoRegions()
	p.Failover.NoAnswer = 20 * time.Second
	g := newRig(t, p)
	inv := g.call()
	g.from(east1, respond(inv, 180))
	all := g.pass(20100 * time.Millisecond)
	require.Equal(t, []string{"east1 CANCEL", "west1 INVITE"}, summary(all))
	require.Equal(t, []string{"caller 200 INVITE"}, toCaller(g.from(east1, respond(inv, 200))))
	require.Equal(t, []string{"west1 CANCEL"}, summary(g.from(west1, respond(all[1], 180))))
}

// A failure of the next one goes on to the one after: nothing of it rang yet.
func TestNoAnswerThenAFailure(t *testing.T) {
	p := deadFirst(2)
	p.Failover.NoAnswer = 20 * time.Second
	g := newRig(t, p)
	all := g.from(caller, invite())
	g.from(all[1].to, respond(all[1], 180))
	all = g.pass(20100 * time.Millisecond)
	all = g.from(all[1].to, respond(all[1], 503))
	require.Len(t, all, 2, "ACK and the third")
	require.True(t, strings.HasPrefix(all[1].text, "INVITE"))
}

func TestMaxRing(t *testing.T) {
	p := twoRegions()
	p.Failover.MaxRing = time.Minute
	g := newRig(t, p)
	inv := g.call()
	g.from(east1, respond(inv, 100))
	require.Empty(t, g.pass(10*time.Second), "it does not ring yet")
	for range 5 {
		g.from(east1, respond(inv, 183))
		require.Empty(t, summary(g.pass(11*time.Second)))
	}
	g.from(east1, respond(inv, 183))
	require.Empty(t, g.pass(4900*time.Millisecond))
	require.Equal(t, "east1 CANCEL", summary(g.pass(200 * time.Millisecond))[0])
}

// Nothing is given up that rings for what is in doubt itself.
func TestNoAnswerAndNobodyBetter(t *testing.T) {
	for _, seen := range []health.Observation{{Event: health.CallSilent}, {Event: health.CallFull, Code: 503, RetryAfter: time.Minute}} {
		p := twoRegions()
		p.Failover.NoAnswer = 20 * time.Second
		g := newRig(t, p)
		inv := g.call()
		g.from(east1, respond(inv, 180))
		g.r.Hosts()[1].Health.Observe(g.now+19*second, seen)
		require.Empty(t, g.pass(60*time.Second))
		require.Equal(t, []string{"caller 200 INVITE"}, toCaller(g.from(east1, respond(inv, 200))))
	}
}

// What a trunk's budget cuts short says little about the host: other trunks'
// calls are not sent elsewhere for it, a probe finds out.
func TestSetupBudgetLeavesHealthAlone(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].Failover = catalog.FailoverPart{Set: catalog.FieldSetupBudget, Values: catalog.Failover{SetupBudget: time.Second}}
	g := newRig(t, p)
	g.call()
	require.Contains(t, summary(g.pass(600*time.Millisecond)), "west1 INVITE")
	require.Equal(t, health.Up, g.state("east"))
	require.Equal(t, 1, g.wanted(), "a probe")

	p.Trunks[0].Failover = first(300*time.Millisecond, 0)
	g = newRig(t, p)
	g.call()
	require.Contains(t, summary(g.pass(400*time.Millisecond)), "west1 INVITE")
	require.Equal(t, health.Up, g.state("east"))

	p.Trunks[0].Failover = catalog.FailoverPart{}
	p.Catalog.Groups[0].Failover = first(300*time.Millisecond, 0) // its own operator says that this is silence
	g = newRig(t, p)
	g.call()
	g.pass(400 * time.Millisecond)
	require.Equal(t, health.Doubtful, g.state("east"))
}

// RFC 4320: a non-INVITE has 64·T1 in all, whatever its attempts are given.
func TestRFC4320_NonInviteEndsInTime(t *testing.T) {
	p := twoRegions()
	for i := range p.Catalog.Connectors {
		p.Catalog.Connectors[i].Failover = first(29*time.Second, 0)
	}
	g := newRig(t, p)
	g.from(caller, request("MESSAGE", dialled))
	require.NotContains(t, toCaller(g.pass(28900*time.Millisecond)), "caller 503 MESSAGE")
	all := g.pass(3200 * time.Millisecond)
	require.Contains(t, toCaller(all), "caller 503 MESSAGE")
	require.NotContains(t, summary(all), "west1 MESSAGE")
}

func toCaller(all []sent) (lines []string) {
	for _, l := range summary(all) {
		if strings.HasPrefix(l, "caller") {
			lines = append(lines, l)
		}
	}
	return lines
}
