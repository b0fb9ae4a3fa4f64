package stream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

// events frames text that arrives cut as cut says, and writes down what was
// found: messages in brackets, "." for a CRLF, "-" for what means nothing, and
// why it went no further.
func events(text string, maxHeader, maxBody int, cut func(at int) int) string {
	f := framer{maxHeader: maxHeader, maxBody: maxBody}
	var log strings.Builder
	var buf []byte
	for at := 0; at < len(text); {
		n := min(max(cut(at), 1), len(text)-at)
		buf = append(buf, text[at:at+n]...)
		at += n
		for {
			what, size, why := f.next(buf)
			switch what {
			case message:
				fmt.Fprintf(&log, "[%s]", buf[:size])
			case crlf:
				log.WriteByte('.')
			case blank:
				log.WriteByte('-')
			}
			buf = buf[size:]
			if why != NotEnded {
				return log.String() + "!" + why.String()
			}
			if what == more {
				break
			}
		}
	}
	if len(buf) > 0 {
		fmt.Fprintf(&log, "+%d", len(buf))
	}
	return log.String()
}

func TestFraming(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":                    {"", ""},
		"no body":                    {"A\r\nContent-Length: 0\r\n\r\n", "[A\r\nContent-Length: 0\r\n\r\n]"},
		"body":                       {"A\r\nContent-Length: 3\r\n\r\nabc", "[A\r\nContent-Length: 3\r\n\r\nabc]"},
		"two":                        {"A\r\nl:1\r\n\r\naB\r\nl:1\r\n\r\nb", "[A\r\nl:1\r\n\r\na][B\r\nl:1\r\n\r\nb]"},
		"compact, upper case":        {"A\r\nL:1\r\n\r\na", "[A\r\nL:1\r\n\r\na]"},
		"any case":                   {"A\r\ncONTENT-lENGTH:1\r\n\r\na", "[A\r\ncONTENT-lENGTH:1\r\n\r\na]"},
		"spaces":                     {"A\r\nl \t: \t1 \t\r\n\r\na", "[A\r\nl \t: \t1 \t\r\n\r\na]"},
		"folded":                     {"A\r\nl:\r\n\t1\r\n\r\na", "[A\r\nl:\r\n\t1\r\n\r\na]"},
		"inside of a folded field":   {"A\r\nB: c\r\n l: 9\r\nl: 0\r\n\r\n", "[A\r\nB: c\r\n l: 9\r\nl: 0\r\n\r\n]"},
		"in the first line":          {"l: 5\r\nl: 1\r\n\r\na", "[l: 5\r\nl: 1\r\n\r\na]"},
		"twice the same":             {"A\r\nl:1\r\nContent-Length: 01\r\n\r\na", "[A\r\nl:1\r\nContent-Length: 01\r\n\r\na]"},
		"twice, differing":           {"A\r\nl:1\r\nl:2\r\n\r\nab", "!bad Content-Length"},
		"none":                       {"A\r\nB: c\r\n\r\n", "!no Content-Length"},
		"none, of a longer name":     {"A\r\nContent-Lengthy: 1\r\nll: 1\r\n\r\n", "!no Content-Length"},
		"empty":                      {"A\r\nl:\r\n\r\n", "!bad Content-Length"},
		"negative":                   {"A\r\nl: -1\r\n\r\n", "!bad Content-Length"},
		"signed":                     {"A\r\nl: +1\r\n\r\n", "!bad Content-Length"},
		"hexadecimal":                {"A\r\nl: 0x1\r\n\r\n", "!bad Content-Length"},
		"two numbers":                {"A\r\nl: 1 2\r\n\r\n", "!bad Content-Length"},
		"folded inside the number":   {"A\r\nl: 1\r\n 2\r\n\r\n", "!bad Content-Length"},
		"longest body":               {"A\r\nl: 100\r\n\r\n", "+13"},
		"body too long":              {"A\r\nl: 101\r\n\r\n", "!body too long"},
		"of 2**64+1":                 {"A\r\nl: 18446744073709551617\r\n\r\n", "!body too long"},
		"of 99 digits":               {"A\r\nl: " + strings.Repeat("9", 60) + "\r\n\r\n", "!body too long"},
		"a ping":                     {"\r\n\r\nA\r\nl:0\r\n\r\n\r\n\r\n", "..[A\r\nl:0\r\n\r\n].."},
		"half a ping":                {"\r\n\r", ".+1"},
		"stray bytes":                {"\n\r\rA\r\nl:0\r\n\r\n", "---[A\r\nl:0\r\n\r\n]"},
		"bare line feeds":            {"A\nl:1\n\nbB", "[A\nl:1\n\nb]+1"},
		"mixed line ends":            {"A\r\nl:1\n\r\nbB", "[A\r\nl:1\n\r\nb]+1"},
		"a carriage return in front": {"A\r\nl:1\r\n\r\r\n\r\nb", "[A\r\nl:1\r\n\r\r\n\r\nb]"},
		"longest header":             {"A\r\nB: " + strings.Repeat("x", 64-16) + "\r\nl: 0\r\n\r\n", "[A\r\nB: " + strings.Repeat("x", 64-16) + "\r\nl: 0\r\n\r\n]"},
		"header too long":            {"A\r\nB: " + strings.Repeat("x", 65-16) + "\r\nl: 0\r\n\r\n", "!header too long"},
		"header without end":         {strings.Repeat("x", 65), "!header too long"},
		"header not there yet":       {strings.Repeat("x", 64), "+64"},
	} {
		t.Run(name, func(t *testing.T) {
			whole := func(int) int { return len(c.in) }
			maxHeader := 64
			if strings.Contains(c.in, "999") {
				maxHeader = 128
			}
			require.Equal(t, c.want, events(c.in, maxHeader, 100, whole))
			require.Equal(t, c.want, events(c.in, maxHeader, 100, func(int) int { return 1 }), "byte by byte")
			for n := 2; n < len(c.in); n++ {
				require.Equal(t, c.want, events(c.in, maxHeader, 100, func(int) int { return n }), "%d bytes at a time", n)
			}
		})
	}
}

