package load

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// reflector is the least that passes for a proxy: it puts its Via and
// Record-Route in, takes them out, and keeps nothing in mind.
type reflector struct {
	t         *testing.T
	conn      *net.UDPConn
	addr      netip.AddrPort
	connector netip.AddrPort
	fault     func(r *reflector, msg string) []string // what is sent instead of a message; nil: all is well
	caller    netip.AddrPort                          // of the last INVITE
	held      map[string]string                       // what faults keep of a call
	done      sync.WaitGroup
}

func newReflector(t *testing.T, fault func(*reflector, string) []string) *reflector {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(bufferSize)
	r := &reflector{t: t, conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), fault: fault, held: make(map[string]string)}
	t.Cleanup(func() {
		_ = conn.Close()
		r.done.Wait()
	})
	return r
}

func (r *reflector) serve() {
	r.done.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := r.conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			r.take(string(buf[:n]), from)
		}
	})
}

func (r *reflector) take(msg string, from netip.AddrPort) {
	first, rest, _ := strings.Cut(msg, "\r\n")
	if strings.HasPrefix(first, "SIP/2.0 ") {
		_, rest, _ = strings.Cut(rest, "\r\n") // our Via
		via, _, _ := strings.Cut(rest, "\r\n")
		sentBy := strings.Fields(via)[2]
		sentBy, _, _ = strings.Cut(sentBy, ";")
		r.send(first+"\r\n"+rest, netip.MustParseAddrPort(sentBy))
		return
	}
	method, uri := strings.Fields(first)[0], strings.Fields(first)[1]
	add := "\r\nVia: SIP/2.0/UDP " + r.addr.String() + ";branch=z9hG4bKr\r\n"
	to := r.connector
	if method == "INVITE" {
		r.caller = from
		head, _, _ := strings.Cut(msg, "Contact: ")
		_, head, _ = strings.Cut(head, "\r\n")
		r.send("SIP/2.0 100 Trying\r\n"+head+"Content-Length: 0\r\n\r\n", from)
		add += "Record-Route: <sip:" + r.addr.String() + ";lr>\r\n"
	} else if to = netip.MustParseAddrPort(string(host([]byte(uri)))); to == r.addr {
		return // the ACK of an error ends here
	}
	var kept strings.Builder
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "Route: <sip:"+r.addr.String()) {
			kept.WriteString(line)
		}
	}
	r.send(first+add+kept.String(), to)
}

func (r *reflector) send(msg string, to netip.AddrPort) {
	all := []string{msg}
	if r.fault != nil {
		all = r.fault(r, msg)
	}
	for _, one := range all {
		_, _ = r.conn.WriteToUDPAddrPort([]byte(one), to)
	}
}

// is says whether a message is "INVITE", or "200 INVITE" and so on.
func is(msg, what string) bool {
	code, method, response := strings.Cut(what, " ")
	if !response {
		return strings.HasPrefix(msg, what+" ")
	}
	return strings.HasPrefix(msg, "SIP/2.0 "+code+" ") && strings.Contains(msg, " "+method+"\r\n")
}

// instead makes other messages of those that are what it says.
func instead(what string, of func(msg string) []string) func(*reflector, string) []string {
	return func(_ *reflector, msg string) []string {
		if is(msg, what) {
			return of(msg)
		}
		return []string{msg}
	}
}

func drop(what string) func(*reflector, string) []string {
	return instead(what, func(string) []string { return nil })
}

func twice(what string) func(*reflector, string) []string {
	return instead(what, func(msg string) []string { return []string{msg, msg} })
}

func replace(what, old, now string) func(*reflector, string) []string {
	return instead(what, func(msg string) []string { return []string{strings.Replace(msg, old, now, 1)} })
}

// swap lets the second overtake the first of a call.
func swap(first, second string) func(*reflector, string) []string {
	return func(r *reflector, msg string) []string {
		_, id, _ := strings.Cut(msg, "Call-ID: ")
		id = id[:idLength]
		switch {
		case is(msg, first):
			r.held[id] = msg
			return nil
		case is(msg, second):
			return []string{msg, r.held[id]}
		}
		return []string{msg}
	}
}
