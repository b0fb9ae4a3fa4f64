//go:build linux

package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// tlsPhone is a user agent over TLS made with sipgo: a caller or a connector, with
// dialogs, transactions and certificates of its own.
type tlsPhone struct {
	t    testing.TB
	ua   *sipgo.UserAgent
	addr netip.AddrPort
	tap  wiretap

	caller *sipgo.DialogClientCache
	callee *sipgo.DialogServerCache
	acked  sync.Map // by Call-ID, contexts that the first ACK ends
	serve  sync.WaitGroup
	stop   func()
}

// newTLSPhone is a phone that others reach at addr, if they do.
func newTLSPhone(t testing.TB, addr netip.AddrPort, client *tls.Config) (*tlsPhone, *sipgo.Client) {
	t.Helper()
	p := &tlsPhone{t: t, addr: addr}
	log := slog.New(slog.DiscardHandler) // errors show in the calls
	var err error
	p.ua, err = sipgo.NewUA(
		sipgo.WithUserAgent("phone"),
		sipgo.WithUserAgentHostname(uriHost(addr.Addr())),
		sipgo.WithUserAgenTLSConfig(client),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(log), sip.WithTransportLayerReadFilter(p.tap.hear)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(log),
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {})), // a 180 that sipgo hands on after the 200
	)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.ua.Close() })
	dialer, err := sipgo.NewClient(p.ua, sipgo.WithClientLogger(log), sipgo.WithClientHostname(uriHost(addr.Addr())),
		sipgo.WithClientConnectionAddr(netip.AddrPortFrom(addr.Addr(), 0).String()))
	require.NoError(t, err)
	return p, dialer
}

func uriHost(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func (p *tlsPhone) contact() sip.ContactHeader {
	return sip.ContactHeader{Address: phoneURI("phone", p.addr)}
}

// phoneURI is one over TLS.
func phoneURI(user string, at netip.AddrPort) sip.Uri {
	uri := sip.Uri{Scheme: "sip", User: user, Host: uriHost(at.Addr()), Port: int(at.Port()), UriParams: sip.NewParams()}
	uri.UriParams.Add("transport", "tls")
	return uri
}

// newCallerPhone is a phone that calls. It connects to who shows the right
// certificate, and to nobody else.
func newCallerPhone(t testing.TB, addr netip.AddrPort, is *endTLS) *tlsPhone {
	t.Helper()
	p, client := newTLSPhone(t, addr, is.client)
	p.caller = sipgo.NewDialogClientCache(client, p.contact())
	return p
}

// place makes so many calls and returns how those failed that did.
func (p *tlsPhone) place(proxy netip.AddrPort, number string, calls, rate int) (failed []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := time.NewTicker(time.Second / time.Duration(rate))
	defer next.Stop()
	for range calls {
		wg.Go(func() {
			if err := p.call(proxy, number); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
		})
		<-next.C
	}
	wg.Wait()
	return failed
}

// callTime is the longest that a whole call may take on a busy machine.
const callTime = 40 * time.Second

// call makes one whole call: INVITE with SDP, 180, 200 with SDP, ACK, BYE, 200.
func (p *tlsPhone) call(proxy netip.AddrPort, number string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	d, err := p.caller.Invite(ctx, phoneURI(number, proxy), []byte(sdp), sip.NewHeader("Content-Type", "application/sdp"))
	if err != nil {
		return fmt.Errorf("INVITE: %w", err)
	}
	defer func() { _ = d.Close() }()
	id := d.InviteRequest.CallID().Value()
	if err := d.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
		return fmt.Errorf("%s after %q: %w", id, p.tap.of(id), err)
	}
	if body := d.InviteResponse.Body(); !bytes.HasPrefix(body, []byte("v=0\r\n")) || !bytes.Contains(body, []byte("m=audio ")) {
		return fmt.Errorf("%s: answered with %q", id, body)
	}
	if err := d.Ack(ctx); err != nil {
		return fmt.Errorf("%s: ACK: %w", id, err)
	}
	if err := d.Bye(ctx); err != nil {
		return fmt.Errorf("%s: BYE: %w", id, err)
	}
	heard := slices.DeleteFunc(firsts(p.tap.of(id)), func(what string) bool { return what == "100 INVITE" })
	if want := []string{"180 INVITE", "200 INVITE", "200 BYE"}; !slices.Equal(heard, want) {
		return fmt.Errorf("%s: heard %q, wanted %q", id, heard, want)
	}
	return nil
}

