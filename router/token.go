package router

import (
	"sync/atomic"
	"time"

	"tandem/router/wire"
)

// token is the user part of our Record-Route URI. It lets one dialog pass
// through us for a limited time and says which host was chosen for it; whoever
// does not have the secret cannot make one (design D7). Of a symmetric trunk's
// dialog it has the address and port behind it that the dialog began from, which the
// mac covers (flow.go).
//
//	td  day  connector  host   mac  flow
//	 2    4          8     8    16  none, 12 (IPv4) or 36 (IPv6)   characters
type token struct {
	day       uint16 // the last day it is good for, counted since 1970
	connector uint32 // hash of the connector's name
	host      uint32 // hash of the host's address
	mac       uint64
}

const (
	tokenLen = 2 + 4 + 8 + 8 + 16 // without a flow
	flowLen4 = 2 * (4 + 2)
	flowLen6 = 2 * (16 + 2)
)

// direction says who of a dialog sent a request.
type direction uint8

const (
	fromCaller direction = iota // From carries the tag of the one who started it
	fromCallee
)

func (t *token) sum(s *scratch, k *keys, callID, tag, flow []byte) uint64 {
	f := s.fields[:0].u16(t.day).u32(t.connector).u32(t.host).bytes(callID).bytes(tag)
	if len(flow) > 0 {
		f = f.lower(flow)
	}
	s.fields = f
	return k.token.sum(f)
}

func (t *token) appendTo(dst []byte) []byte {
	dst = append(dst, 't', 'd')
	dst = appendHex(dst, uint64(t.day), 4)
	dst = appendHex(dst, uint64(t.connector), 8)
	dst = appendHex(dst, uint64(t.host), 8)
	return appendHex(dst, t.mac, 16)
}

// looksLikeToken goes by the shape: what has it must verify, and what has not
// is a user part that an operator gave to a Route of ours.
func looksLikeToken(user []byte) bool {
	switch len(user) - tokenLen {
	case 0, flowLen4, flowLen6:
		return user[0]|0x20 == 't' && user[1]|0x20 == 'd'
	}
	return false
}

// parseToken takes a token apart, without its flow.
func parseToken(p []byte) (t token, ok bool) {
	if len(p) != tokenLen || p[0] != 't' || p[1] != 'd' {
		return t, false
	}
	p = p[2:]
	day, ok1 := parseHex(p[:4])
	conn, ok2 := parseHex(p[4:12])
	host, ok3 := parseHex(p[12:20])
	mac, ok4 := parseHex(p[20:36])
	t = token{uint16(day), uint32(conn), uint32(host), mac}
	return t, ok1 && ok2 && ok3 && ok4
}

// verifyToken finds out whether t, with that flow, belongs to the dialog of request
// m, and who of its two sides sent m. There is no dialog without the other side's
// tag: a token is no pass for new calls.
func (r *Router) verifyToken(s *scratch, t *token, flow []byte, m *wire.Message, today uint16) (direction, bool) {
	if t.day < today {
		return 0, false
	}
	callID := m.Bytes(m.CallID)
	for i := range r.keys {
		k := &r.keys[i]
		if t.sum(s, k, callID, m.Bytes(m.From.Tag), flow) == t.mac {
			return fromCaller, m.To.Tag.Len() > 0
		}
		if t.sum(s, k, callID, m.Bytes(m.To.Tag), flow) == t.mac {
			return fromCallee, m.From.Tag.Len() > 0
		}
	}
	return 0, false
}

// day counts the days since 1970 at monotonic time now.
func (r *Router) day(now int64) uint16 {
	return uint16((r.epoch + now) / day)
}

// rateWords count requests per token in the current second, in a fixed table of
// words: 24 bits of the token's mac, 24 of the second, 16 of the count. Of two
// tokens that share a word, the one that comes takes it over, so that no dialog
// can use up the allowance of another.
type rateWords [4096]atomic.Uint64

// allow counts one request of the token with this mac and reports whether it
// stays within the rate.
func (w *rateWords) allow(mac uint64, now int64) bool {
	word := &w[mac%uint64(len(w))]
	window := mac>>40<<24 | uint64(now/int64(time.Second))&0xffffff
	for {
		old := word.Load()
		count := old & 0xffff
		if old>>16 != window {
			count = 0
		}
		if count >= tokenRate {
			return false
		}
		if word.CompareAndSwap(old, window<<16|(count+1)) {
			return true
		}
	}
}
