//go:build linux

package main_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// A call that fails over, then one to nowhere, as an operator sees them.
func TestE2E_Calls(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	caller, first, second := l.peer("127.0.0.2"), l.peer("127.0.0.11"), l.peer("127.0.0.12")
	n := l.serve(twoConnectors)
	out, code := run(t, "calls", "--admin", n.admin)
	require.Equal(t, 1, code)
	require.Contains(t, out, "no call matches")

	d := caller.call(n.addr, "+15550000001").start()
	first.answer(first.expect("INVITE"), 503, "Service Unavailable")
	second.pickUp()
	first.expect("ACK")
	caller.expect("180 INVITE")
	d.established()
	second.expect("ACK")
	caller.call(n.addr, "+4930").start().fails(404)

	out, code = run(t, "calls", "--admin", n.admin)
	require.Equal(t, 0, code, out)
	require.Regexp(t, `^\S+ \S+  \+15550000001  \S+ \(`+regexp.QuoteMeta(caller.addr.String())+`\) -> \S+  answered 200 after [0-9.]+ m?s, on attempt 2 of 2
  1  \S+ +\S+ +sip:`+regexp.QuoteMeta(l.place("127.0.0.11"))+`:5060  \+0\.\d\d s  failed with 503 Service Unavailable after [0-9.]+ m?s: tried the next
  2  \S+ +\S+ +sip:`+regexp.QuoteMeta(l.place("127.0.0.12"))+`:5060  \+0\.\d\d s  ringing after [0-9.]+ m?s, answered 200 after [0-9.]+ m?s
  call-id \S+

\S+ \S+  \+4930  .*  REJECTED with 404 Not Found: .*
  call-id \S+
$`, out)

	out, code = run(t, "calls", "--admin", n.admin, "--failed", "--json")
	require.Equal(t, 0, code, out)
	require.Regexp(t, `^\{.*"number":"\+4930".*\}\n$`, out)

	out, code = run(t, "explain", "--admin", n.admin, "+1-555-000-0001")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "number   +15550000001\nmatches  +15550000001 (exact)\nroute    group support\n")
	require.Regexp(t, `(?m)^  1  first +\S+ +sip:`+regexp.QuoteMeta(l.place("127.0.0.11"))+`:5060  (up|doubtful|full|down) +\S`, out)
	out, code = run(t, "explain", "--admin", n.admin, "--trunk", "nobody", "+15550000001")
	require.Equal(t, 1, code)
	require.Contains(t, out, `there is no trunk "nobody"`)
}
