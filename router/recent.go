package router

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// CallRecord is a call whose set-up is over, as operators see it. Times in
// milliseconds are counted from Began.
type CallRecord struct {
	Began    time.Time       `json:"began"`
	Number   string          `json:"number"` // as it was looked up
	Method   string          `json:"method"`
	CallID   string          `json:"call_id"`
	Trunk    string          `json:"trunk"`
	Source   string          `json:"source"`
	Route    string          `json:"route,omitempty"`  // the group, or the connector of a number without one
	Outcome  string          `json:"outcome"`          // answered, refused, exhausted, cancelled, timeout or rejected
	Status   int             `json:"status"`           // of the final response that the caller got
	Reason   string          `json:"reason,omitempty"` // why it was rejected, or hosts were left that it was not tried on
	Progress float64         `json:"progress_ms,omitempty"`
	Took     float64         `json:"took_ms"` // until the final response
	Attempts []AttemptRecord `json:"attempts,omitempty"`
}

// Failed reports whether the caller did not get what a callee had to say: no
// candidate was left, time was up, it was not let in, it heard a 5xx, or it gave
// up before anything rang.
func (c *CallRecord) Failed() bool {
	switch c.Outcome {
	case exhausted.String(), timedOut.String(), rejected.String():
		return true
	case refused.String():
		return c.Status/100 == 5
	case cancelledByCaller.String():
		return c.Progress == 0
	}
	return false
}

// KeptCallID is what is kept of a Call-ID.
func KeptCallID(id string) string { return id[:min(len(id), maxCallID)] }

// AttemptRecord is one attempt of a call. A time of 0 is that of something that
// did not happen, but for Start.
type AttemptRecord struct {
	Connector string  `json:"connector"`
	Region    string  `json:"region,omitempty"`
	Host      string  `json:"host"`
	Transport string  `json:"transport,omitempty"` // that it went over, when that is not the host's own
	Outcome   string  `json:"outcome"`             // answered, refused, failed, silent, no_progress, no_answer, icmp, send_error, cancelled, timeout or pending
	Status    int     `json:"status,omitempty"`
	Start     float64 `json:"start_ms"` // when it left by UDP, if it went over TCP before
	First     float64 `json:"first_response_ms,omitempty"`
	Progress  float64 `json:"progress_ms,omitempty"` // the first 101-199
	End       float64 `json:"end_ms,omitempty"`      // the final response, or what ended it instead
}

// past is a call whose set-up is over, as it is kept: a value of fixed size, so
// that nothing is allocated for it.
type past struct {
	began, took int64
	rang        int64       // 0 if never
	route       *routeStats // nil when the number has none
	trunk       *trunkStats
	source      netip.AddrPort
	method      wire.Method
	how         outcome
	why         rejection // of one that was not let in
	spared      bool      // hosts were left that are down or ejected
	status      int
	number      [maxNumber]byte
	numberLen   uint8
	callID      [maxCallID]byte
	callIDLen   uint8
	count       uint8
	attempts    [catalog.MaxAttempts]pastAttempt
}

type pastAttempt struct {
	host    *host
	outcome attemptOutcome
	stream  bool // over TCP, to a host over UDP
	status  int16
	// On the router's clock; 0 of what did not happen.
	started, heard, rang, ended int64
}

// ring keeps the newest calls of a stripe, under the stripe's lock: a call that
// ends takes no other one.
type ring struct {
	slots   []past
	most    int
	written uint64 // so many, ever: the next goes to the slot of this number
}

// slot returns where the next call goes; nil when none are kept.
func (g *ring) slot() *past {
	if g.most == 0 {
		return nil
	}
	if len(g.slots) < g.most {
		if n := len(g.slots); n == cap(g.slots) { // append would go far beyond the most
			g.slots = append(make([]past, 0, min(max(2*n, 8), g.most)), g.slots...)
		}
		g.slots = append(g.slots, past{})
	}
	p := &g.slots[g.written%uint64(g.most)]
	g.written++
	return p
}

// since appends at most room of those that were written after the first n,
// oldest first. next is the number to go on with, missed how many had been
// overwritten before.
func (g *ring) since(dst []past, n uint64, room int) (all []past, next, missed uint64) {
	kept := uint64(len(g.slots))
	if g.written-n > kept {
		missed = g.written - n - kept
		n += missed
	}
	for ; n < g.written && room > 0; n++ {
		dst = append(dst, g.slots[n%uint64(g.most)])
		room--
	}
	return dst, n, missed
}

// visit calls f with those that were written after the first n, oldest first,
// in pieces that are copied under the stripe's lock, small ones, so that no
// call waits for a reader.
func (st *stripe) visit(g *ring, n uint64, f func([]past)) (next, missed uint64) {
	piece := make([]past, 0, recentPiece)
	for {
		var lost uint64
		st.mu.Lock()
		piece, n, lost = g.since(piece[:0], n, recentPiece)
		st.mu.Unlock()
		missed += lost
		if len(piece) == 0 {
			return n, missed
		}
		f(piece)
	}
}

// keepCall keeps a call that has its final response, and has it logged when it
// did not go well at the first attempt.
func (r *Router) keepCall(s *scratch, st *stripe, c *call, how outcome) {
	p := st.ended.slot()
	if p != nil {
		p.fill(c, s.now, how)
	}
	if c.count > 1 || how.failed(int(c.status)) {
		rec := record{kind: recordCallEnd}
		rec.call.fill(c, s.now, how)
		r.offer(rec)
	}
}