// newCalleePhone is a phone that rings and answers. Whoever calls has to show a
// certificate.
func newCalleePhone(t testing.TB, addr netip.AddrPort, is *endTLS) *tlsPhone {
	t.Helper()
	p, client := newTLSPhone(t, addr, is.client)
	p.callee = sipgo.NewDialogServerCache(client, p.contact())
	server, err := sipgo.NewServer(p.ua, sipgo.WithServerLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	server.OnInvite(p.answer)
	server.OnAck(func(req *sip.Request, tx sip.ServerTransaction) {
		if p.callee.ReadAck(req, tx) == nil {
			p.ackOf(req).come()
		}
	})
	server.OnBye(p.hungUp)
	server.OnOptions(func(req *sip.Request, tx sip.ServerTransaction) {
		_ = tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil))
	})
	listener, err := tls.Listen("tcp", addr.String(), is.server)
	require.NoError(t, err)
	p.serve.Go(func() { _ = server.ServeTLS(listener) })
	p.stop = sync.OnceFunc(func() {
		_ = listener.Close()
		p.serve.Wait()
	})
	t.Cleanup(p.stop)
	return p
}

// acking is what waits for an ACK, and what says that it is there.
type acking struct {
	context.Context
	come context.CancelFunc
}

func (p *tlsPhone) ackOf(req *sip.Request) acking {
	ctx, cancel := context.WithCancel(context.Background())
	a, _ := p.acked.LoadOrStore(req.CallID().Value(), acking{ctx, cancel})
	return a.(acking)
}

// answer takes a call. What goes wrong shows at the caller.
func (p *tlsPhone) answer(req *sip.Request, tx sip.ServerTransaction) {
	d, err := p.callee.ReadInvite(req, tx)
	if err != nil {
		return
	}
	if body := string(req.Body()); !strings.HasPrefix(body, "v=0\r\n") || !strings.Contains(body, "m=audio ") {
		_ = d.Respond(488, "Not Acceptable Here", nil)
		return
	}
	if d.Respond(180, "Ringing", nil) == nil {
		_ = d.RespondSDP([]byte(sdp)) // until the ACK is there
	}
}

// hungUp takes a BYE. sipgo may hand on the ACK after it, though it came before.
func (p *tlsPhone) hungUp(req *sip.Request, tx sip.ServerTransaction) {
	select {
	case <-p.ackOf(req).Done():
	case <-time.After(patience): // without an answer the caller's call fails
		return
	}
	_ = p.callee.ReadBye(req, tx)
}

// calls ends the phone and returns how many calls it had, each of which was
// whole.
func (p *tlsPhone) calls() int {
	p.t.Helper()
	p.stop()
	p.tap.mu.Lock()
	defer p.tap.mu.Unlock()
	for id, heard := range p.tap.calls {
		require.Equal(p.t, []string{"INVITE", "ACK", "BYE"}, firsts(heard), id)
	}
	return len(p.tap.calls)
}

// wiretap notes what a phone hears of each call in the order of arrival, which
// sipgo's handlers do not keep. Probes are left out.
type wiretap struct {
	mu    sync.Mutex
	rest  map[string][]byte   // by connection, the beginning of a message
	calls map[string][]string // by Call-ID
}

// hear takes what one read of a connection brought.
func (w *wiretap) hear(at sip.TransportReadProps, data []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls == nil {
		w.rest, w.calls = make(map[string][]byte), make(map[string][]string)
	}
	connection := at.LocalAddr.String() + at.RemoteAddr.String()
	rest := append(w.rest[connection], data...)
	for {
		rest = bytes.TrimLeft(rest, "\r\n")
		head, body, whole := bytes.Cut(rest, []byte("\r\n\r\n"))
		m, length := message{raw: string(head) + "\r\n\r\n"}, 0
		if whole {
			if _, err := fmt.Sscan(m.header("Content-Length"), &length); err != nil {
				return nil, fmt.Errorf("a message without its length: %w", err)
			}
		}
		if !whole || len(body) < length {
			w.rest[connection] = rest
			return data, nil
		}
		if m.what() != "OPTIONS" {
			id := m.header("Call-ID")
			w.calls[id] = append(w.calls[id], m.what())
		}
		rest = body[length:]
	}
}

// firsts leaves out what is there again: who waits for long sends again.
func firsts(heard []string) (once []string) {
	for _, what := range heard {
		if !slices.Contains(once, what) {
			once = append(once, what)
		}
	}
	return once
}

// of is what was heard of a call.
func (w *wiretap) of(id string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls[id])
}
