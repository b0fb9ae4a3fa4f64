package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// phone is a sipgo user agent on a UDP socket of its own: what callers and
// connectors of the demo are made of.
type phone struct {
	ua   *sipgo.UserAgent
	addr netip.AddrPort
	conn *phoneConn
	done sync.WaitGroup
}

// quiet is where sipgo's logs go: it writes whole messages for what a demo does
// on purpose.
var quiet = slog.New(slog.DiscardHandler)

// newPhone opens a phone at addr; port 0 lets the system choose. setUp is given
// the chance to install handlers before the first message is read.
func newPhone(name string, addr netip.AddrPort, setUp func(*phone) error) (*phone, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	p := &phone{
		addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(),
		conn: &phoneConn{PacketConn: conn, reading: make(chan struct{})},
	}
	p.ua, err = sipgo.NewUA(
		sipgo.WithUserAgent(name),
		sipgo.WithUserAgentHostname(p.addr.Addr().String()),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(quiet)),
		sipgo.WithUserAgentTransactionLayerOptions(
			sip.WithTransactionLayerLogger(quiet),
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {}), // late or repeated
		),
	)
	if err == nil {
		err = setUp(p)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	p.done.Go(func() { _ = p.ua.TransportLayer().ServeUDP(p.conn) })
	// sipgo knows the socket only when it reads; a request sent before would
	// open another one.
	<-p.conn.reading
	return p, nil
}

// cut closes the socket, as when the machine loses its power: nothing is said
// to anybody, and what is sent there from now on is answered by ICMP.
func (p *phone) cut() {
	_ = p.conn.Close()
	p.done.Wait()
	_ = p.ua.Close()
}

// contact is the phone's own URI.
func (p *phone) contact() *sip.ContactHeader {
	return &sip.ContactHeader{Address: sip.Uri{
		Scheme: "sip", User: p.ua.Name(), Host: p.addr.Addr().String(), Port: int(p.addr.Port()),
	}}
}

// phoneConn tells when it is first read.
type phoneConn struct {
	net.PacketConn
	once    sync.Once
	reading chan struct{}
}

func (c *phoneConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.once.Do(func() { close(c.reading) })
	return c.PacketConn.ReadFrom(b)
}

// respond answers a request from the phone. What went wrong shows at the
// caller, who gets no answer.
func (p *phone) respond(req *sip.Request, tx sip.ServerTransaction, code int, text string, headers ...sip.Header) {
	res := sip.NewResponseFromRequest(req, code, text, nil)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	_ = tx.Respond(res)
}

// alive is whether ctx goes on.
func alive(ctx context.Context) bool { return ctx.Err() == nil }
