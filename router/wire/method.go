package wire

var methodNames = [...]string{
	Other:     "",
	INVITE:    "INVITE",
	ACK:       "ACK",
	BYE:       "BYE",
	CANCEL:    "CANCEL",
	OPTIONS:   "OPTIONS",
	REGISTER:  "REGISTER",
	SUBSCRIBE: "SUBSCRIBE",
	NOTIFY:    "NOTIFY",
	REFER:     "REFER",
	MESSAGE:   "MESSAGE",
	INFO:      "INFO",
	PRACK:     "PRACK",
	UPDATE:    "UPDATE",
	PUBLISH:   "PUBLISH",
}

// String returns the method as it is written, "OTHER" for Other.
func (m Method) String() string {
	if m == Other || int(m) >= len(methodNames) {
		return "OTHER"
	}
	return methodNames[m]
}

// methodOf compares with case, as RFC 3261 7.1 has it: "invite" is another
// method, and passes as such.
func methodOf(name []byte) Method {
	switch string(name) {
	case "INVITE":
		return INVITE
	case "ACK":
		return ACK
	case "BYE":
		return BYE
	case "CANCEL":
		return CANCEL
	case "OPTIONS":
		return OPTIONS
	case "REGISTER":
		return REGISTER
	case "SUBSCRIBE":
		return SUBSCRIBE
	case "NOTIFY":
		return NOTIFY
	case "REFER":
		return REFER
	case "MESSAGE":
		return MESSAGE
	case "INFO":
		return INFO
	case "PRACK":
		return PRACK
	case "UPDATE":
		return UPDATE
	case "PUBLISH":
		return PUBLISH
	}
	return Other
}
