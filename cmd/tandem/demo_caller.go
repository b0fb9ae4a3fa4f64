package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"
)

const (
	answerWait = 15 * time.Second // an unanswered call is lost after this
	byeWait    = 5 * time.Second
	talkTime   = 500 * time.Millisecond
)

// caller places calls through the proxy.
type caller struct {
	phone  *phone
	dialog sipgo.DialogUA
	number sip.Uri // with the proxy's address
}

// happening is a moment in a call's life.
type happening struct {
	id        string // Call-ID
	kind      happeningKind
	connector string        // who answered
	delay     time.Duration // from INVITE to ringing
	err       error
}

type happeningKind int

const (
	callAnswered happeningKind = iota
	callLost                   // no answer
	callEnded                  // by a BYE that was answered
	callCut                    // its connector died while it was up
)

func newCaller(proxy netip.AddrPort, number string) (*caller, error) {
	c := &caller{number: sip.Uri{
		Scheme: "sip", User: number, Host: proxy.Addr().String(), Port: int(proxy.Port()),
	}}
	var err error
	c.phone, err = newPhone("caller", netip.MustParseAddrPort("127.0.0.1:0"), func(p *phone) error {
		client, err := sipgo.NewClient(p.ua, sipgo.WithClientLogger(quiet),
			sipgo.WithClientAddr(p.addr.String()),           // what Via says
			sipgo.WithClientConnectionAddr(p.addr.String())) // the socket to use
		c.dialog = sipgo.DialogUA{Client: client, ContactHDR: *p.contact()}
		return err
	})
	return c, err
}

// call places one call, talks for a moment and hangs up. lifeOf finds
// the life of the connector that answered.
func (c *caller) call(tell func(happening), lifeOf func(connector string) *life) {
	id := uuid.NewString()
	dialog, answered, err := c.place(id)
	if err != nil {
		tell(happening{id: id, kind: callLost, err: err})
		return
	}
	tell(answered)
	begun := lifeOf(answered.connector)
	time.Sleep(talkTime)

	// A BYE to a connector that died is answered by nobody.
	ctx, cancel := context.WithTimeout(context.Background(), byeWait)
	defer cancel()
	if begun != nil {
		defer context.AfterFunc(begun.ctx, cancel)()
	}
	err = dialog.WriteBye(ctx, c.bye(dialog))
	switch {
	case begun == nil || !alive(begun.ctx):
		tell(happening{id: id, kind: callCut})
	case err != nil:
		tell(happening{id: id, kind: callLost, err: fmt.Errorf("BYE: %w", err)})
	default:
		tell(happening{id: id, kind: callEnded})
	}
}

// bye is the BYE of a dialog, which sipgo completes. It leaves by the caller's
// own socket: without Laddr sipgo opens another.
func (c *caller) bye(dialog *sipgo.DialogClientSession) *sip.Request {
	target := dialog.InviteRequest.Recipient
	if contact := dialog.InviteResponse.Contact(); contact != nil {
		target = contact.Address
	}
	req := sip.NewRequest(sip.BYE, *target.Clone())
	req.Laddr = dialog.InviteRequest.Laddr
	return req
}

// place sends the INVITE, waits for the answer and acknowledges it.
func (c *caller) place(id string) (*sipgo.DialogClientSession, happening, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), answerWait, sipgo.WaitAnswerForceCancelErr)
	defer cancel()
	req := sip.NewRequest(sip.INVITE, *c.number.Clone())
	callID := sip.CallIDHeader(id)
	req.AppendHeader(&callID)
	req.AppendHeader(c.phone.contact())

	start := time.Now()
	h := happening{id: id, kind: callAnswered}
	dialog, err := c.dialog.WriteInvite(ctx, req)
	if err != nil {
		return nil, h, err
	}
	err = dialog.WaitAnswer(ctx, sipgo.AnswerOptions{OnResponse: func(res *sip.Response) error {
		if h.delay == 0 && res.StatusCode >= 180 {
			h.delay = time.Since(start)
		}
		if server := res.GetHeader("Server"); server != nil {
			h.connector = server.Value()
		}
		return nil
	}})
	var refused *sipgo.ErrDialogResponse
	if errors.As(err, &refused) {
		err = fmt.Errorf("%d %s", refused.Res.StatusCode, refused.Res.Reason)
	}
	if err != nil {
		return nil, h, err
	}
	return dialog, h, dialog.Ack(ctx)
}
