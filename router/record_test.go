package router

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// writeLog writes what the router has to log so far.
func (g *rig) writeLog() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.r.RunLog(ctx)
}

// logged is a rig whose log lines can be read.
func logged(t *testing.T, p Policy) (g *rig, lines func() []map[string]any) {
	var text bytes.Buffer
	g = newRig(t, p, func(o *Options) { o.Log = slog.New(slog.NewJSONHandler(&text, nil)) })
	return g, func() (all []map[string]any) {
		g.writeLog()
		for d := json.NewDecoder(&text); d.More(); {
			var line map[string]any
			require.NoError(t, d.Decode(&line))
			delete(line, "time")
			all = append(all, line)
		}
		return all
	}
}

func TestLogNamesEveryAttempt(t *testing.T) {
	g, lines := logged(t, threeHosts())
	all := g.from(caller, invite())
	g.now += int64(10 * time.Millisecond)
	all = g.from(all[1].to, respond(all[1], 503))
	second := all[1]
	all = g.pass(2 * time.Second)
	third := all[len(all)-1]
	g.now += int64(1500 * time.Microsecond)
	g.from(third.to, respond(third, 200))
	require.Equal(t, []map[string]any{{
		"level": "INFO", "msg": "call failed over",
		"number": "+15550000001", "route": "support", "trunk": "carrier", "method": "INVITE", "call_id": "call-1@192.0.2.10",
		"outcome": "answered", "status": 200.0, "took_ms": 2011.5, "source": "192.0.2.10:5060",
		"attempts": []any{
			map[string]any{"connector": "east", "region": "us-east-1", "host": "sip:203.0.113.1:5060", "outcome": "failed", "status": 503.0,
				"start_ms": 0.0, "first_response_ms": 10.0, "end_ms": 10.0},
			map[string]any{"connector": "east", "region": "us-east-1", "host": "sip:203.0.113.2:5060", "outcome": "silent",
				"start_ms": 10.0, "end_ms": 2010.0},
			map[string]any{"connector": "west", "region": "us-west-2", "host": "sip:203.0.113.11:5060", "outcome": "answered", "status": 200.0,
				"start_ms": 2010.0, "first_response_ms": 2011.5, "end_ms": 2011.5},
		},
	}}, lines())
	require.Equal(t, "203.0.113.2:5060", second.to.String())
}

// threeHosts has two hosts in the first connector, in this order.
func threeHosts() Policy {
	p := twoRegions()
	second := hostAt(east2)
	second.Priority = 2
	p.Catalog.Connectors[0].Hosts = append(p.Catalog.Connectors[0].Hosts, second)
	return p
}

func TestLogOfACallThatFailed(t *testing.T) {
	g, lines := logged(t, twoRegions())
	all := g.from(east1, respond(g.call(), 503))
	g.from(west1, respond(all[1], 500))
	all2 := lines()
	require.Len(t, all2, 1)
	require.Equal(t, []any{"WARN", "call failed", "exhausted", 503.0},
		[]any{all2[0]["level"], all2[0]["msg"], all2[0]["outcome"], all2[0]["status"]})
}

func TestLogOfALateAnswer(t *testing.T) {
	g, lines := logged(t, twoRegions())
	first := g.call()
	g.pass(2100 * time.Millisecond)
	g.from(east1, respond(first, 200))
	all := lines()
	require.Len(t, all, 1)
	attempts := all[0]["attempts"].([]any)
	require.Equal(t, "answered", attempts[0].(map[string]any)["outcome"])
	require.Equal(t, "pending", attempts[1].(map[string]any)["outcome"])
}

func TestLogIsSilentAboutCallsThatWentWell(t *testing.T) {
	g, lines := logged(t, twoRegions())
	g.from(east1, respond(g.call(), 200))
	other := newRig(t, twoRegions())
	other.from(east1, respond(other.call(), 486))
	require.Empty(t, lines())
}

func TestLogOfALongCallID(t *testing.T) {
	g, lines := logged(t, twoRegions())
	all := g.from(caller, invite("Call-ID: "+strings.Repeat("x", 1000)))
	all = g.from(east1, respond(all[1], 503))
	g.from(west1, respond(all[1], 503))
	require.Equal(t, strings.Repeat("x", maxCallID), lines()[0]["call_id"])
}

func TestLogOverflowIsCounted(t *testing.T) {
	g := newRig(t, twoRegions())
	for range recordRoom + 5 {
		g.r.offer(record{})
	}
	require.Equal(t, map[string]uint64{"log_overflow": 5}, g.counts(CountDrops))
}
