package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"tandem/config/catalog"
)

const (
	// askTimeout is how long an answer to a question may take, with the
	// connection that may have to be made for it.
	askTimeout = 5 * time.Second

	maxAsked   = 256 // questions that wait their turn
	maxAskings = 8   // at a time
)

// Question is an OPTIONS outside of the schedule that says nothing of the health
// of a host: whether somebody answers at an address from a listener.
type Question struct {
	Addr     netip.AddrPort
	URI      string        // the request-URI, unless Says has one
	Listener int           // index in Options.Listeners
	Says     catalog.Probe // what the OPTIONS say
	// Answered is called, by a goroutine of the Prober's, if there is a final
	// response that is no failure of a server or a timeout.
	Answered func()
}

// Ask asks a question while Run runs, and does not wait for it. It is false when
// too many wait: the question is not asked.
func (p *Prober) Ask(q Question) bool {
	select {
	case p.questions <- q:
		return true
	default:
		return false
	}
}

// ask works the questions off until ctx ends, and waits for those under way.
func (p *Prober) ask(ctx context.Context) {
	var askings sync.WaitGroup
	defer askings.Wait()
	for range maxAskings {
		askings.Go(func() {
			for {
				select {
				case q := <-p.questions:
					p.answer(ctx, q)
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// answer asks one question.
func (p *Prober) answer(parent context.Context, q Question) {
	t, err := p.parse(Target{Addr: q.Addr, URI: q.URI, Listener: q.Listener, Says: q.Says})
	if err != nil {
		return // as a target of the schedule it was complained of
	}
	a := p.agents[q.Listener]
	defer a.conn.asked.add(q.Addr)()
	req, branch := a.request(&t)
	waiting, fail := context.WithCancelCause(parent)
	defer fail(nil)
	defer p.takeOff(t.Addr, branch, fail)()
	waiting, cancel := context.WithTimeout(waiting, askTimeout)
	defer cancel()
	if code, err := a.options(waiting, req); err == nil && code >= 200 && code < 500 && code != 408 {
		q.Answered()
	}
}

// asked are the addresses that questions are under way to, by the address as
// sipgo has it, as Conn.sources are.
type asked struct {
	mu sync.Mutex
	at map[netip.AddrPort]asking
}

type asking struct {
	count int
	whole netip.AddrPort
}

// add adds an address, until what it returns is called.
func (a *asked) add(whole netip.AddrPort) (remove func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = make(map[netip.AddrPort]asking)
	}
	at := plain(whole)
	a.at[at] = asking{a.at[at].count + 1, netip.AddrPortFrom(whole.Addr().Unmap(), whole.Port())}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if of := a.at[at]; of.count > 1 {
			of.count--
			a.at[at] = of
		} else {
			delete(a.at, at)
		}
	}
}

// whole is an address with its zone, if it is asked.
func (a *asked) whole(at netip.AddrPort) (netip.AddrPort, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of, ok := a.at[at]
	return of.whole, ok
}
