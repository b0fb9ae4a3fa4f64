// Package wire reads and writes SIP messages as bytes: Parse walks a message
// once and records where its parts are, Edits renders a changed copy in one
// pass. Nothing is copied while parsing, nothing that is not named in an edit
// changes, and in steady state nothing is allocated. The package knows no
// sockets and no policy: what a message means is for the router.
package wire

// Span is a part of a message: offsets into Message.Data, End excluded.
type Span struct{ Start, End uint32 }

// Len returns the number of bytes in s.
func (s Span) Len() int { return int(s.End - s.Start) }

// Method is a SIP method that routing cares about, or Other.
type Method uint8

// Methods.
const (
	Other Method = iota // any other token: see Message.MethodName
	INVITE
	ACK
	BYE
	CANCEL
	OPTIONS
	REGISTER
	SUBSCRIBE
	NOTIFY
	REFER
	MESSAGE
	INFO
	PRACK
	UPDATE
	PUBLISH
)

// HeaderID is a header name that routing needs, in any case, long or compact.
type HeaderID uint8

// Header identities.
const (
	HeaderOther HeaderID = iota // carried as it is
	HeaderVia
	HeaderMaxForwards
	HeaderMaxBreadth
	HeaderRoute
	HeaderRecordRoute
	HeaderFrom
	HeaderTo
	HeaderCallID
	HeaderCSeq
	HeaderContact
	HeaderContentLength
	HeaderProxyRequire
	HeaderRetryAfter
	HeaderReason
	HeaderTimestamp
	HeaderWWWAuthenticate
	HeaderProxyAuthenticate
)

// Header is one header field of a message, folded lines included.
type Header struct {
	ID    HeaderID
	Line  Span // name to the final CRLF, that one included
	Value Span // of those with an ID: without surrounding white space; folds inside stay as they are
}

// ViaValue is one Via value taken apart. Absent parts are empty spans.
type ViaValue struct {
	Value         Span   // the whole value
	Transport     Span   // "UDP"
	Host          Span   // sent-by host; an IPv6 reference keeps its brackets
	Port          uint16 // sent-by port, 0 when absent
	Params        Span   // from the first ";" to the end of the value, or empty
	Branch        Span
	Received      Span
	RPort         Span // value of rport, empty when it has none
	HasRPort      bool // rport is there, with or without a value
	RPortName     Span // the parameter as it stands, "rport" or "rport=5060", for replacement
	ReceivedParam Span // the parameter as it stands, "received=192.0.2.1", for replacement
	MAddr         Span
}

// URI is a sip:, sips: or tel: URI taken apart. Absent parts are empty spans.
type URI struct {
	Whole    Span
	Scheme   Scheme
	User     Span   // user part with its own parameters and password, without "@"; for tel: number and parameters
	Host     Span   // an IPv6 reference keeps its brackets
	Port     uint16 // 0 when absent
	HostPort Span
	Params   Span // from the first ";" after the host, without headers
	Headers  Span // from "?"
}

// Scheme of a URI.
type Scheme uint8

// Schemes.
const (
	OtherScheme Scheme = iota
	SIP
	SIPS
	TEL
)

// Address is a From, To, Contact, Route or Record-Route value.
type Address struct {
	Value  Span // the whole value
	URI    Span // inside the angle brackets, or the bare URI
	Params Span // header parameters from the first ";" after the URI
	Tag    Span // the tag parameter's value
}

// Defect is what makes a message unfit to be routed though its frame is sound.
type Defect uint8

// Message is a parsed message. Parse overwrites it; its header list is reused.
type Message struct {
	Data []byte

	IsRequest  bool
	Method     Method // of the request line, for a response of CSeq
	MethodName Span   // as written in the request line, for a response in CSeq
	RequestURI Span
	Version    Span // "SIP/2.0"
	Status     int  // of a response, 100-699
	Phrase     Span // reason phrase

	Headers []Header
	seen    headerSet // what ids they have
	HeadEnd uint32    // just behind the empty line: where the body starts
	Body    Span      // cut to Content-Length

	// The first of each, taken apart. Absent ones are zero.
	TopVia        ViaValue
	From, To      Address
	CallID        Span
	CSeq          uint32
	CSeqMethod    Span
	MaxForwards   int // -1 when absent
	MaxBreadth    int // -1 when absent
	ContentLength int // -1 when absent

	// Defect is the first thing wrong with the message, 0 for none: see the constants.
	Defect Defect
}
