package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func TestParseRequest(t *testing.T) {
	m := parse(t, string(invite))
	require.True(t, m.IsRequest)
	require.Equal(t, wire.INVITE, m.Method)
	require.Equal(t, "INVITE", text(m, m.MethodName))
	require.Equal(t, "sip:+15550000001@203.0.113.10:5060;user=phone", text(m, m.RequestURI))
	require.Equal(t, "SIP/2.0", text(m, m.Version))
	require.Len(t, m.Headers, 13)
	require.Equal(t, "192.0.2.10", text(m, m.TopVia.Host))
	require.Equal(t, "z9hG4bK776asdhds0001", text(m, m.TopVia.Branch))
	require.Equal(t, "sip:+15557654321@carrier.example.net", text(m, m.From.URI))
	require.Equal(t, "1928301774-a9f3", text(m, m.From.Tag))
	require.Equal(t, "sip:+15550000001@203.0.113.10", text(m, m.To.URI))
	require.Zero(t, m.To.Tag)
	require.Equal(t, "a84b4c76e66710a84b4c76e66710@192.0.2.10", text(m, m.CallID))
	require.Equal(t, uint32(314159), m.CSeq)
	require.Equal(t, "INVITE", text(m, m.CSeqMethod))
	require.Equal(t, 69, m.MaxForwards)
	require.Equal(t, -1, m.MaxBreadth)
	require.Equal(t, sdp, text(m, m.Body))
	require.Equal(t, sdp, string(m.Data[m.HeadEnd:]))

	var whole strings.Builder
	for _, h := range m.Headers {
		whole.Write(m.Bytes(h.Line))
	}
	head := string(m.Data[m.Headers[0].Line.Start : m.HeadEnd-2])
	require.Equal(t, head, whole.String(), "the lines are the whole head, in order")
}

