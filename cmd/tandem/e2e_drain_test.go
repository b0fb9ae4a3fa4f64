//go:build linux

package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// twoNodeCaller is a caller of two nodes, -set second the other one's address.
// Who is refused with 503, or hears nothing at all, calls the second; so does a
// BYE that nobody answers. What may have to move is sent once: SIPp goes on with
// retransmissions to the new address, and would not begin anything new there.
const twoNodeCaller = `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="caller-two-nodes">
  <Global variables="second"/>
  <send><![CDATA[
INVITE_1
  ]]></send>
  <recv response="503" optional="true" next="refused" timeout="1500" ontimeout="elsewhere"/>
  <recv response="100"/>
  <recv response="180"/>
  <recv response="200" rrs="true"/>
  <send next="talk"><![CDATA[
      ACK [next_url] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      [routes]
      Max-Forwards: 70
      PARTIES
      CSeq: 1 ACK
      Content-Length: 0

  ]]></send>
  <label id="refused"/>
  <send><![CDATA[
      ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch-6]
      Max-Forwards: 70
      PARTIES
      CSeq: 1 ACK
      Content-Length: 0

  ]]></send>
  <label id="elsewhere"/>
  <nop><action><setdest host="[$second]" port="5060" protocol="udp"/></action></nop>
  <send retrans="500"><![CDATA[
INVITE_2
  ]]></send>
  <recv response="100"/>
  <recv response="180"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
      ACK [next_url] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      [routes]
      Max-Forwards: 70
      PARTIES
      CSeq: 2 ACK
      Content-Length: 0

  ]]></send>
  <label id="talk"/>
  <pause/>
  <send><![CDATA[
      BYE [next_url] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      [routes]
      Max-Forwards: 70
      PARTIES
      CSeq: 3 BYE
      Content-Length: 0

  ]]></send>
  <recv response="200" timeout="1500" ontimeout="unheard" next="end"/>
  <label id="unheard"/>
  <nop><action><setdest host="[$second]" port="5060" protocol="udp"/></action></nop>
  <send retrans="500"><![CDATA[
      BYE [next_url] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      [routes]
      Max-Forwards: 70
      PARTIES
      CSeq: 4 BYE
      Content-Length: 0

  ]]></send>
  <recv response="200"/>
  <label id="end"/>
</scenario>
`

const (
	twoNodeInvite = `      INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      Max-Forwards: 70
      From: <sip:+15557654321@[local_ip]:[local_port]>;tag=[pid]c[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>
      Call-ID: [call_id]
      CSeq: N INVITE
      Contact: <sip:+15557654321@[local_ip]:[local_port]>
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=- 1 1 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 8
`
	twoNodeParties = `From: <sip:+15557654321@[local_ip]:[local_port]>;tag=[pid]c[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]`
)

// scenario writes one for SIPp and returns the name that startSIPp takes.
func scenario(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".xml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	dir, err := filepath.Abs(filepath.Join("..", "..", "bench", "sipp"))
	require.NoError(t, err)
	relative, err := filepath.Rel(dir, strings.TrimSuffix(file, ".xml"))
	require.NoError(t, err)
	return relative
}

// rewritten is a scenario of bench/sipp with one thing changed in it.
func rewritten(t testing.TB, name, old, new string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "bench", "sipp", name+".xml"))
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	return strings.Replace(string(text), old, new, 1)
}

// readiness is what /readyz says.
func (n *node) readiness() (code int, text string) {
	resp, err := http.Get("http://" + n.admin + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	page, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(page))
}

// twoNodes are nodes as they stand behind one DNS name or carrier: the same
// secrets, and each takes the other's address in Routes for its own.
const twoNodes = `
secrets: ["0123456789abcdef0123456789abcdef"]
aliases: [127.0.0.1, 127.0.0.3]
drain_timeout: 20s
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:127.0.0.11:5060"}]}
  - {name: second, region: west, hosts: [{uri: "sip:127.0.0.12:5060"}]}
  - {name: slow, region: west, hosts: [{uri: "sip:127.0.0.13:5060"}]}
groups:
  - name: support
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: ["+15550000001"]
  - name: held
    connectors: [{connector: slow, priority: 1}]
    numbers: ["+15550000002"]
`

