//go:build linux

package main_test

import (
	"fmt"
	"regexp"
	"strings"
)

// rfc4475 is a message of RFC 4475 with its verdicts: as it is, and with a
// number of ours in its request-URI, after a change that makes it ours to carry.
type rfc4475 struct {
	asIs, ours int
	change     func(string) string
	why        string
}

func without(expr string) func(string) string {
	re := regexp.MustCompile(expr)
	return func(raw string) string { return re.ReplaceAllString(raw, "") }
}

var rfc4475Verdicts = map[string]rfc4475{
	"valid/dblreq":     {405, 405, nil, "what is behind the body of the first is padding (RFC 3261 18.3); REGISTER is no proxy's here (10.3)"},
	"valid/esc01":      {404, forward, nil, "escapes stay as they are: only the called number is unescaped (RFC 3261 19.1.2)"},
	"valid/esc02":      {404, forward, func(s string) string { return strings.Replace(s, "sip:registrar.", "sip:x@registrar.", 1) }, "a method is a token, its % no escape: an unknown method is forwarded (RFC 3261 16.3)"},
	"valid/escnull":    {405, 405, nil, "REGISTER; an escaped NUL is no NUL"},
	"valid/intmeth":    {404, forward, nil, "every byte that a token may have; unknown methods and headers pass (RFC 3261 16.3)"},
	"valid/longreq":    {404, forward, nil, "long values are only long"},
	"valid/lwsdisp":    {404, forward, nil, "no space is needed before < (RFC 4475 3.1.1.6)"},
	"valid/mpart01":    {403, forward, without(`Route: [^\r]*\r\n`), "a Route to another proxy is not followed for a trunk (design section 3); without it the binary body passes"},
	"valid/noreason":   {drop, drop, nil, "a response whose top Via is not ours (RFC 3261 18.1.2)"},
	"valid/semiuri":    {404, forward, nil, "a semicolon in the user part belongs to it (RFC 3261 19.1.1)"},
	"valid/transports": {404, forward, nil, "Vias of any transport below the top one"},
	"valid/unreason":   {drop, drop, nil, "as noreason"},
	"valid/wsinv": {481, forward, func(s string) string {
		return without(`Route:\r\n <[^\r]*\r\n`)(without(` ;   tag    = 1918181833n`)(s))
	}, "a To tag of a dialog that is not ours (RFC 3261 12.2.2); without it and the Route every fold and space passes"},

	"invalid/badaspec":   {404, forward, nil, "To routes nothing: spaces within its brackets pass (RFC 3261 16.3 step 1)"},
	"invalid/badbranch":  {404, forward, nil, "a branch of nothing but the cookie still compares (RFC 3261 17.2.3)"},
	"invalid/baddate":    {404, forward, nil, "Date is not a proxy's (RFC 3261 16.3 step 1)"},
	"invalid/baddn":      {drop, forward, func(s string) string { return s + "\r\n" }, "the file lacks the empty line: no message; with it, an unquoted comma in a name passes (RFC 4475 3.1.2.15 leaves it open)"},
	"invalid/badinv01":   {400, 400, nil, "an empty parameter in the top Via, which a proxy needs (RFC 4475 3.1.2.1, RFC 3261 16.3 step 1): stacks that stop reading there would miss the received that is added behind it"},
	"invalid/badvers":    {505, 505, nil, "SIP/7.0 (RFC 4475 3.1.2.16)"},
	"invalid/bcast":      {drop, drop, nil, "a response to a broadcast address is none of ours (RFC 3261 18.1.2)"},
	"invalid/bext01":     {420, 420, nil, "Proxy-Require (RFC 3261 16.3 step 5); Require is the other end's"},
	"invalid/bigcode":    {drop, drop, nil, "a status above 32 bits is no status line (RFC 4475 3.1.2.19)"},
	"invalid/clerr":      {400, 400, nil, "fewer bytes than Content-Length (RFC 3261 18.3)"},
	"invalid/cparam01":   {405, 405, nil, "REGISTER: its Contact is a registrar's"},
	"invalid/cparam02":   {405, 405, nil, "the same"},
	"invalid/escruri":    {404, forward, nil, "headers in the request-URI are left out (RFC 3261 19.1.5 forbids them there)"},
	"invalid/insuf":      {400, 400, nil, "no To, From, Call-ID (RFC 3261 8.1.1)"},
	"invalid/inv2543":    {404, forward, nil, "RFC 2543: no branch, no Max-Forwards, no Content-Length (RFC 3261 16.6 step 3, 18.3)"},
	"invalid/invut":      {404, forward, nil, "a body's type is not a proxy's (RFC 3261 16.6)"},
	"invalid/ltgtruri":   {400, 400, nil, "brackets round the request-URI (RFC 4475 3.1.2.7)"},
	"invalid/lwsruri":    {400, 400, nil, "a space in the request-URI (RFC 4475 3.1.2.8)"},
	"invalid/lwsstart":   {400, 400, nil, "two spaces in the request line (RFC 4475 3.1.2.9)"},
	"invalid/mcl01":      {400, 400, nil, "two Content-Lengths (RFC 4475 3.3.9)"},
	"invalid/mismatch01": {400, 400, nil, "CSeq of another method (RFC 4475 3.1.2.17)"},
	"invalid/mismatch02": {400, 400, nil, "the same, of a method that is unknown (3.1.2.18)"},
	"invalid/multi01":    {400, 400, nil, "From, To, Call-ID, CSeq, Max-Forwards twice (RFC 4475 3.3.8)"},
	"invalid/ncl":        {400, 400, nil, "a negative Content-Length (RFC 4475 3.1.2.3)"},
	"invalid/novelsc":    {416, 416, nil, "a scheme that is not ours (RFC 3261 16.3 step 2)"},
	"invalid/quotbal":    {400, 400, nil, "a quote that is not closed (RFC 4475 3.1.2.6)"},
	"invalid/regaut01":   {405, 405, nil, "REGISTER; credentials are not read"},
	"invalid/regbadct":   {405, 405, nil, "REGISTER"},
	"invalid/regescrt":   {405, 405, nil, "REGISTER"},
	"invalid/scalar02":   {400, 400, nil, "CSeq above 32 bits (RFC 4475 3.1.2.4)"},
	"invalid/scalarlg":   {drop, drop, nil, "the same in a response (3.1.2.5)"},
	"invalid/sdp01":      {404, forward, nil, "Accept and the body are the other end's"},
	"invalid/test":       {drop, drop, nil, "a request line without a version is no SIP"},
	"invalid/trws":       {400, 400, nil, "spaces behind the request line (RFC 4475 3.1.2.10)"},
	"invalid/unkscm":     {416, 416, nil, "an unknown scheme (RFC 3261 16.3 step 2)"},
	"invalid/unksm2":     {405, 405, nil, "REGISTER; unknown schemes in From and To route nothing"},
	"invalid/zeromf":     {200, 200, nil, "OPTIONS whose Max-Forwards is spent may be answered (RFC 3261 16.3 step 3)"},
}

