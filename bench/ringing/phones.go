package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// The load generator of package load places whole calls at a rate. Here all of
// them stand still at each stage, however long, and INVITEs may be large: so
// these phones do, in three phases, what is sent for each call.

var (
	proxy     = netip.MustParseAddrPort("127.92.0.1:5060")
	caller    = netip.MustParseAddrPort("127.92.0.2:5060")
	connector = netip.MustParseAddrPort("127.92.0.11:5060")
)

const (
	bufferSize = 4 << 20 // of sockets
	again      = time.Second
	tries      = 20   // that a message is sent again
	ahead      = 1000 // calls that wait at a time for what was sent for them, unless it got lost
)

// stage is how far a call has come, as who waits for it sees it.
type stage uint8

const (
	begun    stage = iota
	rings          // the caller has 180
	answered       // the connector has ACK
	ended          // the caller has the answer to BYE
	stages
)

// phones are a caller and a connector.
type phones struct {
	caller, connector *net.UDPConn
	sdp               string
	serving           sync.WaitGroup

	mu    sync.Mutex
	calls []call
	reach [stages]int // calls that have come so far
	odd   int         // messages that do not belong to what is done here
	first string      // one of them
}

type call struct {
	stage  stage
	heads  []byte // of responses to its INVITE
	answer []byte // as the caller got it
}

func newPhones(calls, body int) (*phones, error) {
	p := &phones{calls: make([]call, calls), sdp: offer(body)}
	for _, one := range []struct {
		at   netip.AddrPort
		conn **net.UDPConn
	}{{caller, &p.caller}, {connector, &p.connector}} {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(one.at))
		if err != nil {
			p.close()
			return nil, err
		}
		_ = conn.SetReadBuffer(bufferSize) // what is lost is sent again
		_ = conn.SetWriteBuffer(bufferSize)
		*one.conn = conn
	}
	p.serving.Go(func() { p.serve(p.caller, p.response) })
	p.serving.Go(func() { p.serve(p.connector, p.request) })
	return p, nil
}

func (p *phones) close() {
	for _, conn := range []*net.UDPConn{p.caller, p.connector} {
		if conn != nil {
			_ = conn.Close()
		}
	}
	p.serving.Wait()
}

func (p *phones) serve(conn *net.UDPConn, handle func(id int, msg []byte) (reply []byte)) {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of a node that has gone
		}
		p.mu.Lock()
		id := callOf(buf[:n])
		var reply []byte
		if id < 0 || id >= len(p.calls) {
			p.strange(buf[:n])
		} else {
			reply = handle(id, buf[:n])
		}
		p.mu.Unlock()
		if reply != nil {
			p.send(conn, reply)
		}
	}
}

func (p *phones) send(conn *net.UDPConn, msg []byte) { _, _ = conn.WriteToUDPAddrPort(msg, proxy) }

// strange counts what does not belong here.
func (p *phones) strange(msg []byte) {
	if p.odd++; p.first == "" {
		p.first, _, _ = strings.Cut(string(msg), "\r\n")
	}
}

func (p *phones) reached(id int, s stage) {
	if c := &p.calls[id]; c.stage+1 == s {
		c.stage = s
		p.reach[s]++
	}
}

// response is the caller's part.
func (p *phones) response(id int, msg []byte) (reply []byte) {
	method := string(value(msg, "CSeq"))
	switch code := status(msg); {
	case code == 100:
	case code == 180 && method == "1 INVITE":
		p.reached(id, rings)
	case code == 200 && method == "1 INVITE":
		if p.calls[id].answer == nil {
			p.calls[id].answer = append([]byte(nil), msg...)
		}
		return within("ACK", "1 ACK", id, msg)
	case code == 200 && method == "2 BYE":
		p.reached(id, ended)
	default:
		p.strange(msg)
	}
	return nil
}

// request is the connector's part.
func (p *phones) request(id int, msg []byte) (reply []byte) {
	switch method, _, _ := strings.Cut(string(msg[:min(len(msg), 16)]), " "); method {
	case "INVITE":
		if p.calls[id].heads == nil {
			p.calls[id].heads = heads(msg)
		}
		return answer("180 Ringing", p.calls[id].heads, "")
	case "ACK":
		p.reached(id, answered)
	case "BYE":
		return answer("200 OK", heads(msg), "")
	default:
		p.strange(msg)
	}
	return nil
}

// all begins what brings calls to a stage, so many a second at most, and waits
// until each has come so far. What got lost is sent again, as SIP does.
func (p *phones) all(ctx context.Context, s stage, rate float64) error {
	begin, do := time.Now(), map[stage]func(id int){rings: p.invite, answered: p.answer, ended: p.bye}[s]
	for id := range p.calls {
		due := begin.Add(time.Duration(float64(id) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > time.Millisecond {
			if err := sleep(ctx, wait); err != nil {
				return err
			}
		}
		if err := p.near(ctx, s, id); err != nil {
			return err
		}
		do(id)
	}
	for range tries {
		if err := sleep(ctx, again); err != nil {
			return err
		}
		missing := p.missing(s)
		if len(missing) == 0 {
			return nil
		}
		for _, id := range missing {
			do(id)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%d of %d calls came to stage %d; %d strange messages, the first: %q", p.reach[s], len(p.calls), s, p.odd, p.first)
}

// near waits until not too many calls before a call wait for a stage: a machine
// that stood still gets no flood afterwards.
func (p *phones) near(ctx context.Context, s stage, id int) error {
	for limit := time.Now().Add(again); time.Now().Before(limit); {
		p.mu.Lock()
		waiting := id - p.reach[s]
		p.mu.Unlock()
		if waiting < ahead {
			return nil
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (p *phones) missing(s stage) (ids []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.calls {
		if p.calls[id].stage < s {
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *phones) invite(id int) { p.send(p.caller, appendInvite(nil, id, p.sdp)) }

func (p *phones) answer(id int) {
	p.mu.Lock()
	msg := answer("200 OK", p.calls[id].heads, offer(0))
	p.mu.Unlock()
	p.send(p.connector, msg)
}

func (p *phones) bye(id int) {
	p.mu.Lock()
	msg := within("BYE", "2 BYE", id, p.calls[id].answer)
	p.mu.Unlock()
	p.send(p.caller, msg)
}
