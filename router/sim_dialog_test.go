package router

import (
	"slices"
	"time"

	"tandem/router/wire"
)

// simDialog is one end's half of a dialog (RFC 3261 12).
type simDialog struct {
	e             *simEnd
	tag           string // of the other end
	own           string // ours
	local, remote string // From and To of what this end sends
	target        string
	routes        []string
	cseq          uint32
	acks          []simAck
	over          bool
}

type simAck struct {
	cseq uint32
	raw  []byte
}

// contact is the URI of the end.
func (e *simEnd) contact() string { return "sip:end@" + e.addr.String() }

// dialogOf makes the host's half from the request that began it.
func (e *simEnd) dialogOf(m *wire.Message, tag string) *simDialog {
	if d := e.dialogWith(tag, string(m.Bytes(m.From.Tag))); d != nil {
		return d
	}
	d := &simDialog{
		e: e, tag: string(m.Bytes(m.From.Tag)), own: tag,
		local: string(m.Bytes(m.To.Value)) + ";tag=" + tag, remote: string(m.Bytes(m.From.Value)),
		target: simContact(m), routes: simValues(m, wire.HeaderRecordRoute), cseq: 5000 * uint32(e.number),
	}
	e.dialogs = append(e.dialogs, d)
	return d
}

// dialogFrom makes the caller's half from a response, or finds it.
func (e *simEnd) dialogFrom(m *wire.Message) *simDialog {
	own, tag := string(m.Bytes(m.From.Tag)), string(m.Bytes(m.To.Tag))
	if d := e.dialogWith(own, tag); d != nil {
		return d
	}
	d := &simDialog{
		e: e, tag: tag, own: own,
		local: string(m.Bytes(m.From.Value)), remote: string(m.Bytes(m.To.Value)),
		target: simContact(m), routes: simValues(m, wire.HeaderRecordRoute), cseq: 1,
	}
	slices.Reverse(d.routes)
	e.dialogs = append(e.dialogs, d)
	return d
}

// dialogWith finds the dialog with these tags, this end's and the other's.
func (e *simEnd) dialogWith(own, tag string) *simDialog {
	for _, d := range e.dialogs {
		if d.own == own && d.tag == tag {
			return d
		}
	}
	return nil
}

func (d *simDialog) request(method string) *simRequest {
	return &simRequest{
		method: method, uri: d.target, sentBy: d.e.addr.String(), branch: d.e.branch(),
		from: d.local, to: d.remote, callID: d.e.call.id, cseq: d.cseq, routes: d.routes, contact: d.e.contact(),
	}
}

// ask sends a request within the dialog.
func (d *simDialog) ask(method string) *simClient {
	d.cseq++
	var t *simClient
	t = d.e.ask(d.request(method), func(m *wire.Message) {
		if method != "INVITE" || m.Status < 200 {
			return
		}
		if m.Status < 300 {
			d.ack(m.CSeq)
		} else {
			t.acknowledge(m)
		}
	})
	return t
}

// ack acknowledges a 2xx, with the same ACK each time it comes (13.2.2.4).
func (d *simDialog) ack(cseq uint32) {
	if d.e.silent {
		return
	}
	for _, a := range d.acks {
		if a.cseq == cseq {
			d.e.send(a.raw)
			return
		}
	}
	q := d.request("ACK")
	q.cseq = cseq
	if cseq == 1 && d.e.call.sameBranch { // clients exist that use the INVITE's again
		q.branch = d.e.call.invite.branch
	}
	a := simAck{cseq, q.bytes()}
	d.acks = append(d.acks, a)
	d.e.send(a.raw)
}

func (d *simDialog) bye() {
	if !d.over {
		d.over = true
		d.e.call.byes = append(d.e.call.byes, d.ask("BYE"))
	}
}

// talk is what an end does between the answer and its BYE.
func (d *simDialog) talk() {
	e := d.e
	if e.w.has(simDialogs) {
		for range e.random.IntN(4) {
			method := pick(e.random, "INVITE", "INFO", "UPDATE", "MESSAGE")
			e.after(e.upTo(e.w.talk), func() {
				if !d.over {
					d.ask(method)
				}
			})
		}
	}
	e.after(e.upTo(e.w.talk), d.bye)
}

// inDialog answers a request within a dialog.
func (e *simEnd) inDialog(t *simServer) {
	m := &t.m
	t.tag = string(m.Bytes(m.To.Tag))
	d := e.dialogWith(string(m.Bytes(m.To.Tag)), string(m.Bytes(m.From.Tag)))
	switch {
	case d == nil:
		t.final(481)
	case m.Method == wire.BYE:
		d.over = true
		t.final(200)
	case m.Method == wire.INVITE:
		status := pick(e.random, 200, 200, 488, 491)
		e.after(e.upTo(100*time.Millisecond), func() { t.final(status) })
	default:
		t.final(200)
	}
}