func (p *past) fill(c *call, now int64, how outcome) {
	p.began, p.took, p.rang = c.started, now-c.started, c.rang
	p.route, p.trunk, p.source = c.route.stats, c.trunk.stats, c.source
	p.method, p.how, p.why, p.status = c.method, how, notRejected, int(c.status)
	p.spared = c.spared && how == exhausted
	p.number, p.numberLen = c.number, c.numberLen
	p.callIDLen = 0
	if c.raw != nil {
		p.callIDLen = uint8(copy(p.callID[:], c.raw[c.callID.Start:c.callID.End]))
	}
	if c.count < int(p.count) {
		clear(p.attempts[c.count:p.count]) // the hosts of the call before are not kept for it
	}
	p.count = uint8(c.count)
	for i := range c.count {
		a := c.at(i)
		p.attempts[i] = pastAttempt{a.host, a.outcome, a.stream, a.status, a.started, a.heard, a.rang, a.ended}
	}
}

// keepRejected keeps a request that was not let in. rt is nil when its number
// has no route.
func (r *Router) keepRejected(s *scratch, st *stripe, a admission, rt *route) {
	p := st.rejected.slot()
	if p == nil {
		return
	}
	m := &s.m
	p.began, p.took, p.rang = s.now, 0, 0
	p.route, p.trunk, p.source = nil, s.trunk.stats, s.source
	if rt != nil {
		p.route = rt.stats
	}
	p.method, p.how, p.why, p.status = m.Method, rejected, a.why, a.status
	p.spared = false
	p.numberLen = uint8(copy(p.number[:], s.number))
	p.callIDLen = uint8(copy(p.callID[:], m.Bytes(m.CallID)))
	p.count = 0
}

// ended is when the caller got the final response.
func (p *past) ended() int64 { return p.began + p.took }

// sparedText is why a call ended although there were hosts that it was not tried
// on.
const sparedText = "all that was left is down or ejected, and when_all_down is reject"

// record is p as operators see it.
func (r *Router) callRecord(p *past) CallRecord {
	c := CallRecord{
		Began:   r.wall(p.began).UTC(),
		Number:  string(p.number[:p.numberLen]),
		Method:  p.method.String(),
		CallID:  string(p.callID[:p.callIDLen]),
		Trunk:   p.trunk.name,
		Source:  p.source.String(),
		Outcome: p.how.String(),
		Status:  p.status,
		Reason:  rejectionTexts[p.why],
		Took:    ms(p.took),
	}
	if p.spared {
		c.Reason = sparedText
	}
	if p.route != nil {
		c.Route = p.route.name
	}
	after := func(at, since int64) float64 {
		if at == 0 {
			return 0
		}
		return ms(at - since)
	}
	c.Progress = after(p.rang, p.began)
	for i := range p.attempts[:p.count] {
		a, over := &p.attempts[i], ""
		if a.stream {
			over = catalog.TCP.String()
		}
		c.Attempts = append(c.Attempts, AttemptRecord{
			Connector: a.host.connector.name, Region: a.host.connector.region, Host: a.host.uri, Transport: over,
			Outcome: a.outcome.String(), Status: int(a.status),
			Start: ms(a.started - p.began), First: after(a.heard, p.began), Progress: after(a.rang, p.began), End: after(a.ended, p.began),
		})
	}
	return c
}

// Recent returns the newest of the calls that are kept and match, newest first,
// at most limit of them. match may be nil.
func (r *Router) Recent(limit int, match func(*CallRecord) bool) []CallRecord {
	type found struct {
		CallRecord
		ended int64
	}
	var all []found
	if limit <= 0 {
		return nil
	}
	for _, st := range r.stripes {
		for _, g := range []*ring{&st.ended, &st.rejected} {
			var some []found // the newest of this ring that match, at most limit
			st.visit(g, st.oldest(g, limit, match == nil), func(piece []past) {
				for i := range piece {
					if c := r.callRecord(&piece[i]); match == nil || match(&c) {
						some = append(some, found{c, piece[i].ended()})
					}
				}
				some = some[max(len(some)-limit, 0):]
			})
			slices.Reverse(some)
			all = append(all, some...)
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.ended, a.ended) })
	calls := make([]CallRecord, 0, min(limit, len(all)))
	for _, c := range all[:min(limit, len(all))] {
		calls = append(calls, c.CallRecord)
	}
	return calls
}

// oldest is the number from which on the ring is worth reading.
func (st *stripe) oldest(g *ring, limit int, all bool) uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	kept := uint64(len(g.slots))
	if all {
		kept = min(kept, uint64(limit))
	}
	return g.written - kept
}

// Follower reads calls as they end. It is for one goroutine.
type Follower struct {
	r    *Router
	seen [stripes]struct{ ended, rejected uint64 }
}

// Follow returns a Follower of calls that end from now on.
func (r *Router) Follow() *Follower {
	f := &Follower{r: r}
	for i, st := range r.stripes {
		st.mu.Lock()
		f.seen[i].ended, f.seen[i].rejected = st.ended.written, st.rejected.written
		st.mu.Unlock()
	}
	return f
}

// Next returns the calls that ended since the last call of Next, in the order
// of their end, and how many more were overwritten before they could be read.
func (f *Follower) Next() (calls []CallRecord, missed uint64) {
	var all []past
	for i, st := range f.r.stripes {
		seen := &f.seen[i]
		gather := func(piece []past) { all = append(all, piece...) }
		var lost, lostToo uint64
		seen.ended, lost = st.visit(&st.ended, seen.ended, gather)
		seen.rejected, lostToo = st.visit(&st.rejected, seen.rejected, gather)
		missed += lost + lostToo
	}
	slices.SortStableFunc(all, func(a, b past) int { return cmp.Compare(a.ended(), b.ended()) })
	for i := range all {
		calls = append(calls, f.r.callRecord(&all[i]))
	}
	return calls, missed
}
