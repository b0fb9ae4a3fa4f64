package probe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// What the OPTIONS of a host say, as its socket sees it, and where they go.
func TestProber_SaysWhatItIsTold(t *testing.T) {
	b := start(t, fast())
	for _, c := range []struct {
		name string
		says catalog.Probe
		want []string // lines, and the beginning of lines
	}{
		{"nothing", catalog.Probe{Listener: "of no concern here"}, []string{
			"OPTIONS sip:HOST;x=y SIP/2.0\r\n", "\r\nFrom: <sip:tandem@sbc.example.com:5070>;tag=", "\r\nTo: <sip:HOST;x=y>\r\n", "\r\nMax-Forwards: 70\r\n",
		}},
		{"all", catalog.Probe{
			From: "sip:ping@example.com;a=b", To: "sip:+1555;phone-context=x@[2001:db8::1]:5070", RequestURI: "sip:options@trunk.example;user=phone",
			HasMaxForwards: true, MaxForwards: 1,
		}, []string{
			"OPTIONS sip:options@trunk.example;user=phone SIP/2.0\r\n", "\r\nFrom: <sip:ping@example.com;a=b>;tag=",
			"\r\nTo: <sip:+1555;phone-context=x@[2001:db8::1]:5070>\r\n", "\r\nMax-Forwards: 1\r\n",
			"\r\nVia: SIP/2.0/UDP sbc.example.com:5070;branch=",
		}},
		{"to follows the request-URI", catalog.Probe{RequestURI: "sip:10.9.9.9", HasMaxForwards: true}, []string{
			"OPTIONS sip:10.9.9.9 SIP/2.0\r\n", "\r\nTo: <sip:10.9.9.9>\r\n", "\r\nMax-Forwards: 0\r\n",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, "127.0.0.1:0", always("200 OK"))
			target := b.target("sip:"+p.addr().String()+";x=y", p.addr())
			target.Says = c.says
			require.NoError(t, b.SetTargets([]Target{target}))
			// Its answer is taken for that of the host.
			eventually(t, "a good probe", func() bool { s := target.Host.Status(); return s.LastEvent == health.ProbeOK && s.Successes > 1 })
			for _, seen := range p.requests() {
				require.Equal(t, b.socket.addr(), seen.src)
				for _, want := range c.want {
					require.Contains(t, seen.request, strings.ReplaceAll(want, "HOST", p.addr().String()))
				}
				require.Equal(t, 1, strings.Count(seen.request, "\r\nMax-Forwards: "))
			}
		})
	}
}

// What a reload changes is said by the next probe, and the host keeps its health.
func TestProber_SaysWhatIsNew(t *testing.T) {
	b := start(t, fast())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	target := b.target("sip:"+p.addr().String(), p.addr())
	require.NoError(t, b.SetTargets([]Target{target}))
	eventually(t, "a probe", func() bool { return len(p.requests()) > 0 })
	target.Says.From = "sip:new@example.com"
	require.NoError(t, b.SetTargets([]Target{target}))
	eventually(t, "another one", func() bool {
		all := p.requests()
		return strings.Contains(all[len(all)-1].request, "\r\nFrom: <sip:new@example.com>;tag=")
	})
}

func TestProber_NamesWhatCannotBeSaid(t *testing.T) {
	b := start(t, fast())
	p := newPeer(t, "127.0.0.1:0", nothing)
	for _, says := range []catalog.Probe{{From: "x"}, {To: "x"}, {RequestURI: "x"}} {
		target := b.target("sip:host", p.addr())
		target.Says = says
		require.ErrorContains(t, b.SetTargets([]Target{target}), `URI "x"`)
	}
}