// rfc5118 are the cases of RFC 5118, written from its sections. PORT is the
// sender's, so that an answer without rport arrives (RFC 3261 18.2.2).
var rfc5118 = []struct {
	name, raw  string
	asIs, ours int
	why        string
}{
	{"4.1 an IPv6 reference", v6Message("REGISTER", "sip:[2001:db8::10]"), 405, 405, "sound; REGISTER is no proxy's here"},
	{"4.1 of a call", v6Message("INVITE", "sip:user@[2001:db8::10]"), 404, forward, "the same of an INVITE"},
	{"4.2 no brackets", v6Message("INVITE", "sip:2001:db8::10"), 400, 400, "an address without brackets is no host: the colon would begin a port"},
	{"4.2 no brackets, with a user", v6Message("INVITE", "sip:user@2001:db8::10"), 400, forward, "the same; with our number and address the rest is sound"},
	{"4.3 a port inside the brackets", v6Message("INVITE", "sip:user@[2001:db8::10:5070]"), 404, forward, "sound: 5070 is the last part of the address"},
	{"4.4 a port behind the brackets", v6Message("INVITE", "sip:user@[2001:db8::10]:5070"), 404, forward, "sound"},
	{"4.5 received with brackets", strings.Replace(v6Message("BYE", "sip:user@[2001:db8::10]"), ";branch", ";received=[2001:db8::9:255];branch", 1), 404, forward, "read either way; what the sender says of itself is replaced (RFC 3261 18.2.1)"},
	{"4.5 received without brackets", strings.Replace(v6Message("BYE", "sip:user@[2001:db8::10]"), ";branch", ";received=2001:db8::9:255;branch", 1), 404, forward, "as the grammar has it"},
	{"4.6 addresses in SDP", v6Message("INVITE", "sip:user@[2001:db8::10]", "Content-Type: application/sdp", "\r\nv=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live video\r\nc=IN IP6 2001:db8::1\r\nt=3338481189 3370017201\r\nm=audio 6000 RTP/AVP 2\r\na=rtpmap:2 G726-32/8000\r\n"), 404, forward, "a body is not touched (RFC 3261 16.6)"},
	{"4.7 both families in Via and Contact", strings.Replace(v6Message("BYE", "sip:user@host.example.net", "Via: SIP/2.0/TCP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111", "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKas4", "Contact: <sip:user@192.0.2.1>, <sip:user@[2001:db8::9:1]>"), ";branch", ";rport;branch", 1), 404, forward, "only the top Via is read, the others stay"},
	{"4.8 both families in SDP", v6Message("INVITE", "sip:user@[2001:db8::10]", "Content-Type: application/sdp", "\r\nv=0\r\no=bob 280744730 28977631 IN IP4 host.example.com\r\ns=\r\nt=0 0\r\nm=audio 22334 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:107 H263-1998/90000\r\n"), 404, forward, "a body is not touched"},
	{"4.9 IPv4-mapped addresses", strings.Replace(v6Message("INVITE", "sip:user@[::ffff:192.0.2.10]:19823", "Contact: <sip:caller@[::ffff:192.0.2.2]:19823>"), "[2001:db8::9:1]", "[::ffff:192.0.2.2]", 1), 404, forward, "sound"},
	{"4.10 three colons", v6Message("INVITE", "sip:user@[2001:db8:::192.0.2.1]", "Contact: <sip:caller@[2001:db8:::192.0.2.2]>"), 404, forward, "a fault of the grammar in RFC 3261: accepted, never written; it routes nothing"},
	{"4.10 three colons in Via", strings.Replace(v6Message("INVITE", "sip:user@[2001:db8::10]"), "[2001:db8::9:1]", "[2001:db8:::192.0.2.1]", 1), 404, forward, "answers go to the source, as to any sent-by that is not its own"},
	{"no closing bracket in Via", strings.Replace(v6Message("INVITE", "sip:user@[2001:db8::10]"), "[2001:db8::9:1]", "[2001:db8::9:1", 1), drop, drop, "nowhere to answer to"},
	{"a zone", v6Message("INVITE", "sip:user@[fe80::1%25eth0]"), 400, forward, "a zone has no meaning outside its machine and no place in the grammar"},
}

