package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// mostBody leaves room for headers in a datagram.
const mostBody = 60_000

// lines are all header lines of that name, without their end. What is sent here
// has each header on a line, by its long name, and tandem leaves it so.
func lines(msg []byte, name string) (all [][]byte) {
	for line := range bytes.Lines(msg) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if bytes.HasPrefix(line, []byte(name+":")) {
			all = append(all, line)
		}
	}
	return all
}

// value is that of the first header of that name, nil if there is none.
func value(msg []byte, name string) []byte {
	if all := lines(msg, name); len(all) > 0 {
		return bytes.TrimSpace(all[0][len(name)+1:])
	}
	return nil
}

// status is that of a response, 0 for a request.
func status(msg []byte) int {
	if rest, ok := bytes.CutPrefix(msg, []byte("SIP/2.0 ")); ok && len(rest) > 3 {
		n, _ := strconv.Atoi(string(rest[:3]))
		return n
	}
	return 0
}

// callOf is the call that a message belongs to, by its Call-ID; -1 for none.
func callOf(msg []byte) int {
	text, _, _ := bytes.Cut(value(msg, "Call-ID"), []byte("-"))
	if id, err := strconv.Atoi(string(text)); err == nil {
		return id
	}
	return -1
}

// offer is the SDP of a carrier, or one of a size.
func offer(size int) string {
	sdp := strings.ReplaceAll(`v=0
o=- 53655765 2353687637 IN IP4 127.92.0.2
s=-
c=IN IP4 127.92.0.2
t=0 0
m=audio 16384 RTP/AVP 8 0 18 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:40
a=sendrecv
`, "\n", "\r\n")
	const filler = "a=candidate:1 1 UDP 2130706431 192.0.2.1 16384 typ host generation 0\r\n"
	for len(sdp)+len(filler) <= size {
		sdp += filler
	}
	return sdp
}

func appendInvite(b []byte, id int, sdp string) []byte {
	return fmt.Appendf(b, "INVITE sip:+1555%07[1]d@%[2]s SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP %[3]s;branch=z9hG4bKi%[1]x\r\nMax-Forwards: 70\r\n"+
		"From: \"Carrier\" <sip:+15557654321@%[3]s>;tag=f%[1]x\r\nTo: <sip:+1555%07[1]d@%[2]s>\r\nCall-ID: %[1]d-ringing@%[4]s\r\n"+
		"CSeq: 1 INVITE\r\nContact: <sip:+15557654321@%[3]s;transport=udp>\r\n"+
		"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\nSupported: timer\r\nSession-Expires: 1800\r\nMin-SE: 90\r\n"+
		"User-Agent: ringing\r\nAccept: application/sdp\r\n"+
		"P-Asserted-Identity: <sip:+15557654321@%[4]s>\r\nContent-Type: application/sdp\r\nContent-Length: %[5]d\r\n\r\n%[6]s",
		id, proxy, caller, caller.Addr(), len(sdp), sdp)
}

// within renders ACK or BYE from the answer to the INVITE (RFC 3261 12.2.1.1).
// One proxy has one Record-Route.
func within(method, cseq string, id int, answer []byte) []byte {
	uri := bytes.Trim(value(answer, "Contact"), "<>")
	return fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%x\r\nMax-Forwards: 70\r\nRoute: %s\r\n"+
		"%s\r\n%s\r\n%s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n",
		method, uri, caller, strings.ToLower(method[:1]), id, value(answer, "Record-Route"),
		lines(answer, "From")[0], lines(answer, "To")[0], lines(answer, "Call-ID")[0], cseq)
}

// heads are the headers that a response copies from its request.
func heads(request []byte) []byte {
	var b []byte
	for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
		for _, line := range lines(request, name) {
			if b = append(b, line...); name == "To" && !bytes.Contains(line, []byte(";tag=")) {
				b = append(b, ";tag=callee"...)
			}
			b = append(b, "\r\n"...)
		}
	}
	return b
}

func answer(status string, heads []byte, body string) []byte {
	b := fmt.Appendf(nil, "SIP/2.0 %s\r\n%sContact: <sip:%s;transport=udp>\r\n", status, heads, connector)
	if body != "" {
		b = append(b, "Content-Type: application/sdp\r\n"...)
	}
	return fmt.Appendf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
}
