package stream

// End is why a connection ended, or never came to be.
type End uint8

// Ends.
const (
	NotEnded         End = iota
	ByPeer               // the peer closed it between two messages
	CutShort             // the peer closed it within a message
	Reset                // the network or the peer broke it
	Idle                 // nothing passed for Limits.Idle
	SlowMessage          // a message was not whole Limits.Complete after its first byte
	LongHeader           // a header of more than Limits.Header bytes
	LongBody             // a body of more than Limits.Body bytes
	NoLength             // a message without Content-Length
	BadLength            // a Content-Length that is no number, or several that differ
	NoMemory             // Limits.Memory, or its address's share, is used up by messages that are not whole
	Stalled              // the peer took nothing for Limits.Write
	NoPong               // a ping was not answered within Limits.Pong
	ConnectFailed        // nobody listens there, or there is no way there
	NoSocket             // not dialled: we have no file, port or memory for it, or the listener's address is gone
	ConnectSlow          // no connection within Limits.Connect
	HandshakeFailed      // not TLS, no version or cipher in common, or the peer refused our certificate
	HandshakeSlow        // no handshake within Limits.Handshake
	BadCertificate       // the peer's certificate was refused, or it has none and must
	Broken               // what came after the handshake is not TLS
	TooMany              // refused: Limits.Connections are there
	TooManyOfSource      // refused: Limits.PerSource are there of this source
	TooManyDialled       // not dialled: Limits.Dialled are there, or Limits.Dialling under way
	TooManyStrangers     // not dialled: whom Config.Known does not know, and Limits.Strangers, StrangersDialling or StrangersRate
	FailedBefore         // not dialled: such a one, who could not be connected to within Limits.BackOff
	Unknown              // not dialled: TLS, and nobody says who is at that address
	Gone                 // not dialled: a response, or what goes back as one does, whose connection has ended
	Closed               // Close was called
	ends
)

var endNames = [ends]string{
	NotEnded: "not ended", ByPeer: "closed by the peer", CutShort: "closed by the peer within a message", Reset: "reset",
	Idle: "idle", SlowMessage: "message not complete in time", LongHeader: "header too long", LongBody: "body too long",
	NoLength: "no Content-Length", BadLength: "bad Content-Length", NoMemory: "no memory for incomplete messages",
	Stalled: "peer does not read", NoPong: "ping not answered", ConnectFailed: "connect failed", NoSocket: "no socket", ConnectSlow: "connect timed out",
	HandshakeFailed: "TLS handshake failed", HandshakeSlow: "TLS handshake timed out", BadCertificate: "certificate refused",
	Broken: "bad TLS record", TooMany: "too many connections", TooManyOfSource: "too many connections of the source",
	TooManyDialled: "too many connections of ours", TooManyStrangers: "too many connections of ours to strangers",
	FailedBefore: "connect failed a moment ago", Unknown: "nobody said who is there", Gone: "response without its connection", Closed: "shut down",
}

func (e End) String() string {
	if e < ends {
		return endNames[e]
	}
	return "unknown"
}

// ordinary ends are no fault of anybody: they are not logged.
func (e End) ordinary() bool { return e == ByPeer || e == Idle || e == Gone || e == Closed }

// Ends returns all of them, for whoever shows Stats.Ended.
func Ends() (all []End) {
	for e := ByPeer; e < ends; e++ {
		all = append(all, e)
	}
	return all
}
