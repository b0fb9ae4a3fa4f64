package load

// call is what is known of one call. There is no pointer in it: the collector
// need not look at a million of them.
type call struct {
	id        int
	scheduled int64 // nanoseconds since 1970, like all times here
	sent, bye int64 // just before the system call
	tag       uint64
	window    int32
	connector int16 // that its first INVITE came to, and 1; 0 for none
	state     state
	seen      seen
}

type state uint8

const (
	unused   state = iota
	inviting       // INVITE is sent, no final answer is here
	answered       // ACK and BYE are sent
	ended          // well
	refused        // failed by a final answer
	givenUp        // failed by time
)

// seen is what has come of a call.
type seen uint8

const (
	seenTrying    seen = 1 << iota
	seenRinging        // at the caller
	seenAck            // at the connector
	seenBye            // at the connector
	seenByeAnswer      // at the caller
)

// calls is a ring of the newest calls: their numbers rise with the time of
// their beginning, and none is looked for when it is twice the timeout old.
type calls struct {
	ring []call // a power of two
	next int    // the number of the next call
	live int    // begun, and neither ended nor failed

	// No call before setup waits for its final answer, none before finish waits
	// for anything.
	setup, finish int
}

// grow makes room for so many calls at a time. No call may be live.
func (c *calls) grow(room int) {
	size := 1024
	for size < room {
		size *= 2
	}
	if size > len(c.ring) {
		c.ring = make([]call, size)
	}
	c.setup, c.finish = c.next, c.next
}

// at is a call that is in the ring.
func (c *calls) at(id int) *call { return &c.ring[id&(len(c.ring)-1)] }

// find is the call of a number, nil if there is none or it is forgotten.
func (c *calls) find(id int) *call {
	if id < 0 || id >= c.next || len(c.ring) == 0 {
		return nil
	}
	if found := c.at(id); found.id == id && found.state != unused {
		return found
	}
	return nil
}
