package catalog

import "cmp"

// Large is what becomes of requests to hosts over UDP that are too large for a
// datagram to be sure to arrive (RFC 3261 18.1.1). A value of 0 is that of the
// level above.
type Large struct {
	Requests LargeRequests
	MTU      int // bytes: a request of more is large
}

// LargeRequests says what large requests to hosts over UDP travel over.
type LargeRequests uint8

// What large requests travel over.
const (
	LargeInherit LargeRequests = iota // what the level above says
	LargeAuto                         // TCP where the host was seen to take it, else UDP
	LargeUDP                          // UDP always
	LargeTCP                          // TCP first, and UDP for a while after that has failed
)

// DefaultLarge is what counts where nothing is written: RFC 3261 18.1.1 has 1300
// bytes where the MTU of the path is not known.
func DefaultLarge() Large { return Large{LargeAuto, 1300} }

// Or is l with the values of above where it has none.
func (l Large) Or(above Large) Large {
	return Large{cmp.Or(l.Requests, above.Requests), cmp.Or(l.MTU, above.MTU)}
}

var largeNames = [...]string{"", "auto", "udp", "tcp"}

// String is l as it is written; "" when it is not.
func (l LargeRequests) String() string { return largeNames[l] }
