package router

import "time"

// end is what must hold when everything has come to its end.
func (k *simChecker) end() {
	w := k.w
	for _, n := range w.nodes {
		k.nothingLeft(n)
		k.told(n)
	}
	if bound := k.bound(); w.ticked-w.last > bound {
		w.fail(nil, "17: nothing is alive after 64*T1 + 5 s and the longest timer", "%v after the last datagram, bound %v", time.Duration(w.ticked-w.last), time.Duration(bound))
	}
	for _, c := range w.calls {
		if c == nil {
			continue
		}
		for _, v := range c.views {
			if !v.node.dead && v.first == nil {
				w.fail(c, "16.7: every request has a final response", "none after %v", time.Duration(w.now-v.began))
			}
			// T1 doubling to T2 until 64*T1 are over: 10 or 11 times.
			if n := v.repeats; !v.node.dead && v.invite() && v.firstStatus >= 300 && !v.acked && (n < 9 || n > 11) {
				w.fail(c, "17.2.1: Timer G", "%d repeated %d times, and not acknowledged", v.firstStatus, n)
			}
		}
		if w.lossless() && w.single() && w.on&(simRate|simCrash) == 0 && c.good() {
			k.heardOf(c)
		}
	}
}

// bound is how long the calls may live on once nothing comes any more.
func (k *simChecker) bound() int64 {
	f := &k.w.failover
	first, progress := f.FirstResponse, f.Progress
	for _, h := range k.w.hosts {
		first, progress = max(first, h.failover.FirstResponse), max(progress, h.failover.Progress)
	}
	waiting := int64(f.MaxAttempts) * int64(first)
	waiting += max(int64(progress), int64(min(f.TimerC, f.MaxRing)), timerB)
	return waiting + timerB + timerB + t4 + k.slack()
}

// nothingLeft holds the memory of a node against what it began with.
func (k *simChecker) nothingLeft(n *simNode) {
	w, u := k.w, n.r.Usage()
	if u.Calls != 0 || u.Setups != 0 || u.Timers != 0 {
		w.fail(nil, "17: no transaction outlives its timers", "%d calls, %d set-ups, %d timers", u.Calls, u.Setups, u.Timers)
	}
	seen := map[*byte]bool{}
	for i, st := range n.r.stripes {
		for _, c := range st.idle.free {
			if c.raw != nil || c.answer != nil || c.best != nil || c.reason != nil || c.more != nil {
				w.fail(nil, "memory", "an idle call of stripe %d holds on to something", i)
			}
		}
		if idle := len(st.idle.free); idle != st.made {
			w.fail(nil, "memory", "stripe %d made %d calls and has %d back", i, st.made, idle)
		}
		if st.held != 0 {
			w.fail(nil, "memory", "stripe %d says that %d bytes of messages are in use", i, st.held)
		}
		free := 0
		for _, s := range st.buffers.shelves {
			for _, b := range s.free {
				free += cap(b)
				if at := &b[:1][0]; seen[at] {
					w.fail(nil, "memory", "a buffer of stripe %d is free twice", i)
				} else {
					seen[at] = true
				}
			}
		}
		if st.buffers.free != free {
			w.fail(nil, "memory", "stripe %d says that %d bytes of messages are free, and %d are", i, st.buffers.free, free)
		}
	}
}

// told holds what operators are told against what was seen.
func (k *simChecker) told(n *simNode) {
	w := k.w
	records, missed := n.follower.Next()
	if missed > 0 {
		w.fail(nil, "Recent", "%d records are missing", missed)
	}
	of := map[string][]CallRecord{}
	for _, rec := range records {
		if rec.Outcome != "rejected" {
			of[rec.CallID] = append(of[rec.CallID], rec)
		}
	}
	for _, c := range w.calls {
		if c == nil {
			continue
		}
		recs := of[c.id]
		for _, v := range c.views {
			if v.node != n || v.first == nil {
				continue
			}
			if len(recs) == 0 {
				w.fail(c, "Recent: each call is told of", "none")
			}
			k.toldOf(c, v, &recs[0])
			recs = recs[1:]
		}
		if len(recs) > 0 {
			w.fail(c, "Recent: each call is told of once", "%d too many", len(recs))
		}
	}
}

func (k *simChecker) toldOf(c *simCall, v *simView, rec *CallRecord) {
	if rec.Status != v.firstStatus {
		k.w.fail(c, "Recent tells what the caller got first", "%d, and the caller got %d", rec.Status, v.firstStatus)
	}
	if rec.Method != c.method || rec.Source != c.from.String() {
		k.w.fail(c, "Recent", "method %q, source %s", rec.Method, rec.Source)
	}
	n := 0
	for _, a := range v.attempts {
		if a.started <= v.firstAt {
			n++
		}
	}
	if len(rec.Attempts) != n {
		k.w.fail(c, "Recent tells of each attempt", "%d of %d", len(rec.Attempts), n)
	}
	for i, a := range rec.Attempts {
		if a.Host != v.attempts[i].host.con.Hosts[0].URI && a.Host != "sip:"+v.attempts[i].host.addr.String() {
			k.w.fail(c, "Recent tells of each attempt", "%s instead of %s", a.Host, v.attempts[i].host.addr)
		}
	}
}

// heardOf holds what the ends of a call saw against what they must see when
// nothing is lost and everybody does what the RFC asks for.
func (k *simChecker) heardOf(c *simCall) {
	w := k.w
	if c.final == 0 {
		w.fail(c, "16.7: every request has a final response", "the caller heard none")
	}
	for _, t := range c.byes {
		if t.lost {
			w.fail(c, "15: a BYE is answered", "it was not")
		}
	}
	for _, e := range c.ends {
		for _, t := range e.servers {
			for _, a := range t.answers {
				if a.lost {
					w.fail(c, "13.3.1.4, 17.2.1: an answer is acknowledged", "that of %s was not", w.name(e.addr))
				}
			}
		}
	}
}
