package router

import (
	"net/netip"
	"reflect"

	"tandem/router/wire"
)

// accepted is what is left of an INVITE that its first host answered with a 2xx:
// its transactions in the state that RFC 6026 calls Accepted, until 64·T1 after
// that. A request that comes again is absorbed, a 2xx that comes again goes
// upstream, and nothing else happens. At a steady rate nearly all calls in memory
// are such, so it is small, and without a pointer: the collector need not look at
// it.
type accepted struct {
	key             uint64
	endAt           int64
	addr            [16]byte // that the request came from, and responses go to: replyTarget
	loop            uint32
	host, connector uint32
	older           uint32 // the number of the one before, in its chain
	port            uint16 // that responses go to
	listener        uint8  // that the request came to
	local           uint8  // and at which of its addresses, by its place in machine
	out             uint8  // the listener that the host is reached from
	four            bool   // addr is an IPv4 address
}

var acceptedBytes = int(reflect.TypeFor[accepted]().Size() + reflect.TypeFor[uint32]().Size()) // with its head

// fewestAccepted is what there is room for at least.
const fewestAccepted = 16

// acceptedTick is how long one may stay when it is over: that they end wakes
// nobody more often.
const acceptedTick = second

// acceptedWeight is how many of them count as one call: with the room that they
// grow into, they take less than its share of the memory.
const acceptedWeight = 8

// acceptances are those of a stripe, under its lock. Each has a number, one more
// than the one before, and as all last as long, they end in that order: those
// that there are have the count numbers from first on. A number that is not one of
// these is of one that has ended, and stands for the end of its chain.
type acceptances struct {
	slots []accepted // number n is at n modulo their length, a power of two
	heads []uint32   // the newest number of each chain, which goes on with older ones
	first uint32
	count uint32
}

func (q *acceptances) at(n uint32) *accepted { return &q.slots[n&uint32(len(q.slots)-1)] }

// head uses bits of the key that do not choose the stripe.
func (q *acceptances) head(key uint64) *uint32 { return &q.heads[key/stripes&uint64(len(q.heads)-1)] }

func (q *acceptances) find(key uint64) *accepted {
	if q.count == 0 {
		return nil
	}
	n, newer := *q.head(key), q.count
	for age := n - q.first; age < newer; age = n - q.first {
		e := q.at(n)
		if e.key == key {
			return e
		}
		n, newer = e.older, age
	}
	return nil
}

func (q *acceptances) add(e accepted) {
	if int(q.count) == len(q.slots) {
		q.resize(max(2*len(q.slots), fewestAccepted))
	}
	n, head := q.first+q.count, q.head(e.key)
	e.older, *head = *head, n
	*q.at(n) = e
	q.count++
}

// end forgets those that are over at now.
func (q *acceptances) end(now int64) {
	for q.count > 0 && q.at(q.first).endAt <= now {
		q.first++
		q.count--
	}
}

// next is when end is worth calling again, or never. Nobody is woken for one that
// has just been added: the timers look again within the horizon of a wheel, which
// is nearer than its end.
func (q *acceptances) next() int64 {
	if q.count == 0 {
		return never
	}
	return (q.at(q.first).endAt/acceptedTick + 1) * acceptedTick
}

// resize makes room for so many, a power of two. It takes a millisecond at 30,000
// calls a second, and is rare.
func (q *acceptances) resize(room int) {
	old := *q
	*q = acceptances{slots: make([]accepted, room), heads: make([]uint32, room), first: old.first}
	for n := old.first; n != old.first+old.count; n++ {
		q.add(*old.at(n))
	}
}

// trim lets go of half of the room when three quarters are empty, and returns how
// many bytes.
func (q *acceptances) trim() (freed int) {
	room := len(q.slots)
	if room <= fewestAccepted || int(q.count) > room/4 {
		return 0
	}
	q.resize(room / 2)
	return room / 2 * acceptedBytes
}

// shrink keeps of c what an accepted one is, if that is all that is left of it.
func (r *Router) shrink(st *stripe, c *call) bool {
	if !c.answered || !c.invite() || c.count > 1 || c.at(0).phase != over {
		return false
	}
	a, from, local := c.at(0), c.source.Addr(), r.machine.place(c.local)
	if from.Zone() != "" || local == 0 && c.local.IsValid() {
		return false // rare, and there is no room for it
	}
	st.accepted.add(accepted{
		key: c.key, endAt: c.endAt, loop: c.loop,
		addr: from.As16(), four: from.Is4(), port: c.replyTo.Port(), listener: uint8(c.listener), local: local,
		host: a.hash, connector: a.host.connector.id, out: uint8(a.host.listeners[c.listener]),
	})
	st.remove(c)
	return true
}

func (e *accepted) source() netip.Addr {
	addr := netip.AddrFrom16(e.addr)
	if e.four {
		addr = addr.Unmap()
	}
	return addr
}

// acceptedRequest handles a request that belongs to an accepted one.
func (r *Router) acceptedRequest(s *scratch, e *accepted) {
	switch {
	case s.m.Method == wire.ACK && r.ownTag(s, e.key):
		s.tally.drop(dropAckOwn) // of a refusal without state, before the call was let in
	case s.m.Method == wire.ACK:
		addr, _, ok := s.plan.known.at(e.connector, e.host)
		if !ok {
			s.tally.drop(dropAck)
			return
		}
		r.forwardAck(s, int(e.out), addr)
	case s.m.Method == wire.CANCEL && e.source() != s.source.Addr():
		r.reply(s, e.key, reply{status: 481}) // whoever did not send the INVITE cannot cancel it
	case s.m.Method == wire.CANCEL:
		r.reply(s, e.key, reply{status: 200}) // and nothing comes of it
	default:
		s.tally.drop(dropDuplicate) // RFC 6026 7.1
	}
}

// acceptedResponse handles a response from the host of an accepted one.
func (r *Router) acceptedResponse(s *scratch, e *accepted) {
	switch m := &s.m; {
	case m.Method == wire.CANCEL: // of ours, which came too late
	case m.Method != wire.INVITE:
		s.tally.drop(dropMethod)
	case m.Status < 200:
		s.tally.drop(dropLate)
	case m.Status >= 300:
		s.tally.drop(dropDuplicate) // it has had its effect
	default: // again, or forked behind the host: every one goes upstream (RFC 3261 16.7 step 5)
		msg := r.appendRelayed(s.out.Buf(), s, m, int(e.listener))
		s.out.SendFrom(int(e.listener), r.machine.at(e.local), netip.AddrPortFrom(e.source(), e.port), msg)
	}
}
