package health

// historyLength is how many changes of a host's state are kept.
const historyLength = 32

// Change is a change of a host's state. An ejection that is prolonged, because a
// trial call failed, is one too: From and To are Ejected, the reason is new.
type Change struct {
	From, To State
	Reason   Reason
	At       int64 // the caller's clock; of what time alone brought about, when it did
}

// history is the last changes of a host.
type history struct {
	ring [historyLength]Change
	n    uint64 // of all that there ever were
}

func (h *history) add(c Change) {
	h.ring[h.n%historyLength] = c
	h.n++
}

// copy returns the changes that are kept, the oldest first.
func (h *history) copy() []Change {
	if h == nil {
		return nil
	}
	first := uint64(0)
	if h.n > historyLength {
		first = h.n - historyLength
	}
	list := make([]Change, 0, h.n-first)
	for i := first; i < h.n; i++ {
		list = append(list, h.ring[i%historyLength])
	}
	return list
}

// changes are those that one event brings about: a Retry-After and a slow start
// may have come to their end before it.
type changes struct {
	list    [3]Change
	n       int
	regions []RegionFlip
}

// add notes the change from one status to another, if it is one.
func (c *changes) add(before, after *Status, at int64) {
	if before.State == after.State && (after.State != Ejected || before.EjectedUntil == after.EjectedUntil) {
		return
	}
	c.list[c.n] = Change{From: before.State, To: after.State, Reason: after.Reason, At: at}
	c.n++
}
