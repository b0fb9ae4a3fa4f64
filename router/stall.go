package router

// Attempts that have had 100 and wait for more are watched: one that waits for
// long is told to the health of its host, which knows by their number when calls
// stall there (health.Host.Waits). What rings in time costs no timer of its own.

// watch begins to watch a, an INVITE whose first response has this status.
func (a *attempt) watch(status int) {
	if after := a.host.health.StallAfter(); after > 0 && status == 100 {
		a.stallAt = a.started + int64(after)
	}
}

// stalls is the end of the time that watch set, or a later one when slower
// attempts have taught what is usual since.
func (a *attempt) stalls(now int64) {
	after := int64(a.host.health.StallAfter())
	if later := a.started + after; after > 0 && later > now {
		a.stallAt = later
		return
	}
	a.stallAt, a.waits = never, true
	a.host.health.Waits(a.started, now)
}

// goesOn takes note of a response beyond 100, and says whether it is one: the 487
// that our own CANCEL brings is what any transaction layer says. How long an
// attempt took that nobody waited for is no measure of others.
func (a *attempt) goesOn(status int, now int64) bool {
	if a.revoked && status == 487 {
		return false
	}
	began := a.started
	if a.abandoned || a.revoked {
		began = now
	}
	a.host.health.Progressed(began, now)
	a.unwatch()
	return true
}

// unwatch ends the watch: it goes on, or is over.
func (a *attempt) unwatch() {
	a.stallAt = never
	if a.waits {
		a.waits = false
		a.host.health.Resumes()
	}
}
