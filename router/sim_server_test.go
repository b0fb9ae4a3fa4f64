package router

import (
	"strconv"
	"time"

	"tandem/router/wire"
)

// simServer is a server transaction of an end.
type simServer struct {
	e       *simEnd
	m       wire.Message // the request
	branch  string
	tag     string // of To
	last    []byte // the last response
	status  int    // of the final; 0: none yet
	deaf    bool   // to CANCEL
	cross   bool   // it answers 200 although it is cancelled
	answers []*simAnswer
}

// simAnswer is a final response to an INVITE that is repeated until its ACK.
type simAnswer struct {
	t     *simServer
	tag   string
	raw   []byte
	acked bool
	lost  bool // no ACK came in time
}

// request is a request that came to the end.
func (e *simEnd) request(m *wire.Message) {
	branch := m.Bytes(m.TopVia.Branch)
	var t *simServer
	for _, s := range e.servers {
		if s.branch == string(branch) {
			t = s
			break
		}
	}
	switch {
	case m.Method == wire.ACK:
		e.acked(m, t)
	case m.Method == wire.CANCEL:
		e.cancelled(m, t)
	case t != nil:
		if t.last != nil {
			e.send(t.last)
		}
	default:
		t = &simServer{e: e, branch: string(branch)}
		_ = t.m.Parse(append([]byte(nil), m.Data...)) // it was parsed before
		e.servers = append(e.servers, t)
		if m.To.Tag.Len() > 0 {
			e.inDialog(t)
		} else {
			e.call.tags++
			t.tag = "t" + strconv.Itoa(e.call.tags)
			t.behave()
		}
	}
}

// acked finds what an ACK is for: by the branch after a refusal, by CSeq and
// tag after a 2xx.
func (e *simEnd) acked(m *wire.Message, t *simServer) {
	if t != nil && t.status >= 300 {
		for _, a := range t.answers {
			a.acked = true
		}
		return
	}
	for _, s := range e.servers {
		if s.m.Method != wire.INVITE || s.m.CSeq != m.CSeq {
			continue
		}
		for _, a := range s.answers {
			if a.tag == string(m.Bytes(m.To.Tag)) && s.status < 300 {
				a.acked = true
			}
		}
	}
}

func (e *simEnd) cancelled(m *wire.Message, t *simServer) {
	status := 200
	if t == nil {
		status = 481
	} else if t.deaf {
		return
	}
	e.send(wire.AppendResponse(nil, m, wire.Response{Status: status, ToTag: []byte("cancel")}))
	if t != nil && t.status == 0 {
		if t.cross {
			t.final(200)
		} else {
			t.final(487)
		}
	}
}

// provisional sends a 1xx, unless a final response was sent.
func (t *simServer) provisional(status int) {
	if t.status == 0 {
		if status > 100 && t.m.Method == wire.INVITE {
			t.e.dialogOf(&t.m, t.tag) // an early one
		}
		t.last = t.render(status, t.tag)
		t.e.send(t.last)
	}
}

func (t *simServer) render(status int, tag string) []byte {
	m := &t.m
	r := wire.Response{Status: status, ToTag: []byte(tag)}
	if status > 100 && status < 400 && (m.Method == wire.INVITE || m.Method == wire.SUBSCRIBE) {
		for _, h := range m.Headers {
			if h.ID == wire.HeaderRecordRoute {
				r.Extra = append(r.Extra, m.Bytes(h.Line)...)
			}
		}
		r.Extra = append(r.Extra, "Contact: <"+t.e.contact()+">\r\n"...)
	}
	switch {
	case status == 503 && t.e.chance(0.3):
		r.Extra = append(r.Extra, "Retry-After: 3\r\n"...)
	case status == 401:
		r.Extra = append(r.Extra, "WWW-Authenticate: Digest realm=\""+tag+"\"\r\n"...)
	case status == 407:
		r.Extra = append(r.Extra, "Proxy-Authenticate: Digest realm=\""+tag+"\"\r\n"...)
	}
	return wire.AppendResponse(nil, m, r)
}

// final sends the final response, if none was sent.
func (t *simServer) final(status int) {
	if t.status != 0 {
		return
	}
	t.status = status
	t.answer(status, t.tag)
}

// answer sends a final response, and if it is to an INVITE again until its ACK:
// Timers G and H (17.2.1), and 13.3.1.4 for a 2xx.
func (t *simServer) answer(status int, tag string) *simAnswer {
	a := &simAnswer{t: t, tag: tag, raw: t.render(status, tag)}
	t.last = a.raw
	if t.m.Method != wire.INVITE {
		t.e.send(a.raw)
		return a
	}
	t.answers = append(t.answers, a)
	if status < 300 && t.m.To.Tag.Len() == 0 {
		t.e.dialogOf(&t.m, tag)
	}
	a.again(time.Duration(t1), 0)
	return a
}

func (a *simAnswer) again(interval, waited time.Duration) {
	if a.acked {
		return
	}
	e := a.t.e
	if waited >= time.Duration(timerB) {
		a.lost = true
		if d := e.dialogWith(a.tag, string(a.t.m.Bytes(a.t.m.From.Tag))); d != nil && a.t.status < 300 {
			d.bye()
		}
		return
	}
	e.send(a.raw)
	e.after(interval, func() { a.again(min(2*interval, time.Duration(t2)), waited+interval) })
}
