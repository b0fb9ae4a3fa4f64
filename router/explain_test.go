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

// golden writes an explanation as text, a line for each step.
func golden(e Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "number %s entry %s kind %s group %s connector %s\n", e.Number, e.Entry, e.Kind, e.Group, e.Connector)
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "%d %s %s %s %s: %s\n", s.Place, s.Connector, s.Region, s.Host, s.Health, s.Reason)
	}
	return b.String()
}

func explained(t *testing.T) *rig {
	drained := hostN(1, 3, 1, 1)
	drained.State = catalog.Draining
	off := connectorOf("off", "us-east-1", hostN(4, 1, 1, 1))
	off.State = catalog.Disabled
	own := connectorOf("west", "us-west-2", hostN(2, 1, 1, 5), hostN(1, 1, 2, 1))
	own.Numbers = []catalog.Numbers{{Kind: catalog.Exact, First: "+15550009999"}}
	p := twoRegions()
	p.Catalog.Connectors = []catalog.Connector{
		connectorOf("east", "us-east-1", hostN(1, 1, 1, 10), hostN(1, 2, 2, 1), drained), own, off,
		connectorOf("far", "eu-west-1", ranked(3, 4)...),
	}
	p.Catalog.Groups[0].Connectors = []catalog.Member{
		{Connector: "east", Priority: 1}, {Connector: "west", Priority: 2}, {Connector: "off", Priority: 3}, {Connector: "far", Priority: 4},
	}
	p.Catalog.Groups[0].Numbers = append(p.Catalog.Groups[0].Numbers,
		catalog.Numbers{Kind: catalog.Range, First: "+15550001000", Last: "+15550001999"},
		catalog.Numbers{Kind: catalog.Prefix, First: "+1555100"})
	return newRig(t, p)
}

func TestExplain(t *testing.T) {
	g := explained(t)
	require.Equal(t, `number +15550000001 entry +15550000001 kind exact group support connector 
1 east us-east-1 sip:203.0.1.1:5060 up: connector priority 1, host priority 1, weight 10
2 east us-east-1 sip:203.0.1.2:5060 up: connector priority 1, host priority 2, weight 1
3 west us-west-2 sip:203.0.2.1:5060 up: connector priority 2, host priority 1, weight 5
4 far eu-west-1 sip:203.0.3.1:5060 up: connector priority 4, host priority 1, weight 1
5 far eu-west-1 sip:203.0.3.2:5060 up: connector priority 4, host priority 2, weight 1
6 far eu-west-1 sip:203.0.3.3:5060 up: connector priority 4, host priority 3, weight 1
0 east us-east-1 sip:203.0.1.3:5060 up: host is draining
0 west us-west-2 sip:203.0.1.1:5060 up: same address as a host that is tried already
0 off us-east-1 sip:203.0.4.1:5060 not probed: connector is disabled
0 far eu-west-1 sip:203.0.3.4:5060 up: max_attempts (6) is reached before it
`, golden(explanation(t, g, "+1-555-000-0001")))
}

func TestExplainHealth(t *testing.T) {
	g := explained(t)
	g.observe(1, 1, silentCall)
	g.observe(1, 2, fullProbe)
	for range 3 {
		g.observe(2, 1, failed)
	}
	require.Equal(t, []string{
		"1 far eu-west-1 sip:203.0.3.1:5060 up: connector priority 4, host priority 1, weight 1",
		"2 far eu-west-1 sip:203.0.3.2:5060 up: connector priority 4, host priority 2, weight 1",
		"3 east us-east-1 sip:203.0.1.1:5060 doubtful: connector priority 1, host priority 1, weight 10; doubtful (no answer to a call): behind every healthier host",
		"4 east us-east-1 sip:203.0.1.2:5060 full: connector priority 1, host priority 2, weight 1; full (answer to OPTIONS (503)): behind every healthier host",
		"5 far eu-west-1 sip:203.0.3.3:5060 up: connector priority 4, host priority 3, weight 1",
		"6 far eu-west-1 sip:203.0.3.4:5060 up: connector priority 4, host priority 4, weight 1",
		"0 east us-east-1 sip:203.0.1.3:5060 up: host is draining",
		"0 west us-west-2 sip:203.0.2.1:5060 down: max_attempts (6) is reached before it",
	}, strings.Split(golden(explanation(t, g, "+15550001500")), "\n")[1:9])
}

func TestExplainTrial(t *testing.T) {
	g := explained(t)
	g.judge(catalog.Health{UpAfter: 1, DownAfter: 1})
	g.observe(1, 1, silentCall)
	g.now += int64(health.DoubtHold + time.Second)
	lines := strings.Split(golden(explanation(t, g, "+15550000001")), "\n")
	require.Equal(t, "1 east us-east-1 sip:203.0.1.1:5060 doubtful: connector priority 1, host priority 1, weight 10; doubtful (no answer to a call): one call may try it", lines[1])
	require.Equal(t, []string{"203.0.1.1:5060"}, []string{g.from(caller, invite())[1].to.String()}, "and to explain takes no trial away")
}

func TestExplainAConnectorsOwnNumber(t *testing.T) {
	g := explained(t)
	lines := strings.Split(golden(explanation(t, g, "+15550009999")), "\n")
	require.Equal(t, "number +15550009999 entry +15550009999 kind exact group support connector west", lines[0])
	require.Equal(t, "1 west us-west-2 sip:203.0.2.1:5060 up: the number's own connector, host priority 1, weight 5", lines[1])
}

func TestExplainEntries(t *testing.T) {
	g := explained(t)
	for number, want := range map[string]string{
		"+15550001500": "+15550001000-+15550001999", "+15551009": "+1555100*", "+15550000001": "+15550000001", "+4930": "", "": "", "@": "",
	} {
		require.Equal(t, want, explanation(t, g, number).Entry, number)
	}
}

func explanation(t *testing.T, g *rig, number string) Explanation {
	t.Helper()
	ex, err := g.r.Explain(number, "", g.now)
	require.NoError(t, err)
	return ex
}