func v6Message(method, uri string, extra ...string) string {
	id := fmt.Sprintf("v6-%d", dialogs.Add(1))
	return render([]string{
		method + " " + uri + " SIP/2.0",
		"Via: SIP/2.0/UDP [2001:db8::9:1]:PORT;branch=z9hG4bK" + id,
		"Max-Forwards: 70",
		"From: <sip:user@example.com>;tag=81x2",
		"To: <sip:user@[2001:db8::10]>",
		"Call-ID: " + id + "@[2001:db8::9:1]",
		"CSeq: 3 " + method,
	}, extra, "")
}

// hostile is an input of a kind that brought a SIP stack down, as a change of
// a sound INVITE to our number.
type hostile struct {
	name    string
	verdict int
	why     string
	change  func(invite string) string
}

// field puts another value, or line, in the place of a field.
func field(name, line string) func(string) string {
	re := regexp.MustCompile(`(?m)^` + name + `:[^\r]*\r\n`)
	return func(s string) string {
		return re.ReplaceAllLiteralString(s, line)
	}
}

// more puts lines in front of Max-Forwards.
func more(lines string) func(string) string {
	return func(s string) string { return strings.Replace(s, "Max-Forwards", lines+"Max-Forwards", 1) }
}

// uri puts another request-URI in place; OWN in it is our address.
func uri(u string) func(string) string {
	re := regexp.MustCompile(`^INVITE sip:[^@]*@(\S+) SIP`)
	return func(s string) string {
		own := re.FindStringSubmatch(s)[1]
		return "INVITE " + strings.ReplaceAll(u, "OWN", own) + " SIP" + strings.TrimPrefix(s, re.FindString(s))
	}
}