// A header that comes byte by byte is not read again and again.
func TestFramerReadsNothingTwice(t *testing.T) {
	f := framer{maxHeader: 1 << 20, maxBody: 1}
	text := []byte("A\r\n" + strings.Repeat("B: c\r\n", 1000))
	for i := range text {
		what, _, why := f.next(text[:i+1])
		require.Equal(t, more, what)
		require.Equal(t, NotEnded, why)
		require.GreaterOrEqual(t, f.scanned, i-1)
	}
}

// FuzzFraming holds what is found against the same bytes in other pieces, and
// each message against how the core reads it.
func FuzzFraming(f *testing.F) {
	for _, text := range []string{
		"", "\r\n\r\n", "A\r\nl:1\r\n\r\naB\r\nl:1\r\n\r\nb", "A\nl:1\n\nb", "A\r\nl:\r\n 1\r\n\r\nb", "A\r\nl:1\r\nl:2\r\n\r\nab",
		"INVITE sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n", "SIP/2.0 200 OK\r\nb\r\n l: 4\r\nl : 2\r\n\r\nabc", "A\r\n l:1\r\n\r\n",
		"INVITE sip:a SIP/2.0\r\n\nl: 0\r\n\r\n", "INVITE sip:a SIP/2.0\r\n b\r\nl: 0\r\n\r\n",
	} {
		f.Add(text, uint8(3), uint8(0))
	}
	f.Fuzz(func(t *testing.T, text string, first, step uint8) {
		const maxHeader, maxBody = 200, 1000
		whole := events(text, maxHeader, maxBody, func(int) int { return len(text) })
		for _, cut := range []func(int) int{
			func(int) int { return 1 },
			func(at int) int { return int(first) + at*int(step) },
		} {
			require.Equal(t, whole, events(text, maxHeader, maxBody, cut))
		}

		fr := framer{maxHeader: maxHeader, maxBody: maxBody}
		for buf := []byte(text); ; {
			what, size, _ := fr.next(buf)
			if what == more {
				break
			}
			if what == message {
				var m wire.Message
				if err := m.Parse(buf[:size]); err == nil && m.Defect == wire.NoDefect {
					require.Equal(t, size, int(m.HeadEnd)+m.ContentLength, "%q", buf[:size])
				}
			}
			buf = buf[size:]
		}
	})
}
