package stream

import "sync/atomic"

// Stats is what one listener's connections have done since Listen. The figures
// of one value are read one after another, not at one instant.
type Stats struct {
	Listener int

	Open    int // accepted connections, those in their handshake too
	Dialled int // connections that we opened, those under way too

	Accepted     uint64 // with those that were refused at once
	AcceptErrors uint64 // the system could not give a connection (no more files, say)
	Connected    uint64 // dials that led to a connection, its handshake done
	Handshakes   uint64 // done, both ways
	Resumed      uint64 // of these: sessions taken up again

	Received    uint64 // messages handed to the Handler
	BytesIn     uint64 // of messages
	Sent        uint64 // messages that the system has taken
	BytesOut    uint64 // of messages
	Queued      uint64 // of those: the peer did not take them at once
	QueueFull   uint64 // messages not sent: the peer is behind by Limits.Queue bytes
	Undelivered uint64 // messages reported to Handler.Unreachable: those of QueueFull too, and some that the system had taken
	Unreported  uint64 // messages that should have been, but too many were waiting

	PingsIn      uint64 // answered
	PingsOut     uint64
	PingsIgnored uint64 // peers of ours that have never answered one

	Ended [ends]uint64 // by End
}

// Sum is how many connections ended or were refused, whatever the reason.
func (s *Stats) Sum() (sum uint64) {
	for _, n := range s.Ended {
		sum += n
	}
	return sum
}

// counters are a listener's figures.
type counters struct {
	accepted, acceptErrors, connected, handshakes, resumed  atomic.Uint64
	received, bytesIn, sent, bytesOut, queued               atomic.Uint64
	queueFull, undelivered, pingsIn, pingsOut, pingsIgnored atomic.Uint64
	unreported                                              atomic.Uint64
	ended                                                   [ends]atomic.Uint64
	open, dialled                                           atomic.Int64
}

func (c *counters) stats(listener int) Stats {
	s := Stats{
		Listener:     listener,
		Open:         int(c.open.Load()),
		Dialled:      int(c.dialled.Load()),
		Accepted:     c.accepted.Load(),
		AcceptErrors: c.acceptErrors.Load(),
		Connected:    c.connected.Load(),
		Handshakes:   c.handshakes.Load(),
		Resumed:      c.resumed.Load(),
		Received:     c.received.Load(),
		BytesIn:      c.bytesIn.Load(),
		Sent:         c.sent.Load(),
		BytesOut:     c.bytesOut.Load(),
		Queued:       c.queued.Load(),
		QueueFull:    c.queueFull.Load(),
		Undelivered:  c.undelivered.Load(),
		Unreported:   c.unreported.Load(),
		PingsIn:      c.pingsIn.Load(),
		PingsOut:     c.pingsOut.Load(),
		PingsIgnored: c.pingsIgnored.Load(),
	}
	for e := range s.Ended {
		s.Ended[e] = c.ended[e].Load()
	}
	return s
}