func TestParseResponse(t *testing.T) {
	tests := []struct {
		name, line, phrase string
		status             int
	}{
		{"usual", "SIP/2.0 180 Ringing", "Ringing", 180},
		{"phrase with spaces", "SIP/2.0 481 Call/Transaction Does Not Exist", "Call/Transaction Does Not Exist", 481},
		{"RFC 4475 3.1.1.13 empty phrase", "SIP/2.0 100 ", "", 100},
		{"no space either", "SIP/2.0 100", "", 100},
		{"RFC 3261 7.1 version in any case", "sip/2.0 200 OK", "OK", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := parse(t, lines(test.line,
				"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2",
				"From: <sip:a@example.com>;tag=1", "To: <sip:b@example.com>;tag=2",
				"Call-ID: c", "CSeq: 7 INVITE", "Content-Length: 0"))
			require.False(t, m.IsRequest)
			require.Equal(t, wire.NoDefect, m.Defect)
			require.Equal(t, test.status, m.Status)
			require.Equal(t, test.phrase, text(m, m.Phrase))
			require.Equal(t, wire.INVITE, m.Method)
			require.Equal(t, "INVITE", text(m, m.MethodName))
			require.Equal(t, "z9hG4bK1", text(m, m.TopVia.Branch))
			require.Equal(t, "2", text(m, m.To.Tag))
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, data string
		want       error
	}{
		{"nothing", "", wire.ErrEmpty},
		{"RFC 5626 3.5.1 ping", "\r\n\r\n", wire.ErrEmpty},
		{"RFC 5626 3.5.1 pong", "\r\n", wire.ErrEmpty},
		{"NULs", "\x00\x00\x00\x00", wire.ErrEmpty},
		{"spaces", "  \r\n", wire.ErrEmpty},
		{"garbage", "\x16\x03\x01\x02\x00\x01\x00\x01", wire.ErrNotSIP},
		{"NUL in front", "\x00" + minimal(), wire.ErrNotSIP},
		{"space in front", " " + minimal(), wire.ErrNotSIP},
		{"STUN", "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl", wire.ErrNotSIP},
		{"HTTP", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", wire.ErrNotSIP},
		{"no version", "INVITE sip:a@example.com\r\n\r\n", wire.ErrNotSIP},
		{"no slash in the version", "INVITE sip:a@example.com SIP\r\n\r\n", wire.ErrNotSIP},
		{"method that is no token", "INV@TE sip:a@example.com SIP/2.0\r\n\r\n", wire.ErrNotSIP},
		{"header first", "Via: SIP/2.0/UDP 192.0.2.1\r\n\r\n", wire.ErrNotSIP},
		{"status with a fourth digit", "SIP/2.0 2000 OK\r\n\r\n", wire.ErrNotSIP},
		{"status with a letter", "SIP/2.0 20x OK\r\n\r\n", wire.ErrNotSIP},
		{"status 99", "SIP/2.0 099 Low\r\n\r\n", wire.ErrNotSIP},
		{"status 700", "SIP/2.0 700 High\r\n\r\n", wire.ErrNotSIP},
		{"status missing", "SIP/2.0 \r\n\r\n", wire.ErrNotSIP},
		{"start line without end", "INVITE sip:a@example.com SIP/2.0", wire.ErrTruncated},
		{"start line alone", "INVITE sip:a@example.com SIP/2.0\r\n", wire.ErrTruncated},
		{"cut in a name", "INVITE sip:a@example.com SIP/2.0\r\nVi", wire.ErrTruncated},
		{"no empty line", strings.TrimSuffix(minimal(), "\r\n"), wire.ErrTruncated},
		{"half an empty line", strings.TrimSuffix(minimal(), "\n"), wire.ErrTruncated},
		{"a fold at the end", strings.TrimSuffix(minimal(), "\r\n") + " x", wire.ErrTruncated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.ErrorIs(t, new(wire.Message).Parse([]byte(test.data)), test.want)
		})
	}
}

// replaced returns the minimal request with one line changed, or removed.
func replaced(from string, to ...string) string {
	if len(to) == 0 {
		return strings.Replace(minimal(), from+"\r\n", "", 1)
	}
	return strings.Replace(minimal(), from, to[0], 1)
}

func TestDefects(t *testing.T) {
	const (
		start  = "INVITE sip:+15550000001@example.com SIP/2.0"
		via    = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1"
		from   = "From: <sip:alice@example.com>;tag=a1"
		to     = "To: <sip:+15550000001@example.com>"
		callID = "Call-ID: c1@192.0.2.1"
		cseq   = "CSeq: 1 INVITE"
	)
	tests := []struct {
		name, data string
		want       wire.Defect
	}{
		{"none", minimal(), wire.NoDefect},
		{"RFC 3261 7.3.1 unknown and odd fields pass", minimal("no colon here", ": no name", "Date: yesterday", "Expires: -1", "X@Y: \x00\xff"), wire.NoDefect},
		{"RFC 3261 16.3 no Max-Forwards", minimal(), wire.NoDefect},
		{"Via with a space in its name is another field", minimal("Vi a: nonsense"), wire.NoDefect},

		{"505 version 7", replaced(start, "INVITE sip:a@example.com SIP/7.0"), wire.BadVersion},
		{"505 version 2.00", replaced(start, "INVITE sip:a@example.com SIP/2.00"), wire.BadVersion},
		{"RFC 3261 7.1 version in lower case", replaced(start, "INVITE sip:a@example.com sip/2.0"), wire.NoDefect},
		{"version comes before the rest", "OPTIONS  SIP/3.0\r\n\r\n", wire.BadVersion},

		{"empty request-URI", replaced(start, "INVITE  SIP/2.0"), wire.BadRequestURI},
		{"no request-URI", replaced(start, "INVITE SIP/2.0"), wire.BadRequestURI},
		{"RFC 4475 3.1.2.7 brackets", replaced(start, "INVITE <sip:a@example.com> SIP/2.0"), wire.BadRequestURI},
		{"RFC 4475 3.1.2.8 space inside", replaced(start, "INVITE sip:a@example.com; lr SIP/2.0"), wire.BadRequestURI},
		{"RFC 4475 3.1.2.9 two spaces", replaced(start, "INVITE  sip:a@example.com  SIP/2.0"), wire.BadRequestURI},
		{"tab inside", replaced(start, "INVITE sip:a\t@example.com SIP/2.0"), wire.BadRequestURI},
		{"NUL inside", replaced(start, "INVITE sip:a\x00@example.com SIP/2.0"), wire.BadRequestURI},
		{"RFC 4475 3.1.2.10 trailing spaces", replaced(start, start+"  "), wire.BadStartLine},
		{"folded start line", replaced(start, start+"\r\n folded"), wire.BadStartLine},

		{"no Via", replaced(via), wire.MissingVia},
		{"empty Via", replaced(via, "Via:"), wire.BadVia},
		{"Via without host", replaced(via, "Via: SIP/2.0/UDP ;branch=z9hG4bK1"), wire.BadVia},
		{"only the top Via counts", minimal("Via: nonsense"), wire.NoDefect},
		{"no From", replaced(from), wire.MissingFrom},
		{"empty From", replaced(from, "From: "), wire.BadFrom},
		{"no To", replaced(to), wire.MissingTo},
		{"RFC 4475 3.1.2.6 open quote", replaced(to, `To: "Mr. J. User <sip:j.user@example.com>`), wire.BadTo},
		{"RFC 3261 25.1 a quote in a name of Via", replaced(via, via+`;x";received=1.1.1.1;y"`), wire.BadVia},
		{"RFC 3261 25.1 a quote in a token of To", replaced(to, to+`;x=y";tag=1;z="`), wire.BadTo},
		{"RFC 3261 25.1 a quote in a name of From", replaced(from, `From: <sip:alice@example.com>;x";tag=a1;y"`), wire.BadFrom},
		{"RFC 4475 3.1.2.1 an empty parameter of Via", replaced(via, "Via: SIP/2.0/UDP 192.0.2.15;;,;,,"), wire.BadVia},
		{"empty values behind the top Via", replaced(via, via+",,;,,"), wire.NoDefect},
		{"such a Via below the top one", minimal(`Via: SIP/2.0/UDP h;x"`), wire.NoDefect},
		{"no Call-ID", replaced(callID), wire.MissingCallID},
		{"empty Call-ID", replaced(callID, "Call-ID:  "), wire.MissingCallID},
		{"no CSeq", replaced(cseq), wire.MissingCSeq},
		{"empty CSeq", replaced(cseq, "CSeq:"), wire.BadCSeq},
		{"CSeq without method", replaced(cseq, "CSeq: 1"), wire.BadCSeq},
		{"CSeq without space", replaced(cseq, "CSeq: 1INVITE"), wire.BadCSeq},
		{"CSeq without number", replaced(cseq, "CSeq: INVITE"), wire.BadCSeq},
		{"CSeq negative", replaced(cseq, "CSeq: -1 INVITE"), wire.BadCSeq},
		{"CSeq with three parts", replaced(cseq, "CSeq: 1 INVITE now"), wire.BadCSeq},
		{"RFC 4475 3.1.2.4 CSeq beyond 32 bits", replaced(cseq, "CSeq: 36893488147419103232 INVITE"), wire.BadCSeq},
		{"CSeq of 32 bits", replaced(cseq, "CSeq: 4294967295 INVITE"), wire.NoDefect},
		{"CSeq with zeros in front", replaced(cseq, "CSeq: 0000000000001 INVITE"), wire.NoDefect},
		{"RFC 4475 3.1.2.17 other method", replaced(cseq, "CSeq: 1 BYE"), wire.MethodMismatch},
		{"RFC 3261 7.1 method in another case", replaced(cseq, "CSeq: 1 invite"), wire.MethodMismatch},

		{"two From", minimal("f: <sip:eve@example.com>;tag=2"), wire.DuplicateHeader},
		{"two To", minimal("t: <sip:eve@example.com>"), wire.DuplicateHeader},
		{"two Call-ID", minimal("i: other"), wire.DuplicateHeader},
		{"two CSeq", minimal("CSEQ: 1 INVITE"), wire.DuplicateHeader},
		{"two Max-Forwards", minimal("Max-Forwards: 1", "max-forwards: 70"), wire.DuplicateHeader},
		{"two Max-Breadth", minimal("Max-Breadth: 1", "Max-Breadth: 60"), wire.DuplicateHeader},
		{"RFC 4475 3.3.9 two Content-Length", minimal("Content-Length: 0", "l: 0"), wire.DuplicateHeader},
		{"two of what may be repeated", minimal("Route: <sip:a>", "Route: <sip:b>", "m: <sip:c>", "m: <sip:d>"), wire.NoDefect},

		{"Content-Length empty", minimal("Content-Length:"), wire.BadContentLength},
		{"RFC 4475 3.1.2.3 Content-Length negative", minimal("Content-Length: -999"), wire.BadContentLength},
		{"Content-Length with sign", minimal("Content-Length: +0"), wire.BadContentLength},
		{"Content-Length hexadecimal", minimal("Content-Length: 0x0"), wire.BadContentLength},
		{"Content-Length of 2**31", minimal("Content-Length: 2147483648"), wire.BadContentLength},
		{"Content-Length of 2**32", minimal("Content-Length: 4294967296"), wire.BadContentLength},
		{"Content-Length of 2**64", minimal("Content-Length: 18446744073709551616"), wire.BadContentLength},
		{"RFC 4475 3.1.2.2 short body", minimal("Content-Length: 5") + "1234", wire.ShortBody},

		{"RFC 3261 20.22 Max-Forwards 256", minimal("Max-Forwards: 256"), wire.BadMaxForwards},
		{"Max-Forwards negative", minimal("Max-Forwards: -1"), wire.BadMaxForwards},
		{"Max-Forwards empty", minimal("Max-Forwards:"), wire.BadMaxForwards},
		{"Max-Forwards 0", minimal("Max-Forwards: 0"), wire.NoDefect},
		{"RFC 5393 5.3.1 Max-Breadth no number", minimal("Max-Breadth: many"), wire.BadMaxBreadth},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want.Reason(), parse(t, test.data).Defect.Reason())
		})
	}
}

