package router

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// rejecting is wide with when_all_down: reject.
func rejecting() Policy {
	p := wide()
	p.Catalog.Groups[0].Failover = catalog.FailoverPart{
		Set: catalog.FieldWhenAllDown, Values: catalog.Failover{WhenAllDown: catalog.RejectDown},
	}
	return p
}

// fell has the probes of a host fail.
func (g *rig) fell(i int) {
	for range 3 {
		g.r.Hosts()[i].Health.Observe(g.now, health.Observation{Event: health.ProbeFailed})
	}
}

// ejected has the calls of a host fail.
func (g *rig) ejected(i int) {
	for range 5 {
		g.r.Hosts()[i].Health.Observe(g.now, health.Observation{Event: health.CallFull})
	}
}

func (g *rig) spared() (n uint64) {
	g.r.Counts(func(c Count) {
		if c.Name == CountSpared {
			n += c.Value
		}
	})
	return n
}

const nothingButDown = "all that was left is down or ejected, and when_all_down is reject"

func TestWhenAllDownReject(t *testing.T) {
	for name, ill := range map[string]func(g *rig, i int){"down": (*rig).fell, "ejected": (*rig).ejected} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, rejecting(), func(o *Options) { o.RecentCalls = 1000 })
			ill(g, 0)
			all := g.to("+15550000001", 1)
			require.Equal(t, []string{"caller 100 INVITE", "west1 INVITE"}, summary(all))
			require.Equal(t, []string{"west1 ACK", "caller 503 INVITE"}, summary(g.from(west1, respond(all[1], 503))), "what is ill is not tried")
			last := g.r.Recent(1, nil)[0]
			require.Equal(t, "exhausted", last.Outcome)
			require.Equal(t, nothingButDown, last.Reason)

			ill(g, 1)
			require.Equal(t, []string{"caller 100 INVITE", "caller 503 INVITE"}, summary(g.to("+15550000002", 2)), "at once")
			last = g.r.Recent(1, nil)[0]
			require.Equal(t, "exhausted", last.Outcome)
			require.Equal(t, nothingButDown, last.Reason)
			require.Empty(t, last.Attempts)
			require.Equal(t, uint64(2), g.spared())

			ex, err := g.r.Explain("+15550000001", "", g.now)
			require.NoError(t, err)
			require.Equal(t, nothingButDown+": calls are answered 503", ex.Verdict)
			require.Len(t, ex.Steps, 2)
			for _, s := range ex.Steps {
				require.Zero(t, s.Place)
				require.Contains(t, s.Reason, name+" (")
				require.Contains(t, s.Reason, ", and when_all_down is reject")
			}
			require.Contains(t, ex.Settings, Setting{"failover.when_all_down", "reject", "group support"})

			g.r.Hosts()[1].Health.Observe(g.now+int64(time.Minute), health.Observation{Event: health.CallAnswered})
			for range 2 {
				g.r.Hosts()[1].Health.Observe(g.now, health.Observation{Event: health.ProbeOK, Code: 200})
			}
			g.now += int64(time.Minute)
			if name == "down" {
				require.Equal(t, "west1 INVITE", summary(g.to("+15550000003", 3))[1], "it is back")
			}
		})
	}
}

// An ejected host comes back by a trial call, whatever becomes of others.
func TestWhenAllDownReject_LetsTrialsThrough(t *testing.T) {
	g := newRig(t, rejecting())
	g.ejected(0)
	g.ejected(1)
	require.Equal(t, []string{"caller 100 INVITE", "caller 503 INVITE"}, summary(g.to("+15550000001", 1)))
	g.now += int64(11 * time.Second)
	trial := g.to("+15550000001", 2)
	require.Equal(t, "east1 INVITE", summary(trial)[1])
	require.Equal(t, "west1 INVITE", summary(g.to("+15550000001", 3))[1], "its trial")
	require.Equal(t, []string{"caller 100 INVITE", "caller 503 INVITE"}, summary(g.to("+15550000001", 4)))
	g.from(east1, respond(trial[1], 180))
	require.Equal(t, "east1 INVITE", summary(g.to("+15550000001", 5))[1])
}

// By default all are tried, and nothing is told of what was spared.
func TestWhenAllDownTry(t *testing.T) {
	g := newRig(t, wide(), func(o *Options) { o.RecentCalls = 1000 })
	g.fell(0)
	g.fell(1)
	all := g.to("+15550000001", 1)
	require.Equal(t, "east1 INVITE", summary(all)[1])
	second := g.from(east1, respond(all[1], 503))
	require.Equal(t, "west1 INVITE", summary(second)[1])
	require.Equal(t, []string{"west1 ACK", "caller 503 INVITE"}, summary(g.from(west1, respond(second[1], 503))))
	require.Empty(t, g.r.Recent(1, nil)[0].Reason)
	require.Zero(t, g.spared())
}

// Doubtful and full hosts are tried: they answer, or may.
func TestWhenAllDownReject_TriesTheDoubtfulAndFull(t *testing.T) {
	g := newRig(t, rejecting())
	g.r.Hosts()[0].Health.Observe(g.now, health.Observation{Event: health.ProbeOK, Code: 503})
	g.r.Hosts()[1].Health.Observe(g.now, health.Observation{Event: health.CallSilent})
	all := g.to("+15550000001", 1)
	require.Equal(t, "west1 INVITE", summary(all)[1])
	require.Equal(t, []string{"west1 ACK", "east1 INVITE"}, summary(g.from(west1, respond(all[1], 503))))
}

// A connector's word counts for its own numbers, a group's for its own.
func TestWhenAllDown_Levels(t *testing.T) {
	p := wide()
	p.FailoverSet, p.Failover.WhenAllDown = catalog.FieldWhenAllDown, catalog.RejectDown
	try := catalog.FailoverPart{Set: catalog.FieldWhenAllDown, Values: catalog.Failover{WhenAllDown: catalog.TryDown}}
	p.Catalog.Connectors[0].Failover = try
	p.Catalog.Connectors[0].Numbers = []catalog.Numbers{{Kind: catalog.Exact, First: "100"}}
	g := newRig(t, p)
	g.fell(0)
	g.fell(1)
	require.Equal(t, []string{"caller 100 INVITE", "caller 503 INVITE"}, summary(g.to("+15550000001", 1)))
	require.Equal(t, []string{"caller 100 INVITE", "east1 INVITE"}, summary(g.to("100", 2)))
	p.Catalog.Groups[0].Failover = try
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, []string{"caller 100 INVITE", "east1 INVITE"}, summary(g.to("+15550000001", 3)))
}

func TestWhenAllDownReject_IsLogged(t *testing.T) {
	var text strings.Builder
	g := newRig(t, rejecting(), func(o *Options) { o.Log = slog.New(slog.NewJSONHandler(&text, nil)) })
	g.fell(0)
	g.fell(1)
	g.to("+15550000001", 1)
	ctx, end := context.WithCancel(t.Context())
	end()
	g.r.RunLog(ctx)
	require.Contains(t, text.String(), fmt.Sprintf("%q:%q", "reason", nothingButDown))
}
