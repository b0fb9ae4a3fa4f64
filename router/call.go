package router

import (
	"net/netip"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// call is one server transaction and its attempts, from the request until the
// last of its RFC timers. It is under its stripe's lock. Its fields are in an
// order that leaves few gaps: there may be hundreds of thousands.
type call struct {
	key       uint64
	next      *call // in the stripe's chain
	timerNext *call // in the stripe's wheel
	timerPrev *call
	slot      int32  // in the wheel, plus one; 0 when it waits for nothing
	loop      uint32 // loop hash of the request
	deadline  int64

	route *route
	trunk *trunk

	listener int            // that the request came to
	local    netip.Addr     // and to which of its addresses
	source   netip.AddrPort // where it came from
	replyTo  netip.AddrPort // where responses go

	callID wire.Span // in raw
	raw    []byte    // the request as received; nil once nothing is rendered from it any more
	answer []byte    // the last response sent upstream, for retransmissions; nil stands for 100
	best   []byte    // the best final response that was not relayed yet
	reason []byte    // Reason of the caller's CANCEL

	bestStatus int16
	status     int16 // of the final response

	method wire.Method

	answered  bool // a 2xx went upstream
	refused   bool // a final response other than 2xx went upstream
	acked     bool // and was acknowledged
	stopping  bool // nothing new may start
	cancelled bool // by the caller
	timedOut  bool // Timer C fired
	spared    bool // it ended although hosts were left, which are down or ejected (when_all_down)
	ringing   bool // a 101-199 was relayed, of an attempt that is not given up
	secure    bool // its request-URI is a sips URI: it goes to hosts over TLS only

	oversized uint8 // attempts that ended since no datagram holds the request
	numberLen uint8
	number    [maxNumber]byte // the number that was looked up

	rang      int64 // when the caller first heard of progress, a 101-199 or 2xx; 0 before
	started   int64
	resendAt  int64 // Timer G: the final response again
	resendEnd int64 // Timer H: not later than this
	interval  int64
	tryingAt  int64 // a 100 that was not sent at once
	endAt     int64

	count int
	first [2]attempt
	more  *[moreAttempts]attempt
}

const moreAttempts = 6 // with the first two: catalog.MaxAttempts

// attempt is one client transaction of a call.
type attempt struct {
	host     *host
	failover *catalog.Failover
	hold     hold   // its place in the counts of its host and connector
	hash     uint32 // of the host's address, as in the branch
	phase    phase
	// What became of it, for the record.
	outcome attemptOutcome
	status  int16

	praised    bool // health was told of a success
	waits      bool // health was told that it waits for long, with nothing but 100
	progress   bool // a 101-199 came
	patient    bool // it may ring on: there is nothing else to try
	abandoned  bool // left behind for the next candidate
	revoked    bool // CANCEL is sent, or waits for the first provisional
	cancelSent bool
	stream     bool // over TCP, to a host over UDP: it is large

	started  int64
	ended    int64
	resendAt int64 // Timer A or E
	interval int64
	waitAt   int64 // the end of its phase
	// When it is given up with nothing but 100, and when although it rings.
	progressBy, ringUntil int64
	// So long without a response means something is wrong with the host: one
	// retransmission has had its time, or what its own settings say, if that is
	// less. What a trunk or a budget cuts short does not make others avoid it.
	evidence int64
	// So long with nothing but 100 says something about the host too.
	stuckAfter int64
	// When health is told that it still waits, with nothing but 100.
	stallAt int64
	// When its first response and its first 101-199 came; 0 before.
	heard, rang int64
	cancelAt    int64 // our CANCEL again
	cancelIv    int64
}

type phase uint8

const (
	trying     phase = iota // no response yet
	proceeding              // a provisional came
	over                    // a final response came, or none will
)

// attemptOutcome is how an attempt ended.
type attemptOutcome uint8

const (
	attemptPending attemptOutcome = iota
	attemptAnswered
	attemptRefused
	attemptFailed // with a failover code
	attemptSilent
	attemptNoProgress
	attemptNoAnswer
	attemptICMP
	attemptSendError
	attemptCancelled
	attemptTimedOut
	attemptOutcomes
)

var attemptNames = [attemptOutcomes]string{
	"pending", "answered", "refused", "failed", "silent", "no_progress", "no_answer", "icmp", "send_error", "cancelled", "timeout",
}

func (o attemptOutcome) String() string { return attemptNames[o] }

func (c *call) invite() bool { return c.method == wire.INVITE }

// failover are the settings of the call; those of an attempt are its own.
func (c *call) failover() *catalog.Failover { return c.route.failover[c.trunk.class] }

// mostAttempts is how many attempts c may make. What no datagram holds was sent to
// nobody, and is none of those that were asked for.
func (c *call) mostAttempts() int {
	return min(c.failover().MaxAttempts+int(c.oversized), catalog.MaxAttempts)
}

func (c *call) settled() bool { return c.answered || c.refused }

func (c *call) at(i int) *attempt {
	if i < len(c.first) {
		return &c.first[i]
	}
	return &c.more[i-len(c.first)]
}

// byHost finds the attempt that a branch with this host hash belongs to.
func (c *call) byHost(hash uint32) *attempt {
	for i := range c.count {
		if a := c.at(i); a.hash == hash {
			return a
		}
	}
	return nil
}

// addAttempt makes room for one more.
func (c *call) addAttempt(st *stripe) *attempt {
	if c.count == len(c.first) && c.more == nil {
		var ok bool
		if c.more, ok = st.spares.take(); !ok {
			c.more = new([moreAttempts]attempt)
		}
	}
	c.count++
	a := c.at(c.count - 1)
	*a = attempt{resendAt: never, waitAt: never, cancelAt: never, stallAt: never}
	return a
}

// situation is what decide is told about an event of attempt a.
func (c *call) situation(a *attempt) situation {
	s := situation{
		invite:    c.invite(),
		answered:  c.answered,
		refused:   c.refused,
		stopping:  c.stopping,
		cancelled: c.cancelled,
		ringing:   c.ringing,
		abandoned: a.abandoned,
		revoked:   a.revoked,
	}
	for i := range c.count {
		if o := c.at(i); o != a && o.phase != over {
			s.pending = s.pending || !o.abandoned
			s.unresolved = s.unresolved || o.abandoned
		}
	}
	return s
}

// outlive keeps a call that is over until a transaction of its attempts that
// begins its end now has ended too.
func (c *call) outlive(now int64) {
	if c.settled() && c.invite() {
		c.endAt = max(c.endAt, now+timerB)
	}
}

// tried appends the hosts of all attempts.
func (c *call) tried(hosts []*host) []*host {
	for i := range c.count {
		hosts = append(hosts, c.at(i).host)
	}
	return hosts
}

// pending reports whether an attempt is live that was not left behind.
func (c *call) pending() bool {
	for i := range c.count {
		if a := c.at(i); a.phase != over && !a.abandoned {
			return true
		}
	}
	return false
}

// due is the earliest of the deadlines of c. The caller hears nothing while an
// attempt is waited for in vain, so that ends to the millisecond; everything
// else comes with the next tick.
func (c *call) due() int64 {
	at, wait := min(c.resendAt, c.tryingAt, c.endAt), never
	for i := range c.count {
		a := c.at(i)
		at = min(at, a.resendAt, a.cancelAt, a.stallAt)
		wait = min(wait, a.waitAt)
	}
	return min(onTick(at), wait)
}

// arm sets the timer of c, and wakes the timer goroutine if it would oversleep.
func (r *Router) arm(st *stripe, c *call, now int64) {
	at := c.due()
	st.wheel.set(c, at, now)
	if at < r.sleepUntil.Load() {
		r.wakeTimers()
	}
}