func TestReasonOfEveryDefect(t *testing.T) {
	require.Empty(t, wire.NoDefect.Reason())
	seen := map[string]bool{}
	for d := wire.NoDefect + 1; d <= wire.BadMaxBreadth; d++ {
		require.NotEmpty(t, d.Reason())
		require.False(t, seen[d.Reason()])
		seen[d.Reason()] = true
	}
	require.Equal(t, "Bad Request", wire.Defect(200).Reason())
}

func TestFirstOfARepeatedFieldIsKept(t *testing.T) {
	m := parse(t, minimal("From: <sip:eve@example.com>;tag=2", "Max-Forwards: 5", "Max-Forwards: 6"))
	require.Equal(t, "sip:alice@example.com", text(m, m.From.URI))
	require.Equal(t, 5, m.MaxForwards)
}

func TestNamesInAnyCaseLongAndCompact(t *testing.T) {
	ids := map[string]wire.HeaderID{
		"Via": wire.HeaderVia, "v": wire.HeaderVia, "From": wire.HeaderFrom, "f": wire.HeaderFrom,
		"To": wire.HeaderTo, "t": wire.HeaderTo, "Call-ID": wire.HeaderCallID, "i": wire.HeaderCallID,
		"Contact": wire.HeaderContact, "m": wire.HeaderContact,
		"Content-Length": wire.HeaderContentLength, "l": wire.HeaderContentLength,
		"CSeq": wire.HeaderCSeq, "Max-Forwards": wire.HeaderMaxForwards, "Max-Breadth": wire.HeaderMaxBreadth,
		"Route": wire.HeaderRoute, "Record-Route": wire.HeaderRecordRoute, "Proxy-Require": wire.HeaderProxyRequire,
		"Retry-After": wire.HeaderRetryAfter, "Reason": wire.HeaderReason, "Timestamp": wire.HeaderTimestamp,
		"WWW-Authenticate": wire.HeaderWWWAuthenticate, "Proxy-Authenticate": wire.HeaderProxyAuthenticate,
		"k": wire.HeaderOther, "Supported": wire.HeaderOther, "Subject": wire.HeaderOther, "s": wire.HeaderOther,
		"Content-Type": wire.HeaderOther, "X": wire.HeaderOther, "XX": wire.HeaderOther, "XXX": wire.HeaderOther,
		"Date": wire.HeaderOther, "Event": wire.HeaderOther, "Accept": wire.HeaderOther, "Subjec1": wire.HeaderOther,
		"Min-SE-XX": wire.HeaderOther, "In-Reply-To": wire.HeaderOther, "Organization": wire.HeaderOther,
		"Authorization": wire.HeaderOther, "Content-Lengtx": wire.HeaderOther, "Max\rForwards": wire.HeaderOther,
		"Authentication-Info": wire.HeaderOther, "Content-Encoding": wire.HeaderOther, "Proxy-Authenticatx": wire.HeaderOther,
	}
	for name, id := range ids {
		for _, written := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			for _, colon := range []string{":", " :", "\t : "} {
				m := parse(t, "OPTIONS sip:a SIP/2.0\r\n"+written+colon+"value\r\n\r\n")
				require.Equal(t, id, m.Headers[0].ID, written)
				require.Equal(t, written+colon+"value\r\n", text(m, m.Headers[0].Line))
				if id != wire.HeaderOther {
					require.Equal(t, "value", text(m, m.Headers[0].Value))
				}
			}
		}
	}
}

