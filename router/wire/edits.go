package wire

// Edits is a list of changes to a message, applied in one pass. The zero value
// is ready; Reset makes it ready again and keeps its memory.
//
// Edits may be given in any order and must not overlap: of two that do, the
// one that starts later is left out. Insertions at one offset keep the order
// in which they were given, and come before what replaces the bytes there.
type Edits struct {
	data []byte
	list []edit // in the order of the message
}

type edit struct {
	at   Span
	with []byte
}

// before orders by offset, insertions first.
func (a edit) before(b edit) bool {
	if a.at.Start != b.at.Start {
		return a.at.Start < b.at.Start
	}
	return a.at.Len() == 0 && b.at.Len() > 0
}

// Reset forgets all edits and sets what the next ones are for.
func (e *Edits) Reset(m []byte) {
	e.data = m
	e.list = e.list[:0]
}

// Replace puts with in place of s. It is referenced until Apply, not copied.
func (e *Edits) Replace(s Span, with []byte) {
	e.list = append(e.list, edit{s, with})
	// Insertion sort: a handful of edits, mostly given in order.
	for i := len(e.list) - 1; i > 0 && e.list[i].before(e.list[i-1]); i-- {
		e.list[i], e.list[i-1] = e.list[i-1], e.list[i]
	}
}

// Insert puts with in front of the byte at that offset.
func (e *Edits) Insert(at uint32, with []byte) { e.Replace(Span{at, at}, with) }

// Delete leaves s out.
func (e *Edits) Delete(s Span) { e.Replace(s, nil) }

// Apply appends the part s of the message with the edits that lie in it, its
// two ends included.
func (e *Edits) Apply(dst []byte, s Span) []byte {
	pos := s.Start
	for _, change := range e.list {
		if change.at.Start < pos || change.at.End > s.End {
			continue
		}
		dst = append(dst, e.data[pos:change.at.Start]...)
		dst = append(dst, change.with...)
		pos = change.at.End
	}
	return append(dst, e.data[pos:s.End]...)
}
