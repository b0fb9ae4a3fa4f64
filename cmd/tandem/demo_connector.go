package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// How a connector of the demo answers. It says nothing for thinkTime, less than
// the 200 ms after which sipgo sends a 100 of its own: a call that has had no
// answer at all can still move on when the connector dies.
const (
	thinkTime = 100 * time.Millisecond
	ringTime  = 15 * time.Millisecond // sipgo reorders responses sent back to back
)

// connector is a voice connector with one host. It can die and come back at the
// same address.
type connector struct {
	name string
	addr netip.AddrPort

	mu   sync.Mutex
	life *life // nil while it is dead
}

// life is a connector from its start to its death.
type life struct {
	phone *phone
	ctx   context.Context
	die   context.CancelFunc

	// ringing is held for reading between the 180 and the 200 of a call. Death
	// waits for it: a call that rings at a machine that dies is beyond what a
	// proxy can save, and the demo shows what it can.
	ringing sync.RWMutex

	mu    sync.Mutex
	setup map[string]bool // Call-IDs without an answer
	up    map[string]bool // Call-IDs between answer and BYE
}

// newConnector starts a connector on a free port of loopback.
func newConnector(name string) (*connector, error) {
	c := &connector{name: name, addr: netip.MustParseAddrPort("127.0.0.1:0")}
	return c, c.start()
}

// start opens the socket, at the port that it had before if it had one.
func (c *connector) start() error {
	l := &life{setup: make(map[string]bool), up: make(map[string]bool)}
	l.ctx, l.die = context.WithCancel(context.Background())
	_, err := newPhone(c.name, c.addr, func(p *phone) error {
		l.phone = p
		server, err := sipgo.NewServer(p.ua, sipgo.WithServerLogger(quiet))
		if err != nil {
			return err
		}
		server.OnInvite(l.invite)
		server.OnAck(func(*sip.Request, sip.ServerTransaction) {})
		server.OnBye(l.bye)
		server.OnOptions(func(req *sip.Request, tx sip.ServerTransaction) { p.respond(req, tx, 200, "OK") })
		return nil
	})
	if err != nil {
		l.die()
		return err
	}
	c.addr = l.phone.addr
	c.mu.Lock()
	c.life = l
	c.mu.Unlock()
	return nil
}

// kill closes the socket and returns the Call-IDs that were in set-up, and the
// number of calls that were up.
func (c *connector) kill() (setup []string, up int) {
	c.mu.Lock()
	l := c.life
	c.life = nil
	c.mu.Unlock()
	if l == nil {
		return nil, 0
	}
	l.ringing.Lock()
	l.die()
	l.ringing.Unlock()
	l.phone.cut()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.setup {
		setup = append(setup, id)
	}
	return setup, len(l.up)
}

// current is the life that the connector is in; nil while it is dead.
func (c *connector) current() *life {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life
}

func (l *life) invite(received *sip.Request, tx sip.ServerTransaction) {
	req := received.Clone() // sipgo goes on to read the one received
	req.To().Params.Add("tag", sip.GenerateTagN(16))
	id := req.CallID().Value()
	l.note(l.setup, id, true)

	select {
	case <-time.After(thinkTime):
	case <-l.ctx.Done():
		return
	}
	l.ringing.RLock()
	defer l.ringing.RUnlock()
	if !alive(l.ctx) {
		return
	}
	l.note(l.setup, id, false)
	l.phone.respond(req, tx, 180, "Ringing", l.phone.contact())
	time.Sleep(ringTime)
	l.note(l.up, id, true)
	l.phone.respond(req, tx, 200, "OK", l.phone.contact(), sip.NewHeader("Server", l.phone.ua.Name()))
}

func (l *life) bye(req *sip.Request, tx sip.ServerTransaction) {
	l.note(l.up, req.CallID().Value(), false)
	l.phone.respond(req, tx, 200, "OK")
}

// note puts a call into a set or takes it out. What happens after the death
// does not count.
func (l *life) note(set map[string]bool, id string, in bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !alive(l.ctx):
	case in:
		set[id] = true
	default:
		delete(set, id)
	}
}