func TestMethods(t *testing.T) {
	for method := wire.INVITE; method <= wire.PUBLISH; method++ {
		m := parse(t, method.String()+" sip:a@example.com SIP/2.0\r\n\r\n")
		require.Equal(t, method, m.Method)
	}
	for _, name := range []string{"invite", "INVITES", "X", "!interesting-Method0123456789_*+`.%indeed'~"} {
		m := parse(t, name+" sip:a@example.com SIP/2.0\r\n\r\n")
		require.Equal(t, wire.Other, m.Method, name)
		require.Equal(t, name, text(m, m.MethodName))
	}
	require.Equal(t, "OTHER", wire.Other.String())
	require.Equal(t, "OTHER", wire.Method(99).String())
}

func TestFoldedLines(t *testing.T) { // RFC 3261 7.3.1
	m := parse(t, lines("INVITE sip:b@example.com SIP/2.0",
		"v:  SIP  / 2.0  / TCP     spindle.example.com   ;", "  branch  =   z9hG4bK9ikj8  ,",
		" SIP  /    2.0   / UDP  192.168.255.111   ; branch=", "\tz9hG4bK30239",
		"TO :", " sip:vivekg@example.com ;   tag    = 1918181833n",
		`from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>`, "  ;", "  tag = 98asjd8",
		"MaX-fOrWaRdS: 0068", "Call-ID: wsinv", "cseq: 0009", "  INVITE", "Subject :", "Content-Length   : 0"))
	require.Equal(t, wire.NoDefect, m.Defect)
	require.Len(t, m.Headers, 8)
	require.Equal(t, "spindle.example.com", text(m, m.TopVia.Host))
	require.Equal(t, "z9hG4bK9ikj8", text(m, m.TopVia.Branch))
	require.Equal(t, "sip:vivekg@example.com", text(m, m.To.URI))
	require.Equal(t, "1918181833n", text(m, m.To.Tag))
	require.Equal(t, "sip:jdrosen@example.com", text(m, m.From.URI))
	require.Equal(t, "98asjd8", text(m, m.From.Tag))
	require.Equal(t, 68, m.MaxForwards)
	require.Equal(t, uint32(9), m.CSeq)
	require.Equal(t, "cseq: 0009\r\n  INVITE\r\n", text(m, m.Headers[m.Find(wire.HeaderCSeq)].Line))

	vias := m.Values(wire.HeaderVia)
	_, _ = vias.Next()
	second, ok := vias.Next()
	require.True(t, ok)
	via, ok := wire.ParseVia(m.Data, second.Span)
	require.True(t, ok)
	require.Equal(t, "z9hG4bK30239", text(m, via.Branch))
}

