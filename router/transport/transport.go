// Package transport moves datagrams: it receives them in batches on one socket
// per worker, hands each batch to a Handler and sends what the Handler leaves
// in the outgoing Batch.
//
//	udp, err := transport.Listen(transport.Config{Listen: addrs})
//	…
//	err = udp.Serve(router) // until udp.Close
//
// What it promises: datagrams of one peer are handled in the order of their
// arrival, datagrams of one flow of a Batch leave in its order, and one peer's
// ICMP error never costs another peer a datagram.
//
// It knows no SIP and keeps nothing about a call: it does not retransmit, does
// not choose a destination, does not resolve names and does not judge who may
// send. It has no timers; whoever has some sends through a Sender of its own.
package transport

import "net/netip"

// Packet is one received datagram. Data is valid until Packets returns.
type Packet struct {
	Data     []byte
	Source   netip.AddrPort // IPv4 sources are never IPv4-mapped
	Listener int            // index of the listening address it came to
	// Local is the address that it was sent to, where the listener has many (a
	// wildcard's); not valid otherwise, nor when it was sent to a multicast or
	// broadcast address. A link-local IPv6 address has its zone.
	Local netip.Addr
	Peer  *Peer // who is at Source; nil where the transport cannot know
}

// Peer is what a transport knows of who is at the other end. It never changes
// and is shared by all packets of a connection.
type Peer struct {
	// Names are what its certificate says that it is, in lower case, where the
	// certificate was verified (RFC 5922 7.1); none otherwise.
	Names []string
	TLS   bool
}

// Unreachable says that a datagram of ours did not reach Dest: an ICMP error
// from the socket's error queue, or a local send error that came again when
// the datagram was sent a second time.
type Unreachable struct {
	Dest  netip.AddrPort
	Code  Cause
	Quote []byte // the datagram as quoted, perhaps cut short; valid until the call returns
	Local bool   // the send itself failed: Quote is the whole datagram
	// Listener is the one that it was to leave from, when that is a stream's: no
	// connection could be made, or it ended before the message had left (NoHost),
	// or limits of ours kept us from making one (SendError).
	Listener int
}

// Cause is why a datagram did not arrive.
type Cause uint8

// Causes.
const (
	Other      Cause = iota // changes nothing (TTL exceeded, source quench, …)
	NoPort                  // port unreachable: nobody listens
	NoHost                  // host or network unreachable
	Prohibited              // filtered by a firewall that says so
	TooBig                  // fragmentation needed: worth sending again
	SendError               // a local send error
	Gone                    // a response whose connection has ended: it may be worth another one (Batch.Connect)
)

// Handler is what a transport serves. Its methods are called from several
// goroutines at once. now is nanoseconds on the monotonic clock Now. What a method
// leaves in out is sent soon after it returns; a method must not Flush.
type Handler interface {
	// Packets handles one batch in the order of its arrival.
	Packets(now int64, in []Packet, out *Batch)
	// Unreachable handles one undeliverable datagram.
	Unreachable(now int64, u Unreachable, out *Batch)
}

// Batch gathers outgoing datagrams in one growing arena. The zero value is
// ready; a Batch is used by one goroutine at a time.
type Batch struct {
	arena []byte
	msgs  []outgoing
	flow  uint32
}

type outgoing struct {
	start, end int
	dest       netip.AddrPort
	local      netip.Addr
	listener   int
	flow       uint32
	alone      bool
	back       bool
	name       int // where the name behind it ends; 0: see Connect
}

// Flow says what the datagrams queued from now on belong to, until the next Flow
// or Reset: those of one flow leave in their order, those of different flows may
// pass each other, so that datagrams of one size to one peer can leave together.
// Flow 0, which a batch begins with, is passed by none and passes none.
func (b *Batch) Flow(flow uint32) { b.flow = flow }

// Buf returns an empty slice to append the next datagram to.
func (b *Batch) Buf() []byte { return b.arena[len(b.arena):] }

// Send queues msg, which was appended to the slice that the last Buf returned,
// to leave from the given listener's address. Of a wildcard listener it leaves
// from the address that the kernel routes it by.
func (b *Batch) Send(listener int, dest netip.AddrPort, msg []byte) {
	b.SendFrom(listener, netip.Addr{}, dest, msg)
}

// SendFrom is Send for an answer: local is the Packet.Local of what is answered,
// and what it leaves from when it is valid. It is used on a wildcard listener
// only. Where the machine has the address no longer, the datagram leaves as by
// Send.
func (b *Batch) SendFrom(listener int, local netip.Addr, dest netip.AddrPort, msg []byte) {
	start := len(b.arena)
	if tail := b.arena[start:cap(b.arena)]; len(msg) > 0 && len(tail) >= len(msg) && &tail[0] == &msg[0] {
		b.arena = b.arena[:start+len(msg)] // it stands where it belongs
	} else {
		b.arena = append(b.arena, msg...)
	}
	b.msgs = append(b.msgs, outgoing{start, len(b.arena), dest, local, listener, b.flow, false, false, 0})
}

// Alone has the datagram that was queued last leave by itself, so that an ICMP
// error that comes back for it quotes it: of datagrams that leave together this
// machine's own kernel quotes the first alone.
func (b *Batch) Alone() { b.msgs[len(b.msgs)-1].alone = true }

// Back has the request that was queued last go on connections as a response does:
// on one that its destination opened, or on another that is there, or not at all.
func (b *Batch) Back() { b.msgs[len(b.msgs)-1].back = true }

// IsBack reports whether Back was called for datagram i.
func (b *Batch) IsBack(i int) bool { return b.msgs[i].back }

// Connect lets a connection be opened for the message that was queued last, where
// it is for a listener of connections and there is none to its destination. name
// is what the URI or Via calls who is there, which TLS has him prove. Without it
// a response goes on a connection that is there or not at all, and a request
// over TLS only to where somebody else says who has to be.
func (b *Batch) Connect(name []byte) {
	b.arena = append(b.arena, name...)
	b.msgs[len(b.msgs)-1].name = len(b.arena)
}

// Name returns what Connect said of datagram i; ok is false when it was not
// called. It is valid until Reset.
func (b *Batch) Name(i int) (name []byte, ok bool) {
	m := &b.msgs[i]
	if m.name == 0 {
		return nil, false
	}
	return b.arena[m.end:m.name:m.name], true
}

// Len returns how many datagrams wait in the batch.
func (b *Batch) Len() int { return len(b.msgs) }

// At returns datagram i; data is valid until Reset.
func (b *Batch) At(i int) (listener int, dest netip.AddrPort, data []byte) {
	m := &b.msgs[i]
	return m.listener, m.dest, b.data(i)
}

// data is datagram i.
func (b *Batch) data(i int) []byte {
	m := &b.msgs[i]
	return b.arena[m.start:m.end:m.end]
}

// Local returns the address that datagram i was given to leave from; not valid
// when it was given none.
func (b *Batch) Local(i int) netip.Addr { return b.msgs[i].local }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.arena, b.msgs, b.flow = b.arena[:0], b.msgs[:0], 0
}
