package wire

// Defects. BadVersion asks for a 505, every other one for a 400
// (RFC 3261 16.3 step 1); a response with a defect is dropped.
const (
	NoDefect         Defect = iota
	BadStartLine            // white space where the grammar has none
	BadVersion              // SIP, but not SIP/2.0
	BadRequestURI           // empty, or with a space, a control, a quote or angle brackets
	MissingVia              // no Via field at all
	BadVia                  // the top value has no transport, no host, a bad port, a quote in a name or token, an empty parameter
	MissingFrom             // no From field
	BadFrom                 // no address in it, an open bracket or quote, one in a name or token, an empty tag
	MissingTo               // no To field
	BadTo                   // as BadFrom
	MissingCallID           // no Call-ID, or an empty one
	MissingCSeq             // no CSeq field
	BadCSeq                 // not a 32-bit number and a method
	MethodMismatch          // CSeq names another method than the request line
	DuplicateHeader         // a second From, To, Call-ID, CSeq, Max-Forwards, Max-Breadth or Content-Length
	BadContentLength        // not a number that a body can have
	ShortBody               // fewer bytes than Content-Length says (RFC 3261 18.3)
	BadMaxForwards          // not a number from 0 to 255 (RFC 3261 20.22)
	BadMaxBreadth           // not a number (RFC 5393 5.3.1)
)

var reasons = [...]string{
	NoDefect:         "",
	BadStartLine:     "Bad Start Line",
	BadVersion:       "Version Not Supported",
	BadRequestURI:    "Bad Request-URI",
	MissingVia:       "Missing Via",
	BadVia:           "Bad Via",
	MissingFrom:      "Missing From",
	BadFrom:          "Bad From",
	MissingTo:        "Missing To",
	BadTo:            "Bad To",
	MissingCallID:    "Missing Call-ID",
	MissingCSeq:      "Missing CSeq",
	BadCSeq:          "Bad CSeq",
	MethodMismatch:   "CSeq Method Mismatch",
	DuplicateHeader:  "Duplicate Header Field",
	BadContentLength: "Bad Content-Length",
	ShortBody:        "Body Shorter Than Content-Length",
	BadMaxForwards:   "Bad Max-Forwards",
	BadMaxBreadth:    "Bad Max-Breadth",
}

// Reason returns a short text fit for a reason phrase, empty for NoDefect.
func (d Defect) Reason() string {
	if int(d) < len(reasons) {
		return reasons[d]
	}
	return "Bad Request"
}