// drains is the whole test: a node is told to stop at rate calls a second, and
// the caller loses none. It refuses calls for a second, and share calls come
// before that and after it is gone.
func drains(t *testing.T, rate, share int) {
	l := newLab(t)
	first := l.sippConnector(scenario(t, "connector-twice-bye", twiceBye(t)), "127.0.0.11", "-d", "300")
	second := l.sippConnector("connector", "127.0.0.12")
	held, caller := l.peer("127.0.0.13"), l.peer("127.0.0.4")
	n := l.serve(twoNodes)
	other := l.serveFile(l.addr("127.0.0.3"), l.admin(8081), configHead+twoNodes)
	text := strings.NewReplacer("INVITE_1", strings.Replace(twoNodeInvite, "N INVITE", "1 INVITE", 1),
		"INVITE_2", strings.Replace(twoNodeInvite, "N INVITE", "2 INVITE", 1), "PARTIES", twoNodeParties).Replace(twoNodeCaller)
	load := l.endless(scenario(t, "caller-two-nodes", text), "127.0.0.2", n, "+15550000001", rate,
		"-d", "3000", "-set", "second", other.addr.Addr().String())
	answered := func(n *node) float64 {
		return n.metric(`^tandem_calls_total{outcome="answered",route="support"}`)
	}
	until(t, "calls at the first node", func() bool { return answered(n) >= float64(share) })

	ringing := caller.call(n.addr, "+15550000002").start()
	invite := held.expect("INVITE")
	held.answer(invite, 180, "Ringing", held.contact())
	caller.expect("180 INVITE")
	began := time.Now()
	n.signal(syscall.SIGTERM)
	until(t, "draining", func() bool {
		code, text := n.readiness()
		return code == http.StatusServiceUnavailable && text == "draining"
	})
	require.Equal(t, 1.0, n.metric(`^tandem_draining`))
	caller.send(n.addr, caller.ping(n.addr, "drain"))
	caller.expect("503 OPTIONS")
	caller.call(n.addr, "+15550000002").start().fails(503)
	until(t, "new calls are refused", func() bool { return n.metric(`^tandem_rejected_total{reason="draining"}`) >= float64(rate) })
	require.Equal(t, 1.0, n.metric(`^tandem_calls_in_setup`), "the other set-ups finished")
	here := answered(n)
	require.Equal(t, here, n.metric(`^tandem_calls_total`), "no set-up ended otherwise")

	held.answer(invite, 200, "OK", held.contact(), "Content-Type: application/sdp", "\r\n"+sdp)
	ringing.established()
	held.expect("ACK")
	require.Equal(t, 0, n.wait(20*time.Second-time.Since(began)), "within drain_timeout")
	took := time.Since(began)
	require.NotContains(t, n.logs.String(), "ending with calls in set-up")

	// It is gone. Whoever was set up through it ends through the other one.
	ringing.cseq++
	ringing.send(other.addr, ringing.request("BYE", ringing.branch+"bye"))
	held.answer(held.expect("BYE"), 200, "OK")
	ringing.expect("200 BYE")
	there := answered(other)
	until(t, "calls at the second node", func() bool { return answered(other) >= there+float64(share) })

	calls := load.wind()
	moved := load.count("BYE_Sent") - calls
	refused := load.count("503_Recv")
	there = answered(other)
	t.Logf("%d calls at %d/s, %v through the node that stopped, %d refused by it with 503, %v through the other; %d BYEs of calls of the one through the other; 0 failed, %d retransmissions; the node was gone after %v",
		calls, rate, here, refused, there, moved, load.stat("Retransmissions"), took.Round(time.Millisecond))
	require.Equal(t, float64(calls), here+there)
	require.GreaterOrEqual(t, refused, rate)
	require.Greater(t, moved, 0)
	require.Equal(t, calls, first.stop().count("INVITE_Recv"), "each call reaches the connector once")
	require.Equal(t, 0, second.stop().count("INVITE_Recv"))
}

// twiceBye is bench/sipp/connector.xml, but it answers a BYE to where its Via
// says, and not to where the INVITE came from as SIPp does, and takes a second
// one: the answer to the first is lost when the node that forwarded it is gone.
func twiceBye(t testing.TB) string {
	t.Helper()
	const via = `
    <action>
      <ereg regexp="Via: SIP/2.0/UDP ([0-9.]*):" search_in="msg" assign_to="all,via"/>
      <setdest host="[$via]" port="5060" protocol="udp"/>
    </action>
  </recv>
  <Reference variables="all"/>`
	page, err := os.ReadFile(filepath.Join("..", "..", "bench", "sipp", "connector.xml"))
	require.NoError(t, err)
	text := string(page)
	begin, end := strings.Index(text, `  <recv request="BYE"/>`), strings.Index(text, `  <nop next="end"/>`)
	require.Greater(t, begin, 0)
	require.Greater(t, end, begin)
	bye := strings.Replace(text[begin:end], `<recv request="BYE"/>`, `<recv request="BYE">`+via, 1)
	again := strings.Replace(bye, `"BYE"`, `"BYE" timeout="4000" ontimeout="end"`, 1)
	return text[:begin] + bye + again + text[end:]
}

func TestE2E_DrainUnderLoad(t *testing.T) {
	t.Parallel()
	drains(t, 100, 120)
}

// The second signal waits for nobody.
func TestE2E_SecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			caller, first := l.peer("127.0.0.2"), l.peer("127.0.0.11")
			n := l.serve(twoConnectors + "drain_timeout: 10m\n")
			caller.call(n.addr, "+15550000001").start()
			first.answer(first.expect("INVITE"), 180, "Ringing", first.contact())
			caller.expect("180 INVITE")
			n.signal(syscall.SIGTERM)
			until(t, "draining", func() bool { code, _ := n.readiness(); return code == http.StatusServiceUnavailable })
			n.signal(sig)
			require.Equal(t, 0, n.wait(patience))
			require.Equal(t, fmt.Sprint(sig), n.logged("second signal")["signal"])
			require.EqualValues(t, 1, n.logged("ending with calls in set-up")["calls"])
		})
	}
}
