package names

// Two lists in order of use hold the names that no lookup is under way for. A
// name starts in recent and moves to kept when it answers a call; kept has all
// but an eighth of the room, and its oldest moves back to recent when it is
// full. Only recent is evicted from. So a flood of names that do not resolve
// displaces itself, and whoever resolves and is used displaces those that
// were used least recently.

// list is in order of use; its zero value is empty.
type list struct {
	newest, oldest *entry
	len            int
}

func (l *list) push(e *entry) {
	e.on, e.older, e.newer = l, l.newest, nil
	if l.newest != nil {
		l.newest.newer = e
	} else {
		l.oldest = e
	}
	l.newest = e
	l.len++
}

// unlink takes e out of the list that it is on, if any.
func unlink(e *entry) {
	l := e.on
	if l == nil {
		return
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		l.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		l.oldest = e.newer
	}
	e.on, e.newer, e.older = nil, nil, nil
	l.len--
}

// place makes e the most recently used of the list that it belongs into.
func (n *Names) place(e *entry) {
	unlink(e)
	if !e.kept {
		n.recent.push(e)
		return
	}
	n.kept.push(e)
	if n.kept.len > n.keptRoom {
		oldest := n.kept.oldest
		unlink(oldest)
		oldest.kept = false
		n.recent.push(oldest)
	}
}

// makeRoom evicts a name if it must, and reports whether one more fits.
func (n *Names) makeRoom() bool {
	if n.count < n.room {
		return true
	}
	e := n.recent.oldest
	if e == nil {
		return false // all that may go have a lookup under way
	}
	unlink(e)
	at := n.bucket(e.hash)
	for p := at.Load(); p != e; p = at.Load() {
		at = &p.chain
	}
	at.Store(e.chain.Load())
	n.count--
	return true
}

// add makes an entry that is in no list yet.
func (n *Names) add(hash uint64, name string) *entry {
	e := &entry{name: name, hash: hash}
	e.touchAt.Store(atOnce)
	b := n.bucket(hash)
	e.chain.Store(b.Load())
	b.Store(e) // complete: from here on others see it
	n.count++
	return e
}
