package transport

const (
	// maxSegment is the longest datagram that leaves together with others: none
	// of them can be fragmented, and each link carries this much (1,280 bytes,
	// RFC 8200 5, less the headers of IPv6 and UDP).
	maxSegment = 1280 - 40 - 8
	// maxRun bounds the bytes that leave together: a UDP length, less headers.
	maxRun = 65000
)

// runs lays out a part of a batch for sending: datagrams of one size to one peer
// can leave together, as segments of one send.
type runs struct {
	all   [sendBatch]sendRun
	count int
	of    [sendBatch]int8 // the run of each datagram
	next  [sendBatch]int8 // the datagram after it in its run; of the last one 0
}

// sendRun is a chain of datagrams, by their place in the part.
type sendRun struct {
	first, last int8
	length      int8
	size        int  // of each datagram, in bytes
	closed      bool // its one datagram leaves alone
}

// plan finds the runs of the datagrams from start to end of b, at most
// sendBatch. One by one, in order, each joins the first run that has its peer
// and size, where it passes no datagram of its own flow to that peer.
func (r *runs) plan(b *Batch, start, end int, whole bool) {
	r.count = 0
	barrier := 0 // nobody passes the last datagram of flow 0, which is in this run
	for i := range end - start {
		m := &b.msgs[start+i]
		from := barrier
		switch {
		case m.flow == 0:
			from = r.count - 1
		default:
			if last := r.before(b, start, i); last > from {
				from = last
			}
		}
		at := -1
		if size := m.end - m.start; !whole && !m.alone && size <= maxSegment && size > 0 {
			at = r.find(b, start, m, max(from, 0))
		}
		if at < 0 {
			at = r.count
			r.all[at] = sendRun{first: int8(i), last: int8(i), length: 1, size: m.end - m.start, closed: m.alone}
			r.count++
		} else {
			run := &r.all[at]
			r.next[run.last] = int8(i)
			run.last = int8(i)
			run.length++
		}
		r.of[i], r.next[i] = int8(at), 0
		if m.flow == 0 {
			barrier = at
		}
	}
}

// before is the run of the datagram before i of the same flow to the same peer.
func (r *runs) before(b *Batch, start, i int) int {
	m := &b.msgs[start+i]
	for j := i - 1; j >= 0; j-- {
		if o := &b.msgs[start+j]; o.flow == m.flow && o.dest == m.dest {
			return int(r.of[j])
		}
	}
	return 0
}

// find is the first run from one on that m can join.
func (r *runs) find(b *Batch, start int, m *outgoing, from int) int {
	size := m.end - m.start
	for at := from; at < r.count; at++ {
		run := &r.all[at]
		if run.size != size || run.closed || (int(run.length)+1)*size > maxRun {
			continue
		}
		if o := &b.msgs[start+int(run.first)]; o.dest == m.dest && o.local == m.local {
			return at
		}
	}
	return -1
}
