package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeaderOf_AnyCase(t *testing.T) {
	for name, id := range map[string]HeaderID{
		"Via": HeaderVia, "v": HeaderVia, "Max-Forwards": HeaderMaxForwards, "Max-Breadth": HeaderMaxBreadth,
		"Route": HeaderRoute, "Record-Route": HeaderRecordRoute, "From": HeaderFrom, "f": HeaderFrom, "To": HeaderTo, "t": HeaderTo,
		"Call-ID": HeaderCallID, "i": HeaderCallID, "CSeq": HeaderCSeq, "Contact": HeaderContact, "m": HeaderContact,
		"Content-Length": HeaderContentLength, "l": HeaderContentLength, "Proxy-Require": HeaderProxyRequire,
		"Retry-After": HeaderRetryAfter, "Reason": HeaderReason, "Timestamp": HeaderTimestamp,
		"WWW-Authenticate": HeaderWWWAuthenticate, "Proxy-Authenticate": HeaderProxyAuthenticate,
		"Allow": HeaderOther, "": HeaderOther, "x": HeaderOther, "Call\rID": HeaderOther, "\x16ia": HeaderOther,
	} {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			require.Equal(t, id, headerOf([]byte(spelled)), "%q", spelled)
			require.Equal(t, id, headerOfAnyCase([]byte(spelled)), "%q", spelled)
		}
	}
}