func swap(old, with string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, with, 1) }
}

func whole(raw string) func(string) string { return func(string) string { return raw } }

// with puts a body behind, its length given.
func with(body string) func(string) string {
	return func(s string) string {
		head, _, _ := strings.Cut(s, "Content-Length")
		return head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
	}
}

func response(status string, via string) func(string) string {
	return whole("SIP/2.0 " + status + "\r\n" + via + "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: forged\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
}

func hostiles() []hostile {
	rep := strings.Repeat
	const via = "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKforged\r\n"
	return []hostile{
		{"no To", 400, "RFC 3261 8.1.1", field("To", "")},
		{"two To, one with an empty tag", 400, "neither an empty tag nor two of To (RFC 3261 7.3.1, 25.1)", more("To: <sip:x@y>;tag=\r\n")},
		{"To with an empty tag", 400, "a tag is a token (RFC 3261 25.1)", field("To", "To: <sip:x@y>;tag=\r\n")},
		{"no Via", drop, "nowhere to answer to (RFC 3261 18.2.2)", field("Via", "")},
		{"Via without a host", drop, "nowhere to answer to", field("Via", "Via: SIP/2.0/UDP ;branch=z9hG4bK1\r\n")},
		{"Via without anything", drop, "nowhere to answer to", field("Via", "Via:\r\n")},
		{"Via with a port of 99999", 400, "the source's address is known, and its port is the default", field("Via", "Via: SIP/2.0/UDP 192.0.2.9:99999;branch=z9hG4bK1\r\n")},
		{"Via with an empty branch", 400, "no transaction can be found by it", field("Via", "Via: SIP/2.0/UDP 192.0.2.9;branch=\r\n")},
		{"branch of 200 characters", forward, "long values are only long", field("Via", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK"+rep("b", 193)+"\r\n")},
		{"branch of 10,000 characters", forward, "the same", field("Via", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK"+rep("b", 10000)+"\r\n")},
		{"From tag of 10,000 characters", forward, "the same", field("From", "From: <sip:a@b>;tag="+rep("f", 10000)+"\r\n")},
		{"a space before the colon", forward, "the grammar allows it (RFC 3261 7.3.1)", func(s string) string {
			return strings.NewReplacer("From:", "From :", "To:", "To \t:", "CSeq:", "CSeq   :", "Content-Length:", "Content-Length :").Replace(s)
		}},
		{"Call-ID of 256 bytes", forward, "the same", field("Call-ID", "Call-ID: "+rep("c", 256)+"\r\n")},
		{"Call-ID of 10,000 bytes", forward, "the same", field("Call-ID", "Call-ID: "+rep("d", 10000)+"\r\n")},
		{"CSeq 2^31", forward, "senders may not (RFC 3261 8.1.1.5), but it tells transactions apart", field("CSeq", "CSeq: 2147483648 INVITE\r\n")},
		{"CSeq 2^32-1", forward, "the same", field("CSeq", "CSeq: 4294967295 INVITE\r\n")},
		{"CSeq 2^32", 400, "no 32-bit number (RFC 3261 20.16)", field("CSeq", "CSeq: 4294967296 INVITE\r\n")},
		{"CSeq 2^64", 400, "the same", field("CSeq", "CSeq: 18446744073709551616 INVITE\r\n")},
		{"CSeq 2^64+1", 400, "the same: it must not wrap to 1", field("CSeq", "CSeq: 18446744073709551617 INVITE\r\n")},
		{"CSeq -1", 400, "no number", field("CSeq", "CSeq: -1 INVITE\r\n")},
		{"CSeq with letters", 400, "no number", field("CSeq", "CSeq: 1a INVITE\r\n")},
		{"CSeq without a number", 400, "no number", field("CSeq", "CSeq: INVITE\r\n")},
		{"Content-Length 2^31", 400, "more than there is (RFC 3261 18.3)", field("Content-Length", "Content-Length: 2147483648\r\n")},
		{"Content-Length 2^32", 400, "it must not wrap to 0", field("Content-Length", "Content-Length: 4294967296\r\n")},
		{"Content-Length 2^64", 400, "the same", field("Content-Length", "Content-Length: 18446744073709551616\r\n")},
		{"Content-Length -1", 400, "no number", field("Content-Length", "Content-Length: -1\r\n")},
		{"two Content-Lengths", 400, "no way to know where the body ends", more("Content-Length: 1\r\n")},
		{"two equal Content-Lengths", 400, "a field that must be single (RFC 3261 7.3.1)", more("l: 161\r\n")},
		{"method of 500 characters", forward, "an unknown method (RFC 3261 16.3)", func(s string) string { return strings.ReplaceAll(s, "INVITE", rep("M", 500)) }},
		{"10,000 header fields", forward, "they are only many", more(rep("X:\r\n", 10000))},
		{"one header of 60,000 bytes", forward, "long values are only long", more("Subject: " + rep("s", 60000) + "\r\n")},
		{"one header, 65,507 bytes in all", 513, "with our Via no datagram holds it, whatever host it goes to: its size is to blame and no host (RFC 3261 21.5.7)", func(s string) string {
			return more("Subject: " + rep("s", 65507-len(s)-11) + "\r\n")(s)
		}},
		{"a multipart that never ends", forward, "a body is not read", func(s string) string {
			return with(rep("--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n", 1000))(field("Content-Type", "Content-Type: multipart/mixed;boundary=b\r\n")(s))
		}},
		{"NUL in the method", drop, "no token: no SIP", swap("INVITE", "INV\x00ITE")},
		{"NUL in the request-URI", 400, "no byte of a URI", uri("sip:" + tortureNumber + "\x00@OWN")},
		{"NUL behind the version", 505, "SIP/2.0 and a NUL is another version", swap("SIP/2.0\r\n", "SIP/2.0\x00\r\n")},
		{"NULs in a header that is not ours", forward, "it is not read", more("X-Nul: a\x00b\x00\r\n")},
		{"NUL in a header's name", forward, "the same", more("X\x00Nul: a\r\n")},
		{"NUL in the From tag", 400, "nothing can be found by it", field("From", "From: <sip:a@b>;tag=a\x00b\r\n")},
		{"NULs in the body", forward, "a body is not read", with(rep("\x00", 1000))},
		{"CR alone ends lines", drop, "one line without an end: no message", func(s string) string { return strings.ReplaceAll(s, "\r\n", "\r") }},
		{"LF alone ends lines", forward, "a bare LF ends a line too", func(s string) string {
			head, body, _ := strings.Cut(s, "\r\n\r\n")
			return strings.ReplaceAll(head, "\r\n", "\n") + "\n\n" + body
		}},
		{"CRs between CR and LF", forward, "white space at a line's end", more("X-CR: a\r\r\r\n")},
		{"5,000 folds in a header that is not ours", forward, "a fold is white space (RFC 3261 7.3.1)", more("Subject: a" + rep("\r\n\tb", 5000) + "\r\n")},
		{"5,000 folds in Via", forward, "the same", field("Via", "Via: SIP/2.0/UDP"+rep("\r\n ", 5000)+"192.0.2.9;branch=z9hG4bKfolds\r\n")},
		{"5,000 folds before the colon", forward, "no colon on the line: a field of its own, folded", more("To" + rep("\r\n ", 5000) + ": <sip:x@y>\r\n")},
		{"10,000 brackets in From", 400, "more than an address", field("From", "From: "+rep("<", 10000)+"sip:a@b"+rep(">", 10000)+";tag=1\r\n")},
		{"10,000 open brackets in From", 400, "none is closed", field("From", "From: "+rep("<", 10000)+"sip:a@b;tag=1\r\n")},
		{"an open quote in From", 400, "it is not closed", field("From", "From: \"A <sip:a@b>;tag=1\r\n")},
		{"10,001 quotes in From", 400, "the last is not closed", field("From", "From: "+rep(`"`, 10001)+" <sip:a@b>;tag=1\r\n")},
		{"10,000 quotes in From", 400, "one quoted string is a display name, and nothing else with quotes (RFC 3261 25.1)", field("From", "From: "+rep(`"`, 10000)+" <sip:a@b>;tag=1\r\n")},
		{"a quote in a parameter's name in Via", 400, "nobody knows which semicolons separate (RFC 3261 25.1)", field("Via", `Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKq;x";received=192.0.2.1;y"`+"\r\n")},
		{"a quote in a token in To", 400, "a tag may be hidden in it", field("To", `To: <sip:x@y>;x=y";tag=1;z="`+"\r\n")},
		{"a backslash at the end of From", 400, "its quote is not closed", field("From", "From: \"A\\\r\n")},
		{"5,000 Via values", forward, "they are only many", field("Via", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKvalues"+rep(",SIP/2.0/U a", 5000)+"\r\n")},
		{"4,000 Via fields", forward, "the same", more(rep("v:SIP/2.0/U a\r\n", 4000))},
		{"1,000 Routes of ours", forward, "every leading one is removed (RFC 3261 16.4)", func(s string) string {
			own := regexp.MustCompile(`@(\S+) SIP`).FindStringSubmatch(s)[1]
			return more(rep("Route: <sip:"+own+";lr>\r\n", 1000))(s)
		}},
		{"1,000 Routes of others", 403, "no trunk may use us to reach another proxy (design section 3)", more("Route: <sip:192.0.2.66;lr>" + rep(",<sip:192.0.2.66;lr>", 999) + "\r\n")},
		{"a Route that is no URI", 403, "not ours", more("Route: <\r\n")},
		{"a broken escape in the number", 404, "no such number", uri("sip:+1555000000%@OWN")},
		{"escapes that are none", 404, "no such number", uri("sip:%2x15550000009%zz@OWN")},
		{"an escaped NUL behind the number", 404, "another user part", uri("sip:" + tortureNumber + "%00@OWN")},
		{"a broken escape in a parameter", forward, "it is not read", uri("sip:" + tortureNumber + ";x=%zz%@OWN;y=%")},
		{"UTF-8 that is none in From", forward, "a name is not read", field("From", "From: \"\xff\xfe\xc0\x80\" <sip:a@b>;tag=1\r\n")},
		{"UTF-8 that is none in the number", 404, "no such number", uri("sip:" + tortureNumber + "\xc0\xaf@OWN")},
		{"a request line of 60,000 bytes", forward, "long values are only long", uri("sip:" + tortureNumber + ";x=" + rep("x", 60000) + "@OWN")},
		{"a user part of 60,000 digits", 404, "no such number", uri("sip:" + rep("1", 60000) + "@OWN")},
		{"a host that is none", 400, "no URI (RFC 3261 25.1)", uri("sip:" + tortureNumber + "@'x")},
		{"two hosts", 400, "no URI", uri("sip:" + tortureNumber + "@a@b")},
		{"an open reference", 400, "no URI", uri("sip:" + tortureNumber + "@[::1")},
		{"a port that is none", 400, "no URI", uri("sip:" + tortureNumber + "@OWN99999")},
		{"Max-Forwards 2^32", 400, "no number from 0 to 255 (RFC 3261 20.22)", field("Max-Forwards", "Max-Forwards: 4294967296\r\n")},
		{"Max-Forwards -1", 400, "the same", field("Max-Forwards", "Max-Forwards: -1\r\n")},
		{"a start line that is folded", 400, "it has no folds (RFC 3261 7.3.1)", swap(" SIP/2.0\r\n", " SIP/2.0\r\n ;x\r\n")},
		{"status 99", drop, "no status (RFC 3261 7.2)", response("099 Low", via)},
		{"status 700", drop, "the same", response("700 High", via)},
		{"status 1000", drop, "the same", response("1000 Long", via)},
		{"a response without Via", drop, "RFC 3261 18.1.2", response("200 OK", "")},
		{"a response with the Via of another", drop, "RFC 3261 18.1.2", response("200 OK", via)},
		{"0 bytes", drop, "a keep-alive (RFC 5626 3.5.1)", whole("")},
		{"1 byte", drop, "no SIP", whole("I")},
		{"65,507 bytes of nothing", drop, "no SIP", whole(rep("A", 65507))},
		{"65,507 NULs", drop, "no SIP", whole(rep("\x00", 65507))},
		{"65,507 bytes of line ends", drop, "a keep-alive", whole(rep("\r\n", 32753) + "\n")},
	}
}
