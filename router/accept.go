package router

import (
	"fmt"
	"net/netip"
	"time"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// facts are what accept is told besides the message.
type facts struct {
	trusted    bool // the source is a trunk's
	connector  bool // the source is a connector's host
	drop       bool // untrusted sources get silence
	draining   bool
	full       bool // as many calls are in memory as there may be
	looped     bool // it went out from here before, unchanged
	foreign    bool // its first Route is not ours
	forOurself bool // the request-URI names us and no number
	routed     bool // its number has a route
	badURI     bool // the request-URI is none
	tooLarge   bool // it can leave for no host of its route
	scheme     wire.Scheme
	secure     bool // it came over TLS
	noTLS      bool // its request-URI is a sips URI, and no host of its route is over TLS
}

// admission is what becomes of a request outside of dialogs.
type admission struct {
	status    int // reply with it; 0: see drop and answer
	drop      bool
	answer    bool // an OPTIONS for us: 200
	defect    bool
	untrusted bool // the source is no trunk's
	why       rejection
}

// rejection is why a request outside of dialogs was not let in.
type rejection uint8

const (
	notRejected rejection = iota
	rejectUntrusted
	rejectDefect
	rejectURI
	rejectScheme
	rejectMaxForwards
	rejectLoop
	rejectMaxBreadth
	rejectProxyRequire
	rejectNoDialog
	rejectForeignRoute
	rejectRegister
	rejectDraining
	rejectFull
	rejectNoRoute
	rejectTooLarge
	rejectNoTLS
	rejectRate
	rejections
)

// rejectionNames are for metrics, rejectionTexts for people.
var (
	rejectionNames = [rejections]string{
		"", "untrusted", "defective", "request_uri", "scheme", "max_forwards", "loop", "max_breadth", "proxy_require",
		"no_dialog", "foreign_route", "register", "draining", "full", "no_route", "too_large", "no_tls", "max_cps",
	}
	rejectionTexts = [rejections]string{ // of what comes from trunks
		rejectDefect:       "the request is not correct SIP",
		rejectURI:          "its request-URI is no URI",
		rejectScheme:       "the request-URI is neither sip: nor tel:, or sips: and did not come over TLS",
		rejectMaxForwards:  "its Max-Forwards is spent: it may be in a loop",
		rejectLoop:         "it has been here before: it is in a loop",
		rejectMaxBreadth:   "its Max-Breadth is spent",
		rejectProxyRequire: "it requires an extension of proxies",
		rejectNoDialog:     "it belongs to a call that did not pass here",
		rejectForeignRoute: "it has a Route to another proxy",
		rejectDraining:     "this node is about to stop and takes no new calls",
		rejectFull:         "this node has as many calls, or as much of what they say, in memory as it may",
		rejectNoRoute:      "no group and no connector has this number",
		rejectTooLarge:     "with what a proxy adds to it no datagram holds it",
		rejectNoTLS:        "its request-URI is a sips: URI, and its number leads to no host over TLS",
		rejectRate:         "the trunk is over its max_cps",
	}
)

// accept is RFC 3261 16.3 and what a trunk may do: forward (the zero
// admission), reply, or drop. It looks at values only, and only at what routing
// needs.
func accept(m *wire.Message, f facts) admission {
	if !f.trusted && !(f.connector && m.Method == wire.OPTIONS) {
		return admission{status: 403, drop: f.drop || m.Method == wire.ACK, untrusted: true, why: rejectUntrusted}
	}
	if m.Defect != wire.NoDefect {
		status := 400
		if m.Defect == wire.BadVersion {
			status = 505
		}
		return admission{status: status, drop: m.Method == wire.ACK, defect: true, why: rejectDefect}
	}
	switch {
	case f.badURI:
		return admission{status: 400, why: rejectURI}
	case f.scheme != wire.SIP && f.scheme != wire.TEL && !(f.scheme == wire.SIPS && f.secure):
		return admission{status: 416, why: rejectScheme}
	case m.Method == wire.OPTIONS && (f.forOurself || m.MaxForwards == 0 || !f.trusted):
		if f.draining {
			return admission{status: 503, why: rejectDraining}
		}
		return admission{answer: true} // RFC 3261 16.3 step 3
	case m.MaxForwards == 0:
		return admission{status: 483, why: rejectMaxForwards}
	case f.looped:
		return admission{status: 482, why: rejectLoop}
	case m.MaxBreadth == 0:
		return admission{status: 440, why: rejectMaxBreadth} // RFC 5393 5.3.3
	case m.Find(wire.HeaderProxyRequire) >= 0:
		return admission{status: 420, why: rejectProxyRequire}
	case m.To.Tag.Len() > 0:
		return admission{status: 481, why: rejectNoDialog} // of a dialog that is not ours: never routed by number
	case f.foreign:
		return admission{status: 403, why: rejectForeignRoute}
	case m.Method == wire.REGISTER:
		return admission{status: 405, why: rejectRegister} // we are no registrar
	case f.draining:
		return admission{status: 503, why: rejectDraining}
	case f.full:
		return admission{status: 503, why: rejectFull}
	case !f.routed:
		return admission{status: 404, why: rejectNoRoute}
	case f.tooLarge:
		return admission{status: 513, why: rejectTooLarge} // RFC 3261 21.5.7
	case f.noTLS:
		return admission{status: 480, why: rejectNoTLS} // RFC 5630 5.4
	}
	return admission{}
}

// accept gathers what is known of the source and decides.
func (r *Router) accept(s *scratch, f facts) admission {
	f.trusted = s.trunk != nil
	f.connector = s.plan.sources[s.source.Addr()]
	f.drop = s.silent
	f.draining = r.draining.Load()
	f.secure = r.listeners[s.listener].Transport == catalog.TLS
	return accept(&s.m, f)
}

// rejectDefective answers a request that is not correct SIP, as far as its
// source may know. One that was damaged on its way while its first copy is
// handled already is dropped: an answer to it would end a call that goes well.
func (r *Router) rejectDefective(s *scratch) {
	key := s.callKey(&r.keys[0], &s.m)
	if r.has(key) {
		s.tally.drop(dropDefective)
		return
	}
	a := r.accept(s, facts{})
	r.reject(s, key, a)
	if s.trunk != nil && s.m.Method == wire.INVITE {
		st := r.stripeOf(key)
		s.number = s.number[:0]
		st.mu.Lock()
		r.keepRejected(s, st, a, nil)
		st.mu.Unlock()
	}
}

// reject carries an admission out that does not forward.
func (r *Router) reject(s *scratch, key uint64, a admission) {
	m := &s.m
	s.tally.rejections[a.why].Add(1)
	if a.untrusted {
		r.untrusted(s, a.drop)
	}
	switch {
	case a.drop && a.untrusted:
		s.tally.drop(dropUntrusted)
	case a.drop || m.TopVia.Host.Len() == 0:
		s.tally.drop(dropDefective)
	case a.defect && a.status == 400:
		r.reply(s, key, reply{status: 400, phrase: m.Defect.Reason()})
	case a.untrusted && !r.untrustedWire.AllowN(r.wall(s.now), 1):
		s.tally.drop(dropUntrusted)
	case a.status == 420:
		r.replyUnsupported(s, key)
	case a.answer:
		r.reply(s, key, reply{status: 200, extra: optionsHeaders})
	case a.why == rejectRate:
		r.reply(s, key, reply{status: 503, extra: retryAfterHeader})
	case a.why == rejectNoTLS:
		start := len(s.text)
		s.text = fmt.Appendf(s.text, "Warning: 380 %s \"SIPS Not Allowed\"\r\n", r.listeners[s.listener].sentBy)
		r.reply(s, key, reply{status: 480, extra: s.text[start:]})
	case a.status == 405:
		r.reply(s, key, reply{status: 405, extra: allowHeader})
	default:
		r.reply(s, key, reply{status: a.status})
	}
}

var (
	allowHeader = []byte("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, PUBLISH\r\n")
	// A trunk's allowance is refilled within a second.
	retryAfterHeader = []byte("Retry-After: 1\r\n")
	optionsHeaders   = append([]byte("Accept: application/sdp\r\n"), allowHeader...)
)

// replyUnsupported lists what we do not support: all of it (RFC 3261 16.3 step 5).
func (r *Router) replyUnsupported(s *scratch, key uint64) {
	start := len(s.text)
	values := s.m.Values(wire.HeaderProxyRequire)
	separator := "Unsupported: "
	for v, ok := values.Next(); ok; v, ok = values.Next() {
		s.text = append(s.text, separator...)
		s.text = append(s.text, s.m.Bytes(v.Span)...)
		separator = ", "
	}
	s.text = append(s.text, "\r\n"...)
	r.reply(s, key, reply{status: 420, extra: s.text[start:]})
}

// untrusted logs a source that no trunk admits, at a bounded rate, with the
// stanza that would admit it.
func (r *Router) untrusted(s *scratch, silent bool) {
	if !r.untrustedLog.AllowN(r.wall(s.now), 1) {
		r.untrustedSkips.Add(1)
		return
	}
	addr := s.source.Addr().WithZone("")
	bits := addr.BitLen()
	var names []string
	if s.peer != nil {
		names = s.peer.Names
	}
	r.offer(record{
		kind:    recordUntrusted,
		names:   names,
		known:   s.plan.misplaced(names),
		source:  s.source,
		prefix:  netip.PrefixFrom(addr, bits),
		method:  s.m.Method,
		silent:  silent,
		skipped: r.untrustedSkips.Swap(0),
	})
}

// wall is the time of day at monotonic time now.
func (r *Router) wall(now int64) time.Time { return time.Unix(0, r.epoch+now) }
