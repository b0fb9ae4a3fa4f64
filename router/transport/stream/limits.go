package stream

import "time"

// Limits bound what peers can take from us. A zero value is the default that is
// named beside it.
type Limits struct {
	Header int // bytes of one message's header: 16 KiB
	Body   int // bytes of one message's body: 256 KiB
	Queue  int // bytes that wait for one connection to take them: 256 KiB
	Memory int // bytes of messages that are not whole, all connections together: 64 MiB; a quarter of it from one IPv4 address or IPv6 /64 that is no host's

	Connections int // accepted connections: 20,000
	PerSource   int // of these: from one IPv4 address or IPv6 /64: 2,000
	Dialled     int // connections that we opened: 5,000
	Dialling    int // of these: not connected yet: 500

	// Peers choose where we connect to by what they write into Contact, Route and
	// Via. What goes to strangers, whom Config.Known does not know, must not take
	// what hosts need, nor find out for anybody who is where. One IPv4 address or
	// IPv6 /64 has a tenth of Strangers, StrangersDialling and StrangersRate.
	Strangers         int           // connections that we opened to strangers: 1,000; a fifth of Dialled at most
	StrangersDialling int           // of these: not connected yet: 100; a fifth of Dialling at most
	StrangersRate     int           // such connections begun in a second: 100
	BackOff           time.Duration // until a stranger who could not be connected to is dialled again: 5 s

	Connect   time.Duration // until a dialled connection is there: 5 s
	Handshake time.Duration // until TLS is agreed on: 5 s
	Complete  time.Duration // from the first byte of a message to its last: 10 s
	Write     time.Duration // without a byte taken, while there are some to take: 10 s
	Idle      time.Duration // without a message either way or a ping of the peer's: 10 min

	// Keepalive is how often we ping on connections that we opened (RFC 5626
	// 3.5.1, 4.4.1), between 80 and 100 % of it; 0 is never.
	Keepalive time.Duration
	// Pong is how long an answer may take: 10 s. It closes only connections on
	// which a ping was answered before: who never does may be a peer without RFC
	// 5626, and there a dead one shows by its not acknowledging the ping.
	Pong time.Duration
}

func (l Limits) withDefaults() Limits {
	or(&l.Header, 16<<10)
	or(&l.Body, 256<<10)
	or(&l.Queue, 256<<10)
	or(&l.Memory, 64<<20)
	or(&l.Connections, 20000)
	or(&l.PerSource, 2000)
	or(&l.Dialled, 5000)
	or(&l.Dialling, 500)
	or(&l.Strangers, 1000)
	or(&l.StrangersDialling, 100)
	or(&l.StrangersRate, 100)
	l.Strangers = min(l.Strangers, max(1, l.Dialled/5))
	l.StrangersDialling = min(l.StrangersDialling, max(1, l.Dialling/5))
	or(&l.BackOff, 5*time.Second)
	or(&l.Connect, 5*time.Second)
	or(&l.Handshake, 5*time.Second)
	or(&l.Complete, 10*time.Second)
	or(&l.Write, 10*time.Second)
	or(&l.Idle, 10*time.Minute)
	or(&l.Pong, 10*time.Second)
	return l
}

func or[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}
