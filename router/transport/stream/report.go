package stream

import (
	"net/netip"
	"sync"

	"tandem/router/transport"
)

// maxReports bounds the bytes of messages that wait to be reported: more of
// them can fail at once than a Handler hears of in time.
const maxReports = 32 << 20

// reports are messages that could not be delivered, on their way to the Handler.
// They are reported by a goroutine of their own, since whoever found them may be
// within the Handler.
type reports struct {
	mu    sync.Mutex
	list  []undelivered
	bytes int
	wake  chan struct{}
}

type undelivered struct {
	listener int
	dest     netip.AddrPort
	data     []byte
	code     transport.Cause
}

// undelivered has messages reported. They are given away. gone means that their
// connection was the peer's, and has ended.
func (s *Streams) undelivered(l *listener, messages []waiting, gone bool) {
	r := &s.reports
	r.mu.Lock()
	before := len(r.list)
	for _, m := range messages {
		switch {
		case m.own:
		case r.bytes+len(m.data) > maxReports:
			l.unreported.Add(1)
		default:
			code := m.cause()
			if gone && isResponse(m.data) {
				code = transport.Gone
			}
			r.list = append(r.list, undelivered{l.Index, m.dest, m.data, code})
			r.bytes += len(m.data)
			l.undelivered.Add(1)
		}
	}
	added := len(r.list) > before
	r.mu.Unlock()
	if added {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// cause is what kept a message from leaving.
func (w *waiting) cause() transport.Cause {
	if w.ours {
		return transport.SendError
	}
	return transport.NoHost
}

// report reports until Close.
func (s *Streams) report() {
	defer s.wg.Done()
	r := &s.reports
	var list []undelivered
	var out transport.Batch
	for {
		select {
		case <-s.stop:
			return
		case <-r.wake:
		}
		r.mu.Lock()
		list, r.list, r.bytes = r.list, list[:0], 0
		r.mu.Unlock()
		now := s.now()
		for _, u := range list {
			s.handler.Unreachable(now, transport.Unreachable{Dest: u.dest, Code: u.code, Quote: u.data, Local: true, Listener: u.listener}, &out)
			s.flush(now, &out)
			out.Reset()
		}
		clear(list)
	}
}
