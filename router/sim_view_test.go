package router

import (
	"net/netip"

	"tandem/config/catalog"
)

// simView is what one node was seen to do with the first request of a call, from
// its arrival until the node forgets it: the model that the checker judges by.
// With two nodes, or one that was restarted, a call may have several, and each
// of them is held to the rules alone (design D3).
type simView struct {
	call     *simCall
	node     *simNode
	key      uint64
	began    int64
	catalog  *catalog.Catalog // that it was routed by
	policies int              // how often the policy had changed
	hosts    []*simHost       // that it may be tried on
	orders   catalog.Orders   // that were in force when it began

	attempts []*simAttempt
	last     []byte // the provisional that was sent upstream last
	ringing  bool   // a 101-199 of an attempt that was not given up was relayed

	// Why no attempt may begin any more, "" when one may, and the caller's CANCEL
	// among the reasons.
	stopped   string
	cancelled bool
	timedOut  bool

	first       []byte // the first final response that was sent upstream
	firstStatus int
	firstAt     int64
	repeats     int  // of it, by Timer G
	acked       bool // the caller's ACK came
	over        bool // the node has forgotten it
}

// simAttempt is a client transaction of a node.
type simAttempt struct {
	host    *simHost
	branch  string
	raw     string // as it was sent
	started int64

	sends    int   // of the request
	heard    bool  // any provisional came
	rang     int64 // the first 101-199 did; 0: none
	rangLast int64
	final    int // a final came; the first
	cancelAt int64
	icmp     bool // an error that proves that it did not arrive
	provoked bool // its final came when we had cancelled it: it does not compete
	left     bool // the call went on without it
}

// view is what node sees of c now, if it holds it.
func (c *simCall) view(n *simNode) *simView {
	for i := len(c.views) - 1; i >= 0; i-- {
		if v := c.views[i]; v.node == n {
			if v.over = v.over || !n.holds(v.key); v.over {
				return nil
			}
			return v
		}
	}
	return nil
}

// newView is of a request that a node has just let in.
func (c *simCall) newView(n *simNode, key uint64) *simView {
	w := c.w
	v := &simView{call: c, node: n, key: key, began: w.now, catalog: w.catalog, policies: w.policies, orders: w.orders}
	if w.changed {
		v.catalog = w.second
	}
	own := c.invite.uri[len("sip:"):][:len(simOwnNumber)] == simOwnNumber
	for i := range v.catalog.Connectors {
		con := &v.catalog.Connectors[i]
		member := false
		for _, m := range v.catalog.Groups[0].Connectors {
			member = member || m.Connector == con.Name
		}
		if !member && !(own && i == 0) || con.State != catalog.Enabled {
			continue
		}
		for _, h := range con.Hosts {
			if outByOrder(v.orders, con, &h) {
				continue
			}
			v.hosts = append(v.hosts, w.byAddr[h.Addr])
		}
	}
	c.views = append(c.views, v)
	return v
}

func (v *simView) attempt(host netip.AddrPort) *simAttempt {
	for _, a := range v.attempts {
		if a.host.addr == host {
			return a
		}
	}
	return nil
}

// latest is the attempt that the call waits for.
func (v *simView) latest() *simAttempt {
	if len(v.attempts) == 0 {
		return nil
	}
	return v.attempts[len(v.attempts)-1]
}

func (v *simView) invite() bool { return v.call.method == "INVITE" }

// tried counts the attempts at a connector.
func (v *simView) tried(con string) (n int) {
	for _, a := range v.attempts {
		if a.host.con.Name == con {
			n++
		}
	}
	return n
}

// claims counts the other connectors that no attempt was made at, and those that
// may still have one, of hosts that are not down: what is down has no claim.
func (v *simView) claims(except string) (fresh, open int) {
	if v.policies != v.node.w.policies {
		return 0, 0 // what went and came back has a health that this call does not know
	}
	pl := v.node.r.plan.Load()
	seen := map[string]bool{}
	for _, h := range v.hosts {
		name := h.con.Name
		if name == except || seen[name] || v.attempt(h.addr) != nil {
			continue
		}
		if ph := pl.byAddr[hostPlace{addr: h.addr}]; ph == nil || isBad(ph, v.invite(), v.node.w.now) {
			continue
		}
		seen[name] = true
		switch v.tried(name) {
		case 0:
			fresh++
			open++
		case 1:
			open++
		}
	}
	return fresh, open
}

// due is when attempt a is over at the latest, by the settings; never for what
// nobody waits for.
func (v *simView) due(a *simAttempt) int64 {
	f := &a.host.failover
	switch {
	case a.cancelAt != 0:
		return a.cancelAt + timerB
	case !a.heard && v.invite():
		return a.started + int64(f.FirstResponse)
	case !a.heard:
		return min(a.started+int64(f.FirstResponse), v.began+timerB) // RFC 4320: 64*T1 in all
	case !v.invite():
		return v.began + timerB
	case a.rang == 0:
		return a.started + int64(f.Progress)
	}
	return min(a.rangLast+int64(f.TimerC), a.rang+int64(f.MaxRing))
}

// earliest is when time alone may end attempt a: sooner would be too soon.
func (v *simView) earliest(a *simAttempt) int64 {
	f := &a.host.failover
	at := v.due(a)
	if a.cancelAt == 0 && a.rang != 0 && f.NoAnswer > 0 {
		at = min(at, a.rang+int64(f.NoAnswer))
	}
	if v.invite() && v.node.w.failover.SetupBudget > 0 && a.rang == 0 && a.cancelAt == 0 {
		at = min(at, a.started+leastShare)
	}
	return at
}
