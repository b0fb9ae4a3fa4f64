package stream

import "tandem/router/transport"

// flushing is what one Flush works with: the messages of a batch, those of one
// connection together.
type flushing struct {
	runs []run
}

type run struct {
	conn  *conn
	list  []outgoing
	bytes int
}

// maxRuns is for how many connections messages are gathered before they are
// sent: looking for a connection's should not take long.
const maxRuns = 32

// Flush sends those messages of out that are for listeners of s, and leaves out
// as it is. It is Send for each, or Connect, in order, but messages on one connection leave
// in one write.
func (s *Streams) Flush(out *transport.Batch) {
	f := s.flushes.Get().(*flushing)
	for i := range out.Len() {
		index, m := of(out, i)
		l := s.listener(index)
		if l == nil {
			continue
		}
		if c, _, _ := s.find(l, &m); c != nil {
			f.add(s, c, m)
		} else {
			_ = s.deliver(index, m)
		}
	}
	f.flush(s)
	s.flushes.Put(f)
}

// Deliver sends message i of out, which is for a listener of s, and leaves out as
// it is. An error is as of Send.
func (s *Streams) Deliver(out *transport.Batch, i int) error {
	index, m := of(out, i)
	return s.deliver(index, m)
}

// of is message i of out, and the listener that it is for.
func of(out *transport.Batch, i int) (listener int, m outgoing) {
	listener, dest, data := out.At(i)
	m = outgoing{dest: unmap(dest), data: data, back: out.IsBack(i)}
	m.name, m.connect = out.Name(i)
	return listener, m
}

// add puts a message to those of its connection.
func (f *flushing) add(s *Streams, c *conn, m outgoing) {
	r := f.run(s, c)
	if len(r.list) > 0 && r.bytes+len(m.data) > sealAhead {
		r.send(s)
	}
	r.list = append(r.list, m)
	r.bytes += len(m.data)
}

// run returns that of c.
func (f *flushing) run(s *Streams, c *conn) *run {
	for i := range f.runs {
		if f.runs[i].conn == c {
			return &f.runs[i]
		}
	}
	if len(f.runs) == maxRuns {
		f.flush(s)
	}
	if n := len(f.runs); n < cap(f.runs) {
		f.runs = f.runs[:n+1] // with the memory of its list
	} else {
		f.runs = append(f.runs, run{})
	}
	r := &f.runs[len(f.runs)-1]
	r.conn = c
	return r
}

func (f *flushing) flush(s *Streams) {
	for i := range f.runs {
		f.runs[i].send(s)
		f.runs[i].conn = nil
	}
	f.runs = f.runs[:0]
}

func (r *run) send(s *Streams) {
	if !r.conn.send(s.now(), false, r.list...) {
		s.forget(r.conn)
		for _, m := range r.list { // on another one, perhaps
			_ = s.deliver(r.conn.listener.Index, m)
		}
	}
	clear(r.list)
	r.list, r.bytes = r.list[:0], 0
}
