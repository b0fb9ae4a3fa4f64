package router

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFailed(t *testing.T) {
	for _, c := range []struct {
		call CallRecord
		want bool
	}{
		{CallRecord{Outcome: "answered", Status: 200}, false},
		{CallRecord{Outcome: "refused", Status: 486}, false},
		{CallRecord{Outcome: "refused", Status: 603}, false},
		{CallRecord{Outcome: "refused", Status: 503}, true},
		{CallRecord{Outcome: "exhausted", Status: 503}, true},
		{CallRecord{Outcome: "exhausted", Status: 480}, true},
		{CallRecord{Outcome: "timeout", Status: 408}, true},
		{CallRecord{Outcome: "rejected", Status: 404}, true},
		{CallRecord{Outcome: "cancelled", Status: 487, Progress: 20}, false},
		{CallRecord{Outcome: "cancelled", Status: 487}, true},
	} {
		require.Equal(t, c.want, c.call.Failed(), c.call)
	}
	require.Equal(t, strings.Repeat("x", maxCallID), KeptCallID(strings.Repeat("x", 200)))
	require.Equal(t, "x", KeptCallID("x"))
}

// What happens instead, when no host would be tried.
func TestExplainVerdict(t *testing.T) {
	p := twoRegions()
	p.Trunks = append(p.Trunks, Trunk{Name: "hole", Refused: true, Untrusted: Drop}, Trunk{Name: "told", Refused: true})
	g := newRig(t, p)
	verdict := func(trunk string) string {
		ex, err := g.r.Explain("+15550000001", trunk, g.now)
		require.NoError(t, err)
		return ex.Verdict
	}
	require.Empty(t, verdict(""))
	require.Equal(t, "the trunk is untrusted: its calls are dropped", verdict("hole"))
	require.Equal(t, "the trunk is untrusted: its calls are answered 403", verdict("told"))
	g.r.Drain()
	require.Equal(t, "the node is about to stop: new calls are answered 503", verdict("carrier"))

	p.Catalog.Groups[0].Connectors = nil
	g = newRig(t, p)
	require.Equal(t, "there is no host to try: calls are answered 503", verdict(""))
}