func TestLineEnds(t *testing.T) {
	t.Run("RFC 3261 7.5 empty lines in front", func(t *testing.T) {
		m := parse(t, "\r\n\r\n\n"+string(invite))
		require.Equal(t, wire.NoDefect, m.Defect)
		require.Equal(t, "INVITE", text(m, m.MethodName))
		require.Equal(t, sdp, text(m, m.Body))
	})
	t.Run("bare LF", func(t *testing.T) {
		m := parse(t, strings.ReplaceAll(minimal("Reason: a", " b", "Content-Length: 4"), "\r\n", "\n")+"body")
		require.Equal(t, wire.NoDefect, m.Defect)
		require.Equal(t, "sip:+15550000001@example.com", text(m, m.RequestURI))
		require.Equal(t, "Reason: a\n b\n", text(m, m.Headers[5].Line))
		require.Equal(t, "a\n b", text(m, m.Headers[5].Value))
		require.Equal(t, "body", text(m, m.Body))
	})
	t.Run("a body that starts with a space is no fold", func(t *testing.T) {
		m := parse(t, minimal()+" body")
		require.Equal(t, " body", text(m, m.Body))
	})
	t.Run("a bare CR ends nothing", func(t *testing.T) {
		m := parse(t, minimal("Reason: a\rTo: b", "\rX: y"))
		require.Equal(t, wire.NoDefect, m.Defect)
		require.Equal(t, "a\rTo: b", text(m, m.Headers[5].Value))
	})
}

func TestBodyIsCutToContentLength(t *testing.T) { // RFC 3261 18.3
	m := parse(t, minimal("Content-Length: 4")+"bodyINVITE sip:next@example.com SIP/2.0\r\n")
	require.Equal(t, wire.NoDefect, m.Defect)
	require.Equal(t, "body", text(m, m.Body))
	m = parse(t, minimal()+"all of it")
	require.Equal(t, -1, m.ContentLength)
	require.Equal(t, "all of it", text(m, m.Body))
	m = parse(t, minimal("Content-Length: 0"))
	require.Empty(t, text(m, m.Body))
}

func TestParseForgetsTheLastMessage(t *testing.T) {
	m := parse(t, string(invite))
	headers := cap(m.Headers)
	require.NoError(t, m.Parse([]byte("OPTIONS sip:a SIP/2.0\r\nX: y\r\n\r\n")))
	fresh := parse(t, "OPTIONS sip:a SIP/2.0\r\nX: y\r\n\r\n")
	require.Equal(t, headers, cap(m.Headers))
	require.Equal(t, fresh, m)
}

func TestFind(t *testing.T) {
	m := parse(t, minimal("Route: <sip:a;lr>", "Route: <sip:b;lr>"))
	require.Equal(t, 5, m.Find(wire.HeaderRoute))
	require.Equal(t, -1, m.Find(wire.HeaderContact))
}
